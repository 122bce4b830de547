/* log.h -- one line on stderr for each fact. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/buffer.h"

struct error;

enum log_level { LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* A named value; a name of NULL ends the list. */
struct log_field {
	const char *name;
	const char *text; /* NULL where the value is the number */
	long long number;
};

#define LOG_TEXT(name, value) ((struct log_field){(name), (value), 0})
#define LOG_NUMBER(name, value) ((struct log_field){(name), NULL, (long long)(value)})
#define LOG_END ((struct log_field){0})

/* Choose JSON lines or text; JSON unless stderr is a terminal. Before other threads start. */
void log_init(bool json);

/* Write nothing from now on: a command says itself what there is to say. */
void log_silence(void);

/* Write a line in one call; control characters and what is not UTF-8 are escaped, and long texts cut. The fields are
 * struct log_field, ended by LOG_END. Where nobody reads what is written, lines are lost rather than waited for. Any thread. */
void log_write(enum log_level, const char *message, ...);

/* The same with an array of fields that LOG_END ends. Returns whether it is written. */
bool log_write_fields(enum log_level, const char *message, const struct log_field *);

/* Lines that are written together, as a system call for each would cost more than all else that is done for a request. Starts
 * zeroed; its lines are the owner's to finish. */
struct log_batch {
	struct buffer lines;
	unsigned n_lines;
};

/* Add a line, which is written with the next flush, or at once where they are many. Thread of the batch. */
void log_add(struct log_batch *, enum log_level, const char *message, const struct log_field *);
void log_flush(struct log_batch *);

/* Whether something may be told again that happens more often than it is worth telling; each such place has a static time of
 * its own. Any thread. */
bool log_is_due(atomic_llong *told_ms, int64_t every_ms);

/* How many lines were lost, and how many of those that are audited could not be put where they belong. Any thread. */
unsigned long long log_lost(void);
unsigned long long log_lost_audit(void);

/* Add what is audited to a file, which only its owner may read, as JSON lines. Without it they are lines of the log. Returns
 * -1 with an error. Before other threads start. */
int log_open_audit(const char *path, struct error *);

/* Go on in a new file, as the old one was moved away. Main thread only. */
void log_reopen_audit(void);

/* Write a line of who did what. Returns whether it is written; if it is not, it is a line of the log. Any thread. */
bool log_audit(enum log_level, const char *message, const struct log_field *);
