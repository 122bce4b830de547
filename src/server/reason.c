/* reason.c -- what it means that a file cannot be read, for an errno. */
#include "server/reason.h"

#include <errno.h>
#include <stddef.h>

bool
reason_is_transient(int reason)
{
	static const int reasons[] = {EAGAIN, EINTR, EIO, EMFILE, ENFILE, ENOMEM, ESTALE};
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i] == reason)
			return true;
	return false;
}

const char *
reason_advice(int reason)
{
	static const struct {
		int reason;
		const char *advice;
	} rows[] = {
		{EACCES, "\nlet promptd's user read it"             },
		{EPERM,  "\nlet promptd's user read it"             },
		{ELOOP,  "\nlet the link lead to a file"            },
		{ENOENT, "\nlet the link lead to a file"            },
		{EIO,    "\nlook after the disk, or the file server"},
		{ESTALE, "\nlook after the file server"             },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].reason == reason)
			return rows[i].advice;
	return "\nit will be tried again";
}
