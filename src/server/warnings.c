/* warnings.c -- what is likely a mistake in files that are served all the same. */
#include "server/warnings.h"

#include "core/buffer.h"
#include "core/lint.h"
#include "core/problem.h"
#include "core/snapshot.h"
#include "core/unit.h"
#include "server/loader.h"
#include "server/log.h"

enum { MOST_LOGGED = 100 };

struct walk {
	warnings_on_problem *on_problem;
	void *context;
};

static void
on_file(void *context, const struct file_report *report)
{
	const struct walk *walk = context;
	const struct unit *unit = report->faulty != NULL ? report->faulty : report->served;
	for (size_t i = 0; unit != NULL && i < unit->n_problems; i++)
		if (unit->problems[i].kind == ERROR_WARNING)
			walk->on_problem(walk->context, &unit->problems[i]);
}

void
warnings_each(const struct loader *loader, const struct snapshot *snapshot,
	const char *const *default_labels, struct arena *arena, warnings_on_problem *on_problem,
	void *context)
{
	struct walk walk = {on_problem, context};
	struct problem problem;
	loader_report(loader, on_file, &walk);
	for (size_t i = 0; snapshot != NULL && i < snapshot->n_groups; i++)
		if (lint_group(&snapshot->groups[i], default_labels, arena, &problem))
			on_problem(context, &problem);
}

void
warnings_log(const struct problem *problem, size_t number)
{
	struct buffer text = {0};
	if (number == MOST_LOGGED + 1)
		log_write(LOG_LEVEL_WARN,
			"there are more warnings: promptd check, and /-/status, have all", LOG_END);
	if (number > MOST_LOGGED)
		return;
	problem_put(problem, &text);
	if (!text.failed)
		log_write(LOG_LEVEL_WARN, text.data, LOG_TEXT("rule", rule_rows[problem->rule].id),
			LOG_END);
	buffer_finish(&text);
}
