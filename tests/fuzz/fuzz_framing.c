/* fuzz_framing.c -- any bytes as an HTTP/1.1 connection: however they arrive cut, they mean the same. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "core/framing.h"

static const struct framing_limits limits = {
	.target_bytes = 256, .head_bytes = 512, .fields = 8, .body_bytes = 64};

struct outcome {
	struct buffer passed; /* up to the last whole request */
	size_t requests;
	int status;
};

static void
feed(const char *bytes, size_t length, size_t piece, struct outcome *outcome)
{
	struct framing framing;
	size_t whole = 0;
	framing_init(&framing, &limits);
	for (size_t at = 0, taken; at < length && framing.refusal.status == 0; at += taken) {
		size_t most = piece < length - at ? piece : length - at;
		taken = 0;
		enum framing_verdict verdict = framing_take(&framing, bytes + at, most, &taken);
		MUST(taken > 0 && taken <= most);
		MUST(verdict == FRAMING_REFUSE || framing.line.length <= limits.head_bytes);
		MUST((verdict == FRAMING_REFUSE) == (framing.refusal.status != 0));
		if (verdict == FRAMING_PASS)
			buffer_put(&outcome->passed, bytes + at, taken);
		if (!framing.is_complete)
			continue;
		MUST(verdict == FRAMING_PASS && framing_part(&framing) == FRAMING_NONE);
		outcome->requests++;
		whole = outcome->passed.length;
	}
	outcome->passed.length = whole;
	outcome->status = framing.refusal.status;
	framing_finish(&framing);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	const size_t pieces[] = {1, 2, 3, 7, 64};
	const char *bytes = (const char *)data;
	struct outcome all = {0}, again = {0};
	feed(bytes, length, length, &all);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct outcome cut = {0};
		feed(bytes, length, pieces[i], &cut);
		MUST(cut.requests == all.requests && cut.status == all.status);
		MUST(cut.passed.length == all.passed.length);
		MUST(cut.passed.length == 0 ||
			memcmp(cut.passed.data, all.passed.data, cut.passed.length) == 0);
		buffer_finish(&cut.passed);
	}
	/* What is passed is what was meant: read again, nothing is left out of it and nothing is refused. */
	feed(all.passed.data, all.passed.length, all.passed.length, &again);
	MUST(again.requests == all.requests && again.status == 0);
	MUST(again.passed.length == all.passed.length);
	buffer_finish(&again.passed);
	buffer_finish(&all.passed);
	return 0;
}
