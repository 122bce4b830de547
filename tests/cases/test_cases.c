/* test_cases.c -- compares what the files of good/ and bad/ yield with what stands beside them. */
#include "support.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buffer.h"
#include "core/name.h"
#include "core/unit.h"

/* Usage: test_cases CASES-DIRECTORY CLEAN-DIRECTORY... */
static unsigned n_checked, n_failed;

static bool
read_file(const char *path, struct buffer *out)
{
	char block[4096];
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		return false;
	buffer_clear(out);
	buffer_puts(out, "");
	for (size_t count; (count = fread(block, 1, sizeof(block), file)) > 0;)
		buffer_put(out, block, count);
	fclose(file);
	return true;
}

__attribute__((format(printf, 2, 3))) static void
complain(const char *path, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	n_failed++;
	printf("%s: ", path);
	vprintf(format, args);
	putchar('\n');
	va_end(args);
}

/* Show the first line in which two texts differ. */
static void
show_difference(const char *path, const char *got, const char *wanted)
{
	size_t line = 1, start = 0, at = 0;
	for (; got[at] == wanted[at] && got[at] != '\0'; at++)
		if (got[at] == '\n') {
			line++;
			start = at + 1;
		}
	got += start;
	wanted += start;
	complain(path, "line %zu of what is expected:\n-%.*s\n+%.*s", line,
		(int)strcspn(wanted, "\n"), wanted, (int)strcspn(got, "\n"), got);
}

static struct unit *
load(const char *directory, const char *name)
{
	char path[4096];
	struct buffer text = {0};
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	EXPECT(read_file(path, &text), "%s: cannot be read", path);
	struct unit *unit = make_unit_of_bytes(name, text.data, text.length);
	buffer_finish(&text);
	return unit;
}

/* The name of the expectation for a file: its extension is replaced. */
static void
expectation_path(char *out, size_t size, const char *directory, const char *name)
{
	const char *dot = strrchr(name, '.');
	snprintf(out, size, "%s/%.*s.expected", directory, (int)(dot - name), name);
}

static void
check_case(const char *directory, const char *name, bool good)
{
	char path[4096];
	struct buffer wanted = {0};
	struct unit *unit = load(directory, name);
	char *got = describe_unit(unit);
	expectation_path(path, sizeof(path), directory, name);
	n_checked++;
	if (good != (unit->n_errors == 0))
		complain(name, good ? "has errors" : "has no errors");
	if (!read_file(path, &wanted))
		complain(name, "nothing says what is expected; it yields\n%s", got);
	else if (strcmp(got, wanted.data) != 0)
		show_difference(name, got, wanted.data);
	buffer_finish(&wanted);
	free(got);
	unit_unref(unit);
}

static bool
exists(const char *directory, const char *stem, int length, const char *extension)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/%.*s.%s", directory, length, stem, extension);
	FILE *file = fopen(path, "rb");
	if (file != NULL)
		fclose(file);
	return file != NULL;
}

/* Each expectation belongs to exactly one file. */
static void
check_expectation(const char *directory, const char *name)
{
	static const char *const extensions[] = {"yaml", "yml", "json"};
	int stem = (int)(strrchr(name, '.') - name), files = 0;
	for (size_t i = 0; i < LENGTH(extensions); i++)
		files += exists(directory, name, stem, extensions[i]);
	if (files != 1)
		complain(name, "%d files that it could belong to, wanted one", files);
}

static void
check_folder(const char *cases, const char *folder, bool good)
{
	char directory[4000];
	snprintf(directory, sizeof(directory), "%s/%s", cases, folder);
	DIR *dir = opendir(directory);
	EXPECT(dir != NULL, "%s: cannot be read", directory);
	for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		const char *dot = strrchr(entry->d_name, '.');
		if (name_is_ignored(entry->d_name))
			continue;
		if (name_is_prompt_file(entry->d_name))
			check_case(directory, entry->d_name, good);
		else if (dot != NULL && strcmp(dot, ".expected") == 0)
			check_expectation(directory, entry->d_name);
		else
			complain(entry->d_name, "neither a prompt file nor an expectation");
	}
	closedir(dir);
}

/* The example prompts load without an error or a warning. */
static void
check_clean(const char *directory)
{
	DIR *dir = opendir(directory);
	EXPECT(dir != NULL, "%s: cannot be read", directory);
	for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		if (name_is_ignored(entry->d_name) || !name_is_prompt_file(entry->d_name))
			continue;
		struct unit *unit = load(directory, entry->d_name);
		n_checked++;
		for (size_t i = 0; i < unit->n_problems; i++)
			complain(entry->d_name, "%s", unit->problems[i].message);
		if (unit->n_prompts != 1)
			complain(entry->d_name, "%zu prompts, wanted one", unit->n_prompts);
		unit_unref(unit);
	}
	closedir(dir);
}

int
main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	check_folder(argv[1], "good", true);
	check_folder(argv[1], "bad", false);
	for (int i = 2; i < argc; i++)
		check_clean(argv[i]);
	printf("%u files checked, %u wrong\n", n_checked, n_failed);
	return n_checked == 0 || n_failed > 0;
}
