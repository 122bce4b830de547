/* load.c -- the prompts of a directory, loaded once by the server's own loader. */
#include "cli/load.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/page.h"
#include "core/buffer.h"
#include "core/error.h"
#include "core/snapshot.h"
#include "core/store.h"
#include "server/cycle.h"
#include "server/log.h"
#include "server/options.h"

enum { LONGEST_MS = 10 * 1000 };

int
load_open(struct load *load, const struct options *options, const char *directory,
	struct error *error)
{
	static const atomic_bool never;
	log_silence();
	load->rules.allowed_params = options->allowed_params.items;
	load->rules.strict_projects = options->strict_projects;
	load->rules.ignored = options->ignored | (options->stock_client ? 0 : 1u << RULE_STOCK_ID);
	load->store = store_new();
	load->cycle = load->store == NULL
			      ? NULL
			      : cycle_new(&(struct cycle_terms){
					.directory = directory,
					.rules = &load->rules,
					.default_labels = options->default_labels.items,
					.stopping = &never,
					.store = load->store,
					.figures = &load->figures,
					.max_latency_ms = LONGEST_MS,
					.poll_ms = LONGEST_MS,
					.without_inotify = true,
					.links_lead_anywhere = options->links_lead_anywhere,
				});
	if (load->cycle == NULL) {
		error_set(error, "out of memory");
		return -1;
	}
	if (cycle_load(load->cycle, error) != 0)
		return -1;
	load->snapshot = store_acquire(load->store);
	const struct error *problem = cycle_root_problem(load->cycle);
	if (problem != NULL)
		error_set(error, "%s\n%s", problem->message,
			access(directory, F_OK) == 0 ? "name a directory that you may read"
						     : "create it, or name another directory");
	else if (load->snapshot == NULL)
		error_set(error, "files in \"%s\" keep changing\ntry again", directory);
	return load->snapshot != NULL && problem == NULL ? 0 : -1;
}

void
load_close(struct load *load)
{
	store_release(load->store, load->snapshot);
	cycle_free(load->cycle);
	if (load->store != NULL)
		store_free(load->store);
}

bool
load_tell_problems(const struct load *load, const char *directory)
{
	size_t problems = load->snapshot->n_problems;
	if (problems > 0)
		page_fail("%zu problem%s in \"%s\"\nsee promptd check %s", problems,
			problems == 1 ? "" : "s", directory, directory);
	return problems > 0;
}

int
load_read_file(const char *path, struct buffer *out)
{
	char block[16 * 1024];
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return errno;
	errno = 0;
	for (size_t length; (length = fread(block, 1, sizeof(block), file)) > 0;)
		buffer_put(out, block, length);
	int reason = ferror(file) ? errno : 0;
	fclose(file);
	return out->failed ? ENOMEM : reason;
}
