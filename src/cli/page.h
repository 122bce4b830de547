/* page.h -- prints for a terminal with colour, and plainly for other programs. */
#pragma once

#include <stddef.h>

struct error;

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_DIM, STYLE_RED, STYLE_YELLOW, N_STYLES };

/* What begins a style on standard output, and what ends any; "" where that is no terminal, or NO_COLOR is set. */
const char *page_style(enum style);
const char *page_plain(void);

/* Put a text on standard output with its control characters escaped, but for line feeds where those are to
 * be followed by an indent. */
void page_text(const char *text, const char *indent);

/* Print why a command ends, on standard error: what is wrong on a first line, what to do on a second. The format is
 * as an error's. */
void page_error(const struct error *);
__attribute__((format(printf, 1, 2))) void page_fail(const char *format, ...);

/* Rows of columns: aligned and with a head, NULL for none, on a terminal, else the rows alone with tabs between. The
 * last column's width is free. Cells are borrowed: rows * columns of them, one row after the other. */
void page_table(const char *const *head, size_t columns, const char *const *cells, size_t rows);
