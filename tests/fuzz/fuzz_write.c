/* fuzz_write.c -- any bytes as the body of POST /prompts: a file that is written for it says what was sent. */
#include "fuzz.h"

#include <stdbool.h>
#include <string.h>

#include "core/arena.h"
#include "core/document.h"
#include "core/error.h"
#include "core/json.h"
#include "core/name.h"
#include "core/prompt.h"
#include "core/unit.h"
#include "server/api.h"
#include "server/api_reply.h"
#include "server/creation.h"

static const struct prompt_rules rules;

static struct unit *
make_unit(const char *path, const char *data, size_t length)
{
	static struct unit_maker *maker;
	if (maker == NULL)
		maker = unit_maker_new(&rules);
	MUST(maker != NULL);
	struct unit *unit = unit_new(maker, path, data, length);
	MUST(unit != NULL);
	return unit;
}

/* The file's prompt is of the id and the version that were sent, whatever its name says. */
static void
check_names(
	const struct creation *creation, const struct request *request, const struct prompt *prompt)
{
	struct errors errors = {.arena = request->arena};
	struct document document = {.arena = request->arena, .errors = &errors};
	MUST(name_is_prompt_file(creation->path));
	MUST(strcmp(prompt->id, creation->id) == 0);
	MUST(json_parse(&document, request->body, request->body_length) == 0);
	MUST(strcmp(document_find(document.first, "prompt_id")->text, creation->id) == 0);
	const struct value *version = document_find(document.first, "version");
	bool has_version = version != NULL && version->kind != VALUE_NULL;
	MUST(has_version == (prompt->version != NULL));
	MUST(!has_version || strcmp(version->source, prompt->version) == 0);
}

/* Where the body is a file too, as it is but for keys that files do not have, both say the same. */
static void
check_same(const struct unit *file, const struct request *request)
{
	struct unit *sent = make_unit(file->path, request->body, request->body_length);
	if (sent->n_errors == 0) {
		MUST(sent->n_prompts == 1);
		MUST(strcmp(sent->prompts->answer, file->prompts->answer) == 0);
		MUST(strcmp(sent->prompts->listing, file->prompts->listing) == 0);
		MUST(strcmp(sent->prompts->detail, file->prompts->detail) == 0);
		MUST(sent->prompts->n_labels == file->prompts->n_labels);
	}
	unit_unref(sent);
}

static void
check_creation(const struct creation *creation, const struct request *request)
{
	/* Indentation costs most, and is bounded by the levels. */
	MUST(creation->length <= 100 * request->body_length);
	struct unit *unit = make_unit(creation->path, creation->data, creation->length);
	MUST(unit->n_errors == 0 && unit->n_prompts == 1);
	check_names(creation, request, unit->prompts);
	check_same(unit, request);
	unit_unref(unit);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct api api = {.writable = true, .rules = &rules};
	struct arena *arena = arena_new();
	MUST(arena != NULL);
	struct request request = {.api = &api,
		.arena = arena,
		.method = METHOD_POST,
		.content_type = "application/json",
		.body = (const char *)data,
		.body_length = length};
	struct reply reply = {.status = 200};
	api_write(&request, &reply);
	MUST(!reply.body.failed);
	if (reply.job != NULL) {
		MUST(reply.status == 200 && reply.job->kind == JOB_CREATE &&
			reply.body.length == 0);
		check_creation((const struct creation *)(const void *)reply.job, &request);
		api_answer_creation(reply.job, &reply); /* as of one that succeeded */
		job_free(reply.job);
	} else {
		MUST(reply.status == 422);
	}
	fuzz_check_json(reply.body.data, reply.body.length);
	reply_finish(&reply);
	arena_free(arena);
	return 0;
}
