/* failing.c -- preloaded into a promptd, lets allocations and system calls fail that the program's own code makes, or the
 * libraries that it stands on, as the file FAILING_CONTROL says. */
#include "failing.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <search.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST_LIBRARIES = 8 };

/* The text of an object. */
struct range {
	uintptr_t start, end, base;
};

static struct failing_control *control;
static struct range program, libraries[MOST_LIBRARIES];
static size_t n_libraries;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the names */

/* Whose code calls, by its return address: that of a tail call is its caller's, which is the same object's. */
static bool
is_in(const struct range *range, const void *caller)
{
	return (uintptr_t)caller >= range->start && (uintptr_t)caller < range->end;
}

static bool
is_in_library(const void *caller)
{
	for (size_t i = 0; i < n_libraries; i++)
		if (is_in(&libraries[i], caller))
			return true;
	return false;
}

static struct failing_site *
find_site(uint64_t offset)
{
	for (size_t i = 0; i < FAILING_SITES; i++) {
		struct failing_site *site = &control->sites[(offset + i) % FAILING_SITES];
		uint64_t there = 0;
		if (atomic_compare_exchange_strong(&site->offset, &there, offset) ||
			there == offset)
			return site;
	}
	atomic_fetch_add(&control->sites_lost, 1);
	return NULL;
}

static void
copy_name(char *to, const char *name)
{
	pthread_mutex_lock(&lock);
	snprintf(to, FAILING_NAME, "%s", name);
	pthread_mutex_unlock(&lock);
}

/* Whether the number is one of so many in 65536 (splitmix64). */
static bool
is_drawn(uint64_t number, uint64_t share)
{
	number *= 0x9e3779b97f4a7c15;
	number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9;
	number = (number ^ (number >> 27)) * 0x94d049bb133111eb;
	return (number >> 40) % 65536 < share;
}

/* Whether a call is one of those that are to fail. */
static bool
is_meant(bool is_program, uint64_t offset)
{
	if (control->mode == FAILING_SAMPLE) {
		uint64_t number = atomic_fetch_add(&control->seen, 1);
		return is_drawn(number + (control->seed << 32), control->share);
	}
	if (control->mode != FAILING_ONE || !is_program ||
		(control->site != 0 && control->site != offset))
		return false;
	return atomic_fetch_add(&control->seen, 1) + 1 == control->nth;
}

static atomic_bool has_ended;

static void
on_exit_begins(void)
{
	atomic_store(&has_ended, true);
}

/* What runs at the exit is not the program's, but that of whoever measures it. */
static void
watch_for_exit(void)
{
	static atomic_flag is_watched = ATOMIC_FLAG_INIT;
	if (!atomic_flag_test_and_set(&is_watched))
		atexit(on_exit_begins);
}

/* Count a call, and say whether it is to fail. */
static bool
fails(const char *name, enum failing_kinds kind, uint32_t variants, const void *caller)
{
	bool is_program = is_in(&program, caller);
	if (control == NULL || (!is_program && !is_in_library(caller)))
		return false;
	watch_for_exit();
	if (atomic_load(&has_ended))
		return false;
	uint64_t offset = (uintptr_t)caller - program.base;
	struct failing_site *site = is_program ? find_site(offset) : NULL;
	if (site != NULL && atomic_fetch_add(&site->seen, 1) == 0) {
		atomic_store(&site->kind, (uint32_t)kind);
		copy_name(site->name, name);
	}
	if ((control->kinds & kind) == 0 || !is_meant(is_program, offset))
		return false;
	atomic_fetch_add(&control->failed, 1);
	atomic_store(&control->variants, variants);
	atomic_store(&control->offset, offset);
	copy_name(control->name, name);
	if (site != NULL)
		atomic_fetch_add(&site->failed, 1);
	return true;
}

/* The reason of a failure; number n of those that there are. */
static int
chosen(const int *errors, size_t count)
{
	return errors[control->variant % count];
}

static void *
resolve(void *_Atomic *place, const char *name)
{
	void *function = atomic_load(place);
	if (function == NULL) {
		function = dlsym(RTLD_NEXT, name);
		atomic_store(place, function);
	}
	return function;
}

/* The function that a wrapper stands in front of. */
#define REAL(name, real) \
	static void *_Atomic place; \
	__typeof__(name) *real; \
	*(void **)(&(real)) = resolve(&place, #name)

/* A wrapper of a function that returns `failure` and sets errno. */
#define CALL(type, name, parameters, arguments, failure, ...) \
	type name parameters \
	{ \
		static const int errors[] = {__VA_ARGS__}; \
		const uint32_t n = sizeof(errors) / sizeof(errors[0]); \
		REAL(name, real); \
		if (!fails(#name, FAILING_CALLS, n, __builtin_return_address(0))) \
			return real arguments; \
		errno = chosen(errors, n); \
		return failure; \
	}

/* A wrapper of a function that returns its error. */
#define CALL_WITH_RESULT(name, parameters, arguments, ...) \
	int name parameters \
	{ \
		static const int errors[] = {__VA_ARGS__}; \
		const uint32_t n = sizeof(errors) / sizeof(errors[0]); \
		REAL(name, real); \
		if (!fails(#name, FAILING_CALLS, n, __builtin_return_address(0))) \
			return real arguments; \
		return chosen(errors, n); \
	}

#define NAME_OF_MODE(flags, mode) \
	mode_t mode = 0; \
	if (((flags) & (O_CREAT | __O_TMPFILE)) != 0) { \
		va_list list; \
		va_start(list, flags); \
		mode = va_arg(list, mode_t); \
		va_end(list); \
	}

/* What glibc declares never to be NULL is of no interest here. */
#pragma GCC diagnostic ignored "-Wnonnull-compare"

/* Allocations. Those that are made before the real ones are known get a place that is never given back. */

static _Alignas(max_align_t) char early[65536];
static _Atomic size_t early_used;
/* ASan stands in front of what finds thread-local storage otherwise. */
static _Thread_local bool is_resolving __attribute__((tls_model("initial-exec")));

static void *
take_early(size_t size)
{
	size_t at = atomic_fetch_add(&early_used, (size + 15) & ~(size_t)15);
	return at + size <= sizeof(early) ? early + at : NULL;
}

static bool
is_early(const void *memory)
{
	return (const char *)memory >= early && (const char *)memory < early + sizeof(early);
}

static void *
count_live(void *memory)
{
	if (memory != NULL && control != NULL)
		atomic_fetch_add(&control->live, 1);
	return memory;
}

/* The allocator that a wrapper stands in front of; while it cannot be told yet, the wrapper returns otherwise. */
#define REAL_ALLOCATOR(name, real, otherwise) \
	static void *_Atomic place; \
	__typeof__(name) *real = NULL; \
	if (is_resolving) \
		return otherwise; \
	is_resolving = true; \
	*(void **)(&(real)) = resolve(&place, #name); \
	is_resolving = false; \
	if (real == NULL) \
	return otherwise

#define REFUSE_MEMORY(name) \
	if (fails(name, FAILING_ALLOCATIONS, 1, __builtin_return_address(0))) { \
		errno = ENOMEM; \
		return NULL; \
	}

void *
malloc(size_t size)
{
	REAL_ALLOCATOR(malloc, real, take_early(size));
	REFUSE_MEMORY("malloc")
	return count_live(real(size));
}

void *
calloc(size_t count, size_t size)
{
	REAL_ALLOCATOR(calloc, real, take_early(count * size));
	REFUSE_MEMORY("calloc")
	return count_live(real(count, size));
}

void *
realloc(void *memory, size_t size)
{
	REAL_ALLOCATOR(realloc, real, NULL);
	REFUSE_MEMORY("realloc")
	void *result = real(memory, size);
	return memory == NULL ? count_live(result) : result;
}

void
free(void *memory)
{
	if (memory == NULL || is_early(memory))
		return;
	REAL_ALLOCATOR(free, real, );
	if (control != NULL)
		atomic_fetch_sub(&control->live, 1);
	real(memory);
}

char *
strdup(const char *text)
{
	REAL(strdup, real);
	REFUSE_MEMORY("strdup")
	return real(text);
}

char *
strndup(const char *text, size_t size)
{
	REAL(strndup, real);
	REFUSE_MEMORY("strndup")
	return real(text, size);
}

void *
tsearch(const void *key, void **root, int (*compare)(const void *, const void *))
{
	REAL(tsearch, real);
	REFUSE_MEMORY("tsearch")
	return real(key, root, compare);
}

/* Files and directories. */

int
open(const char *path, int flags, ...)
{
	static const int errors[] = {EMFILE, EINTR};
	NAME_OF_MODE(flags, mode)
	REAL(open, real);
	if (!fails("open", FAILING_CALLS, 2, __builtin_return_address(0)))
		return real(path, flags, mode);
	errno = chosen(errors, 2);
	return -1;
}

int
openat(int at, const char *path, int flags, ...)
{
	static const int errors[] = {EMFILE, EINTR};
	NAME_OF_MODE(flags, mode)
	REAL(openat, real);
	if (!fails("openat", FAILING_CALLS, 2, __builtin_return_address(0)))
		return real(at, path, flags, mode);
	errno = chosen(errors, 2);
	return -1;
}

int
fcntl(int descriptor, int command, ...)
{
	va_list list;
	va_start(list, command);
	void *argument = va_arg(list, void *);
	va_end(list);
	REAL(fcntl, real);
	if (!fails("fcntl", FAILING_CALLS, 1, __builtin_return_address(0)))
		return real(descriptor, command, argument);
	errno = ENOLCK;
	return -1;
}

/* The third way of reading and writing is to do half of it. */
ssize_t
read(int descriptor, void *bytes, size_t count)
{
	static const int errors[] = {EIO, EINTR, 0};
	REAL(read, real);
	if (!fails("read", FAILING_CALLS, 3, __builtin_return_address(0)))
		return real(descriptor, bytes, count);
	errno = chosen(errors, 3);
	return errno != 0 ? -1 : real(descriptor, bytes, (count + 1) / 2);
}

ssize_t
write(int descriptor, const void *bytes, size_t count)
{
	static const int errors[] = {ENOSPC, EINTR, 0};
	REAL(write, real);
	if (!fails("write", FAILING_CALLS, 3, __builtin_return_address(0)))
		return real(descriptor, bytes, count);
	errno = chosen(errors, 3);
	return errno != 0 ? -1 : real(descriptor, bytes, (count + 1) / 2);
}

/* Whatever it reports, the descriptor is closed: close(2). */
int
close(int descriptor)
{
	static const int errors[] = {EIO, EINTR};
	REAL(close, real);
	bool failed = fails("close", FAILING_CALLS, 2, __builtin_return_address(0));
	int result = real(descriptor);
	if (!failed)
		return result;
	errno = chosen(errors, 2);
	return -1;
}

/* clang-format off */
CALL(int, access, (const char *path, int mode), (path, mode), -1, EIO)
CALL(int, faccessat, (int at, const char *path, int mode, int flags), (at, path, mode, flags), -1, EIO)
CALL(int, fstat, (int descriptor, struct stat *stat), (descriptor, stat), -1, EIO)
CALL(int, fstatat, (int at, const char *path, struct stat *stat, int flags), (at, path, stat, flags), -1, EIO)
CALL(int, statx, (int at, const char *path, int flags, unsigned mask, struct statx *stat),
	(at, path, flags, mask, stat), -1, EIO, ENOMEM)
CALL(int, fstatfs, (int descriptor, struct statfs *stat), (descriptor, stat), -1, EIO)
CALL(int, fsync, (int descriptor), (descriptor), -1, EIO)
CALL(int, renameat2, (int from, const char *old, int to, const char *new, unsigned flags),
	(from, old, to, new, flags), -1, ENOSPC, EIO)
CALL(int, mkdirat, (int at, const char *path, mode_t mode), (at, path, mode), -1, ENOSPC)
CALL(int, unlinkat, (int at, const char *path, int flags), (at, path, flags), -1, EIO)
CALL(ssize_t, readlink, (const char *path, char *text, size_t size), (path, text, size), -1, EIO)
CALL(ssize_t, readlinkat, (int at, const char *path, char *text, size_t size), (at, path, text, size), -1, EIO)
CALL(ssize_t, pread, (int descriptor, void *bytes, size_t size, off_t at), (descriptor, bytes, size, at), -1, EIO)
CALL(DIR *, opendir, (const char *path), (path), NULL, EMFILE)
CALL(DIR *, fdopendir, (int descriptor), (descriptor), NULL, ENOMEM)
CALL(struct dirent *, readdir, (DIR *directory), (directory), NULL, EIO)
CALL(FILE *, fopen, (const char *path, const char *mode), (path, mode), NULL, EMFILE)
CALL(FILE *, fdopen, (int descriptor, const char *mode), (descriptor, mode), NULL, ENOMEM)
CALL(ssize_t, getline, (char **line, size_t *size, FILE *file), (line, size, file), -1, EIO)
CALL(int, dup, (int descriptor), (descriptor), -1, EMFILE)
CALL(int, dup3, (int from, int to, int flags), (from, to, flags), -1, EINTR)
CALL(int, eaccess, (const char *path, int mode), (path, mode), -1, EIO)
CALL(int, stat, (const char *path, struct stat *found), (path, found), -1, EIO)
CALL(int, linkat, (int from, const char *old, int to, const char *new, int flags), (from, old, to, new, flags), -1, EIO)
CALL(int, setrlimit, (__rlimit_resource_t which, const struct rlimit *limit), (which, limit), -1, EPERM)

/* Waiting and waking. */
CALL(int, inotify_init1, (int flags), (flags), -1, EMFILE)
CALL(int, inotify_add_watch, (int descriptor, const char *path, uint32_t mask), (descriptor, path, mask), -1,
	ENOSPC, ENOMEM)
CALL(int, inotify_rm_watch, (int descriptor, int watch), (descriptor, watch), -1, EINVAL)
CALL(int, eventfd, (unsigned count, int flags), (count, flags), -1, EMFILE)
CALL(int, eventfd_read, (int descriptor, eventfd_t *count), (descriptor, count), -1, EINTR)
CALL(int, eventfd_write, (int descriptor, eventfd_t count), (descriptor, count), -1, EINTR)
CALL(int, poll, (struct pollfd *descriptors, nfds_t count, int limit), (descriptors, count, limit), -1, EINTR, ENOMEM)
CALL(int, sigwaitinfo, (const sigset_t *set, siginfo_t *found), (set, found), -1, EINTR)
CALL(int, sigtimedwait, (const sigset_t *set, siginfo_t *found, const struct timespec *limit), (set, found, limit), -1,
	EINTR, EAGAIN)
CALL_WITH_RESULT(pthread_create, (pthread_t *thread, const pthread_attr_t *terms, void *(*run)(void *), void *context),
	(thread, terms, run, context), EAGAIN)
CALL_WITH_RESULT(pthread_mutex_init, (pthread_mutex_t *mutex, const pthread_mutexattr_t *terms), (mutex, terms), ENOMEM)
CALL(int, getrlimit, (__rlimit_resource_t which, struct rlimit *limit), (which, limit), -1, EPERM)
CALL(int, sched_getaffinity, (pid_t process, size_t size, cpu_set_t *set), (process, size, set), -1, EINVAL)

/* Sockets. */
CALL(int, socket, (int family, int type, int protocol), (family, type, protocol), -1, EMFILE)
CALL(int, setsockopt, (int descriptor, int level, int name, const void *value, socklen_t size),
	(descriptor, level, name, value, size), -1, ENOBUFS)
CALL(int, bind, (int descriptor, const struct sockaddr *address, socklen_t size), (descriptor, address, size), -1,
	EADDRINUSE)
CALL(int, listen, (int descriptor, int backlog), (descriptor, backlog), -1, EADDRINUSE)
CALL(int, getsockname, (int descriptor, struct sockaddr *address, socklen_t *size), (descriptor, address, size), -1,
	ENOBUFS)
CALL(ssize_t, send, (int descriptor, const void *bytes, size_t size, int flags), (descriptor, bytes, size, flags), -1,
	EAGAIN)
CALL(int, getsockopt, (int descriptor, int level, int name, void *value, socklen_t *size),
	(descriptor, level, name, value, size), -1, ENOBUFS)
CALL(int, getpeername, (int descriptor, struct sockaddr *address, socklen_t *size), (descriptor, address, size), -1,
	ENOBUFS)
CALL(int, connect, (int descriptor, const struct sockaddr *address, socklen_t size), (descriptor, address, size), -1,
	ECONNREFUSED)
CALL(ssize_t, sendto,
	(int descriptor, const void *bytes, size_t size, int flags, const struct sockaddr *address, socklen_t length),
	(descriptor, bytes, size, flags, address, length), -1, EAGAIN)
CALL_WITH_RESULT(getaddrinfo,
	(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **found),
	(host, port, hints, found), EAI_MEMORY, EAI_AGAIN)

/* What only libraries call. */
CALL(int, accept4, (int descriptor, struct sockaddr *address, socklen_t *size, int flags),
	(descriptor, address, size, flags), -1, EMFILE, EINTR, ECONNABORTED)
CALL(int, epoll_create1, (int flags), (flags), -1, EMFILE)
CALL(int, epoll_wait, (int poll, struct epoll_event *events, int count, int limit), (poll, events, count, limit), -1,
	EINTR)
CALL(ssize_t, readv, (int descriptor, const struct iovec *pieces, int count), (descriptor, pieces, count), -1,
	EINTR, ECONNRESET, EAGAIN)
CALL(ssize_t, writev, (int descriptor, const struct iovec *pieces, int count), (descriptor, pieces, count), -1,
	EINTR, EPIPE, EAGAIN)
/* clang-format on */

/* Only what is added needs memory. */
int
epoll_ctl(int poll, int what, int descriptor, struct epoll_event *event)
{
	static const int errors[] = {ENOMEM, ENOSPC};
	REAL(epoll_ctl, real);
	if (what != EPOLL_CTL_ADD ||
		!fails("epoll_ctl", FAILING_CALLS, 2, __builtin_return_address(0)))
		return real(poll, what, descriptor, event);
	errno = chosen(errors, 2);
	return -1;
}

int
prctl(int option, ...)
{
	va_list list;
	va_start(list, option);
	unsigned long argument = va_arg(list, unsigned long);
	va_end(list);
	REAL(prctl, real);
	if (!fails("prctl", FAILING_CALLS, 1, __builtin_return_address(0)))
		return real(option, argument, 0, 0, 0);
	errno = EINVAL;
	return -1;
}

/* Landlock's calls have no other way. */
long
syscall(long number, ...)
{
	va_list list;
	va_start(list, number);
	long arguments[4];
	for (size_t i = 0; i < 4; i++)
		arguments[i] = va_arg(list, long);
	va_end(list);
	REAL(syscall, real);
	if (!fails("syscall", FAILING_CALLS, 1, __builtin_return_address(0)))
		return real(number, arguments[0], arguments[1], arguments[2], arguments[3]);
	errno = ENOSYS;
	return -1;
}

int
ioctl(int descriptor, unsigned long request, ...)
{
	va_list list;
	va_start(list, request);
	void *argument = va_arg(list, void *);
	va_end(list);
	REAL(ioctl, real);
	if (!fails("ioctl", FAILING_CALLS, 1, __builtin_return_address(0)))
		return real(descriptor, request, argument);
	errno = EIO;
	return -1;
}

/* The wall clock, which may jump. */

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	REAL(clock_gettime, real);
	int result = real(clock, now);
	if (clock == CLOCK_REALTIME && control != NULL)
		now->tv_sec += control->skew_seconds;
	return result;
}

time_t
time(time_t *now)
{
	struct timespec precise;
	clock_gettime(CLOCK_REALTIME, &precise);
	if (now != NULL)
		*now = precise.tv_sec;
	return precise.tv_sec;
}

int
gettimeofday(struct timeval *now, void *zone)
{
	struct timespec precise;
	(void)zone;
	clock_gettime(CLOCK_REALTIME, &precise);
	*now = (struct timeval){.tv_sec = precise.tv_sec, .tv_usec = precise.tv_nsec / 1000};
	return 0;
}

/* Note where an object's text lies; the first one is the program. */
static int
on_object(struct dl_phdr_info *object, size_t size, void *count)
{
	static const char *const names[] = {"/libevent", "/libyaml", "/libcjson", "/libcrypto",
		"/libssl", "/libnettle", "/libz."};
	struct range *range = NULL;
	(void)size;
	if ((*(size_t *)count)++ == 0)
		range = &program;
	for (size_t i = 0; range == NULL && i < sizeof(names) / sizeof(names[0]); i++)
		if (strstr(object->dlpi_name, names[i]) != NULL && n_libraries < MOST_LIBRARIES)
			range = &libraries[n_libraries++];
	for (size_t i = 0; range != NULL && i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &object->dlpi_phdr[i];
		if (header->p_type != PT_LOAD || (header->p_flags & PF_X) == 0)
			continue;
		range->base = object->dlpi_addr;
		range->start = object->dlpi_addr + header->p_vaddr;
		range->end = range->start + header->p_memsz;
	}
	return 0;
}

__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("FAILING_CONTROL");
	size_t count = 0;
	dl_iterate_phdr(on_object, &count);
	int descriptor = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *memory = descriptor < 0 ? MAP_FAILED
				      : mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE,
						MAP_SHARED, descriptor, 0);
	if (descriptor >= 0)
		close(descriptor);
	if (memory == MAP_FAILED)
		abort();
	control = memory;
}
