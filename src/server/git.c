/* git.c -- which commit the files are of, and whether git is changing them now. */
#include "server/git.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/clock.h"
#include "server/log.h"
#include "server/tree.h"

static const char index_name[] = "index", lock_name[] = "index.lock";

enum { TOLD_MS = 1000 }; /* that git is waited for is told after so long */

void
git_init(struct git *git)
{
	*git = (struct git){.directory = -1};
}

void
git_finish(struct git *git)
{
	if (git->directory >= 0)
		close(git->directory);
	git->directory = -1;
}

/* Read the first line of a small file. Returns false where there is none. */
static bool
read_line(int directory, const char *path, char *out, size_t size)
{
	int descriptor = openat(directory, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	ssize_t length = descriptor < 0 ? -1 : read(descriptor, out, size - 1);
	if (descriptor >= 0)
		close(descriptor);
	if (length <= 0)
		return false;
	out[length] = '\0';
	out[strcspn(out, "\r\n")] = '\0';
	return true;
}

/* Open the repository behind a ".git", which is a directory or a file that names one. */
static int
open_repository(int directory)
{
	static const char prefix[] = "gitdir: ";
	const int flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
	char line[PATH_MAX + sizeof(prefix)];
	int found = openat(directory, ".git", flags);
	if (found >= 0 || errno != ENOTDIR || !read_line(directory, ".git", line, sizeof(line)) ||
		strncmp(line, prefix, sizeof(prefix) - 1) != 0)
		return found;
	return openat(directory, line + sizeof(prefix) - 1, flags);
}

/* The signature of one of git's files, all zero where there is none. */
static struct signature
read_signature(const struct git *git, const char *name)
{
	struct signature signature = {0};
	if (git->directory >= 0)
		signature_read(git->directory, name, &signature);
	return signature;
}

void
git_find(struct git *git, const struct tree *tree, const struct tree_terms *terms)
{
	bool is_first = git->directory < 0;
	int directory;
	git_finish(git);
	for (size_t up = 0; git->directory < 0 && (directory = tree_ancestor(tree, up)) >= 0;
		up++) {
		terms->on_lookup(
			terms->context, &(struct lookup){LOOKUP_HOP, directory, ".git", ""});
		git->directory = open_repository(directory);
	}
	if (git->directory >= 0)
		terms->on_lookup(terms->context,
			&(struct lookup){LOOKUP_LOCK, git->directory, lock_name, ""});
	if (is_first)
		git->index = read_signature(git, index_name);
}

static bool
is_commit(const char *text)
{
	size_t length = strlen(text);
	return (length == 40 || length == 64) && strspn(text, "0123456789abcdef") == length;
}

/* Look a branch up among the packed ones: gitrepository-layout(5). */
static bool
find_packed(int directory, const char *name, char *out, size_t size)
{
	bool found = false;
	char *line = NULL;
	size_t capacity = 0;
	int descriptor = openat(directory, "packed-refs", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "r");
	if (file == NULL) {
		if (descriptor >= 0)
			close(descriptor);
		return false;
	}
	while (!found && getline(&line, &capacity, file) > 0) {
		char *space = strchr(line, ' ');
		line[strcspn(line, "\n")] = '\0';
		if (space == NULL || strcmp(space + 1, name) != 0)
			continue;
		*space = '\0';
		found = (size_t)snprintf(out, size, "%s", line) < size;
	}
	free(line);
	fclose(file);
	return found;
}

/* Tell where a branch's file is, or will be: git renames a new one into its place. */
static void
tell_branch(int directory, const char *name, const struct tree_terms *terms)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(name, '/');
	if (slash == NULL || slash - name >= PATH_MAX)
		return;
	memcpy(parent, name, (size_t)(slash - name));
	parent[slash - name] = '\0';
	int found = openat(directory, parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (found < 0)
		return;
	terms->on_lookup(terms->context, &(struct lookup){LOOKUP_NOTE, found, slash + 1, ""});
	close(found);
}

int
git_open_shared(int directory)
{
	char common[PATH_MAX];
	return read_line(directory, "commondir", common, sizeof(common))
		       ? openat(directory, common, O_PATH | O_DIRECTORY | O_CLOEXEC)
		       : -1;
}

/* What a branch points to; those of a linked work tree stand in the main one's repository. */
static bool
find_branch(int directory, const char *name, const struct tree_terms *terms, char *out, size_t size)
{
	int shared = git_open_shared(directory);
	int where = shared >= 0 ? shared : directory;
	tell_branch(where, name, terms);
	bool found = read_line(directory, name, out, size) || read_line(where, name, out, size) ||
		     find_packed(where, name, out, size);
	if (shared >= 0)
		close(shared);
	return found;
}

/* Whether a name stays where references are: git-check-ref-format(1). */
static bool
is_reference(const char *name)
{
	return strncmp(name, "refs/", 5) == 0 && strstr(name, "..") == NULL;
}

void
git_read_commit(struct git *git, const struct tree *tree, const struct tree_terms *terms)
{
	static const char symbolic[] = "ref: ";
	char head[PATH_MAX], branch[PATH_MAX];
	const char *link = tree_link_target(tree), *commit = "";
	if (git->directory >= 0)
		terms->on_lookup(
			terms->context, &(struct lookup){LOOKUP_NOTE, git->directory, "HEAD", ""});
	if (link != NULL && is_commit(link)) {
		commit = link;
	} else if (git->directory >= 0 && read_line(git->directory, "HEAD", head, sizeof(head))) {
		const char *name = head + sizeof(symbolic) - 1;
		commit = head;
		if (strncmp(head, symbolic, sizeof(symbolic) - 1) == 0)
			commit = is_reference(name) && find_branch(git->directory, name, terms,
							       branch, sizeof(branch))
					 ? branch
					 : "";
	}
	*git->commit = '\0';
	if (is_commit(commit))
		memcpy(git->commit, commit, strlen(commit) + 1);
}

bool
git_take_change(struct git *git)
{
	struct signature before = git->index;
	git->index = read_signature(git, index_name);
	return !signature_equal(&before, &git->index);
}

/* How old a file is, by its time, as far as the clock tells. */
static int64_t
age_ms(const struct signature *signature)
{
	int64_t age = (clock_real_ns() - signature->modified_ns) / 1000000;
	return age > 0 ? age : 0;
}

bool
git_is_busy(struct git *git, int64_t now_ms, int64_t limit_ms)
{
	struct git_lock *lock = &git->lock;
	struct signature signature = read_signature(git, lock_name);
	if (!signature_equal(&signature, &lock->signature))
		*lock = (struct git_lock){
			.signature = signature, .since_ms = now_ms - age_ms(&signature)};
	if (signature.inode == 0)
		return false;
	if (!lock->told && now_ms - lock->since_ms >= TOLD_MS) {
		log_write(LOG_LEVEL_INFO,
			"git is changing files: waiting for its index.lock to go. If no git is "
			"running, delete it",
			LOG_END);
		lock->told = true;
	}
	if (!lock->given_up && now_ms - lock->since_ms >= limit_ms) {
		log_write(LOG_LEVEL_WARN,
			"git's index.lock is old: no longer waiting. If no git is running, delete "
			"it",
			LOG_END);
		lock->given_up = true;
	}
	return !lock->given_up;
}
