/* survey.c -- one look at the prompt directory: what changed, and whether it was seen as it stood at one
 * time. */
#include "server/survey.h"

#include <sys/vfs.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/arena.h"
#include "server/clock.h"
#include "server/figures.h"
#include "server/log.h"
#include "server/tree.h"
#include "server/watcher.h"

int
survey_init(struct survey *survey)
{
	survey->arena = arena_new();
	git_init(&survey->git);
	return survey->arena != NULL ? 0 : -1;
}

void
survey_finish(struct survey *survey)
{
	arena_free(survey->arena);
	git_finish(&survey->git);
}

bool
survey_has_no_root(const struct survey *survey)
{
	return *survey->problem.message != '\0';
}

static struct tree *
open_tree(struct survey *survey, const struct tree_terms *terms, struct error *error)
{
	return tree_open(survey->path, terms, survey->arena, error);
}

/* Note which directory the path leads to now. Returns whether it is another one. */
static bool
note_root(struct survey *survey, const struct tree *tree)
{
	char link[sizeof("/proc/self/fd/") + 12];
	struct statfs stat;
	uint64_t device, inode;
	int directory = tree_ancestor(tree, 0);
	tree_identity(tree, &device, &inode);
	bool is_other = device != survey->device || inode != survey->inode;
	if (is_other && survey->inode != 0) {
		figures_add(survey->figures, FIGURE_ROOT_SWAPS, 1);
		log_write(LOG_LEVEL_INFO, "the path of the prompt directory leads elsewhere now",
			LOG_TEXT("directory", survey->path), LOG_END);
	}
	survey->device = device;
	survey->inode = inode;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", directory);
	ssize_t length = readlink(link, survey->resolved, sizeof(survey->resolved) - 1);
	survey->resolved[length > 0 ? length : 0] = '\0';
	survey->filesystem = fstatfs(directory, &stat) == 0 ? (unsigned long)stat.f_type : 0;
	return is_other;
}

/* Look a second time. */
static enum outcome
verify(struct survey *survey, const struct tree_terms *terms)
{
	static const enum outcome outcomes[] = {
		[AGREES] = OUTCOME_SETTLED, [DIFFERS] = OUTCOME_MOVING, [TORN] = OUTCOME_TORN};
	struct error error;
	uint64_t device, inode;
	int64_t start_us = clock_us();
	struct tree *tree = open_tree(survey, terms, &error);
	if (tree == NULL)
		return OUTCOME_TORN;
	tree_identity(tree, &device, &inode);
	enum outcome outcome = OUTCOME_TORN;
	if (device == survey->device && inode == survey->inode)
		outcome = outcomes[loader_verify(survey->loader, tree, survey->watcher)];
	tree_close(tree);
	survey->verify_us = clock_us() - start_us;
	histogram_add(&survey->figures->verify, (uint64_t)survey->verify_us);
	return outcome;
}

/* Whether the files are a whole that took the place of another: those behind a link that leads elsewhere now, or,
 * where no event tells what git does to each, those of another commit. */
static bool
is_replaced(const struct survey *survey, const struct tree *tree)
{
	bool blind = watcher_state(survey->watcher)->blindness != SEES_ALL;
	return (blind && strcmp(survey->commit, survey->git.commit) != 0) ||
	       (survey->moved && tree_link_target(tree) != NULL);
}

static enum outcome
look_into(struct survey *survey, struct tree *tree, const struct tree_terms *terms, bool force,
	struct look *look)
{
	struct marks *marks = watcher_marks(survey->watcher);
	bool known = survey->inode != 0;
	if (note_root(survey, tree)) {
		survey->moved = known;
		if (!marks_has_all(marks)) {
			marks_lose(marks); /* what is known of parts is of no use elsewhere */
			return OUTCOME_TORN;
		}
	}
	if (marks_has_all(marks))
		git_find(&survey->git, tree, terms);
	git_read_commit(&survey->git, tree, terms);
	if (loader_look(survey->loader, tree, survey->watcher, force, is_replaced(survey, tree),
		    look) != 0)
		return OUTCOME_FAILED;
	if (look->torn || (survey->moved && look->waiting))
		return OUTCOME_TORN;
	bool is_quiet = !look->changed && !look->missed && look->next_ms == 0;
	enum outcome outcome = is_quiet ? OUTCOME_SETTLED : verify(survey, terms);
	survey->moved &= outcome != OUTCOME_SETTLED;
	return outcome;
}

void
survey_take(struct survey *survey)
{
	memcpy(survey->commit, survey->git.commit, sizeof(survey->commit));
}

enum outcome
survey_look(struct survey *survey, bool force, struct look *look)
{
	struct tree_terms terms = {.links_lead_anywhere = survey->links_lead_anywhere,
		.on_lookup = watcher_add,
		.context = survey->watcher};
	enum outcome outcome = OUTCOME_SETTLED;
	*look = (struct look){0};
	survey->verify_us = 0;
	arena_reset(survey->arena);
	watcher_begin(survey->watcher);
	*survey->problem.message = '\0';
	struct tree *tree = open_tree(survey, &terms, &survey->problem);
	if (tree != NULL)
		outcome = look_into(survey, tree, &terms, force, look);
	else
		*survey->resolved = '\0';
	tree_close(tree);
	watcher_end(survey->watcher);
	return outcome;
}
