/* reloader.h -- the reload thread: decides when to look again, and publishes. */
#pragma once

struct error;
struct job;
struct prompt_rules;
struct reloader;
struct store;

/* Borrows all it is given, and is the only publisher of the store from now on. Returns NULL when
 * memory is out. */
struct reloader *reloader_new(const char *directory, const struct prompt_rules *, struct store *);

/* Look and publish for the first time, on the caller's thread. Returns -1 with an error where the
 * directory cannot be read. Before reloader_start. */
int reloader_load(struct reloader *, struct error *);

/* Start the thread. Returns -1 with an error. */
int reloader_start(struct reloader *, struct error *);

/* End the thread, if it was started, after the jobs posted before, and free all. */
void reloader_free(struct reloader *);

/* Look everywhere soon. Any thread, and signal-safe. */
void reloader_request(struct reloader *);

/* Queue a job. Any thread. */
void reloader_post(struct reloader *, struct job *);
