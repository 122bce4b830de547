/* auth.c -- who may ask: the tokens in force. */
#include "server/auth.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/buffer.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/tokens.h"
#include "server/figures.h"
#include "server/log.h"
#include "server/sandbox.h"
#include "server/settled.h"

enum { MAX_FILE_BYTES = 1024 * 1024 };

/* The mock's test-token-12345, dev-token-67890 and prod-token-abcdef. */
static const char mock_tokens[] =
	"- {name: test, rights: [read, write, admin], sha256: "
	"e4c0a87e760240da600e6d0c5c37516742a3d691feb803a33dcbbe8405e64b1e}\n"
	"- {name: dev, rights: [read, write, admin], sha256: "
	"60f193751b678f5f469c20408a9156fe0d3626e3c46a9988feab272577320e0e}\n"
	"- {name: prod, rights: [read, write, admin], sha256: "
	"40111b04fa4183d7c097f93135c2947b6092dc3a9bb0890a774c82be7536b22d}\n";

struct auth {
	struct auth_terms terms;
	struct settled file;
	bool is_transient; /* what went wrong last had nothing to do with the content */
	pthread_mutex_t lock; /* of the following */
	_Atomic(struct tokens *) tokens; /* read without the lock, too */
};

static int
open_file(const char *path)
{
	for (;;) {
		int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (descriptor >= 0 || errno != EINTR)
			return descriptor;
	}
}

/* Read what there is, but not much more than there may be. */
static bool
read_open(int descriptor, struct buffer *out)
{
	char block[4096];
	while (out->length <= MAX_FILE_BYTES && !out->failed) {
		ssize_t length = read(descriptor, block, sizeof(block));
		if (length == 0)
			break;
		if (length > 0)
			buffer_put(out, block, (size_t)length);
		else if (errno != EINTR)
			return false;
	}
	return !out->failed;
}

/* Read the whole file. Returns -1 with an error. */
static int
read_file(struct auth *auth, struct buffer *out, struct error *error)
{
	struct stat stat = {0};
	const char *path = auth->terms.tokens_file;
	int descriptor = open_file(path);
	bool is_open = descriptor >= 0 && fstat(descriptor, &stat) == 0;
	bool is_read = is_open && (!S_ISREG(stat.st_mode) || read_open(descriptor, out));
	int reason = errno;
	if (descriptor >= 0)
		close(descriptor);
	auth->is_transient = !is_read;
	if (!is_read) {
		bool sandboxed = reason == EACCES && sandbox_denies(path, R_OK);
		error_set(error, "cannot read the tokens file \"%s\": %s\n%s", path,
			out->failed ? "out of memory" : strerror(reason),
			sandboxed ? "it was elsewhere when promptd closed its sandbox: restart "
				    "promptd"
				  : "put there what promptd token new prints, for promptd's user "
				    "to read");
		return -1;
	}
	if (out->length > MAX_FILE_BYTES || !S_ISREG(stat.st_mode)) {
		error_set(error,
			"the tokens file \"%s\" is %s\nput there what promptd token new prints",
			path, S_ISREG(stat.st_mode) ? "larger than 1 MiB" : "not a regular file");
		return -1;
	}
	if ((stat.st_mode & (S_IROTH | S_IWOTH)) != 0) {
		error_set(error,
			"everyone may %s the tokens file \"%s\"\nchmod o-rw it, and make new "
			"tokens",
			(stat.st_mode & S_IROTH) != 0 ? "read" : "write", path);
		return -1;
	}
	return 0;
}

static void
log_errors(const char *path, const struct errors *errors)
{
	for (const struct error *error = errors->first; error != NULL; error = error->next) {
		struct buffer text = {0};
		buffer_printf(
			&text, "%s:%u:%u: %s", path, error->line, error->column, error->message);
		log_write(LOG_LEVEL_ERROR, text.failed ? error->message : text.data, LOG_END);
		buffer_finish(&text);
	}
}

/* Read tokens from a text; NULL with an error. */
static struct tokens *
parse(struct auth *auth, const char *data, size_t length, struct error *error)
{
	struct errors errors = {.arena = arena_new()};
	struct tokens *tokens = NULL;
	if (errors.arena != NULL)
		tokens = tokens_parse(data, length, auth->terms.strict_projects, &errors);
	auth->is_transient = tokens == NULL && (errors.count == 0 || arena_failed(errors.arena));
	if (auth->is_transient) {
		error_set(error, "out of memory");
	} else {
		log_errors(auth->terms.tokens_file, &errors);
		error_set(error, "the tokens file \"%s\" has mistakes\nsee above",
			auth->terms.tokens_file);
	}
	if (errors.arena != NULL)
		arena_free(errors.arena);
	return tokens;
}

static enum settled_result
load(void *context, struct error *error)
{
	struct auth *auth = context;
	struct buffer text = {0};
	struct tokens *tokens = NULL;
	if (read_file(auth, &text, error) == 0)
		tokens = parse(auth, text.data != NULL ? text.data : "", text.length, error);
	buffer_finish(&text);
	figures_set(auth->terms.figures, FIGURE_TOKENS_BAD, tokens == NULL);
	if (tokens == NULL)
		return auth->is_transient ? SETTLED_FAILED : SETTLED_BAD;
	pthread_mutex_lock(&auth->lock);
	struct tokens *before = auth->tokens;
	auth->tokens = tokens;
	pthread_mutex_unlock(&auth->lock);
	tokens_unref(before);
	figures_set(auth->terms.figures, FIGURE_TOKENS, (long long)tokens_count(tokens));
	log_write(LOG_LEVEL_INFO, "tokens are in force", LOG_NUMBER("tokens", tokens_count(tokens)),
		LOG_TEXT("file", auth->terms.tokens_file), LOG_END);
	return SETTLED_TAKEN;
}

struct auth *
auth_new(const struct auth_terms *terms, struct error *error)
{
	struct auth *auth = calloc(1, sizeof(*auth));
	if (auth == NULL || pthread_mutex_init(&auth->lock, NULL) != 0) {
		free(auth);
		error_set(error, "out of memory");
		return NULL;
	}
	auth->terms = *terms;
	int result = 0;
	if (terms->mock) {
		auth->tokens = parse(auth, mock_tokens, strlen(mock_tokens), error);
		result = auth->tokens != NULL ? 0 : -1;
	} else if (terms->tokens_file != NULL) {
		result = settled_begin(&auth->file,
			&(struct settled_terms){.paths = {terms->tokens_file},
				.instead = "the last good tokens stay in force",
				.load = load,
				.context = auth},
			error);
	}
	if (result == 0)
		return auth;
	auth_free(auth);
	return NULL;
}

void
auth_free(struct auth *auth)
{
	if (auth == NULL)
		return;
	tokens_unref(auth->tokens);
	pthread_mutex_destroy(&auth->lock);
	free(auth);
}

bool
auth_has_tokens(const struct auth *auth)
{
	return auth->terms.mock || auth->terms.tokens_file != NULL;
}

int64_t
auth_refresh(struct auth *auth, int64_t now_ms)
{
	if (auth->terms.tokens_file == NULL || auth->terms.mock)
		return 0;
	return settled_refresh(&auth->file, now_ms);
}

void
auth_hold(struct auth *auth, struct tokens **held)
{
	if (*held == atomic_load_explicit(&auth->tokens, memory_order_acquire))
		return;
	tokens_unref(*held);
	pthread_mutex_lock(&auth->lock);
	*held = tokens_ref(auth->tokens);
	pthread_mutex_unlock(&auth->lock);
}

enum auth_result
auth_check(const struct auth *auth, const struct tokens *held, const char *header,
	struct digest *digest, const struct token **token)
{
	static const char scheme[] = "Bearer ";
	unsigned char bytes[DIGEST_BYTES];
	*token = NULL;
	if (!auth_has_tokens(auth) || (header == NULL && auth->terms.mock))
		return AUTH_GRANTED;
	if (header == NULL || strncmp(header, scheme, strlen(scheme)) != 0 ||
		header[strlen(scheme)] == '\0')
		return AUTH_MALFORMED;
	const char *presented = header + strlen(scheme);
	digest_add(digest, presented, strlen(presented));
	digest_take(digest, bytes);
	*token = tokens_find(held, bytes);
	return *token != NULL ? AUTH_GRANTED : AUTH_UNKNOWN;
}
