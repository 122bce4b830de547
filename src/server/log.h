/* log.h -- one line on stderr for each fact. */
#pragma once

#include <stdbool.h>

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

/* Write a line in one call; control characters and what is not UTF-8 are escaped. The fields are
 * struct log_field, ended by LOG_END. Any thread. */
void log_write(enum log_level, const char *message, ...);
