/* hold.h -- what keeps a set of files from being published. */
#pragma once

enum hold {
	HOLD_QUIET, /* something happened just now */
	HOLD_WRITER, /* a file is being written */
	HOLD_VCS, /* git is changing the work tree */
	HOLD_SETTLE, /* content is not known to be complete */
	HOLD_DELETE, /* a file is gone and may come back: it alone is held */
	HOLD_EMPTY, /* no files are left */
	HOLD_MIN_PROMPTS, /* fewer prompts than --min-prompts */
	HOLD_BAD_FILE, /* --on-bad-file hold */
	HOLD_ROOT, /* the directory is missing */
	N_HOLDS
};

const char *hold_name(enum hold);
