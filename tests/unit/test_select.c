/* test_select.c -- tests of which version of a prompt answers a request. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "core/select.h"
#include "core/snapshot.h"
#include "core/unit.h"

#define NONE "-"

static const char *const production[] = {"production", NULL};
static const char *const staging_first[] = {"staging", "production", NULL};
static const char *const no_labels[] = {NULL};

/* A version and its labels, "2 production beta", or NONE for an unversioned file; then what is asked,
 * as "@x", "version=x" or "label=x", and the version served. "404": what is asked is not there; "404:
 * unclear": nothing was asked, and no rule says which is meant. */
struct row {
	const char *has[4], *asked, *served;
};

/* One version only: that one, whatever its labels. */
static const struct row sole[] = {
	{{"1"},          "", "1"      },
	{{"1 staging"},  "", "1"      },
	{{NONE},         "", NONE     },
	{{NONE " beta"}, "", NONE     },
	{{"2.0-rc1"},    "", "2.0-rc1"},
};

/* The version with the default label. */
static const struct row labelled[] = {
	{{"1", "2 production", "3"},      "", "2"   },
	{{"1 production", "2 staging"},   "", "1"   },
	{{NONE, "1 production"},          "", "1"   },
	{{NONE " production", "1"},       "", NONE  },
	{{"1.9", "1.10 beta production"}, "", "1.10"},
};

/* Labels in use, none the default: a draft must not ship by losing a label. */
static const struct row unclear[] = {
	{{"1", "2 staging", "3"}, "", "404: unclear"},
	{{NONE, "1 staging"},     "", "404: unclear"},
	{{NONE " staging", "1"},  "", "404: unclear"},
};

/* No labels: the unversioned, else the highest number; no other order is guessed. */
static const struct row unlabelled[] = {
	{{"1", "2", "10"},           "", "10"          },
	{{"9", "010"},               "", "010"         },
	{{"1.9", "1.10", "2.0-rc1"}, "", "404: unclear"},
	{{"1", "2", "beta"},         "", "404: unclear"},
	{{"1", "2", NONE},           "", NONE          },
	{{"1.9", "beta", NONE},      "", NONE          },
};

/* Exactly what is asked, never a substitute. */
static const struct row asked[] = {
	{{"1", "2 production", "3"}, "@3",               "3"   },
	{{"1", "2 production", "3"}, "version=3",        "3"   },
	{{"1", "2 beta", "3"},       "@beta",            "2"   },
	{{"1", "2 beta", "3"},       "label=beta",       "2"   },
	{{"1", "2 production", "3"}, "label=production", "2"   },
	{{"1", "2"},                 "@3",               "404" },
	{{"1", "2"},                 "version=3",        "404" },
	{{"1"},		      "@2",               "404" },
	{{"1"},		      "label=production", "404" },
	{{"1", "2 production"},      "label=beta",       "404" },
	{{"1", "2 production"},      "@beta",            "404" },
	{{NONE},		     "@1",               "404" },
	{{NONE},		     "version=1",        "404" },
	{{"1"},		      "version=01",       "404" },
	{{"1.1", "1.10"},            "@1.10",            "1.10"},
	{{"1.1", "1.10"},            "@1.1",             "1.1" },
};

/* A version is no label, a label no version; @ takes either, the version first. */
static const struct row either[] = {
	{{"1", "2 beta"}, "version=beta", "404" },
	{{"1", "2 beta"}, "label=2",      "404" },
	{{"beta", "2"},   "@beta",        "beta"},
	{{"beta", "2"},   "label=beta",   "404" },
};

/* Where the default labels are staging and production, in that order. */
static const struct row at_staging[] = {
	{{"1 production", "2 staging"}, "", "2"           },
	{{"1 production", "2"},         "", "1"           },
	{{"1", "2 beta"},               "", "404: unclear"},
};

/* Where no label is the default. */
static const struct row without_default[] = {
	{{"1", "2 production"}, "", "404: unclear"},
	{{"1", "2"},            "", "2"           },
};

/* One file for each version of the prompt "p". */
static struct snapshot *
snapshot_of_texts(const char *const has[4])
{
	char paths[4][32], texts[4][128];
	struct file files[4];
	size_t count = 0;
	for (; count < 4 && has[count] != NULL; count++) {
		size_t version = strcspn(has[count], " ");
		const char *labels = has[count] + version;
		char *text = texts[count];
		snprintf(paths[count], sizeof(paths[count]), "file%zu.yaml", count);
		int used = snprintf(text, sizeof(texts[0]), "prompt_id: p\nprompt_template: x\n");
		if (strncmp(has[count], NONE, version) != 0)
			used += snprintf(text + used, sizeof(texts[0]) - (size_t)used,
				"version: %.*s\n", (int)version, has[count]);
		for (; *labels == ' '; labels += 1 + strcspn(labels + 1, " "))
			used += snprintf(text + used, sizeof(texts[0]) - (size_t)used, "%s%.*s",
				labels == has[count] + version ? "labels: [" : ", ",
				(int)strcspn(labels + 1, " "), labels + 1);
		if (has[count][version] == ' ')
			snprintf(text + used, sizeof(texts[0]) - (size_t)used, "]\n");
		files[count] = (struct file){paths[count], text};
	}
	return make_snapshot(files, count);
}

static struct selector
selector_of(const struct row *row, const char *const *default_labels)
{
	struct selector selector = {.default_labels = default_labels};
	const char *words = row->asked, *equals = strchr(words, '=');
	if (*words == '@')
		selector.either = words + 1;
	else if (strncmp(words, "version=", 8) == 0)
		selector.version = equals + 1;
	else if (*words != '\0')
		selector.label = equals + 1;
	return selector;
}

static const char *
outcome(enum selection selection, const struct entry *entry)
{
	if (selection == SELECTION_NO_VERSION)
		return "404";
	if (selection == SELECTION_NO_DEFAULT)
		return "404: unclear";
	if (selection == SELECTION_OTHER_OWNER)
		return "another's";
	return entry->prompt->version != NULL ? entry->prompt->version : NONE;
}

static void
expect_rows(const struct row *rows, size_t count, const char *const *default_labels)
{
	for (const struct row *row = rows; row < rows + count; row++) {
		struct snapshot *snapshot = snapshot_of_texts(row->has);
		struct selector selector = selector_of(row, default_labels);
		const struct entry *entry = NULL;
		EXPECT(snapshot->n_problems == 0, "%s", snapshot->problems[0].message);
		enum selection selection =
			select_version(snapshot_find(snapshot, "p"), &selector, &entry);
		const char *served = outcome(selection, entry);
		EXPECT(strcmp(served, row->served) == 0,
			"of (%s, %s, %s) asked \"%s\": %s, wanted %s", row->has[0],
			row->has[1] != NULL ? row->has[1] : "",
			row->has[2] != NULL ? row->has[2] : "", row->asked, served, row->served);
		snapshot_free(snapshot);
	}
}

static void
the_only_version_is_served(void **state)
{
	(void)state;
	expect_rows(sole, LENGTH(sole), production);
}

static void
the_default_label_decides(void **state)
{
	(void)state;
	expect_rows(labelled, LENGTH(labelled), production);
	expect_rows(unclear, LENGTH(unclear), production);
}

static void
without_labels_the_highest_number_is_served(void **state)
{
	(void)state;
	expect_rows(unlabelled, LENGTH(unlabelled), production);
}

static void
what_is_asked_is_served_or_nothing(void **state)
{
	(void)state;
	expect_rows(asked, LENGTH(asked), production);
	expect_rows(either, LENGTH(either), production);
}

static void
default_labels_are_an_ordered_list(void **state)
{
	(void)state;
	expect_rows(at_staging, LENGTH(at_staging), staging_first);
	expect_rows(without_default, LENGTH(without_default), no_labels);
}

/* A project and a slug must equal the prompt's own where it has one. */
static void
owners_must_fit(void **state)
{
	static const struct {
		const char *id, *project, *slug;
		enum selection selection;
	} cases[] = {
		{"team/a", NULL,    NULL,  SELECTION_FOUND      },
		{"team/a", "team",  NULL,  SELECTION_FOUND      },
		{"team/a", "other", NULL,  SELECTION_OTHER_OWNER},
		{"team/a", NULL,    "a",   SELECTION_FOUND      },
		{"team/a", NULL,    "b",   SELECTION_OTHER_OWNER},
		{"team/a", "team",  "b",   SELECTION_OTHER_OWNER},
		{"top",    "team",  NULL,  SELECTION_FOUND      },
		{"top",    "team",  "top", SELECTION_FOUND      },
		{"top",    NULL,    "a",   SELECTION_OTHER_OWNER},
		{"Top",    "team",  "any", SELECTION_FOUND      },
	};
	static const struct file files[] = {
		{"team/a.yaml", "prompt_template: x"},
		{"top.yaml",    "prompt_template: x"},
		{"Top.yaml",    "prompt_template: x"},
	};
	struct snapshot *snapshot = make_snapshot(files, LENGTH(files));
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct selector selector = {.project = cases[i].project,
			.slug = cases[i].slug,
			.default_labels = production};
		const struct entry *entry;
		enum selection selection =
			select_version(snapshot_find(snapshot, cases[i].id), &selector, &entry);
		EXPECT(selection == cases[i].selection, "case %zu (%s): %d", i, cases[i].id,
			selection);
	}
	snapshot_free(snapshot);
}

static void
slugs_find_ids(void **state)
{
	static const struct file files[] = {
		{"a/greet.yaml", "prompt_template: x"             },
		{"b/greet.yaml", "prompt_template: x"             },
		{"c/hello.yaml", "prompt_template: x\nslug: greet"},
		{"top.yaml",     "prompt_template: x\nslug: bye"  },
		{"a/v.v1.yaml",  "prompt_template: x\nslug: old"  },
		{"a/v.v2.yaml",  "prompt_template: x\nslug: new"  },
		{"a/v.v3.yaml",  "prompt_template: x\nslug: new"  },
	};
	static const struct {
		const char *slug, *project;
		size_t found;
		const char *id;
	} cases[] = {
		{"greet", NULL, 3, "c/hello"},
		{"greet", "a",  1, "a/greet"},
		{"greet", "c",  1, "c/hello"},
		{"greet", "d",  0, NULL     },
		{"hello", NULL, 0, NULL     },
		{"bye",   NULL, 1, "top"    },
		{"bye",   "a",  1, "top"    },
		{"old",   NULL, 1, "a/v"    },
		{"new",   "a",  1, "a/v"    },
		{"",      NULL, 0, NULL     },
		{"zzz",   NULL, 0, NULL     },
	};
	struct snapshot *snapshot = make_snapshot(files, LENGTH(files));
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		const struct group *group = NULL;
		size_t found = select_slug(snapshot, cases[i].slug, cases[i].project, NULL, &group);
		EXPECT(found == cases[i].found, "%s: %zu ids", cases[i].slug, found);
		if (found > 0)
			EXPECT(strcmp(group->entries->prompt->id, cases[i].id) == 0, "%s: %s",
				cases[i].slug, group->entries->prompt->id);
	}
	snapshot_free(snapshot);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_only_version_is_served),
		cmocka_unit_test(the_default_label_decides),
		cmocka_unit_test(without_labels_the_highest_number_is_served),
		cmocka_unit_test(what_is_asked_is_served_or_nothing),
		cmocka_unit_test(default_labels_are_an_ordered_list),
		cmocka_unit_test(owners_must_fit),
		cmocka_unit_test(slugs_find_ids),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
