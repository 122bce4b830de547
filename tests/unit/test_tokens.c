/* test_tokens.c -- who may ask for what. */
#include "support.h"

#include <string.h>

#include "core/arena.h"
#include "core/error.h"
#include "core/tokens.h"

/* The digests of "one" and "two". */
#define ONE "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
#define TWO "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"

static void
digest_of(const char *text, unsigned char out[DIGEST_BYTES])
{
	struct digest *digest = digest_new();
	digest_add(digest, text, strlen(text));
	digest_take(digest, out);
	digest_free(digest);
}

static const struct token *
find(const struct tokens *tokens, const char *text)
{
	unsigned char digest[DIGEST_BYTES];
	digest_of(text, digest);
	return tokens_find(tokens, digest);
}

static struct tokens *
parse(const char *text, bool strict, struct errors *errors)
{
	return tokens_parse(text, strlen(text), strict, errors);
}

static void
a_token_is_found_by_its_digests(void **state)
{
	struct errors errors = {.arena = arena_new()};
	(void)state;
	struct tokens *tokens = parse("- {name: litellm, sha256: " ONE "}\n"
				      "- name: ops\n  sha256: [" TWO "]\n  rights: [read, admin]\n",
		false, &errors);
	assert_int_equal(errors.count, 0);
	assert_non_null(tokens);
	arena_free(errors.arena);
	assert_int_equal(tokens_count(tokens), 2);
	assert_string_equal(find(tokens, "one")->name, "litellm");
	assert_int_equal(find(tokens, "one")->rights, RIGHT_READ);
	assert_string_equal(find(tokens, "two")->name, "ops");
	assert_int_equal(find(tokens, "two")->rights, RIGHT_READ | RIGHT_ADMIN);
	assert_null(find(tokens, "three"));
	static const unsigned char zero[DIGEST_BYTES];
	assert_null(tokens_find(tokens, zero)); /* the unused second digest of both */
	tokens_unref(tokens_ref(tokens));
	tokens_unref(tokens);
}

static void
two_digests_are_one_token(void **state)
{
	struct errors errors = {.arena = arena_new()};
	(void)state;
	struct tokens *tokens =
		parse("- {name: litellm, sha256: [" ONE ", " TWO "]}\n", false, &errors);
	assert_ptr_equal(find(tokens, "one"), find(tokens, "two"));
	assert_non_null(find(tokens, "one"));
	tokens_unref(tokens);
	arena_free(errors.arena);
}

static void
projects_are_what_a_token_sees(void **state)
{
	struct errors errors = {.arena = arena_new()};
	(void)state;
	struct tokens *tokens = parse("- {name: a, sha256: " ONE ", projects: [support, sales]}\n"
				      "- {name: b, sha256: " TWO "}\n",
		false, &errors);
	static const struct {
		const char *token, *project;
		bool visible;
	} rows[] = {
		{"one", "support",  true },
		{"one", "sales",    true },
		{"one", "supporte", false},
		{"one", "legal",    false},
		{"one", NULL,       false},
		{"two", "legal",    true },
		{"two", NULL,       true },
	};
	for (size_t i = 0; i < LENGTH(rows); i++)
		EXPECT(token_may_see(find(tokens, rows[i].token), rows[i].project) ==
				rows[i].visible,
			"row %zu", i);
	assert_true(token_may_see(NULL, NULL));
	tokens_unref(tokens);
	arena_free(errors.arena);
}

static void
mistakes_are_told_with_their_place(void **state)
{
	static const struct {
		const char *text;
		unsigned line, column;
		const char *part;
	} rows[] = {
		{"",							     1, 1,   "empty"                  },
		{"[]",							   1, 1,   "no token"               },
		{"{name: a}",						    1, 1,   "must be a list"         },
		{"- x",							  1, 3,   "a token must be"        },
		{"- {name: a}",						  1, 3,   "sha256 is missing"      },
		{"- {sha256: " ONE "}",					  1, 3,   "name is missing"        },
		{"- {name: A b, sha256: " ONE "}",                               1, 10,  "name \"A b\""           },
		{"- {name: a, sha256: 12}",                                      1, 21,  "64 hexadecimal"         },
		{"- {name: a, sha256: " ONE "0}",                                1, 21,  "64 hexadecimal"         },
		{"- {name: a, sha256: []}",                                      1, 21,  "without a digest"       },
		{"- {name: a, sha256: [" ONE ", " TWO ", " ONE "]}",             1, 154, "a third digest"         },
		{"- {name: a, sha256: " ONE ", right: [read]}",                  1, 87,  "unknown key \"right\""  },
		{"- {name: a, sha256: " ONE ", rights: [raed]}",                 1, 96,  "unknown right \"raed\"" },
		{"- {name: a, sha256: " ONE ", projects: []}",                   1, 97,  "empty list"             },
		{"- {name: a, sha256: " ONE ", projects: x}",                    1, 97,  "projects must be a list"},
		{"- {name: a, sha256: " ONE ", projects: [p], rights: [admin]}", 1, 3,   "admin"                  },
		{"- {name: a, sha256: " ONE ", projects: [p], rights: [write]}", 1, 3,
                 "--projects strict"									      },
		{"- {name: a, sha256: " ONE "}\n- {name: a, sha256: " TWO "}",   2, 3,   "is taken"               },
		{"- {name: a, sha256: " ONE "}\n- {name: b, sha256: " ONE "}",   2, 3,   "again"                  },
		{"- {name: a",						   1, 3,   "bracket"                },
	};
	(void)state;
	for (size_t i = 0; i < LENGTH(rows); i++) {
		struct errors errors = {.arena = arena_new()};
		struct tokens *tokens = parse(rows[i].text, false, &errors);
		EXPECT(tokens == NULL, "%s is refused", rows[i].text);
		EXPECT(errors.first != NULL && errors.first->line == rows[i].line &&
				errors.first->column == rows[i].column &&
				strstr(errors.first->message, rows[i].part) != NULL,
			"%s: %u:%u: %s", rows[i].text, errors.first->line, errors.first->column,
			errors.first->message);
		arena_free(errors.arena);
	}
}

static void
a_token_may_write_its_projects_where_those_are_strict(void **state)
{
	struct errors errors = {.arena = arena_new()};
	(void)state;
	struct tokens *tokens =
		parse("- {name: a, sha256: " ONE ", projects: [p], rights: [read, write]}", true,
			&errors);
	assert_non_null(tokens);
	tokens_unref(tokens);
	arena_free(errors.arena);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_is_found_by_its_digests),
		cmocka_unit_test(two_digests_are_one_token),
		cmocka_unit_test(projects_are_what_a_token_sees),
		cmocka_unit_test(mistakes_are_told_with_their_place),
		cmocka_unit_test(a_token_may_write_its_projects_where_those_are_strict),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
