/* metrics.h -- all figures in Prometheus' text format. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct buffer;
struct figures;
struct snapshot;
struct traffic;

struct metrics_terms {
	const struct figures *figures;
	const struct traffic *traffic; /* of each worker */
	size_t n_workers;
	const struct snapshot *snapshot; /* NULL before the first */
	bool ready;
	bool per_prompt; /* tell how often each prompt was asked for */
};

/* https://prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4. Label values are our own words and
 * names of prompts, never from a request. Any thread. */
void metrics_put(const struct metrics_terms *, struct buffer *);
