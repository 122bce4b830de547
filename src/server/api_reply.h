/* api_reply.h -- what the handlers answer with in common. */
#pragma once

#include <stdbool.h>

struct entry;
struct errors;
struct group;
struct reply;
struct request;
struct value;

/* {"detail": message} */
__attribute__((format(printf, 3, 4))) void reply_error(
	struct reply *, int status, const char *format, ...);

/* What an error says, as text; NULL where there is none. */
const char *reply_reason(const struct reply *);

/* Give back what a reply holds. */
void reply_finish(struct reply *);

/* 422 with the mock's list of one or more {"loc", "msg", "type"}: begin, add each, end. A location is
 * JSON without its brackets: "query","limit". */
void reply_begin_invalid(struct reply *);
void reply_add_invalid(struct reply *, const char *location, const char *message, const char *type);
void reply_end_invalid(struct reply *);

/* The same with one item about a query parameter or a part of the body. */
void reply_invalid(struct reply *, const char *location, const char *message, const char *type);

/* A body that must be a JSON object, in the request's arena; NULL where it is not one and the reply
 * says so. An empty body is one without members where that is allowed. */
const struct value *reply_read_body(
	const struct request *, struct reply *, struct errors *, int may_be_empty);

/* Those versions of an id that a request may see, or NULL; in its arena. NULL is fine. */
const struct group *reply_view(const struct request *, const struct group *);

/* The version that a request names among those of an id ("id", "id@version", "id@label") with its
 * selectors; NULL where the reply says what is wrong. *group is all versions of its id. */
const struct entry *reply_find(
	const struct request *, struct reply *, const char *id, const struct group **group);

/* A text from a request for a message, cut to the length of an id; in the request's arena. */
const char *reply_shown(const struct request *, const char *text);

/* ,"labels":[…] */
void reply_put_labels(struct reply *, const struct entry *);
