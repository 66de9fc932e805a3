/* A client that sends bytes as they are, for what no library would send. */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#define ANSWER_MAX_BYTES (2 * 1024 * 1024)
#define ANSWER_WAIT_MS	 5000

struct http_client {
	int fd;
	size_t len; /* bytes received that no answer has taken */
	char *bytes;
};

struct http_answer {
	int status; /* 0: the connection ended or nothing came in time */
	char head[4096];
	char *body; /* ends in NUL; until the next call with the client */
	size_t len;
};

/* Aborts where there is no connection to be had. */
void http_connect(struct http_client *client, int port);
/* Whether a connection is refused. */
bool http_refused(int port);
void http_close(struct http_client *client);

/* False where the other side has closed. */
bool http_send(struct http_client *client, const void *data, size_t len);
bool http_say(struct http_client *client, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Half-closes: the server reads the end. */
void http_end_sending(struct http_client *client);

/* Whether something to read (or the end) comes within wait_ms. */
bool http_wait(struct http_client *client, int wait_ms);

/* The next answer; that of a HEAD has no body whatever its length says. */
void http_receive(struct http_client *client, struct http_answer *answer, bool of_head);

/* Whether the server has closed the connection, with nothing more to read. */
bool http_ended(struct http_client *client);

/* The value of a header of the answer; NULL where absent. In memory of its own, until
 * the next call. */
const char *http_header(const struct http_answer *answer, const char *name);

/* A port that nobody listens on now. */
int http_free_port(void);

#endif
