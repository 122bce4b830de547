"""What the program calls in libc: all that may fail is made to fail by the tests beside this one."""
import re
import subprocess
import unittest
from pathlib import Path

from failing import LIBRARY
from promptd import binary

# These do not fail, or not in a server: what they do takes nothing that may be wanting, or is for commands, which print.
SAFE = set("""
__assert_fail __ctype_b_loc __cxa_finalize __errno_location __libc_start_main __sched_cpucount __stack_chk_fail __tls_get_addr _exit bsearch
closedir dirfd fclose ferror fflush fnmatch fprintf fputs fread freeaddrinfo fwrite gai_strerror getenv getnameinfo getpid getopt_long
getpagesize getrandom gmtime_r gnu_dev_makedev htonl inet_ntop inet_pton isatty localtime_r malloc_trim memchr memcmp memcpy memmem memmove memset
ntohl optarg opterr optind optopt printf pthread_cond_broadcast pthread_cond_destroy pthread_cond_init pthread_cond_signal pthread_cond_wait
pthread_join pthread_mutex_destroy pthread_mutex_lock pthread_mutex_unlock pthread_sigmask putchar
puts qsort sem_destroy sem_init sem_post sem_wait sigaddset sigemptyset signal sigwait snprintf sprintf stderr strcasecmp strchr strcmp strcspn strerror strftime
strlen strncasecmp strncmp strnlen strpbrk strrchr strspn strstr strtol strtoll strtoul strtoull tdelete tzset tdestroy tfind tolower toupper vsnprintf
""".split())


def symbols(path, which):
    """The dynamic symbols of a file, of which nm says which."""
    lines = subprocess.run(["nm", "-D", which, path], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1] for line in lines.splitlines()}


class Imports(unittest.TestCase):
    def test_each_call_is_made_to_fail_or_cannot(self):
        if b".gcda" in Path(binary()).read_bytes():
            self.skipTest("a program that counts what it covers calls more: the others tell")
        called = {re.sub("@GLIBC.*", "", name) for name in symbols(binary(), "--undefined-only") if "@GLIBC" in name}
        self.assertEqual(called - symbols(LIBRARY, "--defined-only") - SAFE, set())


if __name__ == "__main__":
    unittest.main()
