/* Ways in which a store can be away, for the contract tests of the stores. */
#ifndef STORE_FAULTS_H
#define STORE_FAULTS_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../sk_time.h"
#include "unit.h"

#define QUICKLY_MS 500 /* no wait of ours is in it, only the machine's */

/* A port of loopback: the kernel accepts connections for it, and nobody ever answers, as where
 * a server was stopped. Once the socket is closed nobody listens: connections are refused. */
struct silent_server {
	int socket, port;
};

static inline struct silent_server silent_server_open(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	struct silent_server silent = { .socket = socket(AF_INET, SOCK_STREAM, 0) };

	assert_true(silent.socket >= 0);
	assert_int_equal(bind(silent.socket, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(silent.socket, 64), 0);
	assert_int_equal(getsockname(silent.socket, (struct sockaddr *)&address, &len), 0);
	silent.port = ntohs(address.sin_port);
	return silent;
}

static inline void silent_server_close(struct silent_server *silent)
{
	close(silent->socket);
	silent->socket = -1;
}

/* What a program is told by its environment; skips the test where it is not. */
static inline const char *needed(const char *name)
{
	const char *value = getenv(name);

	if (value == NULL || value[0] == '\0') {
		print_message("%s is not set: skipped\n", name);
		skip();
	}
	return value;
}

static inline int64_t since_ms(int64_t began_us)
{
	return (sk_time_monotonic_us() - began_us) / 1000;
}

/* Asks again and again whether it is so, for within_ms at most. */
static inline bool eventually(bool (*is_so)(void *arg), void *arg, int64_t within_ms)
{
	int64_t began_us = sk_time_monotonic_us();

	while (!is_so(arg)) {
		if (since_ms(began_us) > within_ms)
			return false;
		poll(NULL, 0, 5); /* the servers need the processor, too */
	}
	return true;
}

#endif
