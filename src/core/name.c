/* name.c -- the grammar of ids, versions, labels, projects and slugs, and what a path gives. */
#include "core/name.h"

#include <stddef.h>
#include <string.h>

#include "core/arena.h"
#include "core/text.h"

#define DIGITS "0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

enum { MAX_BYTES = 200 };

static bool
is_segment(const char *segment, size_t length)
{
	if (length == 0 || strchr(".#_", segment[0]) != NULL || segment[length - 1] == '~')
		return false;
	for (size_t i = 0; i < length; i++)
		if (segment[i] == '@' || text_control(segment + i, length - i) != 0)
			return false;
	return true;
}

bool
name_is_id(const char *id)
{
	size_t length = strlen(id);
	if (length > MAX_BYTES || text_utf8_span(id, length) != length)
		return false;
	for (;;) {
		size_t segment = strcspn(id, "/");
		if (!is_segment(id, segment))
			return false;
		if (id[segment] == '\0')
			return true;
		id += segment + 1;
	}
}

static bool
fits(const char *text, const char *first, const char *others)
{
	return *text != '\0' && strchr(first, *text) != NULL &&
	       text[strspn(text, others)] == '\0' && strlen(text) <= MAX_BYTES;
}

bool
name_is_version(const char *text)
{
	return fits(text, DIGITS LOWER UPPER, DIGITS LOWER UPPER ".-");
}

bool
name_is_word(const char *text)
{
	return fits(text, DIGITS LOWER, DIGITS LOWER "_.-");
}

bool
name_is_label(const char *text)
{
	return name_is_word(text) && text[strspn(text, DIGITS)] != '\0';
}

bool
name_is_ignored(const char *name)
{
	return *name == '\0' || strchr(".#_", *name) != NULL || name[strlen(name) - 1] == '~';
}

bool
name_is_json_file(const char *name)
{
	return text_ends_in(name, strlen(name), ".json");
}

bool
name_is_prompt_file(const char *name)
{
	return text_ends_in(name, strlen(name), ".yaml") ||
	       text_ends_in(name, strlen(name), ".yml") || name_is_json_file(name);
}

/* Replace each "__" by "/", in place. */
static void
expand_slashes(char *name)
{
	char *out = name;
	for (const char *in = name; *in != '\0'; in++) {
		bool slash = in[0] == '_' && in[1] == '_';
		*out++ = slash ? '/' : *in;
		in += slash;
	}
	*out = '\0';
}

/* Cut ".vN" off the name's end where a digit follows the last ".v". */
static const char *
cut_version(char *name)
{
	char *last = NULL;
	for (char *at = strstr(name, ".v"); at != NULL; at = strstr(at + 1, ".v"))
		last = at;
	if (last == NULL || last == name || strchr(DIGITS, last[2]) == NULL || last[2] == '\0' ||
		!name_is_version(last + 2))
		return NULL;
	*last = '\0';
	return last + 2;
}

int
name_from_path(struct arena *arena, const char *path, struct path_names *names)
{
	*names = (struct path_names){0};
	char *id = arena_copy(arena, path, strlen(path));
	if (id == NULL)
		return -1;
	char *slash = strrchr(id, '/');
	char *name = slash != NULL ? slash + 1 : id;
	char *extension = strrchr(name, '.');
	if (extension != NULL)
		*extension = '\0';
	names->version = cut_version(name);
	expand_slashes(name);
	names->id = name_is_id(id) ? id : NULL;
	size_t first = strcspn(id, "/");
	if (id[first] == '\0')
		return 0;
	char *project = arena_copy(arena, id, first);
	if (project == NULL)
		return -1;
	names->project = name_is_word(project) ? project : NULL;
	names->project_unfit = names->project == NULL;
	return 0;
}

const char *
name_to_path(struct arena *arena, const char *id, const char *version)
{
	return version == NULL ? arena_printf(arena, "%s.json", id)
			       : arena_printf(arena, "%s.v%s.json", id, version);
}
