/* landlock.h -- takes rights to files and sockets away from the process: landlock(7). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What may be done at a place and, of a directory, with all below it. */
enum landlock_right {
	MAY_READ = 1, /* files */
	MAY_LIST = 2, /* directories */
	MAY_WRITE = 4, /* make, write and remove files and directories */
	MAY_ADD = 8 /* make and write files */
};

/* Rules in the making. */
struct landlock {
	int rules; /* a descriptor */
	int abi; /* of the kernel */
	uint64_t handled; /* the rights to files that are denied where no rule allows them */
};

/* Begin rules that allow nothing which this kernel can deny: neither files, but for reading where that is left alone,
 * nor connections, nor signals to others. Returns -1 with errno where the kernel has none of it. */
int landlock_begin(struct landlock *, bool reads_anything);

/* Allow what the rights (enum landlock_right) say, as far as they can be had there. The place is a descriptor, O_PATH
 * will do. It is the file or directory itself: one that takes its name later is another. Returns -1 with errno. */
int landlock_allow(const struct landlock *, int place, unsigned rights);

/* Put the rules into force, for this thread and those that it starts; and end the making of them, as with abandon. The
 * process must have no_new_privs. Returns -1 with errno. */
int landlock_enter(struct landlock *);
void landlock_abandon(struct landlock *);
