/* replay.c -- runs a fuzz target over the files of the folders given as arguments. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	MUST(file != NULL);
	MUST(fseek(file, 0, SEEK_END) == 0);
	long length = ftell(file);
	MUST(length >= 0);
	rewind(file);
	uint8_t *data = malloc((size_t)length > 0 ? (size_t)length : 1);
	MUST(data != NULL);
	MUST(fread(data, 1, (size_t)length, file) == (size_t)length);
	fclose(file);
	printf("%s\n", path);
	fflush(stdout); /* so that the last line names the input that fails */
	LLVMFuzzerTestOneInput(data, (size_t)length);
	free(data);
}

static unsigned
replay_folder(const char *folder)
{
	unsigned count = 0;
	DIR *dir = opendir(folder);
	MUST(dir != NULL);
	for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
		char path[4096];
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		replay_file(path);
		count++;
	}
	closedir(dir);
	return count;
}

int
main(int argc, char **argv)
{
	unsigned count = 0;
	for (int i = 1; i < argc; i++)
		count += replay_folder(argv[i]);
	printf("%u inputs\n", count);
	return count > 0 ? 0 : 1;
}
