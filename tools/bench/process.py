"""What a process has used: processor time to the nanosecond, memory, and what it wrote."""
import ctypes
import os
import re
import time
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)


def cpu_seconds(pid):
    """User and system time of a process, those of its threads that ended too (clock_getcpuclockid(3))."""
    clock = ctypes.c_int()
    error = LIBC.clock_getcpuclockid(pid, ctypes.byref(clock))
    if error != 0:
        raise OSError(error, os.strerror(error))
    return time.clock_gettime_ns(clock.value) / 1e9


def memory_bytes(pid):
    """(resident, proportional, private) bytes of a process."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    sizes = {name: 1024 * int(size) for name, size in re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE)}
    return sizes["Rss"], sizes["Pss"], sizes["Private_Clean"] + sizes["Private_Dirty"]


def written_bytes(pid):
    """What a process has written since it started, to sockets too, by write, writev and sendfile."""
    return int(re.search(r"^wchar: (\d+)$", Path(f"/proc/{pid}/io").read_text(encoding="ascii"), re.MULTILINE)[1])


def parse_stat(text, cpus):
    """(busy, stolen) ticks of these processors, from what is in /proc/stat."""
    found = {name: list(map(int, ticks)) for name, *ticks in map(str.split, text.split("\n")[:-1]) if name.startswith("cpu")}
    total = [sum(column) for column in zip(*(found[f"cpu{cpu}"] for cpu in cpus))]
    user, nice, system, _, _, interrupts, soft, steal = total[:8]
    return user + nice + system + interrupts + soft, steal


def machine_seconds(cpus):
    """(busy, stolen) seconds of these processors since the machine started."""
    ticks = parse_stat(Path("/proc/stat").read_text(encoding="ascii"), cpus)
    return [count / os.sysconf("SC_CLK_TCK") for count in ticks]
