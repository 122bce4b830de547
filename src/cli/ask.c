/* ask.c -- asks what a server of the directory would answer, without one. */
#include "cli/ask.h"

#include <stdio.h>
#include <string.h>

#include "cli/load.h"
#include "cli/page.h"
#include "core/arena.h"
#include "core/document.h"
#include "core/error.h"
#include "core/json.h"
#include "core/unit.h"
#include "server/api_reply.h"
#include "server/options.h"

/* Print what an error's detail says: a text, or a list of items about parts of the request. */
static void
print_detail(const struct value *json)
{
	const struct value *detail = document_find(json, "detail");
	if (detail->kind == VALUE_STRING) {
		page_fail("%s\npromptd list shows what there is", detail->text);
		return;
	}
	for (const struct value *item = detail->first; item != NULL; item = item->next) {
		const char *name = document_find(item, "loc")->last->text;
		const char *type = document_find(item, "type")->text;
		if (strcmp(type, "value_error.missing") == 0)
			page_fail("%s has no value\nadd %s=VALUE", name, name);
		else
			page_fail("%s: %s", name, document_find(item, "msg")->text);
	}
}

static const struct value *
parse(struct answer *answer)
{
	struct errors errors = {.arena = answer->arena};
	struct document document = {.arena = answer->arena, .errors = &errors};
	return json_parse(&document, answer->text, answer->length) == 0 ? document.first : NULL;
}

const struct value *
ask(struct answer *answer, const struct load *load, const struct options *options,
	enum method method, const char *target, const char *body)
{
	*answer = (struct answer){.arena = arena_new()};
	if (answer->arena == NULL)
		return NULL;
	struct error error;
	struct api api = {.default_labels = options->default_labels.items, .rules = &load->rules};
	struct request request = {.api = &api,
		.method = method,
		.content_type = "application/json",
		.body = body != NULL ? body : "",
		.body_length = body != NULL ? strlen(body) : 0,
		.snapshot = load->snapshot,
		.arena = answer->arena};
	if (route_parse(answer->arena, target, &request.target, &error) != 0) {
		page_error(&error);
		return NULL;
	}
	api_answer(&request, &answer->reply);
	const struct prompt *prompt = answer->reply.prompt;
	answer->text = prompt != NULL ? prompt->answer : answer->reply.body.data;
	answer->length = prompt != NULL ? prompt->answer_length : answer->reply.body.length;
	answer->json = answer->reply.body.failed ? NULL : parse(answer);
	if (answer->json == NULL)
		page_fail("out of memory");
	else if (answer->reply.status != 200)
		print_detail(answer->json);
	return answer->reply.status == 200 ? answer->json : NULL;
}

void
ask_end(struct answer *answer)
{
	reply_finish(&answer->reply);
	if (answer->arena != NULL)
		arena_free(answer->arena);
}
