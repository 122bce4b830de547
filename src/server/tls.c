/* tls.c -- the certificate that connections are secured with. */
#include "server/tls.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "core/error.h"
#include "server/log.h"
#include "server/request_id.h"
#include "server/sandbox.h"
#include "server/settled.h"

struct tls {
	const char *certificate, *key; /* paths */
	struct settled files;
	pthread_mutex_t lock; /* of the following */
	SSL_CTX *context;
};

/* Whether what came is no TLS. OpenSSL knows some methods of HTTP only. */
static bool
is_plain(unsigned long error)
{
	int reason = ERR_GET_REASON(error);
	return reason == SSL_R_HTTP_REQUEST || reason == SSL_R_HTTPS_PROXY_REQUEST ||
	       reason == SSL_R_WRONG_VERSION_NUMBER;
}

/* Answer a client that speaks HTTP without TLS so that it can be read, which OpenSSL's alert cannot. */
static void
on_info(const SSL *session, int where, int result)
{
	static const char body[] =
		"{\"detail\":\"Bad request: this port speaks TLS: ask for it with https://\"}";
	const struct tls_peer *peer = SSL_get_app_data(session);
	char id[REQUEST_ID_BYTES], answer[320];
	if (where != SSL_CB_ACCEPT_EXIT || result > 0 || !is_plain(ERR_peek_error()))
		return;
	request_id_make(id);
	int length = snprintf(answer, sizeof(answer),
		"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
		"X-Request-Id: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
		id, sizeof(body) - 1, body);
	if (send(SSL_get_fd(session), answer, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		peer->on_plain(peer->context, id);
}

/* A key with a password is refused; OpenSSL would ask for it on the terminal. */
static int
on_password(char *text, int size, int is_new, void *none)
{
	(void)text;
	(void)size;
	(void)is_new;
	(void)none;
	return 0;
}

/* Say what OpenSSL found wrong last. */
static void
explain(struct error *error, const char *what, const char *path, const char *advice)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	unsigned long first = ERR_peek_error();
	if (ERR_SYSTEM_ERROR(first) && ERR_GET_REASON(first) == EACCES &&
		sandbox_denies(path, R_OK))
		advice = "it was elsewhere when promptd closed its sandbox: restart promptd";
	error_set(error, "%s \"%s\": %s\n%s", what, path, reason != NULL ? reason : "unreadable",
		advice);
}

static bool
fill(const struct tls *tls, SSL_CTX *context, struct error *error)
{
	static const char ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_info_callback(context, on_info);
	SSL_CTX_set_default_passwd_cb(context, on_password);
	if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
		SSL_CTX_set_cipher_list(context, ciphers) != 1) {
		error_set(error, "TLS 1.2 with AES-GCM is not to be had from OpenSSL");
		return false;
	}
	if (SSL_CTX_use_certificate_chain_file(context, tls->certificate) != 1) {
		explain(error, "cannot take the certificate", tls->certificate,
			"give --tls-cert a PEM file with the certificate and its chain");
		return false;
	}
	if (SSL_CTX_use_PrivateKey_file(context, tls->key, SSL_FILETYPE_PEM) != 1) {
		explain(error, "cannot take the key", tls->key,
			"give --tls-key the PEM file of the certificate's key, without a password");
		return false;
	}
	return true;
}

/* OpenSSL would wait for who writes into a FIFO. */
static bool
is_file(const char *path, struct error *error)
{
	struct stat stat_of;
	if (stat(path, &stat_of) != 0 || S_ISREG(stat_of.st_mode))
		return true; /* what is not there, OpenSSL tells */
	error_set(error, "\"%s\" is not a regular file\ngive --tls-cert and --tls-key PEM files",
		path);
	return false;
}

/* What went wrong is always tried again: it may be one file that is not there yet. */
static enum settled_result
load(void *own, struct error *error)
{
	struct tls *tls = own;
	ERR_clear_error();
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	if (context == NULL) {
		error_set(error, "out of memory");
		return SETTLED_FAILED;
	}
	if (!is_file(tls->certificate, error) || !is_file(tls->key, error) ||
		!fill(tls, context, error)) {
		SSL_CTX_free(context);
		return SETTLED_FAILED;
	}
	pthread_mutex_lock(&tls->lock);
	SSL_CTX *before = tls->context;
	tls->context = context;
	pthread_mutex_unlock(&tls->lock);
	SSL_CTX_free(before);
	log_write(LOG_LEVEL_INFO, "the certificate is in force", LOG_TEXT("file", tls->certificate),
		LOG_END);
	return SETTLED_TAKEN;
}

struct tls *
tls_new(const char *certificate, const char *key, struct error *error)
{
	struct tls *tls = calloc(1, sizeof(*tls));
	if (tls == NULL || pthread_mutex_init(&tls->lock, NULL) != 0) {
		free(tls);
		error_set(error, "out of memory");
		return NULL;
	}
	tls->certificate = certificate;
	tls->key = key;
	const struct settled_terms terms = {
		.paths = {certificate, key},
		.instead = "the last good certificate stays in force",
		.load = load,
		.context = tls
        };
	if (settled_begin(&tls->files, &terms, error) == 0)
		return tls;
	tls_free(tls);
	return NULL;
}

void
tls_free(struct tls *tls)
{
	if (tls == NULL)
		return;
	SSL_CTX_free(tls->context);
	pthread_mutex_destroy(&tls->lock);
	free(tls);
}

int64_t
tls_refresh(struct tls *tls, int64_t now_ms)
{
	return tls != NULL ? settled_refresh(&tls->files, now_ms) : 0;
}

struct bufferevent *
tls_open(struct tls *tls, struct event_base *base, struct tls_peer *peer)
{
	pthread_mutex_lock(&tls->lock);
	SSL_CTX *context = tls->context;
	SSL_CTX_up_ref(context);
	pthread_mutex_unlock(&tls->lock);
	SSL *session = SSL_new(context);
	SSL_CTX_free(context);
	if (session == NULL)
		return NULL;
	SSL_set_app_data(session, peer);
	return bufferevent_openssl_socket_new(
		base, -1, session, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
}
