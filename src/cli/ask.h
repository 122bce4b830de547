/* ask.h -- asks what a server of the directory would answer, without one. */
#pragma once

#include "server/api.h"

struct arena;
struct load;
struct options;
struct value;

/* An answer, and the JSON in it. */
struct answer {
	struct arena *arena;
	struct reply reply;
	const char *text;
	size_t length;
	const struct value *json; /* NULL for a body that is none */
};

/* Ask for a target, such as /prompts/ID, with a JSON body or NULL. An answer that is an error is printed, with
 * its detail; then and when memory is out NULL is returned. To be ended in any case. */
const struct value *ask(struct answer *, const struct load *, const struct options *, enum method,
	const char *target, const char *body);
void ask_end(struct answer *);
