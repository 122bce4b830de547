/* fuzz.h -- what the fuzz targets share. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* libFuzzer's entry point, also called by replay.c. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

/* Make the unit of a file of that path and check what must hold of every unit. */
void fuzz_unit(const char *path, const uint8_t *data, size_t length);

/* Check that a text is JSON. */
void fuzz_check_json(const char *text, size_t length);

/* End with a message where something that must hold does not, whatever the build. */
#define MUST(condition) \
	do { \
		if (!(condition)) { \
			fuzz_say(__FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)
void fuzz_say(const char *file, int line, const char *condition);
