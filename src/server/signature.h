/* signature.h -- what tells one content of a file from another without reading it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct statx;

/* Changes whenever the content does, as far as the file system tells. */
struct signature {
	uint64_t device, inode;
	int64_t size, modified_ns, changed_ns;
};

bool signature_equal(const struct signature *, const struct signature *);

/* From what statx(2) told, with STATX_BASIC_STATS. */
struct signature signature_of(const struct statx *);

/* Take the signature of a regular file: of the one that a name in a directory is of, or for "" of the open one.
 * Returns false, with nothing done, where there is none. */
bool signature_read(int descriptor, const char *name, struct signature *);
