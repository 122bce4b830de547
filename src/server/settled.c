/* settled.c -- takes what files hold anew once they have changed, and then not for a second. */
#include "server/settled.h"

#include <sys/stat.h>

#include <fcntl.h>
#include <string.h>

#include "core/error.h"
#include "server/log.h"

enum { CHECK_MS = 1000 };

/* Fill in the files' signatures; zeroes where there is none. */
static void
look(const struct settled *settled, struct signature signatures[SETTLED_MAX_FILES])
{
	struct statx stat;
	for (size_t i = 0; i < SETTLED_MAX_FILES; i++) {
		const char *path = settled->terms.paths[i];
		signatures[i] = (struct signature){0};
		if (path != NULL && statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &stat) == 0)
			signatures[i] = signature_of(&stat);
	}
}

static bool
are_equal(const struct signature *a, const struct signature *b)
{
	for (size_t i = 0; i < SETTLED_MAX_FILES; i++)
		if (!signature_equal(&a[i], &b[i]))
			return false;
	return true;
}

int
settled_begin(struct settled *settled, const struct settled_terms *terms, struct error *error)
{
	*settled = (struct settled){.terms = *terms};
	look(settled, settled->taken);
	memcpy(settled->seen, settled->taken, sizeof(settled->seen));
	return terms->load(terms->context, error) == SETTLED_TAKEN ? 0 : -1;
}

static void
load(struct settled *settled, const struct signature now[SETTLED_MAX_FILES])
{
	struct error error;
	enum settled_result result = settled->terms.load(settled->terms.context, &error);
	memcpy(settled->taken, now, sizeof(settled->taken));
	if (result == SETTLED_TAKEN) {
		settled->is_told = false;
		return;
	}
	if (result == SETTLED_FAILED)
		memset(settled->taken, 0, sizeof(settled->taken));
	if (!settled->is_told || !are_equal(now, settled->told))
		log_write(LOG_LEVEL_ERROR, error.message,
			LOG_TEXT("instead", settled->terms.instead), LOG_END);
	memcpy(settled->told, now, sizeof(settled->told));
	settled->is_told = true;
}

int64_t
settled_refresh(struct settled *settled, int64_t now_ms)
{
	struct signature now[SETTLED_MAX_FILES];
	if (now_ms < settled->next_ms)
		return settled->next_ms;
	settled->next_ms = now_ms + CHECK_MS;
	look(settled, now);
	bool is_settled = are_equal(now, settled->seen);
	memcpy(settled->seen, now, sizeof(now));
	if (is_settled && !are_equal(now, settled->taken))
		load(settled, now);
	return settled->next_ms;
}
