/* test_rule.c -- names of rules, and comments that switch them off. */
#include "support.h"

#include <string.h>

#include "core/rule.h"

static void
rules_have_names_and_reasons(void **state)
{
	(void)state;
	for (int i = 0; i < N_RULES; i++) {
		const struct rule_row *row = &rule_rows[i];
		EXPECT(rule_find(row->id) == (enum rule)i, "%s", row->id);
		EXPECT(row->sentence[strlen(row->sentence) - 1] == '.', "%s", row->id);
		EXPECT(row->reason[strlen(row->reason) - 1] == '.', "%s", row->id);
	}
	assert_int_equal(rule_find("nonsense"), N_RULES);
}

static const struct {
	const char *text;
	rule_set ignored;
} texts[] = {
	{"",								      0		},
	{"# promptd: ignore secret",					      1u << RULE_SECRET},
	{"a: b # promptd: ignore cut-text, secret\nno-default",
         1u << RULE_CUT_TEXT | 1u << RULE_SECRET                                                   },
	{"# promptd: ignore yaml-1.1\r\n# promptd: ignore secret no-default\r\n",
         1u << RULE_YAML_1_1 | 1u << RULE_SECRET | 1u << RULE_NO_DEFAULT                           },
	{"# promptd: ignore secrets",					     0                },
	{"# promptd: ignore\nsecret",					     0                },
	{"#promptd:ignore secret",						1u << RULE_SECRET},
	{"a#promptd: ignore secret",					      0                },
	{"# promptd: ignored secret",					     0                },
	{"# promptd ignore secret",					       0                },
	{"# promptd: ignore syntax, schema, conflict",                            0                },
};

static void
comments_switch_rules_off(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(texts); i++)
		EXPECT(rule_ignored_in(texts[i].text, strlen(texts[i].text)) == texts[i].ignored,
			"%s", texts[i].text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_have_names_and_reasons),
		cmocka_unit_test(comments_switch_rules_off),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
