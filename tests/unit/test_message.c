/* test_message.c -- tests of what a prompt's messages may be. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "core/document.h"
#include "core/error.h"
#include "core/message.h"
#include "core/yaml.h"

/* A message, and what is said of it; NULL: it is fine. */
static const struct {
	const char *text, *error;
} cases[] = {
	ROW("{role: user, content: hi}", NULL),
	ROW("{role: user, content: ''}", NULL),
	ROW("{content: hi, role: anything}", NULL),
	ROW("{role: user, content: hi, name: [1, 2], x: null}", NULL),
	ROW("{role: user, content: []}", NULL),
	ROW("{role: user, content: [{type: text, text: hi}]}", NULL),
	ROW("{role: user, content: [{type: image_url, image_url: 1}]}", NULL),
	ROW("{role: user, content: [{type: image_url, text: 1}]}", NULL),
	ROW("{role: assistant, content: null, tool_calls: []}", NULL),
	ROW("{role: assistant, tool_calls: [{id: 1}]}", NULL),
	ROW("hi", "a message must be a mapping, not a string: write a mapping, KEY: VALUE"),
	ROW("{content: hi}", "role is missing: add it"),
	ROW("{role: user}", "content is missing: add it"),
	ROW("{role: '', content: hi}", "role is empty: write system, user or assistant"),
	ROW("{role: null, content: hi}",
		"role must be a string, not null: put it in quotes, or write it behind |-"),
	ROW("{role: 1, content: hi}",
		"role must be a string, not a number: put it in quotes, or write it behind |-"),
	ROW("{role: user, content: 1}",
		"content must be a string, not a number: put it in quotes, or write it behind |-"),
	ROW("{role: user, content: null}",
		"content must be a string, not null: put it in quotes, or write it behind |-"),
	ROW("{role: user, content: null, tool_calls: null}",
		"content must be a string, not null: put it in quotes, or write it behind |-"),
	ROW("{role: user, tool_calls: null}", "content is missing: add it"),
	ROW("{role: user, content: {name}}",
		"content must be a string, not a mapping: put it in quotes, or write it behind |-"),
	ROW("{role: user, content: [hi]}",
		"a part of content must be a mapping, not a string: write a mapping, KEY: VALUE"),
	ROW("{role: user, content: [{text: hi}]}", "type is missing: add it"),
	ROW("{role: user, content: [{type: 1}]}",
		"type must be a string, not a number: put it in quotes, or write it behind |-"),
	ROW("{role: user, content: [{type: text}]}", "text is missing: add it"),
	ROW("{role: user, content: [{type: text, text: null}]}",
		"text must be a string, not null: put it in quotes, or write it behind |-"),
};

/* Read a message and check it, as a parser for describe_text does. */
static int
parse_message(struct document *document, const char *data, size_t length)
{
	int result = yaml_parse(document, data, length);
	if (result == 0)
		message_check(document->errors, document->first);
	return result;
}

static void
messages_are_checked(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		char *got = describe_text(parse_message, cases[i].text, strlen(cases[i].text));
		const char *error = strchr(got, '\n');
		const char *message = error != NULL ? strstr(error, ": ") + 2 : NULL;
		EXPECT((message == NULL) == (cases[i].error == NULL) &&
				(message == NULL || strcmp(message, cases[i].error) == 0),
			"%s: %s", cases[i].text, message != NULL ? message : "fine");
		free(got);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_checked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
