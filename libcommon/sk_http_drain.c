/* The end of a server: nobody who was let in goes without his answer.
 *
 * - The port is closed first. Who connects from then on is refused, which says that nothing was
 *   done, so that a gateway may ask another replica whatever the request is. To take requests
 *   and answer 503 was the alternative; but no gateway can tell that 503 from one that came
 *   after half of the work.
 * - A request that is there, or comes on a connection that was let in, is handled, and its
 *   answer closes the connection. Connections between two requests are closed. A gateway that
 *   has just used such a one sees it end without an answer; so it sends what must
 *   not be done twice on new connections only (config/gateway).
 * - Who connected and said nothing is waited for SILENCE_US, and everybody as long as a request
 *   may take. Then civetweb is stopped. Streams are no connections of civetweb's (sk_http_live.c).
 *
 * civetweb keeps its listening socket to itself until it stops, and then it writes no more
 * answers. So the socket is looked for by its port, shut, and its place taken by one on which
 * nothing ever arrives: to close the number itself would leave civetweb polling whatever
 * got it next. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <civetweb.h>

#include "sk_http_internal.h"
#include "sk_log.h"
#include "sk_time.h"

#define DESCRIPTORS_LOOKED_AT 1024
#define BACKLOG_LOOKS	      1000 /* a millisecond each; one is enough unless all is busy */
#define QUIET_LOOKS	      5	   /* civetweb may hold a connection between two of its threads */
#define LOOK_MS		      2
#define SILENCE_US	      SK_SECOND_US

static bool is_listener(int fd, int port)
{
	struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
	socklen_t size = sizeof(address), flag_size = sizeof(int);
	int listens = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &flag_size) != 0 || !listens ||
	    getsockname(fd, (struct sockaddr *)&address, &size) != 0)
		return false;
	if (address.ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)&address)->sin_port) == port;
	return address.ss_family == AF_INET6 &&
	       ntohs(((const struct sockaddr_in6 *)&address)->sin6_port) == port;
}

int sk__drain_find_listener(struct mg_context *server)
{
	struct mg_server_port port;

	for (int fd = 0; fd < DESCRIPTORS_LOOKED_AT && mg_get_server_ports(server, 1, &port) == 1;
	     fd++)
		if (is_listener(fd, port.port))
			return fd;
	sk_log(SK_LOG_WARN, NULL, "a stop will cut off who connects meanwhile: no socket listens");
	return -1;
}

/* A connection that the kernel has made and civetweb has not accepted would be reset, with
 * its request sent already. */
static void await_empty_backlog(int listener)
{
	struct pollfd queue = { .fd = listener, .events = POLLIN };

	for (int look = 0; look < BACKLOG_LOOKS && poll(&queue, 1, 0) == 1; look++)
		sk_time_sleep_ms(1);
}

static void stop_listening(int listener)
{
	int silent;

	if (listener < 0)
		return;
	await_empty_backlog(listener);
	shutdown(listener, SHUT_RDWR);
	silent = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (silent < 0)
		return;
	dup3(silent, listener, O_CLOEXEC);
	close(silent);
}

void sk__drain(struct sk_http *http)
{
	int64_t began_us = sk_time_monotonic_us();
	int quiet = 0;

	atomic_store(&http->draining, true);
	stop_listening(http->plain.socket);
	stop_listening(http->live.socket);
	sk__watch_release(http->watch, SK__RELEASE_KEPT);
	while (quiet < QUIET_LOOKS) {
		int64_t took_us = sk_time_monotonic_us() - began_us;

		quiet = sk__watch_connections(http->watch) == 0 ? quiet + 1 : 0;
		if (took_us > http->timeout_ms * 1000) {
			sk_log(SK_LOG_WARN, NULL,
			       "requests still ran after %lld ms; they get no answer",
			       (long long)http->timeout_ms);
			break;
		}
		if (took_us > SILENCE_US)
			sk__watch_release(http->watch, SK__RELEASE_SILENT);
		sk_time_sleep_ms(LOOK_MS);
	}
	sk__watch_release(http->watch, SK__RELEASE_ALL);
}
