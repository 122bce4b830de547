"""HTTPS: what is spoken, what is refused, and certificates that change."""
import contextlib
import json
import os
import select
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from promptd import DEADLINE, ServerTest, pause, prompt, wait_until
from support import cpu_seconds  # tests/reload
from test_gate import BAD, CHUNKED, GET, RENDER, SECOND, read_all, replies_in

FILES = {"p.yaml": prompt("hello")}


def make_certificate(directory, name, *more):
    """Write NAME.cert and NAME.key; the certificate's subject is the name."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", directory / f"{name}.key", "-out", directory / f"{name}.cert",
                    *(more or ("-nodes",))], check=True, capture_output=True)


class TlsTest(ServerTest):
    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(scratch.cleanup)
        cls.scratch = Path(scratch.name)
        for name in ("one", "two"):
            make_certificate(cls.scratch, name)

    def serve_tls(self, *options, name="one"):
        return self.serve("--tls-cert", str(self.scratch / f"{name}.cert"),
                          "--tls-key", str(self.scratch / f"{name}.key"), *options, files=FILES)

    def trust(self, *names):
        context = ssl.create_default_context()
        for name in names or ("one",):
            context.load_verify_locations(self.scratch / f"{name}.cert")
        return context

    def connect(self, server, context=None):
        plain = socket.create_connection(("127.0.0.1", server.port), DEADLINE)
        self.addCleanup(plain.close)
        secured = (context or self.trust()).wrap_socket(plain, server_hostname="127.0.0.1")
        self.addCleanup(secured.close)
        return secured

    def send(self, server, data):
        """Send while reading, by turns: an SSL object is for one thread at a time."""
        connection = self.connect(server)
        connection.setblocking(False)
        received, deadline = b"", time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            try:
                if data:
                    data = data[connection.send(data[:16384]):]
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            except OSError:
                data = b""  # refused before the end
            try:
                piece = connection.recv(65536)
                if not piece:
                    return replies_in(received)
                received += piece
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                select.select([connection], [connection] if data else [], [], 0.05)
        raise AssertionError(f"the connection is still open: {received!r}")

    def subject_of(self, server):
        """The common name in the certificate of a new connection."""
        certificate = self.connect(server, self.trust("one", "two")).getpeercert()
        return dict(pair for names in certificate["subject"] for pair in names)["commonName"]


class Spoken(TlsTest):
    def test_requests_and_refusals_are_inside_the_stream(self):
        server = self.serve_tls()
        self.assertTrue(any("listening on https://127.0.0.1:" in line for line in server.messages()))
        body = b'{"variables": {}}'
        render = RENDER + b"Content-Length: %d\r\n\r\n" % len(body) + body
        replies = self.send(server, SECOND + render + CHUNKED + b"2;x=y\r\n{}\r\n0\r\n\r\n" + BAD["two lengths"][1])
        self.assertEqual([reply[0] for reply in replies], [200, 200, 200, 400])
        self.assertEqual(json.loads(replies[1][2])["messages"][0]["content"], "hello")
        self.assertTrue(json.loads(replies[3][2])["detail"].startswith("Bad request: "))

    def test_who_is_refused_and_stays_keeps_nobody_busy(self):
        server = self.serve_tls("--workers", "1")
        connection = self.connect(server)
        connection.sendall(GET + b": x\r\n\r\n")
        self.assertIn(b" 400 ", connection.recv(65536))
        before = cpu_seconds(server)
        pause(1)
        self.assertLess(cpu_seconds(server) - before, 0.1)

    def test_a_long_body_is_refused_so_that_it_arrives(self):
        server = self.serve_tls()
        for _ in range(5):
            reply, = self.send(server, BAD["a long body"][1])
            self.assertEqual(reply[0], 413)

    def test_byte_by_byte(self):
        server = self.serve_tls()
        connection = self.connect(server)
        for byte in GET + b"Connection: close\r\n\r\n":
            connection.send(bytes([byte]))
        self.assertEqual(replies_in(read_all(connection))[0][0], 200)

    def test_expect_100_continue(self):
        connection = self.connect(self.serve_tls())
        connection.sendall(RENDER + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        self.assertEqual(connection.recv(1000), b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.sendall(b"{}" + GET + b"Connection: close\r\n\r\n")
        self.assertEqual([reply[0] for reply in replies_in(read_all(connection))], [200, 200])

    def test_many_requests_at_once(self):
        server = self.serve_tls()
        replies = []

        def work():
            replies.extend(self.send(server, SECOND * 50 + GET + b"Connection: close\r\n\r\n"))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([reply[0] for reply in replies], [200] * 408)

    def test_a_plain_request_is_told_to_use_https(self):
        server = self.serve_tls()
        for data in (GET + b"\r\n", b"POST / HTTP/1.1\r\n" + b"X: y\r\n" * 5000, b"DELETE / HTTP/1.1\r\n\r\n",
                     b"OPTIONS * HTTP/1.1\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\n\r\n", b"bytes of no kind that is known"):
            connection = socket.create_connection(("127.0.0.1", server.port), DEADLINE)
            self.addCleanup(connection.close)
            with contextlib.suppress(OSError):
                connection.sendall(data)
            data = read_all(connection)
            head, _, body = data.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 400 "), data)
            length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
            self.assertIn("https://", json.loads(body[:length])["detail"])

    def test_old_versions_and_weak_ciphers_are_refused(self):
        server = self.serve_tls()
        weak = self.trust()
        weak.maximum_version = ssl.TLSVersion.TLSv1_2
        weak.set_ciphers("AES128-SHA:ECDHE-ECDSA-AES128-SHA256:AES128-GCM-SHA256:@SECLEVEL=0")
        with self.assertRaises(ssl.SSLError):
            self.connect(server, weak)
        for version in ("-tls1", "-tls1_1"):
            told = subprocess.run(["openssl", "s_client", version, "-cipher", "ALL:@SECLEVEL=0", "-connect",
                                   f"127.0.0.1:{server.port}"], input=b"", capture_output=True)
            self.assertIn(b"Cipher is (NONE)", told.stdout)
        good = self.trust()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            good.minimum_version = good.maximum_version = version
            name = self.connect(server, good).cipher()[0]
            self.assertTrue("GCM" in name or "CHACHA20" in name, name)

    def test_a_handshake_that_drips(self):
        server = self.serve_tls("--head-timeout", "600ms")
        context = self.trust()
        outgoing = ssl.MemoryBIO()
        handshake = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="127.0.0.1")
        with self.assertRaises(ssl.SSLWantReadError):
            handshake.do_handshake()
        hello = outgoing.read()
        connection = socket.create_connection(("127.0.0.1", server.port), DEADLINE)
        self.addCleanup(connection.close)
        connection.settimeout(0.05)
        begun = time.monotonic()
        for byte in hello:
            try:
                connection.send(bytes([byte]))
                if connection.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        self.assertLess(time.monotonic() - begun, len(hello) * 0.05)


@unittest.skipUnless(os.environ.get("PROMPTD_SWEEP") == "all", "takes half a minute: set PROMPTD_SWEEP=all")
class Scanned(TlsTest):
    def test_testssl_finds_nothing(self):
        if shutil.which("testssl") is None:
            self.skipTest("testssl is missing: install testssl.sh")
        server = self.serve_tls()
        found = self.scratch / "found.json"
        subprocess.run(["testssl", "--quiet", "--color", "0", "-p", "-s", "-f", "-U", "--severity", "LOW", "--jsonfile",
                        found, f"https://127.0.0.1:{server.port}"], check=False, capture_output=True, timeout=600)
        self.assertEqual(json.loads(found.read_text(encoding="utf-8")), [])


class Certificates(TlsTest):
    def test_they_are_taken_anew_when_a_link_is_swapped(self):
        home = self.scratch / "secret"
        for name in ("one", "two"):
            (home / name).mkdir(parents=True)
            for kind in ("cert", "key"):
                (home / name / f"tls.{kind}").write_bytes((self.scratch / f"{name}.{kind}").read_bytes())
        (home / "data").symlink_to("one")
        server = self.serve("--tls-cert", str(home / "data/tls.cert"), "--tls-key", str(home / "data/tls.key"),
                            files=FILES)
        self.assertEqual(self.subject_of(server), "one")
        old = self.connect(server)
        os.symlink("two", home / "new")
        os.replace(home / "new", home / "data")
        wait_until(lambda: self.subject_of(server) == "two", "the new certificate is in force")
        old.sendall(GET + b"Connection: close\r\n\r\n")
        self.assertEqual(replies_in(read_all(old))[0][0], 200)
        (home / "two/tls.key").write_bytes((self.scratch / "one.key").read_bytes())  # not its key
        wait_until(lambda: [m for m in server.messages() if "cannot take the key" in m], "it is said")
        self.assertEqual(self.subject_of(server), "two")

    def test_a_fifo_in_the_place_of_one_stops_nothing(self):
        for end in ("cert", "key"):
            shutil.copy(self.scratch / f"one.{end}", self.scratch / f"fifo.{end}")
        server = self.serve_tls("--admin-listen", "127.0.0.1:0", name="fifo")
        (self.scratch / "fifo.cert").unlink()
        os.mkfifo(self.scratch / "fifo.cert")
        wait_until(lambda: any("is not a regular file" in m for m in server.messages()), "it is told")
        server.write("p.yaml", prompt("changed"))
        context = self.trust()
        wait_until(lambda: b"changed" in self.ask_secured(server, context), "files are still looked at")
        for end in ("cert", "key"):
            shutil.copy(self.scratch / f"two.{end}", self.scratch / ".new")
            os.replace(self.scratch / ".new", self.scratch / f"fifo.{end}")
        wait_until(lambda: self.subject_of(server) == "two", "the new one is in force")

    def ask_secured(self, server, context):
        with self.connect(server, context) as connection:
            connection.sendall(SECOND.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            return read_all(connection)

    def test_what_cannot_be_taken_ends_the_start(self):
        make_certificate(self.scratch, "locked", "-passout", "pass:secret")
        (self.scratch / "empty").write_bytes(b"")
        one = str(self.scratch / "one.cert"), str(self.scratch / "one.key")
        for options, words in (
                (("--tls-cert", one[0]), "--tls-cert and --tls-key go together"),
                (("--tls-key", one[1]), "--tls-cert and --tls-key go together"),
                (("--tls-cert", "/nowhere", "--tls-key", one[1]), 'cannot take the certificate "/nowhere"'),
                (("--tls-cert", str(self.scratch / "empty"), "--tls-key", one[1]), "cannot take the certificate"),
                (("--tls-cert", one[0], "--tls-key", str(self.scratch / "two.key")), "cannot take the key"),
                (("--tls-cert", str(self.scratch / "locked.cert"), "--tls-key", str(self.scratch / "locked.key")),
                 "cannot take the key")):
            with self.subTest(options):
                ended = subprocess.run([os.environ["PROMPTD"], "--listen", "127.0.0.1:0", *options,
                                        str(self.scratch)], capture_output=True, text=True, timeout=DEADLINE,
                                       stdin=subprocess.DEVNULL)
                self.assertEqual(ended.returncode, 1)
                self.assertIn(words, ended.stderr)


if __name__ == "__main__":
    unittest.main()
