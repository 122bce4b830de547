/* page.c -- prints for a terminal with colour, and plainly for other programs. */
#include "cli/page.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "core/text.h"

static bool
is_terminal(void)
{
	return isatty(STDOUT_FILENO);
}

/* See https://no-color.org. */
static bool
has_colour(void)
{
	const char *no = getenv("NO_COLOR");
	return is_terminal() && (no == NULL || *no == '\0');
}

const char *
page_style(enum style style)
{
	static const char *const styles[N_STYLES] = {
		[STYLE_PLAIN] = "",
		[STYLE_BOLD] = "\033[1m",
		[STYLE_DIM] = "\033[2m",
		[STYLE_RED] = "\033[31m",
		[STYLE_YELLOW] = "\033[33m",
	};
	return has_colour() ? styles[style] : "";
}

const char *
page_plain(void)
{
	return has_colour() ? "\033[0m" : "";
}

void
page_text(const char *text, const char *indent)
{
	for (size_t left = strlen(text), length; left > 0; text += length, left -= length) {
		unsigned control = text_control(text, left);
		length = text_utf8_length(text, left);
		length = length > 0 ? length : 1;
		if (*text == '\n' && indent != NULL)
			printf("\n%s", indent);
		else if (control != 0 && *text != '\t')
			printf("\\u%04x", control);
		else
			fwrite(text, 1, length, stdout);
	}
}

static void
print_reason(const char *what, size_t length, const char *advice)
{
	fprintf(stderr, "promptd: %.*s\n", (int)length, what);
	if (*advice != '\0')
		fprintf(stderr, "  %s\n", advice);
}

void
page_error(const struct error *error)
{
	size_t length = strlen(error->message), advice = error->advice;
	print_reason(error->message, advice > 0 ? advice - 2 : length,
		error->message + (advice > 0 ? advice : length));
}

void
page_fail(const char *format, ...)
{
	char text[2048];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	size_t length = strcspn(text, "\n");
	print_reason(text, length, text + length + (text[length] == '\n'));
}

/* The width of a text, in characters. */
static int
width_of(const char *text)
{
	int width = 0;
	for (; *text != '\0'; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static void
print_row(const char *const *cells, size_t columns, const int *widths)
{
	for (size_t i = 0; i < columns; i++) {
		page_text(cells[i], NULL);
		if (i + 1 == columns)
			putchar('\n');
		else if (widths != NULL)
			printf("%*s", widths[i] - width_of(cells[i]) + 2, "");
		else
			putchar('\t');
	}
}

void
page_table(const char *const *head, size_t columns, const char *const *cells, size_t rows)
{
	int widths[16] = {0};
	bool aligned = is_terminal() && columns <= sizeof(widths) / sizeof(widths[0]);
	for (size_t i = 0; i < columns && aligned && head != NULL; i++)
		widths[i] = width_of(head[i]);
	for (size_t i = 0; i < rows * columns && aligned; i++)
		if (width_of(cells[i]) > widths[i % columns])
			widths[i % columns] = width_of(cells[i]);
	if (aligned && head != NULL) {
		fputs(page_style(STYLE_BOLD), stdout);
		print_row(head, columns, widths);
		fputs(page_plain(), stdout);
	}
	for (size_t row = 0; row < rows; row++)
		print_row(cells + row * columns, columns, aligned ? widths : NULL);
}
