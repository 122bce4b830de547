/* test_route.c -- tests of what a request target asks for. */
#include "support.h"

#include <stdbool.h>
#include <string.h>

#include "core/arena.h"
#include "core/error.h"
#include "server/route.h"

#define LITELLM "/beta/litellm_prompt_management"

static const struct {
	const char *uri;
	enum endpoint endpoint;
	const char *id;
} paths[] = {
	{"/health",			ENDPOINT_HEALTH,    NULL           },
	{"/ready",			 ENDPOINT_READY,     NULL           },
	{"/prompts",		       ENDPOINT_PROMPTS,   NULL           },
	{LITELLM,			  ENDPOINT_LITELLM,   NULL           },
	{LITELLM "?prompt_id=a",           ENDPOINT_LITELLM,   NULL           },
	{"/prompts/a",                     ENDPOINT_PROMPT,    "a"            },
	{"/prompts/a/b",                   ENDPOINT_PROMPT,    "a/b"          },
	{"/prompts/a%2Fb",                 ENDPOINT_PROMPT,    "a/b"          },
	{"/prompts/a%2fb%2Fc",             ENDPOINT_PROMPT,    "a/b/c"        },
	{"/prompts/a%252Fb",               ENDPOINT_PROMPT,    "a%2Fb"        },
	{"/prompts/gr%C3%B6%C3%9Fe",       ENDPOINT_PROMPT,    "größe"      },
	{"/prompts/größe",               ENDPOINT_PROMPT,    "größe"      },
	{"/prompts/a+b%20c",               ENDPOINT_PROMPT,    "a+b c"        },
	{"/prompts/a@3",                   ENDPOINT_PROMPT,    "a@3"          },
	{"/prompts/a%40beta",              ENDPOINT_PROMPT,    "a@beta"       },
	{"/prompts/../etc/passwd",         ENDPOINT_PROMPT,    "../etc/passwd"},
	{"/prompts/%2e%2e%2fx",            ENDPOINT_PROMPT,    "../x"         },
	{"/prompts/a?b=c/variables",       ENDPOINT_PROMPT,    "a"            },
	{"/prompts/a#variables",           ENDPOINT_PROMPT,    "a"            },
	{"/prompts/a/",                    ENDPOINT_PROMPT,    "a/"           },
	{"/prompts//a",                    ENDPOINT_PROMPT,    "/a"           },
 /* the last raw segment is the verb */
	{"/prompts/a/variables",           ENDPOINT_VARIABLES, "a"            },
	{"/prompts/a/b/variables",         ENDPOINT_VARIABLES, "a/b"          },
	{"/prompts/a%2Fb/render",          ENDPOINT_RENDER,    "a/b"          },
	{"/prompts/a@3/render?x=y",        ENDPOINT_RENDER,    "a@3"          },
	{"/prompts/variables/variables",   ENDPOINT_VARIABLES, "variables"    },
	{"/prompts/render/variables",      ENDPOINT_VARIABLES, "render"       },
	{"/prompts/variables",             ENDPOINT_PROMPT,    "variables"    },
	{"/prompts/render",                ENDPOINT_PROMPT,    "render"       },
	{"/prompts/a%2Fvariables",         ENDPOINT_PROMPT,    "a/variables"  },
	{"/prompts/a/v%61riables",         ENDPOINT_PROMPT,    "a/variables"  },
	{"/prompts/a/variables/",          ENDPOINT_PROMPT,    "a/variables/" },
	{"/prompts/a/Variables",           ENDPOINT_PROMPT,    "a/Variables"  },
	{"/prompts/avariables",            ENDPOINT_PROMPT,    "avariables"   },
 /* the absolute form */
	{"http://localhost:8080/health",   ENDPOINT_HEALTH,    NULL           },
	{"http://localhost/prompts/a?b=c", ENDPOINT_PROMPT,    "a"            },
	{"http://localhost",               ENDPOINT_NONE,      NULL           },
	{"http://localhost?x=/health",     ENDPOINT_NONE,      NULL           },
 /* nothing that is there */
	{"/",			      ENDPOINT_NONE,      NULL           },
	{"",			       ENDPOINT_NONE,      NULL           },
	{"*",			      ENDPOINT_SERVER,    NULL           },
	{"?x=y",			   ENDPOINT_NONE,      NULL           },
	{"/health/",		       ENDPOINT_NONE,      NULL           },
	{"//health",		       ENDPOINT_NONE,      NULL           },
	{"//evil.example/health",          ENDPOINT_NONE,      NULL           },
	{"/Health",			ENDPOINT_NONE,      NULL           },
	{"/healthy",		       ENDPOINT_NONE,      NULL           },
	{"/prompts/",		      ENDPOINT_NONE,      NULL           },
	{"/promptsx",		      ENDPOINT_NONE,      NULL           },
	{"/%68ealth",		      ENDPOINT_NONE,      NULL           },
	{"/beta",			  ENDPOINT_NONE,      NULL           },
	{"x?y=://z/health",                ENDPOINT_NONE,      NULL           },
};

static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static const char *
shown(const char *text)
{
	return text != NULL ? text : "none";
}

static void
paths_have_an_endpoint(void **state)
{
	struct arena *arena = arena_new();
	(void)state;
	for (size_t i = 0; i < LENGTH(paths); i++) {
		struct target target;
		struct error error;
		EXPECT(route_parse(arena, paths[i].uri, &target, &error) == 0, "%s: %s",
			paths[i].uri, error.message);
		EXPECT(target.endpoint == paths[i].endpoint, "%s: endpoint %d", paths[i].uri,
			target.endpoint);
		EXPECT(same(target.id, paths[i].id), "%s: id %s", paths[i].uri, shown(target.id));
	}
	arena_free(arena);
}

static const struct {
	const char *query;
	enum parameter parameter;
	const char *value;
} queries[] = {
	{"prompt_id=a",               PARAMETER_PROMPT_ID,    "a"      },
	{"project_name=a",            PARAMETER_PROJECT_NAME, "a"      },
	{"slug=a",		    PARAMETER_SLUG,         "a"      },
	{"version=1.10",              PARAMETER_VERSION,      "1.10"   },
	{"label=a",                   PARAMETER_LABEL,        "a"      },
	{"environment=a",             PARAMETER_ENVIRONMENT,  "a"      },
	{"limit=5",                   PARAMETER_LIMIT,        "5"      },
	{"cursor=a",                  PARAMETER_CURSOR,       "a"      },
	{"slug=b&prompt_id=a&x=y",    PARAMETER_PROMPT_ID,    "a"      },
	{"&&prompt_id=a&&",           PARAMETER_PROMPT_ID,    "a"      },
	{"prompt_id=a%2Fb",           PARAMETER_PROMPT_ID,    "a/b"    },
	{"prompt_id=a+b%2Bc%20d",     PARAMETER_PROMPT_ID,    "a b+c d"},
	{"prompt_id=a%26b%3Dc",       PARAMETER_PROMPT_ID,    "a&b=c"  },
	{"prompt_id=a=b",             PARAMETER_PROMPT_ID,    "a=b"    },
	{"prompt%5Fid=a",             PARAMETER_PROMPT_ID,    "a"      },
	{"prompt_id=a?b",             PARAMETER_PROMPT_ID,    "a?b"    },
	{"prompt_id=a#b",             PARAMETER_PROMPT_ID,    "a"      },
	{"prompt_id=%C3%B6",          PARAMETER_PROMPT_ID,    "ö"     },
	{"",			  PARAMETER_PROMPT_ID,    NULL     },
	{"Prompt_id=a",               PARAMETER_PROMPT_ID,    NULL     },
	{"%zz=%zz&x=%00&prompt_id=a", PARAMETER_PROMPT_ID,    "a"      },
	{"prompt_idx=a",              PARAMETER_PROMPT_ID,    NULL     },
	{"=a",			PARAMETER_PROMPT_ID,    NULL     },
 /* of a repeated one the last counts */
	{"version=1&version=2",       PARAMETER_VERSION,      "2"      },
	{"version=1&version=",        PARAMETER_VERSION,      NULL     },
	{"prompt_id=a&prompt_id=",    PARAMETER_PROMPT_ID,    ""       },
 /* an empty one is an absent one, save prompt_id */
	{"prompt_id=",                PARAMETER_PROMPT_ID,    ""       },
	{"prompt_id",                 PARAMETER_PROMPT_ID,    ""       },
	{"version=",                  PARAMETER_VERSION,      NULL     },
	{"slug",		      PARAMETER_SLUG,         NULL     },
	{"project_name=",             PARAMETER_PROJECT_NAME, NULL     },
};

static void
queries_have_parameters(void **state)
{
	struct arena *arena = arena_new();
	(void)state;
	for (size_t i = 0; i < LENGTH(queries); i++) {
		struct target target;
		struct error error;
		const char *uri = arena_printf(arena, "/prompts?%s", queries[i].query);
		EXPECT(route_parse(arena, uri, &target, &error) == 0, "%s: %s", uri, error.message);
		const char *value = target.parameters[queries[i].parameter];
		EXPECT(same(value, queries[i].value), "%s: %s", uri, shown(value));
	}
	arena_free(arena);
}

static const struct {
	const char *uri, *message;
} malformed[] = {
	{"/prompts/%",                "% takes two hexadecimal digits"},
	{"/prompts/%1",               "% takes two hexadecimal digits"},
	{"/prompts/%1/render",        "% takes two hexadecimal digits"},
	{"/prompts/%zz",              "% takes two hexadecimal digits"},
	{"/prompts/a%2",              "% takes two hexadecimal digits"},
	{"/prompts/%%20",             "% takes two hexadecimal digits"},
	{"/prompts/%00",              "a control character"           },
	{"/prompts/a%00b",            "a control character"           },
	{"/prompts/a%0Ab",            "a control character"           },
	{"/prompts/a%7F",             "a control character"           },
	{"/prompts/a\x01",            "a control character"           },
	{"/prompts/%C2%85",           "a control character"           },
	{"/prompts/%FF",              "not UTF-8"                     },
	{"/prompts/%C0%AF",           "not UTF-8"                     },
	{"/prompts/%ED%A0%80",        "not UTF-8"                     },
	{"/prompts/\xc3",             "not UTF-8"                     },
	{"/prompts?slug=%0",          "% takes two hexadecimal digits"},
	{"/prompts?slug=a%00b",       "a control character"           },
	{"/prompts?slug=%C3",         "not UTF-8"                     },
	{LITELLM "?prompt_id=%0d%0a", "a control character"           },
};

static void
malformed_targets_are_refused(void **state)
{
	struct arena *arena = arena_new();
	(void)state;
	for (size_t i = 0; i < LENGTH(malformed); i++) {
		struct target target;
		struct error error;
		EXPECT(route_parse(arena, malformed[i].uri, &target, &error) == -1, "%s: accepted",
			malformed[i].uri);
		EXPECT(strstr(error.message, malformed[i].message) != NULL, "%s: %s",
			malformed[i].uri, error.message);
	}
	arena_free(arena);
}

static void
parameters_have_names(void **state)
{
	static const char *const names[] = {"prompt_id", "project_name", "slug", "version", "label",
		"environment", "limit", "cursor", "files"};
	(void)state;
	assert_int_equal(LENGTH(names), N_PARAMETERS);
	for (size_t i = 0; i < LENGTH(names); i++)
		assert_string_equal(route_parameter_name((enum parameter)i), names[i]);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_have_an_endpoint),
		cmocka_unit_test(queries_have_parameters),
		cmocka_unit_test(malformed_targets_are_refused),
		cmocka_unit_test(parameters_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
