/* tree_file.c -- what is in the files that a look at a tree found. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/buffer.h"
#include "core/error.h"
#include "server/reason.h"
#include "server/tree.h"
#include "server/walk.h"

static const int read_flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

/* Read up to the limit and one byte more. The end is where a read brings nothing, or less than it could behind the
 * expected size. Returns 0, or an errno. */
static int
read_all(int descriptor, size_t size, struct buffer *out)
{
	char block[16 * 1024];
	buffer_clear(out);
	while (out->length <= TREE_MAX_FILE_BYTES) {
		ssize_t length = read(descriptor, block, sizeof(block));
		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0)
			return errno;
		buffer_put(out, block, (size_t)length);
		if (length == 0 || (out->length == size && (size_t)length < sizeof(block)))
			break;
	}
	return out->failed ? ENOMEM : 0;
}

void
tree_refresh(struct tree_file *file)
{
	signature_read(file->step->descriptor, file->name, &file->signature);
}

static enum tree_result
read_open(int descriptor, struct tree_file *file, struct buffer *out, struct error *error)
{
	const struct signature found = file->signature;
	int reason = read_all(descriptor, (size_t)found.size, out);
	if (!signature_read(descriptor, "", &file->signature) ||
		!signature_equal(&file->signature, &found))
		return TREE_CHANGED;
	if (reason == 0 && out->length > TREE_MAX_FILE_BYTES) {
		error_set(error, "larger than 1 MiB\nsplit the file");
		return TREE_FAILED;
	}
	if (reason != 0) {
		error_set(error, "cannot read: %s%s", strerror(reason), reason_advice(reason));
		file->is_transient = reason_is_transient(reason);
		return TREE_FAILED;
	}
	return TREE_READ;
}

/* A lease to read is not granted while the file is open to be written: fcntl(2). It is held for no time. */
enum tree_writer
tree_find_writer(const struct tree_file *file)
{
	int descriptor = openat(file->step->descriptor, file->name, read_flags);
	if (descriptor < 0)
		return TREE_UNKNOWN;
	enum tree_writer writer = TREE_NO_WRITER;
	if (fcntl(descriptor, F_SETLEASE, F_RDLCK) == 0)
		fcntl(descriptor, F_SETLEASE, F_UNLCK);
	else
		writer = errno == EAGAIN ? TREE_WRITER : TREE_UNKNOWN;
	close(descriptor);
	return writer;
}

enum tree_result
tree_read(struct tree_file *file, struct buffer *out, struct error *error)
{
	if (file->problem != NULL) {
		error_set(error, "%s", file->problem);
		return TREE_FAILED;
	}
	int descriptor = openat(file->step->descriptor, file->name, read_flags);
	if (descriptor < 0) {
		if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
			return TREE_CHANGED;
		error_set(error, "cannot open: %s%s", strerror(errno), reason_advice(errno));
		file->is_transient = reason_is_transient(errno);
		return TREE_FAILED;
	}
	enum tree_result result = read_open(descriptor, file, out, error);
	close(descriptor);
	return result;
}
