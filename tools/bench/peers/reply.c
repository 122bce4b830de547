#include "reply.h"

#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void
read_file(struct reply *reply, const char *file)
{
	FILE *stream = fopen(file, "rb");

	if (stream == NULL)
		err(1, "%s", file);
	reply->bytes = calloc(1, 65536);
	if (reply->bytes == NULL)
		err(1, "%s", file);
	reply->length = fread(reply->bytes, 1, 65535, stream);
	fclose(stream);
}

/* The names and values are kept in a copy of the head. */
static void
read_headers(struct reply *reply, const char *file, char *head)
{
	char *line, *rest;

	if (strtok_r(head, "\r\n", &rest) == NULL)
		errx(1, "%s: no status line", file);
	while ((line = strtok_r(NULL, "\r\n", &rest)) != NULL) {
		char *colon = strstr(line, ": ");
		if (colon == NULL || reply->n_headers == REPLY_MAX_HEADERS)
			errx(1, "%s: not a header, or too many: %s", file, line);
		*colon = '\0';
		reply->headers[reply->n_headers].name = line;
		reply->headers[reply->n_headers++].value = colon + 2;
	}
}

void
reply_load(struct reply *reply, const char *file)
{
	const char *end;

	memset(reply, 0, sizeof(*reply));
	read_file(reply, file);
	end = strstr(reply->bytes, "\r\n\r\n");
	if (end == NULL)
		errx(1, "%s: not a reply of HTTP", file);
	reply->body = end + 4;
	reply->body_length = reply->length - (size_t)(reply->body - reply->bytes);
	reply->head = strndup(reply->bytes, (size_t)(end - reply->bytes));
	if (reply->head == NULL)
		err(1, "%s", file);
	read_headers(reply, file, reply->head);
}

int
listen_on_loopback(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) != 0 || listen(fd, 1024) != 0 ||
		getsockname(fd, (struct sockaddr *)&address, &length) != 0)
		err(1, "listen");
	fprintf(stderr, "listening on http://127.0.0.1:%d\n", ntohs(address.sin_port));
	return fd;
}
