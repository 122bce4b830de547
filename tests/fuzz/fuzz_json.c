/* fuzz_json.c -- any bytes as a JSON prompt file. */
#include "fuzz.h"

#include <string.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/document.h"
#include "core/error.h"
#include "core/json.h"
#include "core/json_put.h"

/* What was read is written and read again, and stays the same. */
static void
check_round_trip(const uint8_t *data, size_t length)
{
	struct arena *arena = arena_new();
	struct errors errors = {.arena = arena};
	struct document first = {.arena = arena, .errors = &errors}, second = first;
	struct buffer text = {0}, again = {0};
	MUST(arena != NULL);
	if (json_parse(&first, (const char *)data, length) == 0 && errors.count == 0) {
		json_put_value(&text, first.first);
		/* nothing is shared in JSON, so that what is small stays small */
		MUST(first.nodes <= length && first.bytes <= 4 * length);
		MUST(text.length <= 6 * length);
		MUST(json_parse(&second, text.data, text.length) == 0);
		MUST(errors.count == 0);
		json_put_value(&again, second.first);
		MUST(strcmp(text.data, again.data) == 0);
	}
	buffer_finish(&text);
	buffer_finish(&again);
	arena_free(arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	check_round_trip(data, length);
	fuzz_unit("team/greet.json", data, length);
	return 0;
}
