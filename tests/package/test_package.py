"""The Debian package: what is in it, and its life from installing to purging, below a directory."""
import configparser
import gzip
import hashlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

from promptd import PROMPTS_D, STOP_DEADLINE, Promptd, clean_environment

VERSION = os.environ["PROMPTD_VERSION"]
EXAMPLES = "usr/share/doc/promptd/examples/prompts.d"
LITELLM = PROMPTS_D.parent / "tools/litellm"
UNIT = "usr/lib/systemd/system/promptd.service"
SOCKET = "usr/lib/systemd/system/promptd.socket"
CONFFILE = "etc/default/promptd"
USERS = "etc/promptd/prompts.d"
CONTENTS = {
    "etc/default/promptd": "-rw-r--r--",
    "usr/bin/promptd": "-rwxr-xr-x",
    UNIT: "-rw-r--r--",
    SOCKET: "-rw-r--r--",
    "usr/share/bash-completion/completions/promptd": "-rw-r--r--",
    "usr/share/doc/promptd/README.md": "-rw-r--r--",
    "usr/share/doc/promptd/changelog.Debian.gz": "-rw-r--r--",
    "usr/share/doc/promptd/changelog.gz": "-rw-r--r--",
    "usr/share/doc/promptd/copyright": "-rw-r--r--",
    **{f"{EXAMPLES}/{path.relative_to(PROMPTS_D)}": "-rw-r--r--"
       for path in PROMPTS_D.rglob("*") if path.is_file()},
    **{f"usr/share/doc/promptd/examples/litellm/{path.name}": "-rw-r--r--"
       for path in LITELLM.iterdir() if path.is_file()},
    "usr/share/man/man5/promptd-prompts.5.gz": "-rw-r--r--",
    "usr/share/man/man8/promptd.8.gz": "-rw-r--r--",
    "usr/share/zsh/vendor-completions/_promptd": "-rw-r--r--",
}
# The tools, and the packages that have them.
TOOLS = {"dpkg-shlibdeps": "dpkg-dev", "file": "file", "fakeroot": "fakeroot", "mandoc": "mandoc",
         "strace": "strace", "systemd-analyze": "systemd", "zsh": "zsh"}

scratch = None  # a directory with the package and what fake programs were called with
package = None


def setUpModule():
    global scratch, package
    missing = [name for tool, name in TOOLS.items() if shutil.which(tool) is None]
    if missing:
        raise unittest.SkipTest(f"missing: apt-get install {' '.join(missing)}")
    scratch = Path(tempfile.mkdtemp(prefix="promptd-package-"))
    unittest.addModuleCleanup(shutil.rmtree, scratch)
    before = os.umask(0o077)  # what is in the package does not depend on it
    try:
        run(os.environ["PROMPTD_CPACK"], "-B", scratch / "cpack",
            "--config", Path(os.environ["PROMPTD_BUILD"]) / "CPackConfig.cmake")
    finally:
        os.umask(before)
    [package] = (scratch / "cpack").glob("*.deb")


def run(*command, **kwargs):
    """What a program prints, which must end well."""
    ended = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                           timeout=4 * STOP_DEADLINE, **{"env": clean_environment(), **kwargs})
    if ended.returncode != 0:
        raise AssertionError(f"{command} ended with {ended.returncode}:\n{ended.stdout}")
    return ended.stdout


def run_any(*command):
    """What a program prints, however it ends."""
    return subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=STOP_DEADLINE).stdout


def temporary_directory(test):
    path = Path(tempfile.mkdtemp(dir=scratch))
    test.addCleanup(shutil.rmtree, path)
    return path


class FakePrograms:
    """Programs that only note how they were called."""

    def __init__(self, directory, *names):
        self.calls_file = directory / "calls"
        self.path = directory / "bin"
        self.path.mkdir()
        for name in names:
            program = self.path / name
            program.write_text(f'#!/bin/sh\necho "{name} $*" >>{shlex.quote(str(self.calls_file))}\n')
            program.chmod(0o755)

    def environment(self, **extra):
        return clean_environment({"PATH": f"{self.path}:{os.environ['PATH']}:/usr/sbin:/sbin", **extra})

    def calls(self):
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []


class Root:
    """A directory with a dpkg of its own, into which the package can be installed."""

    def __init__(self, test):
        directory = temporary_directory(test)
        self.path = directory / "root"
        self.log = directory / "dpkg.log"
        for name in ("info", "updates", "triggers"):
            (self.path / "var/lib/dpkg" / name).mkdir(parents=True)
        for name in ("status", "available"):
            (self.path / "var/lib/dpkg" / name).touch()
        self.fakes = FakePrograms(directory, "systemctl", "deb-systemd-invoke")

    def __truediv__(self, path):
        return self.path / path

    def dpkg(self, *arguments):
        as_root = [] if os.geteuid() == 0 else ["fakeroot"]
        # path-include: containers often leave documentation out.
        return run(*as_root, "dpkg", f"--root={self.path}", f"--log={self.log}", "--force-depends",
                   "--force-script-chrootless", "--force-unsafe-io", "--path-include=*", *arguments,
                   env=self.fakes.environment())

    def status(self):
        return run("dpkg-query", f"--admindir={self.path}/var/lib/dpkg", "-W",
                   "-f=${db:Status-Abbrev}", "promptd").strip()

    def files(self):
        """Paths of what is there apart from dpkg's own, and that are not directories."""
        return {str(path.relative_to(self.path)) for path in self.path.rglob("*")
                if not path.is_dir() and "var/lib/dpkg" not in str(path)}


def unit_settings(path):
    """The section [Service]; of a repeated setting the last one."""
    parser = configparser.RawConfigParser(strict=False, comment_prefixes=("#", ";"))
    parser.optionxform = str
    parser.read_string(path.read_text())
    return parser["Service"]


def calls_in(words):
    """Names of system calls, and those of the groups that systemd knows as @NAME."""
    found = set()
    for word in words:
        if word.startswith("@"):
            lines = run("systemd-analyze", "syscall-filter", word).splitlines()[1:]
            found |= calls_in(line.strip() for line in lines if not line.strip().startswith("#"))
        else:
            found.add(word)
    return found


def allowed_calls(unit):
    """Those that the settings SystemCallFilter= of a unit allow, one after the other."""
    allowed = calls_in(["@default"])
    for setting in re.findall("^SystemCallFilter=(.*)$", unit, re.MULTILINE):
        if setting.startswith("~"):
            allowed -= calls_in(setting[1:].split())
        else:
            allowed |= calls_in(setting.split())
    return allowed


class Contents(unittest.TestCase):
    maxDiff = None

    def test_the_files_their_modes_and_owners(self):
        found = {}
        for line in run("dpkg-deb", "-c", package).splitlines():
            mode, owner, _, _, _, path = line.split(maxsplit=5)
            self.assertEqual(owner, "root/root", line)
            found[path.removeprefix("./")] = mode
        directories = {path for path in found if path.endswith("/")}
        for path in directories:
            self.assertEqual(found[path], "drwxr-xr-x", path)
        parents = {f"{parent}/" for path in CONTENTS for parent in Path(path).parents} - {"./"}
        self.assertEqual(directories, parents)
        self.assertEqual({path: found[path] for path in found.keys() - parents}, CONTENTS)

    def test_the_fields(self):
        def field(name):
            return run("dpkg-deb", "-f", package, name).rstrip("\n")
        self.assertEqual(field("Package"), "promptd")
        self.assertEqual(field("Version"), f"{VERSION}-1")
        self.assertEqual(field("Architecture"), run("dpkg", "--print-architecture").strip())
        self.assertEqual(field("Maintainer"), "promptd developers <promptd@example.org>")
        self.assertEqual((field("Section"), field("Priority")), ("net", "optional"))
        self.assertEqual(field("Homepage"), "")
        self.assertGreater(int(field("Installed-Size")), 100)
        for library in ("libc6", "libcjson1", "libevent-core", "libevent-extra", "libnettle8", "libssl3", "libyaml-0", "zlib1g"):
            self.assertIn(library, field("Depends"))
        synopsis, *text = field("Description").splitlines()
        self.assertLess(len(synopsis), 80)
        self.assertRegex(synopsis, r"\A(?!promptd|[Aa]n? |[Tt]he )[a-z].*[^.]\Z")
        self.assertGreater(len(text), 3)
        for line in text:
            self.assertRegex(line, r"\A (\.|\S.{0,78})\Z")

    def test_libevent_is_one_without_known_holes(self):
        """The package asks for the library that it was built with, and that is one with the security updates."""
        installed = subprocess.check_output(["dpkg-query", "-W", "-f=${Package} ${Version}\n", "libevent-core-2.1-7*"],
                                            text=True).split("\n")[0]
        name, version = installed.split(" ")
        self.assertIn(f"{name} (>= {version})", run("dpkg-deb", "-f", package, "Depends"))
        if "VERSION_ID=\"12\"" in Path("/etc/os-release").read_text(encoding="utf-8"):
            self.assertRegex(version, r"\+deb12u[1-9]", "apt-get upgrade brings what mends CVE-2026-63379 and others")

    def test_the_checksums_and_scripts(self):
        directory = temporary_directory(self)
        run("dpkg-deb", "-R", package, directory)
        sums = dict(reversed(line.split("  ")) for line in
                    (directory / "DEBIAN/md5sums").read_text().splitlines())
        self.assertEqual(sums.keys(), CONTENTS.keys())
        for path, wanted in sums.items():
            self.assertEqual(hashlib.md5((directory / path).read_bytes()).hexdigest(), wanted, path)
        modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (directory / "DEBIAN").iterdir()}
        self.assertEqual(modes, {"control": "0o644", "md5sums": "0o644", "conffiles": "0o644",
                                 "postinst": "0o755", "prerm": "0o755", "postrm": "0o755"})
        self.assertEqual((directory / "DEBIAN/conffiles").read_text(), f"/{CONFFILE}\n")

    def test_the_compressed_files_have_no_time_and_no_name(self):
        directory = temporary_directory(self)
        run("dpkg-deb", "-x", package, directory)
        compressed = list(directory.rglob("*.gz"))
        self.assertEqual(len(compressed), 4)
        for path in compressed:
            head = path.read_bytes()[:9]  # RFC 1952: no flags, no time, best compression
            self.assertEqual(head, b"\x1f\x8b\x08\0\0\0\0\0\x02", path)
            self.assertGreater(len(gzip.decompress(path.read_bytes())), 50, path)
        debian = gzip.decompress((directory / "usr/share/doc/promptd/changelog.Debian.gz").read_bytes())
        log = directory / "changelog"
        log.write_bytes(debian)
        self.assertEqual(run("dpkg-parsechangelog", "-l", log, "--show-field", "Version"),
                         f"{VERSION}-1\n")


class Scripts(unittest.TestCase):
    """What the maintainer scripts call where systemd runs, where it does not, and for another root."""

    RELOAD = "systemctl daemon-reload"
    ROWS = [
        # script, arguments, calls
        ("postinst", ["configure", ""], [RELOAD]),
        ("postinst", ["configure", "0.0.1-1"], [RELOAD, "deb-systemd-invoke try-restart promptd.service"]),
        ("postinst", ["abort-upgrade", "0.0.1-1"], []),
        ("prerm", ["remove"], ["deb-systemd-invoke stop promptd.socket promptd.service",
                               "systemctl --quiet disable promptd.socket promptd.service"]),
        ("prerm", ["upgrade", "0.0.2-1"], []),
        ("postrm", ["remove"], [RELOAD]),
        ("postrm", ["purge"], []),
        ("postrm", ["upgrade", "0.0.2-1"], []),
    ]

    def calls_of(self, script, arguments, systemd_runs, dpkg_root=""):
        directory = temporary_directory(self)
        run("dpkg-deb", "-e", package, directory / "control")
        if systemd_runs:
            (directory / "run").mkdir()
        text = (directory / "control" / script).read_text()
        self.assertIn("/run/systemd/system", text)
        copy = directory / script
        copy.write_text(text.replace("/run/systemd/system", f"{directory}/run")
                        .replace("/etc/promptd", f"{directory}/etc"))
        fakes = FakePrograms(directory, "systemctl", "deb-systemd-invoke")
        printed = run("sh", copy, *arguments, env=fakes.environment(DPKG_ROOT=dpkg_root))
        self.assertEqual(printed, "")
        return fakes.calls()

    def test_each_script(self):
        elsewhere = temporary_directory(self)
        for script, arguments, calls in self.ROWS:
            with self.subTest(script=script, arguments=arguments):
                self.assertEqual(self.calls_of(script, arguments, True), calls)
                self.assertEqual(self.calls_of(script, arguments, False), [])
                self.assertEqual(self.calls_of(script, arguments, True, str(elsewhere)), [])


class Installed(unittest.TestCase):
    def setUp(self):
        self.root = Root(self)
        self.root.dpkg("-i", package)

    def promptd(self, *arguments):
        return run(self.root / "usr/bin/promptd", *arguments)

    def in_root(self, word):
        """An absolute path as one in the root."""
        return str(self.root / word[1:]) if word.startswith("/") else word

    def test_the_program_runs(self):
        self.assertEqual(self.promptd("--version"), f"promptd {VERSION}\n")
        self.assertEqual(self.promptd("check", self.root / EXAMPLES),
                         "5 files, 5 prompts: 0 errors, 0 warnings\n")

    def test_the_manual_pages_have_no_mistake(self):
        for page in sorted((self.root / "usr/share/man").glob("*/*.gz")):
            told = [line for line in run_any("mandoc", "-Tlint", page).splitlines()
                    if not re.search("referenced manual not found|outdated mandoc.db", line)]  # of this machine
            self.assertEqual(told, [], page)

    def test_the_shells_understand_the_completions(self):
        share = self.root / "usr/share"
        self.assertEqual(run("bash", "-n", share / "bash-completion/completions/promptd"), "")
        self.assertEqual(run("zsh", "-n", share / "zsh/vendor-completions/_promptd"), "")
        printed = run("bash", "-c", 'source "$1"; complete -p promptd', "-",
                      share / "bash-completion/completions/promptd")
        self.assertEqual(printed, "complete -o default -F _promptd promptd\n")
        self.assertTrue((share / "zsh/vendor-completions/_promptd").read_text()
                        .startswith("#compdef promptd\n"))

    def test_systemd_understands_the_units(self):
        text = (self.root / UNIT).read_text()
        program = str(self.root / "usr/bin/promptd")
        self.assertIn("/usr/bin/promptd", text)
        unit = temporary_directory(self) / "promptd.service"
        unit.write_text(text.replace("/usr/bin/promptd", program))
        shutil.copy(self.root / SOCKET, unit.parent)
        self.assertEqual(run("systemd-analyze", "verify", "--man=no", unit, unit.with_suffix(".socket")), "")

    def test_the_unit_is_confined(self):
        run("systemd-analyze", "security", "--offline=yes", "--threshold=15", self.root / UNIT)

    def test_the_unit_lets_it_make_all_its_system_calls(self):
        trace = temporary_directory(self) / "trace"
        users = self.root / USERS
        shutil.copy(PROMPTS_D / "hello-world-prompt.yaml", users)
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(str(trace.with_name("notify")))
        with Promptd(directory=users, program=str(self.root / "usr/bin/promptd"),
                     env={"NOTIFY_SOCKET": str(trace.with_name("notify")), "PROMPTD_SANDBOX": "auto",
                          "ASAN_OPTIONS": "detect_leaks=0"},
                     wrapper=["strace", "-D", "-f", "-qq", "-o", str(trace)]) as server:
            self.assertEqual(server.litellm("hello-world-prompt").status, 200)
            server.replace("more.yaml", "prompt_template: more\n")
            server.wait_for_text("more", "more")
        made = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))
        self.assertLessEqual({"landlock_restrict_self", "prctl", "sendto", "epoll_wait"}, made)
        self.assertEqual(made - allowed_calls((self.root / UNIT).read_text()), set())

    def test_the_unit_reloads_and_has_time_to_stop(self):
        service = unit_settings(self.root / UNIT)
        self.assertEqual((service["Type"], service["ExecReload"]), ("notify", "kill -HUP $MAINPID"))
        self.assertGreaterEqual(int(service["TimeoutStopSec"]), 15)

    def test_the_command_of_the_unit_serves(self):
        service = unit_settings(self.root / UNIT)
        program, *arguments = [self.in_root(word) for word in shlex.split(service["ExecStart"])]
        variables = Path(self.in_root(service["EnvironmentFile"].removeprefix("-")))
        with variables.open("a", encoding="utf-8") as file:
            file.write("PROMPTD_LISTEN=127.0.0.1:0\n")
        shutil.copy(PROMPTS_D / "hello-world-prompt.yaml", self.root / USERS)
        with Promptd(command=[program, *arguments], env=environment_file(variables)) as server:
            health = server.get("/health")
            self.assertEqual((health.status, health.json["status"], health.json["prompts"]),
                             (200, "healthy", 1), health)
            self.assertEqual(server.litellm("hello-world-prompt").status, 200)

    def test_the_variables_in_the_comments_are_options(self):
        text = (self.root / CONFFILE).read_text()
        self.assertEqual(environment_file(self.root / CONFFILE), {})
        examples = dict(re.findall(r"^#(PROMPTD_\w+)=(.+)$", text, re.MULTILINE))
        self.assertIn("PROMPTD_LISTEN", examples)
        shutil.copy(PROMPTS_D / "hello-world-prompt.yaml", self.root / USERS)
        examples["PROMPTD_LISTEN"] = examples["PROMPTD_ADMIN_LISTEN"] = "127.0.0.1:0"
        with Promptd(command=[self.root / "usr/bin/promptd", self.root / USERS], env=examples) as server:
            self.assertEqual(server.get("/ready").status, 200)
        options = self.promptd("--help")
        for name in examples:
            self.assertIn("--" + name.removeprefix("PROMPTD_").lower().replace("_", "-") + " ", options)

    def test_its_life(self):
        files = set(CONTENTS)
        conffile, users = self.root / CONFFILE, self.root / USERS
        self.assertEqual((self.root.status(), self.root.files()), ("ii", files))
        self.assertTrue(users.is_dir())
        (users / "mine.yaml").write_text("prompt_template: mine\n")
        conffile.write_text("PROMPTD_MIN_PROMPTS=1\n")

        self.root.dpkg("-i", package)  # an upgrade
        self.assertEqual(self.root.files(), files | {f"{USERS}/mine.yaml"})
        self.assertEqual(conffile.read_text(), "PROMPTD_MIN_PROMPTS=1\n")

        self.root.dpkg("--remove", "promptd")
        self.assertEqual(self.root.status(), "rc")
        self.assertEqual(self.root.files(), {CONFFILE, f"{USERS}/mine.yaml"})
        self.assertEqual(conffile.read_text(), "PROMPTD_MIN_PROMPTS=1\n")

        self.root.dpkg("--purge", "promptd")
        self.assertEqual(self.root.files(), {f"{USERS}/mine.yaml"})
        self.assertEqual((users / "mine.yaml").read_text(), "prompt_template: mine\n")
        self.assertEqual(self.root.fakes.calls(), [])

    def test_the_prompt_directory_may_be_a_link(self):
        users = self.root / USERS
        for target in (temporary_directory(self), Path("nothing there yet")):
            users.rmdir()
            users.symlink_to(target)
            for arguments in (["-i", package], ["--remove", "promptd"], ["-i", package],
                              ["--purge", "promptd"], ["-i", package]):
                self.root.dpkg(*arguments)
                self.assertEqual(users.readlink(), target, arguments)
            users.unlink()
            users.mkdir()

    def test_nothing_stays_of_what_was_not_changed(self):
        self.root.dpkg("--remove", "promptd")
        self.assertTrue((self.root / USERS).is_dir())
        self.root.dpkg("--purge", "promptd")
        self.assertFalse((self.root / "etc/promptd").exists())
        self.assertEqual(self.root.files(), set())

    def test_a_directory_that_was_taken_away_stays_so(self):
        (self.root / USERS).rmdir()
        self.root.dpkg("-i", package)
        self.assertFalse((self.root / USERS).exists())


class Prefix(unittest.TestCase):
    def test_the_unit_names_the_program_where_it_was_installed(self):
        prefix = temporary_directory(self) / "opt"
        run(os.environ["PROMPTD_CMAKE"], "--install", os.environ["PROMPTD_BUILD"], "--prefix", prefix)
        found = {str(path.relative_to(prefix)) for path in prefix.rglob("*") if path.is_file()}
        self.assertEqual(found, {
            "bin/promptd", "lib/systemd/system/promptd.service", "lib/systemd/system/promptd.socket",
            "share/man/man8/promptd.8", "share/man/man5/promptd-prompts.5",
            "share/bash-completion/completions/promptd",
            "share/zsh/site-functions/_promptd"})
        unit = prefix / "lib/systemd/system/promptd.service"
        self.assertEqual(unit_settings(unit)["ExecStart"],
                         f"{prefix}/bin/promptd serve /etc/promptd/prompts.d")
        self.assertEqual(run("systemd-analyze", "verify", "--man=no", unit), "")


def environment_file(path):
    """What systemd reads from it, where nothing is quoted: systemd.exec(5)."""
    return dict(line.split("=", 1) for line in path.read_text().splitlines()
                if line.strip() and line[0] not in "#;")


if __name__ == "__main__":
    unittest.main()
