/*
 * The least that a program does to load YAML: read each file below DIR and let libyaml parse it to the end. Prints the
 * files, their bytes, and the nanoseconds that passed and that the process computed: parse_yaml DIR.
 */
#include <err.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <yaml.h>

enum { MAX_FILE = 1 << 20 };

static unsigned char content[MAX_FILE];
static size_t n_files, n_bytes;

static size_t
read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	if (fd < 0 || (length = read(fd, content, sizeof(content))) < 0)
		err(1, "%s", path);
	close(fd);
	return (size_t)length;
}

static void
parse(const char *path, size_t length)
{
	yaml_parser_t parser;
	yaml_event_t event;
	bool is_last = false;

	if (!yaml_parser_initialize(&parser))
		errx(1, "no memory");
	yaml_parser_set_input_string(&parser, content, length);
	while (!is_last) {
		if (!yaml_parser_parse(&parser, &event))
			errx(1, "%s: %s", path, parser.problem);
		is_last = event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
}

static int
on_entry(const char *path, const struct stat *status, int type, struct FTW *unused)
{
	size_t length;

	(void)status;
	(void)unused;
	if (type == FTW_F) {
		length = read_file(path);
		parse(path, length);
		n_files++;
		n_bytes += length;
	}
	return 0;
}

static uint64_t
now_ns(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

int
main(int argc, char **argv)
{
	uint64_t wall = now_ns(CLOCK_MONOTONIC), cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);

	if (argc != 2 || nftw(argv[1], on_entry, 16, FTW_PHYS) != 0)
		err(1, "usage: parse_yaml DIR");
	wall = now_ns(CLOCK_MONOTONIC) - wall;
	cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("%zu %zu %" PRIu64 " %" PRIu64 "\n", n_files, n_bytes, wall, cpu);
	return 0;
}
