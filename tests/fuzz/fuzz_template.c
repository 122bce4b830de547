/* fuzz_template.c -- any bytes as a text with placeholders. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "core/buffer.h"
#include "core/template.h"

static void
check_placeholder(const char *text, size_t length, size_t done, const struct placeholder *found)
{
	MUST(found->offset >= done);
	MUST(found->offset + found->length <= length);
	MUST(found->name > text + found->offset);
	MUST(found->name + found->name_length < text + found->offset + found->length);
	MUST(text[found->offset] == '{' && text[found->offset + found->length - 1] == '}');
	char *name = malloc(found->name_length + 1);
	MUST(name != NULL);
	memcpy(name, found->name, found->name_length);
	name[found->name_length] = '\0';
	MUST(template_is_name(name));
	free(name);
}

/* What lies between the placeholders and the placeholders make up the text, and a text between two
 * of them holds none. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	char *text = malloc(
		length > 0 ? length : 1); /* of its exact size, to see what is read beyond it */
	struct buffer whole = {0};
	struct placeholder found, none;
	size_t done = 0, cursor = 0;
	MUST(text != NULL);
	if (length > 0)
		memcpy(text, data, length);
	buffer_puts(&whole, "");
	while (template_next(text, length, &cursor, &found)) {
		size_t nothing = 0;
		check_placeholder(text, length, done, &found);
		MUST(!template_next(text + done, found.offset - done, &nothing, &none));
		buffer_put(&whole, text + done, found.offset - done);
		buffer_put(&whole, text + found.offset, found.length);
		done = found.offset + found.length;
		MUST(cursor == done);
	}
	MUST(cursor == length);
	buffer_put(&whole, text + done, length - done);
	MUST(whole.length == length);
	MUST(length == 0 || memcmp(whole.data, text, length) == 0);
	buffer_finish(&whole);
	free(text);
	return 0;
}
