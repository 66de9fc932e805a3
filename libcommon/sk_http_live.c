/* From a request to a stream of events.
 *
 * civetweb has a thread for each connection, to its end. A stream that lasts an hour would hold
 * one all that time, and as many idle ones would have to stand ready: 25 KiB for each, open or not.
 * So when a handler has asked for a stream and its head is sent, the connection is taken
 * away from civetweb, and the thread is free. civetweb gives its sockets to nobody; but the socket is among the
 * process's files, known by the port that it comes from, and while this thread is in its request nobody
 * else touches it. Its number is given another socket, one that has ended, and civetweb
 * closes that.
 *
 * Refused: a thread for each stream (measured: 20 MB for 640 of them, 31 MB with 500 in use);
 * a server of our own for streams, with its own reading of HTTP; chunks, since the end of the
 * connection is the end of the stream. */
#include "sk_http_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <civetweb.h>

#include "sk_log.h"

#define CLOSED_MAX  1024
#define OTHER_FILES 512
#define FIRST_WORDS "retry: 3000\n\n" /* milliseconds until a client that lost us comes back */

/* ---- what handlers see ---- */

void sk_reply_live(struct sk_reply *reply, const struct sk_live_plan *plan)
{
	struct sk_arena *arena = reply->request->context.arena;

	sk_reply_bytes(reply, 200, "text/event-stream", FIRST_WORDS, sizeof(FIRST_WORDS) - 1);
	sk_reply_header(reply, "Cache-Control", "no-store");
	reply->plan = *plan;
	reply->plan.topic = sk_arena_strdup(arena, plan->topic);
	reply->plan.state = sk_arena_memdup(arena, plan->state, plan->state_size);
}

enum sk_status sk_request_last_event_id(struct sk_request *request, int64_t *id)
{
	const char *told = sk_request_header(request, "Last-Event-ID");

	*id = 0;
	if (told == NULL || told[0] == '\0')
		told = sk_request_query(request, "last_event_id");
	if (told == NULL || told[0] == '\0' || sk__live_parse_id(told, id))
		return SK_OK;
	return sk_fail(&request->context, SK_INVALID, "invalid_last_event_id",
		       "Last-Event-ID is the id of an event that was received");
}

/* ---- coming in ---- */

bool sk__live_admit(struct sk_request *request)
{
	struct sk_live *live = request->http->parts->live;
	enum sk_status st = sk__live_reserve(live, &request->context, &request->stream);

	if (st == SK_OK && !sk__live_begin_open(live, request->context.deadline_us))
		st = sk_fail(&request->context, SK_UNAVAILABLE, "busy",
			     "too many streams open at this moment");
	if (st != SK_OK)
		sk__reply_problem(request, st);
	return st == SK_OK;
}

/* ---- taking the connection ---- */

struct end {
	char address[INET6_ADDRSTRLEN];
	int port; /* -1: it has none */
};

typedef int name_fn(int fd, struct sockaddr *address, socklen_t *len);

static struct end end_of(int fd, name_fn *name)
{
	struct end end = { .port = -1 };
	struct sockaddr_storage storage = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(storage);
	const struct sockaddr_in *v4 = (const void *)&storage;
	const struct sockaddr_in6 *v6 = (const void *)&storage;

	if (name(fd, (struct sockaddr *)&storage, &len) != 0)
		return end;
	if (storage.ss_family == AF_INET &&
	    inet_ntop(AF_INET, &v4->sin_addr, end.address, sizeof(end.address)) != NULL)
		end.port = ntohs(v4->sin_port);
	else if (storage.ss_family == AF_INET6 &&
		 inet_ntop(AF_INET6, &v6->sin6_addr, end.address, sizeof(end.address)) != NULL)
		end.port = ntohs(v6->sin6_port);
	return end;
}

static bool is_connection(int fd, const struct mg_request_info *info)
{
	struct end peer = end_of(fd, getpeername);

	return peer.port == info->remote_port && strcmp(peer.address, info->remote_addr) == 0 &&
	       end_of(fd, getsockname).port == info->server_port;
}

/* -1 where it is not found. */
static int find_connection(const struct mg_request_info *info)
{
	int closed = 0; /* numbers in a row; a new file has the lowest that is free */

	for (int fd = 0; closed < CLOSED_MAX; fd++) {
		if (is_connection(fd, info))
			return fd;
		closed = fcntl(fd, F_GETFD) < 0 ? closed + 1 : 0;
	}
	return -1;
}

/* The connection under another number, which is ours; -1 where that cannot be. */
static int take_connection(const struct mg_request_info *info)
{
	int theirs = find_connection(info);
	int ours = theirs < 0 ? -1 : fcntl(theirs, F_DUPFD_CLOEXEC, 0);
	int ended[2];

	if (ours < 0)
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ended) != 0) {
		close(ours);
		return -1;
	}
	close(ended[1]);
	if (dup3(ended[0], theirs, O_CLOEXEC) < 0) {
		close(ours);
		ours = -1;
	}
	close(ended[0]);
	return ours;
}

void sk__live_hand_over(struct sk_request *request)
{
	struct sk_live *live = request->http->parts->live;
	int socket;

	if (request->stream == NULL)
		return;
	if (request->reply.plan.read != NULL && strcmp(request->method, "HEAD") != 0) {
		socket = take_connection(request->info);
		if (socket >= 0)
			sk__live_start(live, &request->stream, socket, &request->reply.plan,
				       &request->context.trace);
		else
			sk_log(SK_LOG_ERROR, &request->context,
			       "a stream's connection cannot be taken: %s", strerror(errno));
	}
	sk__live_cancel(live, &request->stream);
}

/* ---- start ---- */

void sk__live_allow_files(int64_t streams)
{
	rlim_t needed = (rlim_t)streams + OTHER_FILES;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed)
		return;
	limit.rlim_cur = needed < limit.rlim_max ? needed : limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < needed)
		sk_log(SK_LOG_WARN, NULL,
		       "%lld streams (LIVE_MAX_OPEN) need %lld files, more than there may be",
		       (long long)streams, (long long)needed);
}
