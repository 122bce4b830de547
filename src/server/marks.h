/* marks.h -- what was seen to happen since the last look, by path. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum evidence {
	EVIDENCE_NONE, /* something happened: a link, a file that came with its directory, … */
	EVIDENCE_WRITING, /* written and not closed since */
	EVIDENCE_COMPLETE, /* closed by its writer, or moved here, after the last write */
};

struct sighting {
	enum evidence evidence;
	int64_t at_ms; /* 0: nothing was seen */
};

/* A path at and below which to look again. */
struct mark {
	struct mark *next;
	char *path; /* "" for everything */
	struct sighting own; /* of the name itself, … */
	struct sighting target; /* … and of the file that a link of this name ends at */
	unsigned events; /* how many were seen, … */
	int64_t read_ns; /* … and when the last of them was read, on CLOCK_REALTIME */
	bool transacted; /* it happened while a lock was held */
	bool looked; /* the look that is under way, or was last, covers it */
	bool fresh; /* it happened since that look began */
	bool keep; /* it is to be looked at once more */
};

/* Starts zeroed. When there are very many, or memory is out, what has no mark becomes a look at everything. One
 * thread. */
struct marks {
	void *by_path;
	struct mark *first;
	size_t count;
	bool all; /* look at everything, … */
	bool all_looked, all_fresh; /* … as above */
};

/* Forget all marks. */
void marks_clear(struct marks *);

/* Look at everything. */
void marks_all(struct marks *);

/* The same, with nothing known: events were lost. No mark is freed: a look may be under way. */
void marks_lose(struct marks *);

/* The mark of a path, made if need be; NULL where that became everything. */
struct mark *marks_make(struct marks *, const char *path);

/* Another directory is at a path: what is known of the files below is not about its own. */
void marks_forget_below(struct marks *, const char *path);

/* A directory was moved: its files that are being written still are, under their new paths. */
void marks_move_writers(struct marks *, const char *from, const char *to);

/* When a file was written last that was not closed since; 0: there is none. */
int64_t mark_written_ms(const struct mark *);

struct mark *marks_find(const struct marks *, const char *path);

/* What is known of a path from those above it. */
struct mark_above {
	bool marked, looked, transacted;
};
struct mark_above marks_above(const struct marks *, const char *path);

/* Whether the marks cover everything. */
bool marks_has_all(const struct marks *);

/* Call for each path that the look covers and that is not below another, "" alone for everything. Returns -1 as
 * soon as a call does. */
typedef int marks_on_place(void *context, const char *path);
int marks_each_place(const struct marks *, marks_on_place *, void *context);

/* A look at all that is marked begins. */
void marks_begin_look(struct marks *);

/* Forget the marks that are neither fresh nor kept, nor of a file that is being written: what they told was taken. */
void marks_forget_looked(struct marks *);
