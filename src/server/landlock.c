/* landlock.c -- takes rights to files and sockets away from the process: landlock(7). */
#include "server/landlock.h"

#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

/* Newer than the headers of Linux 6.1. */
enum {
	FS_TRUNCATE = 1 << 14,
	FS_IOCTL_DEVICE = 1 << 15,
	NET_BIND = 1 << 0,
	NET_CONNECT = 1 << 1,
	SCOPE_ABSTRACT_SOCKET = 1 << 0,
	SCOPE_SIGNAL = 1 << 1
};

/* struct landlock_ruleset_attr as of Linux 6.12; older kernels take it where what they do not know is zero. */
struct attributes {
	uint64_t files, net, scopes;
};

static const uint64_t reading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;

/* Those that a rule for a file may have. */
static const uint64_t of_files = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
				 LANDLOCK_ACCESS_FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEVICE;

/* What a kernel can deny, of which each version knows more. */
static struct attributes
deniable(int abi)
{
	static const struct {
		int abi;
		struct attributes more;
	} rows[] = {
		{1, {(LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1, 0, 0}},
		{2, {LANDLOCK_ACCESS_FS_REFER, 0, 0}              },
		{3, {FS_TRUNCATE, 0, 0}                           },
		{4, {0, NET_BIND | NET_CONNECT, 0}                },
		{5, {FS_IOCTL_DEVICE, 0, 0}                       },
		{6, {0, 0, SCOPE_ABSTRACT_SOCKET | SCOPE_SIGNAL}  },
	};
	struct attributes all = {0};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && rows[i].abi <= abi; i++) {
		all.files |= rows[i].more.files;
		all.net |= rows[i].more.net;
		all.scopes |= rows[i].more.scopes;
	}
	return all;
}

int
landlock_begin(struct landlock *landlock, bool reads_anything)
{
	*landlock = (struct landlock){.rules = -1};
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 1)
		return -1;
	struct attributes denied = deniable((int)abi);
	if (reads_anything)
		denied.files &= ~reading;
	landlock->abi = (int)abi;
	landlock->handled = denied.files;
	landlock->rules = (int)syscall(SYS_landlock_create_ruleset, &denied, sizeof(denied), 0);
	return landlock->rules >= 0 ? 0 : -1;
}

int
landlock_allow(const struct landlock *landlock, int place, unsigned rights)
{
	static const struct {
		enum landlock_right right;
		uint64_t access;
	} rows[] = {
		{MAY_READ,  LANDLOCK_ACCESS_FS_READ_FILE                                    },
		{MAY_LIST,  LANDLOCK_ACCESS_FS_READ_DIR                                     },
		{MAY_WRITE, LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
				    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
				    LANDLOCK_ACCESS_FS_REMOVE_DIR},
		{MAY_ADD,   LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG     },
	};
	struct landlock_path_beneath_attr rule = {.parent_fd = place};
	struct stat stat;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if ((rights & rows[i].right) != 0)
			rule.allowed_access |= rows[i].access & landlock->handled;
	if (fstat(place, &stat) != 0)
		return -1;
	if (!S_ISDIR(stat.st_mode))
		rule.allowed_access &= of_files;
	if (rule.allowed_access == 0)
		return 0;
	return (int)syscall(
		SYS_landlock_add_rule, landlock->rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

int
landlock_enter(struct landlock *landlock)
{
	long result = syscall(SYS_landlock_restrict_self, landlock->rules, 0);
	int reason = errno;
	landlock_abandon(landlock);
	errno = reason;
	return (int)result;
}

void
landlock_abandon(struct landlock *landlock)
{
	if (landlock->rules >= 0)
		close(landlock->rules);
	landlock->rules = -1;
}
