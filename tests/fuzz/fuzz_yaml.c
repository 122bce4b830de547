/* fuzz_yaml.c -- any bytes as a YAML prompt file. */
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	fuzz_unit("team/greet.yaml", data, length);
	return 0;
}
