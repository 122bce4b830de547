/* message.c -- what a prompt's messages may be. */
#include "core/message.h"

#include <string.h>

#include "core/expect.h"

/* A part of a content list: an object with a type; a text part has its text. */
static void
check_part(struct errors *errors, const struct value *part)
{
	if (!expect_kind(errors, part, VALUE_MAP, "a part of content"))
		return;
	const struct value *type = expect_member(errors, part, "type");
	if (type == NULL || expect_string(errors, type, "type") == NULL ||
		strcmp(type->text, "text") != 0)
		return;
	const struct value *text = expect_member(errors, part, "text");
	if (text != NULL)
		expect_string(errors, text, "text");
}

static void
check_content(struct errors *errors, const struct value *message)
{
	const struct value *content = document_find(message, "content");
	const struct value *calls = document_find(message, "tool_calls");
	bool optional = calls != NULL && calls->kind != VALUE_NULL;
	if (content == NULL) {
		if (!optional)
			expect_missing(errors, message, "content");
		return;
	}
	if (content->kind == VALUE_LIST) {
		for (const struct value *part = content->first; part != NULL; part = part->next)
			check_part(errors, part);
	} else if (content->kind != VALUE_NULL || !optional) {
		expect_string(errors, content, "content");
	}
}

void
message_check(struct errors *errors, const struct value *message)
{
	if (!expect_kind(errors, message, VALUE_MAP, "a message"))
		return;
	const struct value *role = expect_member(errors, message, "role");
	if (role != NULL && expect_string(errors, role, "role") != NULL && *role->text == '\0')
		EXPECT_ERROR(errors, ERROR_VALUE, role,
			"role is empty\nwrite system, user or assistant");
	check_content(errors, message);
}
