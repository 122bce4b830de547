"""What a process has used: processor time to the nanosecond, memory, system calls."""
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


def machine_seconds():
    """(busy, stolen) seconds of all processors since the machine started."""
    ticks = [int(field) for field in Path("/proc/stat").read_text(encoding="ascii").split("\n")[0].split()[1:]]
    user, nice, system, _, _, interrupts, soft, steal = ticks[:8]
    hertz = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + interrupts + soft) / hertz, steal / hertz
