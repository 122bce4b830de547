"""A start and an end while memory is out or system calls fail: it serves right or says why it does not, and ends well."""
import signal
import socket
import unittest
from collections import namedtuple

from failing import ALL, ALLOCATIONS, CALLS, MOST, FailingServer, Fault, is_sanitized
from promptd import DEADLINE, wait_until
from session import FILES, GREET, REQUESTS, get
from test_requests import SOON, RequestTest

SAMPLES = 100 if ALL else 15
Sample = namedtuple("Sample", "kind seed share")


class Lifetime(RequestTest):
    def setUp(self):
        super().setUp()
        self.args = ("--writable", "--tokens-file", str(self.tokens), "--settle", "50ms", "--poll", "200ms",
                     "--audit-log", str(self.tokens.with_name("audit.log")), *SOON)
        healthy = self.serve_session()
        self.at_start = healthy.control.seen_sites()
        healthy.stop()
        self.at_end = {site: (kind, seen) for site, (kind, seen) in healthy.control.seen_sites().items()
                       if seen > self.at_start.get(site, (0, 0))[1]}

    def run_one(self, fault, judge):
        """A server of its own. Returns what may have failed in it."""
        # What enters the sandbox fails too, where the program may be in one.
        server = FailingServer(*self.args, files=FILES, env={} if is_sanitized() else {"PROMPTD_SANDBOX": "auto"})
        server.make_directory()
        try:
            with self.subTest(fault=fault):
                judge(server, fault)
        finally:
            server.process.kill()
            server.process.wait()
            server.clean_up()
        self.faults += server.control.failed
        return server.control

    def run_all(self, judge, sites, some):
        """A server for each call that fails; everyday, for one of so many of the sites that call in a healthy one."""
        for kind in (ALLOCATIONS, CALLS):
            faults = [Fault(kind, 1, site=site) for site in sorted(sites) if sites[site][0] == kind][::some]
            for fault in (Fault(kind, number) for number in range(1, MOST)) if ALL else faults:
                control = self.run_one(fault, judge)
                if ALL and control.failed == 0:
                    break
                for variant in range(1, control.variants if control.failed else 0):
                    self.run_one(fault._replace(variant=variant), judge)

    def check_end(self, server):
        self.assertEqual(server.wait_for_exit(), 0, server.lines)
        self.check_leaks(server)

    def test_starts(self):
        self.run_all(self.judge_start, self.at_start, some=8)
        self.assertGreater(self.faults, 10)

    def judge_start(self, server, fault):
        server.control.arm(fault)
        server.start()
        if not server.serves() or not self.comes_to_serve(server):
            self.check_refusal(server)
            return
        server.control.disarm()
        self.check_service(server)

    def check_refusal(self, server):
        self.assertEqual(server.wait_for_exit(), 1, server.control.what_failed())
        self.assertTrue(any("promptd: " in line for line in server.lines), server.lines)

    def test_starts_in_which_libraries_fail_too(self):
        """Some of all calls, of a kind, fail until it serves."""
        for seed in range(1, SAMPLES + 1):
            sample = Sample((ALLOCATIONS, CALLS)[seed % 2], seed, (500, 2000, 8000)[seed % 3])
            self.run_one(sample, self.judge_unlucky_start)
        self.assertGreater(self.faults, SAMPLES)

    def judge_unlucky_start(self, server, sample):
        server.control.arm_sample(*sample)
        server.start()
        serves = server.serves()
        server.control.disarm()
        if serves and self.comes_to_serve(server):
            self.check_service(server)
        else:
            self.check_refusal(server)

    def check_service(self, server):
        for name in ("litellm", "render", "another token", "refused"):
            self.assertEqual(server.exchange(REQUESTS[name]).replies, self.right[name], name)
        server.signal(signal.SIGTERM)
        self.check_end(server)

    def comes_to_serve(self, server):
        """Whether it serves all that it should in the end, and has not ended."""
        wait_until(lambda: server.exchange(REQUESTS["list"]).replies == self.right["list"]
                   or server.process.poll() is not None,
                   f"it serves all in spite of {server.control.what_failed()}")
        return server.process.poll() is None

    def test_ends(self):
        """With one connection that is idle, and one on which a request has begun."""
        self.run_all(self.judge_end, self.at_end, some=2)
        self.assertGreater(self.faults, 5)

    def judge_end(self, server, fault):
        server.start()
        self.assertTrue(server.serves())
        wait_until(lambda: any("listening on" in line for line in server.lines), "it is ready")
        ask = get(GREET)
        with socket.create_connection(("127.0.0.1", server.port), DEADLINE), \
                socket.create_connection(("127.0.0.1", server.port), DEADLINE) as begun:
            begun.sendall(ask[:20])
            self.assertEqual(server.exchange(REQUESTS["litellm"]).replies, self.right["litellm"])
            server.control.arm(fault)
            server.signal(signal.SIGTERM)
            wait_until(lambda: any("stopping" in line for line in server.lines) or
                       server.control.failed, "it stops")
            begun.sendall(ask[20:])
            received = b"".join(iter(lambda: begun.recv(65536), b""))
            self.assert_honest(server.outcome_of(received, ask), self.right["litellm"])
            self.check_end(server)


if __name__ == "__main__":
    unittest.main()
