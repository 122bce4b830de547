/* reloader.h -- the reload thread, and what is asked of it. */
#pragma once

#include <stdbool.h>

struct auth;
struct tls;
struct cycle_terms;
struct error;
struct job;
struct reloader;

/* The tokens, borrowed, are kept up to date too. Returns NULL when memory is out. */
struct reloader *reloader_new(const struct cycle_terms *, struct auth *, struct tls *);

/* Start the thread, which begins with cycle_load(). Returns -1 with an error. */
int reloader_start(struct reloader *, struct error *);

/* Wait for the result of cycle_load(). Once, after reloader_start. */
int reloader_await(struct reloader *, struct error *);

/* End the thread, if it was started, after the jobs posted before. Returns false where it hangs in a look, as on
 * a file server that is gone: then nothing that it uses may be freed. NULL is fine. */
bool reloader_stop(struct reloader *);

/* After reloader_stop. NULL is fine. */
void reloader_free(struct reloader *);

/* Look everywhere soon, and log the outcome. Any thread, and signal-safe. */
void reloader_request(struct reloader *);

/* Queue a job. Any thread. */
void reloader_post(struct reloader *, struct job *);
