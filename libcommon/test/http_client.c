#include "http_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in) { .sin_family = AF_INET,
				      .sin_port = htons((uint16_t)port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

int http_free_port(void)
{
	struct sockaddr_in address = loopback(0);
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &len) != 0)
		abort();
	close(fd);
	return ntohs(address.sin_port);
}

void http_connect(struct http_client *client, int port)
{
	struct sockaddr_in address = loopback(port);

	client->len = 0;
	client->bytes = malloc(ANSWER_MAX_BYTES + 1);
	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->bytes == NULL || client->fd < 0 ||
	    connect(client->fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		abort();
}

bool http_refused(int port)
{
	struct sockaddr_in address = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool refused = connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0 &&
		       errno == ECONNREFUSED;

	close(fd);
	return refused;
}

void http_close(struct http_client *client)
{
	close(client->fd);
	free(client->bytes);
}

bool http_send(struct http_client *client, const void *data, size_t len)
{
	const char *at = data;

	while (len > 0) {
		ssize_t sent = send(client->fd, at, len, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return false;
		at += sent;
		len -= (size_t)sent;
	}
	return true;
}

bool http_say(struct http_client *client, const char *format, ...)
{
	char text[32 * 1024];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len < 0 || (size_t)len >= sizeof(text))
		abort();
	return http_send(client, text, (size_t)len);
}

void http_end_sending(struct http_client *client)
{
	shutdown(client->fd, SHUT_WR);
}

bool http_wait(struct http_client *client, int wait_ms)
{
	struct pollfd waiting = { .fd = client->fd, .events = POLLIN };

	return client->len > 0 || poll(&waiting, 1, wait_ms) > 0;
}

/* More bytes. False at the end, or where nothing comes in time. */
static bool read_more(struct http_client *client)
{
	struct pollfd waiting = { .fd = client->fd, .events = POLLIN };
	ssize_t got;

	if (client->len == ANSWER_MAX_BYTES || poll(&waiting, 1, ANSWER_WAIT_MS) <= 0)
		return false;
	got = recv(client->fd, client->bytes + client->len, ANSWER_MAX_BYTES - client->len, 0);
	if (got <= 0)
		return false;
	client->len += (size_t)got;
	return true;
}

/* Takes so many bytes from the front of what was received. */
static void take(struct http_client *client, void *out, size_t len)
{
	memcpy(out, client->bytes, len);
	client->len -= len;
	memmove(client->bytes, client->bytes + len, client->len);
}

static bool receive_head(struct http_client *client, struct http_answer *answer)
{
	char *end = NULL;
	size_t len;

	do {
		client->bytes[client->len] = '\0';
		end = strstr(client->bytes, "\r\n\r\n");
	} while (end == NULL && read_more(client));
	if (end == NULL)
		return false;
	len = (size_t)(end - client->bytes) + 4;
	if (len >= sizeof(answer->head))
		abort();
	take(client, answer->head, len);
	answer->head[len] = '\0';
	return strncmp(answer->head, "HTTP/1.1 ", 9) == 0;
}

void http_receive(struct http_client *client, struct http_answer *answer, bool of_head)
{
	static char body[ANSWER_MAX_BYTES + 1];
	const char *length;

	*answer = (struct http_answer) { .body = body };
	if (!receive_head(client, answer))
		return;
	length = http_header(answer, "Content-Length");
	answer->len = length != NULL && !of_head ? strtoul(length, NULL, 10) : 0;
	while (client->len < answer->len)
		if (!read_more(client))
			return;
	take(client, body, answer->len);
	body[answer->len] = '\0';
	answer->status = (int)strtol(answer->head + 9, NULL, 10);
}

bool http_ended(struct http_client *client)
{
	return client->len == 0 && http_wait(client, ANSWER_WAIT_MS) && !read_more(client);
}

const char *http_header(const struct http_answer *answer, const char *name)
{
	static char value[1024];
	size_t name_len = strlen(name);

	for (const char *line = strstr(answer->head, "\r\n"); line != NULL;
	     line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, name_len) == 0 && line[name_len] == ':') {
			line += name_len + 1;
			line += strspn(line, " ");
			snprintf(value, sizeof(value), "%.*s", (int)strcspn(line, "\r"), line);
			return value;
		}
	}
	return NULL;
}
