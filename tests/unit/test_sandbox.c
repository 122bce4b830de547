/* test_sandbox.c -- tests of what a confined process can still do. Each is confined in a child. */
#include "support.h"

#include <arpa/inet.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/sandbox.h"

enum { GOOD = 0, BAD = 1, NO_LANDLOCK = 77, NO_CHROOT = 78 };

static char home[64]; /* a directory of the test's own, and the current one */

static bool
write_text(const char *path, const char *text)
{
	int descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	bool good =
		descriptor >= 0 && write(descriptor, text, strlen(text)) == (ssize_t)strlen(text);
	return close(descriptor) == 0 && good;
}

static int
set_up(void **state)
{
	static const char *const directories[] = {"app", "app/prompts", "links", "links/again",
		"etc", "secrets", "secrets/..1", "outside", "repo", "repo/.git", "repo/deep",
		"repo/deep/prompts", "trees", "trees/w", "trees/w/deep", "trees/w/deep/prompts",
		"repo/.git/worktrees", "repo/.git/worktrees/w"};
	static const char *const files[] = {"app/prompts/a.yaml", "app/beside.yaml",
		"etc/tokens.yaml", "etc/beside.yaml", "secrets/..1/key.pem", "outside/b.yaml",
		"links/c.yaml", "repo/.git/HEAD", "repo/README", "repo/.git/packed-refs",
		"repo/.git/worktrees/w/HEAD"};
	static const char *const links[][2] = {
		{"../../app/prompts",   "links/again/current"},
                {"links/again/current", "here"               },
		{"..1",                 "secrets/..data"     },
                {"..data/key.pem",      "secrets/key.pem"    }
        };
	(void)state;
	snprintf(home, sizeof(home), "/tmp/promptd-sandbox-XXXXXX");
	if (mkdtemp(home) == NULL || chdir(home) != 0)
		return -1;
	for (size_t i = 0; i < LENGTH(directories); i++)
		if (mkdir(directories[i], 0755) != 0)
			return -1;
	for (size_t i = 0; i < LENGTH(files); i++)
		if (!write_text(files[i], ""))
			return -1;
	if (!write_text("trees/w/.git", "gitdir: ../../repo/.git/worktrees/w\n") ||
		!write_text("repo/.git/worktrees/w/commondir", "../..\n"))
		return -1;
	for (size_t i = 0; i < LENGTH(links); i++)
		if (symlink(links[i][0], links[i][1]) != 0)
			return -1;
	return 0;
}

static int
remove_one(const char *path, const struct stat *stat, int kind, struct FTW *where)
{
	(void)stat;
	(void)kind;
	(void)where;
	return remove(path);
}

static int
tear_down(void **state)
{
	(void)state;
	return chdir("/") == 0 ? nftw(home, remove_one, 8, FTW_DEPTH | FTW_PHYS) : -1;
}

/* Something to open, and what comes of it: 0, or an errno. */
struct row {
	const char *path;
	int flags;
	int wanted;
};

enum { FILE_READ = O_RDONLY, LIST = O_RDONLY | O_DIRECTORY, MAKE = O_WRONLY | O_CREAT | O_EXCL };

static int
check_rows(const struct row *rows, size_t count)
{
	int result = GOOD;
	for (size_t i = 0; i < count; i++) {
		int descriptor = open(rows[i].path, rows[i].flags | O_CLOEXEC, 0644);
		int got = descriptor >= 0 ? 0 : errno;
		if (descriptor >= 0)
			close(descriptor);
		if (got == rows[i].wanted)
			continue;
		fprintf(stderr, "%s, flags %#o: %s, and not: %s\n", rows[i].path,
			(unsigned)rows[i].flags, strerror(got), strerror(rows[i].wanted));
		result = BAD;
	}
	return result;
}

/* What is done in the sandbox, or just before it. */
struct trial {
	struct sandbox_terms terms;
	const char *top; /* that is / then; NULL: as it is */
	const struct row *rows;
	size_t n_rows;
	int (*check)(const struct sandbox *); /* or NULL */
};

/* Make a directory /, which needs rights that a user namespace gives. */
static bool
make_top(const char *directory)
{
	return (chroot(directory) == 0 ||
		       (unshare(CLONE_NEWUSER) == 0 && chroot(directory) == 0)) &&
	       chdir("/") == 0;
}

static int
try(const struct trial *trial)
{
	struct sandbox sandbox;
	if (trial->top != NULL && !make_top(trial->top))
		return NO_CHROOT;
	if (sandbox_enter(&sandbox, &trial->terms) != 0) {
		fprintf(stderr, "%s\n", sandbox.problem.message);
		return NO_LANDLOCK;
	}
	int result = check_rows(trial->rows, trial->n_rows);
	if (trial->check != NULL && trial->check(&sandbox) != GOOD)
		result = BAD;
	return result;
}

static void
expect_good(const struct trial *trial)
{
	int status = -1;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(try(trial));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_LANDLOCK || WEXITSTATUS(status) == NO_CHROOT) {
		print_message(
			"skipped: %s\n", WEXITSTATUS(status) == NO_LANDLOCK
						 ? "run it on a kernel with Landlock"
						 : "run it as root, or allow user namespaces");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), GOOD);
}

static void
files_are_read_below_the_directory_and_where_its_name_stands(void **state)
{
	static const struct row rows[] = {
		{"app/prompts",        LIST,      0     },
		{"app/prompts/a.yaml", FILE_READ, 0     },
		{"app",                LIST,      0     },
		{"app/beside.yaml",    FILE_READ, 0     },
		{"app/prompts/a.yaml", O_WRONLY,  EACCES},
		{"app/prompts/new",    MAKE,      EACCES},
		{"outside/b.yaml",     FILE_READ, EACCES},
		{"outside",            LIST,      EACCES},
		{"links/c.yaml",       FILE_READ, EACCES},
		{"etc/tokens.yaml",    FILE_READ, EACCES},
		{".",                  LIST,      EACCES},
		{"/etc/passwd",        FILE_READ, EACCES},
		{"/proc/self/environ", FILE_READ, EACCES},
		{"/",                  LIST,      EACCES},
	};
	(void)state;
	expect_good(&(struct trial){{.directory = "app/prompts"}, NULL, rows, LENGTH(rows), NULL});
}

static void
the_directories_of_all_links_on_the_way_are_opened(void **state)
{
	static const struct row rows[] = {
		{"app/prompts/a.yaml", FILE_READ, 0     },
		{"app/beside.yaml",    FILE_READ, 0     },
		{"links/again",        LIST,      0     },
		{"links/c.yaml",       FILE_READ, EACCES},
		{"outside/b.yaml",     FILE_READ, EACCES},
	};
	(void)state;
	expect_good(&(struct trial){
		{.directory = "links/again/current"}, NULL, rows, LENGTH(rows), NULL});
	static const struct row farther[] = {
		{"here",            LIST,      0     },
		{"app/beside.yaml", FILE_READ, 0     },
		{"outside/b.yaml",  FILE_READ, 0     }, /* "here" stands beside it */
		{"/etc/passwd",     FILE_READ, EACCES},
	};
	expect_good(&(struct trial){{.directory = "here"}, NULL, farther, LENGTH(farther), NULL});
}

static void
of_other_files_only_files_are_read(void **state)
{
	static const struct row rows[] = {
		{"etc/tokens.yaml",     FILE_READ, 0     },
		{"etc/beside.yaml",     FILE_READ, 0     },
		{"etc",                 LIST,      EACCES},
		{"secrets/key.pem",     FILE_READ, 0     },
		{"secrets/..1/key.pem", FILE_READ, 0     },
		{"secrets",             LIST,      EACCES},
		{"outside/b.yaml",      FILE_READ, EACCES},
	};
	(void)state;
	expect_good(&(struct trial){
		{.directory = "app/prompts", .files = {"etc/tokens.yaml", "secrets/key.pem"}},
                NULL,
		rows, LENGTH(rows), NULL
        });
}

static int
make_and_remove(const struct sandbox *sandbox)
{
	(void)sandbox;
	bool good = mkdir("app/prompts/d", 0755) == 0 &&
		    renameat2(AT_FDCWD, "app/prompts/new", AT_FDCWD, "app/prompts/newer",
			    RENAME_NOREPLACE) == 0 &&
		    unlink("app/prompts/newer") == 0 && rmdir("app/prompts/d") == 0;
	bool stays = mkdir("app/d", 0755) != 0 && errno == EACCES &&
		     unlink("app/beside.yaml") != 0 && errno == EACCES &&
		     symlink("x", "app/prompts/link") != 0 && errno == EACCES;
	return good && stays ? GOOD : BAD;
}

static void
a_writable_directory_is_written_to_and_nothing_else(void **state)
{
	static const struct row rows[] = {
		{"app/prompts/new", MAKE,     0     },
		{"app/new",         MAKE,     EACCES},
		{"app/beside.yaml", O_WRONLY, EACCES},
		{"outside/new",     MAKE,     EACCES},
		{"/dev/null",       O_WRONLY, EACCES},
	};
	(void)state;
	expect_good(&(struct trial){
		{.directory = "app/prompts", .writable = true},
                NULL, rows, LENGTH(rows),
		make_and_remove
        });
}

static void
what_links_to_anywhere_need_is_read_but_not_written(void **state)
{
	static const struct row rows[] = {
		{"outside/b.yaml",  FILE_READ, 0     },
		{"/etc/passwd",     FILE_READ, 0     },
		{"app/prompts/new", MAKE,      EACCES},
		{"outside/b.yaml",  O_WRONLY,  EACCES},
	};
	(void)state;
	expect_good(&(struct trial){
		{.directory = "app/prompts", .reads_anything = true},
                NULL, rows, LENGTH(rows),
		NULL
        });
}

static void
a_directory_that_is_not_there_yet_can_come(void **state)
{
	static const struct row rows[] = {
		{"links/c.yaml",    FILE_READ, 0     },
		{"app/beside.yaml", FILE_READ, EACCES},
	};
	(void)state;
	expect_good(
		&(struct trial){{.directory = "links/not/yet"}, NULL, rows, LENGTH(rows), NULL});
}

static void
of_the_repository_around_it_files_are_read(void **state)
{
	static const struct row rows[] = {
		{"repo/.git/HEAD", FILE_READ, 0     },
		{"repo/.git",      LIST,      EACCES},
		{"repo/README",    FILE_READ, EACCES},
	};
	(void)state;
	expect_good(&(struct trial){
		{.directory = "repo/deep/prompts"}, NULL, rows, LENGTH(rows), NULL});
}

static void
of_a_linked_work_tree_the_main_repository_is_read_too(void **state)
{
	static const struct row rows[] = {
		{"trees/w/.git",               FILE_READ, 0     },
		{"trees",                      LIST,      0     }, /* another one may take its place */
		{"repo/.git/worktrees/w/HEAD", FILE_READ, 0     },
		{"repo/.git/packed-refs",      FILE_READ, 0     },
		{"repo/README",                FILE_READ, EACCES},
	};
	(void)state;
	expect_good(&(struct trial){
		{.directory = "trees/w/deep/prompts"}, NULL, rows, LENGTH(rows), NULL});
}

static int
is_fixed(const struct sandbox *sandbox)
{
	return sandbox->is_fixed ? GOOD : BAD;
}

static void
the_top_is_never_opened(void **state)
{
	static const struct row rows[] = {
		{"/prompts/a.yaml", FILE_READ, 0     },
		{"/beside.yaml",    FILE_READ, EACCES},
		{"/",               LIST,      EACCES},
	};
	(void)state;
	expect_good(
		&(struct trial){{.directory = "/prompts"}, "app", rows, LENGTH(rows), is_fixed});
	static const struct row with_file[] = {
		{"/beside.yaml",    FILE_READ, 0     },
		{"/prompts/a.yaml", FILE_READ, 0     },
		{"/new",            MAKE,      EACCES},
	};
	expect_good(&(struct trial){
		{.directory = "prompts", .files = {"/beside.yaml"}},
                "app", with_file,
		LENGTH(with_file), is_fixed
        });
}

static int
reads_anything(const struct sandbox *sandbox)
{
	return strcmp(sandbox->reads.data, "anything") == 0 && !sandbox->is_fixed ? GOOD : BAD;
}

static void
where_only_the_top_could_be_opened_reading_is_free(void **state)
{
	static const struct row rows[] = {
		{"/beside.yaml", FILE_READ, 0     },
		{"/new",         MAKE,      EACCES},
	};
	(void)state;
	expect_good(&(struct trial){
		{.directory = "/not/yet"}, "app", rows, LENGTH(rows), reads_anything});
	expect_good(&(struct trial){{.directory = "/"}, "app", rows, LENGTH(rows), reads_anything});
}

/* Where a kernel knows a right only later, it is not taken. */
static int
do_nothing_else(const struct sandbox *sandbox)
{
	const struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(9),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	static char *const command[] = {"true", NULL};
	struct rlimit limit;
	int one = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool good = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
		    prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 &&
		    getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0 &&
		    execv("/bin/true", command) != 0 && errno == EACCES;
	if (sandbox->landlock >= 4)
		good = good &&
		       connect(one, (const struct sockaddr *)&address, sizeof(address)) != 0 &&
		       errno == EACCES;
	if (sandbox->landlock >= 6)
		good = good && kill(getppid(), 0) != 0 && errno == EPERM && kill(getpid(), 0) == 0;
	return good ? GOOD : BAD;
}

static void
nothing_is_executed_connected_to_or_signalled(void **state)
{
	(void)state;
	expect_good(&(struct trial){{.directory = "app/prompts"}, NULL, NULL, 0, do_nothing_else});
}

static int
tells_why(const struct sandbox *sandbox)
{
	(void)sandbox;
	bool good = sandbox_denies("outside/b.yaml", R_OK) && !sandbox_denies("nothing", R_OK);
	return good ? GOOD : BAD;
}

static void
what_the_sandbox_denies_is_told_from_what_the_user_may_not(void **state)
{
	(void)state;
	assert_false(sandbox_denies("outside/b.yaml", R_OK)); /* out of any */
	expect_good(&(struct trial){{.directory = "app/prompts"}, NULL, NULL, 0, tells_why});
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_read_below_the_directory_and_where_its_name_stands),
		cmocka_unit_test(the_directories_of_all_links_on_the_way_are_opened),
		cmocka_unit_test(of_other_files_only_files_are_read),
		cmocka_unit_test(a_writable_directory_is_written_to_and_nothing_else),
		cmocka_unit_test(what_links_to_anywhere_need_is_read_but_not_written),
		cmocka_unit_test(a_directory_that_is_not_there_yet_can_come),
		cmocka_unit_test(of_the_repository_around_it_files_are_read),
		cmocka_unit_test(of_a_linked_work_tree_the_main_repository_is_read_too),
		cmocka_unit_test(the_top_is_never_opened),
		cmocka_unit_test(where_only_the_top_could_be_opened_reading_is_free),
		cmocka_unit_test(nothing_is_executed_connected_to_or_signalled),
		cmocka_unit_test(what_the_sandbox_denies_is_told_from_what_the_user_may_not),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
