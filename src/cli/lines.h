/* lines.h -- what differs between two texts, line by line. */
#pragma once

struct buffer;

/* Put the lines that differ, with - or + in front, and two more around them with a space; "…" stands for those that are
 * left out. Puts nothing for equal texts. */
void lines_put_diff(struct buffer *, const char *before, const char *now);
