/* tokens.c -- who may ask for what, known by the digest of a token. */
#include "core/tokens.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/document.h"
#include "core/error.h"
#include "core/expect.h"
#include "core/name.h"
#include "core/text.h"
#include "core/yaml.h"

struct tokens {
	atomic_uint references;
	struct arena *arena; /* of all parts */
	struct token *items;
	size_t count;
};

/* One token being read. */
struct reading {
	struct arena *arena;
	struct errors *errors;
	struct token *token;
};

static void
read_name(struct reading *reading, const struct value *value)
{
	struct quote quote;
	const char *name = expect_string(reading->errors, value, "name");
	if (name == NULL)
		return;
	if (!name_is_word(name))
		EXPECT_ERROR(reading->errors, ERROR_VALUE, value,
			"name %s does not fit\nuse lower-case letters, digits, _, . and -, such as "
			"litellm",
			text_quote(&quote, name));
	reading->token->name = arena_copy(reading->arena, name, strlen(name));
}

/* Take 64 hexadecimal digits. Returns whether that is what the text is. */
static bool
read_hex(const char *text, unsigned char out[DIGEST_BYTES])
{
	for (size_t i = 0; i < DIGEST_BYTES; i++) {
		int high = text_hex_digit((unsigned char)text[2 * i]);
		int low = high >= 0 ? text_hex_digit((unsigned char)text[2 * i + 1]) : -1;
		if (low < 0)
			return false;
		out[i] = (unsigned char)(high * 16 + low);
	}
	return text[2 * (size_t)DIGEST_BYTES] == '\0';
}

static void
read_digest(struct reading *reading, const struct value *value)
{
	struct token *token = reading->token;
	bool is_text = value->kind == VALUE_STRING || value->kind == VALUE_NUMBER;
	if (token->n_digests == 2)
		EXPECT_ERROR(reading->errors, ERROR_VALUE, value,
			"a third digest\na token has one, and while it is being changed two");
	else if (!is_text || !read_hex(value->source, token->digests[token->n_digests]))
		EXPECT_ERROR(reading->errors, ERROR_VALUE, value,
			"sha256 must be 64 hexadecimal digits\ntake them from promptd token new");
	else
		token->n_digests++;
}

static void
read_digests(struct reading *reading, const struct value *value)
{
	if (value->kind != VALUE_LIST) {
		read_digest(reading, value);
		return;
	}
	for (const struct value *item = value->first; item != NULL; item = item->next)
		read_digest(reading, item);
	if (value->first == NULL)
		EXPECT_ERROR(reading->errors, ERROR_VALUE, value,
			"a token without a digest is nobody's\nremove it, or make a new one with "
			"promptd token new");
}

static void
read_projects(struct reading *reading, const struct value *value)
{
	struct quote quote;
	if (!expect_kind(reading->errors, value, VALUE_LIST, "projects"))
		return;
	const char **names = arena_array(reading->arena, value->count + 1, sizeof(const char *));
	size_t count = 0;
	for (const struct value *item = value->first; item != NULL && names != NULL;
		item = item->next) {
		const char *name = expect_string(reading->errors, item, "a project");
		if (name != NULL && !name_is_word(name))
			EXPECT_ERROR(reading->errors, ERROR_VALUE, item,
				"project %s does not fit\nuse lower-case letters, digits, _, . and "
				"-",
				text_quote(&quote, name));
		else if (name != NULL)
			names[count++] = arena_copy(reading->arena, name, strlen(name));
	}
	if (value->first == NULL)
		EXPECT_ERROR(reading->errors, ERROR_VALUE, value,
			"an empty list of projects\nleave the key out for all of them");
	if (names != NULL)
		names[count] = NULL;
	reading->token->projects = names;
}

static void
read_right(struct reading *reading, const struct value *value)
{
	static const struct {
		const char *name;
		enum right right;
	} rights[] = {
		{"read",  RIGHT_READ },
		{"write", RIGHT_WRITE},
		{"admin", RIGHT_ADMIN},
	};
	struct quote quote;
	const char *name = expect_string(reading->errors, value, "a right");
	for (size_t i = 0; name != NULL && i < sizeof(rights) / sizeof(rights[0]); i++)
		if (strcmp(name, rights[i].name) == 0) {
			reading->token->rights |= rights[i].right;
			return;
		}
	if (name != NULL)
		EXPECT_ERROR(reading->errors, ERROR_VALUE, value,
			"unknown right %s\nread, write and admin are known",
			text_quote(&quote, name));
}

static void
read_rights(struct reading *reading, const struct value *value)
{
	if (!expect_kind(reading->errors, value, VALUE_LIST, "rights"))
		return;
	for (const struct value *item = value->first; item != NULL; item = item->next)
		read_right(reading, item);
}

static void
read_rate_limit(struct reading *reading, const struct value *value)
{
	enum { MOST = 1000000 };
	char *end = NULL;
	unsigned long number = value->kind == VALUE_NUMBER ? strtoul(value->source, &end, 10) : 0;
	if (end == NULL || *end != '\0' || *value->source == '-' || number < 1 || number > MOST)
		EXPECT_ERROR(reading->errors, ERROR_VALUE, value,
			"rate_limit must be a whole number from 1 to 1000000\nit is the requests a "
			"second; leave the key out for any number");
	else
		reading->token->rate_limit = (unsigned)number;
}

static const struct field {
	const char *name;
	bool required;
	void (*read)(struct reading *, const struct value *);
} fields[] = {
	{"name",       true,  read_name      },
	{"sha256",     true,  read_digests   },
	{"projects",   false, read_projects  },
	{"rights",     false, read_rights    },
	{"rate_limit", false, read_rate_limit},
};

enum { N_FIELDS = sizeof(fields) / sizeof(fields[0]) };

static void
read_member(struct reading *reading, const struct value *member)
{
	struct quote quote;
	for (size_t i = 0; i < N_FIELDS; i++)
		if (strcmp(member->key, fields[i].name) == 0) {
			fields[i].read(reading, member);
			return;
		}
	expect_about(member,
		errors_add(reading->errors, ERROR_VALUE, member->key_line, member->key_column,
			"unknown key %s\na token has name, sha256, projects, rights and rate_limit",
			text_quote(&quote, member->key)));
}

/* Refuse what would let a token reach beyond its projects. */
static void
check_reach(struct reading *reading, const struct value *map, bool strict_projects)
{
	const struct token *token = reading->token;
	if (token->projects == NULL)
		return;
	if ((token->rights & RIGHT_ADMIN) != 0)
		EXPECT_ERROR(reading->errors, ERROR_VALUE, map,
			"a token with projects cannot have the right admin, as status and "
			"metrics tell of all\nremove one of them");
	if ((token->rights & RIGHT_WRITE) != 0 && !strict_projects)
		EXPECT_ERROR(reading->errors, ERROR_VALUE, map,
			"a token with projects cannot have the right write, as it could write over "
			"others' prompts\nremove one of them, or start promptd with --projects "
			"strict");
}

static void
read_token(struct reading *reading, const struct value *map, bool strict_projects)
{
	if (!expect_kind(reading->errors, map, VALUE_MAP, "a token"))
		return;
	for (const struct value *member = map->first; member != NULL; member = member->next)
		read_member(reading, member);
	for (size_t i = 0; i < N_FIELDS; i++)
		if (fields[i].required)
			expect_member(reading->errors, map, fields[i].name);
	if (document_find(map, "rights") == NULL)
		reading->token->rights = RIGHT_READ;
	check_reach(reading, map, strict_projects);
}

/* Two tokens of one name, or one digest, are a mistake that would show late. */
static void
check_twice(struct errors *errors, const struct tokens *tokens, const struct value *map)
{
	const struct token *last = &tokens->items[tokens->count - 1];
	for (size_t i = 0; i + 1 < tokens->count; i++) {
		const struct token *other = &tokens->items[i];
		if (last->name != NULL && other->name != NULL &&
			strcmp(last->name, other->name) == 0)
			EXPECT_ERROR(errors, ERROR_VALUE, map,
				"the name %s is taken\neach token needs one of its own",
				last->name);
		for (size_t k = 0; k < last->n_digests * other->n_digests; k++)
			if (memcmp(last->digests[k / other->n_digests],
				    other->digests[k % other->n_digests], DIGEST_BYTES) == 0)
				EXPECT_ERROR(errors, ERROR_VALUE, map,
					"the digest of the token %s again\nmake a token of its own",
					other->name != NULL ? other->name : "above");
	}
}

static void
read_all(struct tokens *tokens, const struct value *root, bool strict_projects,
	struct errors *errors)
{
	if (!expect_kind(errors, root, VALUE_LIST, "the file"))
		return;
	tokens->items = arena_array(tokens->arena, root->count + 1, sizeof(*tokens->items));
	for (const struct value *map = root->first; map != NULL && tokens->items != NULL;
		map = map->next) {
		struct token *token = &tokens->items[tokens->count++];
		struct reading reading = {tokens->arena, errors, token};
		*token = (struct token){0};
		read_token(&reading, map, strict_projects);
		check_twice(errors, tokens, map);
	}
	if (root->first == NULL)
		EXPECT_ERROR(errors, ERROR_VALUE, root,
			"no token, so nobody could ask\npromptd token new makes one");
}

struct tokens *
tokens_parse(const char *data, size_t length, bool strict_projects, struct errors *errors)
{
	struct document document = {.arena = errors->arena, .errors = errors};
	struct tokens *tokens = calloc(1, sizeof(*tokens));
	if (tokens == NULL)
		return NULL;
	atomic_init(&tokens->references, 1);
	tokens->arena = arena_new();
	if (tokens->arena != NULL && yaml_parse(&document, data, length) == 0 &&
		document.first != NULL)
		read_all(tokens, document.first, strict_projects, errors);
	else if (tokens->arena != NULL && errors->count == 0 && !arena_failed(errors->arena))
		errors_add(errors, ERROR_SYNTAX, 1, 1,
			"no token, so nobody could ask\npromptd token new makes one");
	if (tokens->arena != NULL && errors->count == 0 && !arena_failed(tokens->arena) &&
		!arena_failed(errors->arena))
		return tokens;
	tokens_unref(tokens);
	return NULL;
}

struct tokens *
tokens_ref(struct tokens *tokens)
{
	atomic_fetch_add_explicit(&tokens->references, 1, memory_order_relaxed);
	return tokens;
}

void
tokens_unref(struct tokens *tokens)
{
	if (tokens == NULL ||
		atomic_fetch_sub_explicit(&tokens->references, 1, memory_order_acq_rel) != 1)
		return;
	if (tokens->arena != NULL)
		arena_free(tokens->arena);
	free(tokens);
}

size_t
tokens_count(const struct tokens *tokens)
{
	return tokens->count;
}

const struct token *
tokens_find(const struct tokens *tokens, const unsigned char digest[DIGEST_BYTES])
{
	const struct token *found = NULL;
	for (size_t i = 0; i < tokens->count; i++) {
		const struct token *token = &tokens->items[i];
		/* Both slots of each: an unused one is compared too, and counts for nothing. */
		for (size_t k = 0; k < 2; k++) {
			bool same = digest_equal(token->digests[k], digest);
			found = same && k < token->n_digests ? token : found;
		}
	}
	return found;
}

bool
token_may_see(const struct token *token, const char *project)
{
	if (token == NULL || token->projects == NULL)
		return true;
	for (const char *const *own = token->projects; *own != NULL && project != NULL; own++)
		if (strcmp(*own, project) == 0)
			return true;
	return false;
}
