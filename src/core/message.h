/* message.h -- what a prompt's messages may be. */
#pragma once

struct errors;
struct value;

/* Check a message: a mapping with a role and with content, which is a string, a list of parts, or null
 * beside tool_calls. Its further keys pass through unread. */
void message_check(struct errors *, const struct value *);
