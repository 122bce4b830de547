"""A promptd of which allocations and system calls fail, one by one, while it runs (failing.c)."""
import contextlib
import ctypes
import mmap
import os
import re
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter, namedtuple
from pathlib import Path

from promptd import DEADLINE, LISTENING, STOP_DEADLINE, Promptd, ServerTest, binary, clean_environment, wait_until

ALL = os.environ.get("PROMPTD_SWEEP") == "all"
LIBRARY = os.environ.get("PROMPTD_FAILING")
NONE, ONE, SAMPLE = range(3)
ALLOCATIONS, CALLS = 1, 2
SOON = 5.0  # seconds; a connection that fails without a sign is given up after one
LISTENING_QUOTED = re.compile(LISTENING.pattern + '"')
MOST = 20000  # calls of one step; more are a sign of a loop

# One call that fails: of a kind the nth, or the nth that returns to a site of the program.
Fault = namedtuple("Fault", "kind number variant site", defaults=(0, 0))
# What came for the requests that were sent: whole replies, and whether bytes of another one did.
Outcome = namedtuple("Outcome", "replies is_torn")


def is_sanitized():
    return b"__asan_init" in Path(binary()).read_bytes()


class Site(ctypes.Structure):
    _fields_ = [("offset", ctypes.c_uint64), ("seen", ctypes.c_uint64), ("failed", ctypes.c_uint64),
                ("kind", ctypes.c_uint32), ("name", ctypes.c_char * 32)]


class Control(ctypes.Structure):
    """struct failing_control."""
    _fields_ = [("mode", ctypes.c_uint32), ("kinds", ctypes.c_uint32), ("variant", ctypes.c_uint32),
                ("share", ctypes.c_uint32), ("nth", ctypes.c_uint64), ("site", ctypes.c_uint64),
                ("seed", ctypes.c_uint64), ("skew_seconds", ctypes.c_int64),
                ("seen", ctypes.c_uint64), ("failed", ctypes.c_uint64),
                ("variants", ctypes.c_uint32), ("sites_lost", ctypes.c_uint32),
                ("live", ctypes.c_int64), ("name", ctypes.c_char * 32),
                ("offset", ctypes.c_uint64), ("sites", Site * 4096)]

    def arm(self, fault):
        self.seen = self.failed = self.variants = 0
        self.kinds, self.variant, self.share = fault.kind, fault.variant, 0
        self.site, self.nth = fault.site, fault.number
        self.mode = ONE

    def arm_sample(self, kinds, seed, share):
        self.seen = self.failed = self.site = 0
        self.kinds, self.seed, self.share, self.variant = kinds, seed, share, seed
        self.mode = SAMPLE

    def disarm(self):
        self.mode = NONE

    def seen_sites(self):
        """{offset: (kind, calls so far)}."""
        return {site.offset: (site.kind, site.seen) for site in self.sites if site.offset and site.seen}

    def what_failed(self):
        """The call, and where in the program it is made."""
        place = hex(self.offset)
        with contextlib.suppress(OSError, IndexError):
            lines = subprocess.run(["addr2line", "-fse", binary(), hex(self.offset - 1)],
                                   capture_output=True, text=True, check=False).stdout.split("\n")
            place = f"{lines[0]}() {lines[1]}"
        return f"{self.name.decode()} in {place}"


class FailingServer(Promptd):
    """A promptd with failing.so in it. trust: to ask over TLS. skew: of its wall clock."""

    def __init__(self, *args, trust=None, skew=0, env=None, **kwargs):
        super().__init__("--workers", "1", *args, **kwargs)
        self.trust, self.skew = trust, skew
        self.env = {**(env or {}), "LD_PRELOAD": LIBRARY, "MALLOC_PERTURB_": "165",
                    "ASAN_OPTIONS": "verify_asan_link_order=0:allocator_may_return_null=1"}

    def make_directory(self):
        super().make_directory()
        path = self.temporary / "control"
        path.write_bytes(bytes(ctypes.sizeof(Control)))
        self.env["FAILING_CONTROL"] = str(path)
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), ctypes.sizeof(Control))
        self.control = Control.from_buffer(self.map)
        self.control.skew_seconds = self.skew

    def start(self):
        """Start, but do not wait: the line that says where it listens may be what fails."""
        self.process = subprocess.Popen(
            [self.program, "--listen", "127.0.0.1:0", *self.args, str(self.directory)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=clean_environment(self.env), cwd=self.temporary)
        self.begun = time.monotonic()
        self.reader = threading.Thread(target=self._collect, daemon=True)
        self.reader.start()

    def serves(self):
        """Whether it serves, once it does, or has ended."""
        self.port = wait_until(lambda: self.find_port() or self.process.poll() is not None,
                               "it listens or ends", STOP_DEADLINE)
        return self.process.poll() is None

    def find_port(self):
        """As a line of the log tells it that is not torn within the port; later as the system does."""
        for found in filter(None, map(LISTENING_QUOTED.search, self.log_lines())):
            return int(found[1])
        if time.monotonic() < self.begun + 1:
            return None
        with contextlib.suppress(OSError):
            own = self.descriptors()
            table = Path(f"/proc/{self.process.pid}/net/tcp").read_text(encoding="ascii")
            for _, local, _, state, *rest in map(str.split, table.splitlines()[1:]):
                if state == "0A" and f"socket:[{rest[5]}]" in own:
                    return int(local.split(":")[1], 16)
        return None

    def descriptors(self):
        """What the open ones lead to."""
        folder = f"/proc/{self.process.pid}/fd"
        found = []
        for name in os.listdir(folder):
            with contextlib.suppress(OSError):
                found.append(os.readlink(f"{folder}/{name}"))
        return found

    def kinds(self):
        """How many descriptors of each kind are open."""
        return Counter(target.split(":")[0] for target in self.descriptors())

    # Requests

    def exchange(self, data):
        """Send bytes that end in a request to close, and take all that comes."""
        received = b""
        try:
            with socket.create_connection(("127.0.0.1", self.port), SOON) as plain:
                connection = plain if self.trust is None else \
                    self.trust.wrap_socket(plain, server_hostname="127.0.0.1")
                with connection:
                    connection.sendall(data)
                    while piece := connection.recv(65536):
                        received += piece
        except TimeoutError:
            raise AssertionError(f"no end of a reply to {data[:200]!r}: {received[:500]!r}") from None
        except (OSError, ssl.SSLError):
            pass
        return self.outcome_of(received, data)

    def subject(self):
        """The common name in the certificate of a new connection."""
        with socket.create_connection(("127.0.0.1", self.port), DEADLINE) as plain, \
                self.trust.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            certificate = connection.getpeercert()
        return dict(pair for names in certificate["subject"] for pair in names)["commonName"]

    @staticmethod
    def outcome_of(received, data):
        replies = []
        no_body = data.startswith(b"HEAD")
        while received:
            head, separator, rest = received.partition(b"\r\n\r\n")
            length = re.search(rb"^content-length: (\d+)\r?$", head, re.MULTILINE | re.IGNORECASE)
            length = int(length[1]) if length and not no_body else 0
            if not separator or len(rest) < length:
                return Outcome(replies, True)
            replies.append((int(head.split(None, 2)[1]), rest[:length]))
            received = rest[length:]
        return Outcome([reply for reply in replies if reply[0] != 100], False)


class FaultTest(ServerTest):
    """Tests in which each call fails in turn; where all of them would take too long, one of each site."""

    def setUp(self):
        super().setUp()
        self.assertTrue(LIBRARY and os.path.isabs(LIBRARY), "set PROMPTD_FAILING to failing.so")
        self.faults = 0

    def start(self, *args, **kwargs):
        server = FailingServer(*args, **kwargs)
        server.__enter__()
        self.servers.append(server)
        self.addCleanup(server.__exit__, None, None, None)
        self.assertTrue(server.serves())
        wait_until(lambda: any("listening on" in line for line in server.lines), "it is ready")
        self.descriptors = server.kinds()
        return server

    def faults_of(self, control, known, some):
        """Each fault that can strike, as long as those before it did; or some of them."""
        for kind in (ALLOCATIONS, CALLS):
            if not ALL and some:
                for site in sorted(site for site, what in known.items() if what == kind)[::some]:
                    yield from self.in_all_ways(control, Fault(kind, 1, site=site))
                continue
            for number in range(1, MOST) if ALL else (*range(1, 12), *range(12, MOST, 6)):
                yield from self.in_all_ways(control, Fault(kind, number))
                if control.failed == 0:
                    break
            else:
                self.fail("the calls do not end")

    @staticmethod
    def in_all_ways(control, fault):
        yield fault
        for variant in range(1, control.variants if control.failed else 0):
            yield fault._replace(variant=variant)

    def sweep(self, server, act, check, some=1):
        """Let each call fail that is made meanwhile: act(number), then, without faults, check(number,
        outcome); 0 is without a fault. some: everyday, take one of so many sites; 0: the first
        calls, and one in six of the others."""
        control = server.control
        before = control.seen_sites()
        check(0, act(0))
        known = {site: kind for site, (kind, seen) in control.seen_sites().items()
                 if seen > before.get(site, (0, 0))[1]}
        number = 0
        for fault in self.faults_of(control, known, some):
            number += 1
            control.arm(fault)
            try:
                outcome = act(number)
            finally:
                control.disarm()
            if control.failed == 0:
                check(number, outcome)
                continue
            self.faults += 1
            with self.subTest(what=control.what_failed(), fault=fault):
                self.assertIsNone(server.process.poll(), "it lives")
                check(number, outcome)
        self.assertEqual(control.sites_lost, 0)
        wait_until(lambda: not server.kinds() - self.descriptors, "all descriptors are closed again")

    def assert_honest(self, outcome, right):
        """Each reply is the right one, or says that the server could not; or the connection ended."""
        self.assertFalse(outcome.is_torn, outcome)
        self.assertLessEqual(len(outcome.replies), len(right), outcome)
        for reply, expected in zip(outcome.replies, right):
            if reply[0] < 500:
                self.assertEqual(reply, expected)

