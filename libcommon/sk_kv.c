/* The pool of Valkey connections. hiredis blocks, with the time-outs of its socket; a context
 * that failed or timed out is dead and is thrown away.
 *
 * Down is a state: after a failure the pool answers SK_UNAVAILABLE at once, and one caller tries
 * a new connection when the back-off is over. What Valkey holds may be lost, so a quick "not
 * now" is worth more than a late answer.
 *
 * Nothing is sent twice: a command whose answer did not come may have been done, and a cart would
 * count double. A connection that the server closed while it was idle (a restart) is
 * found out before anything is sent on it instead. */
#include "sk_kv.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "sk_condition.h"
#include "sk_kv_internal.h"
#include "sk_log.h"
#include "sk_metrics.h"
#include "sk_time.h"

#define KV_MAGIC	0x6b76706fu
#define RETRY_BASE_MS	50
#define RETRY_MAX_MS	1000
#define REPLY_DEPTH_MAX 8 /* hiredis 0.14 itself stops at 7 */

struct sk_kv {
	unsigned magic;
	struct sk__kv_url url;
	int timeout_ms;
	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t returned;
	redisContext **idle;
	int idle_count, open_count, limit;
	int failures;
	int64_t retry_after_us;
	struct sk_metric *duration, *errors;
};

struct sk_kv *sk_kv_open(const struct sk_kv_options *options, const char *pool_name,
			 struct sk_metrics *metrics)
{
	struct sk_kv *kv = calloc(1, sizeof(*kv));
	char labels[64];

	if (kv == NULL)
		abort();
	kv->magic = KV_MAGIC;
	if (!sk__kv_url_parse(options->url, &kv->url)) {
		/* Not shown: it holds a password. */
		sk_log(SK_LOG_ERROR, NULL, "VALKEY_URL (pool %s) is no URL of redis:// or unix://",
		       pool_name);
		exit(2);
	}
	kv->timeout_ms = options->timeout_ms;
	kv->limit = options->connections;
	kv->idle = calloc((size_t)kv->limit, sizeof(redisContext *));
	if (kv->idle == NULL)
		abort();
	pthread_mutex_init(&kv->mutex, NULL);
	sk_condition_init(&kv->returned);
	if (metrics != NULL) {
		snprintf(labels, sizeof(labels), "pool=\"%s\"", pool_name);
		kv->duration = sk_metrics_histogram(metrics, "souk_kv_command_seconds",
						    "time of one round trip to Valkey", labels);
		kv->errors = sk_metrics_counter(metrics, "souk_kv_errors_total",
						"round trips to Valkey that failed", labels);
	}
	return kv;
}

void sk_kv_close(struct sk_kv **kv_in)
{
	struct sk_kv *kv = *kv_in;

	if (kv == NULL)
		return;
	*kv_in = NULL;
	assert(kv->magic == KV_MAGIC);
	for (int i = 0; i < kv->idle_count; i++)
		redisFree(kv->idle[i]);
	pthread_cond_destroy(&kv->returned);
	pthread_mutex_destroy(&kv->mutex);
	sodium_memzero(&kv->url, sizeof(kv->url));
	free(kv->idle);
	kv->magic = 0;
	free(kv);
}

/* ---- connections ---- */

/* Lets the connection wait until then and no longer. False where that is now. */
static bool set_limit(redisContext *connection, int64_t end_us)
{
	int64_t left_us = end_us - sk_time_monotonic_us();
	struct timeval limit = { .tv_sec = left_us / SK_SECOND_US,
				 .tv_usec = left_us % SK_SECOND_US };

	return left_us > 0 && redisSetTimeout(connection, limit) == REDIS_OK;
}

/* Logs in, or where there is no password at least has an answer: a server that was stopped
 * accepts connections, too. */
static bool log_in(const struct sk_kv *kv, redisContext *connection)
{
	redisReply *reply;
	bool ok;

	if (kv->url.password[0] == '\0')
		reply = redisCommand(connection, "PING");
	else if (kv->url.user[0] != '\0')
		reply = redisCommand(connection, "AUTH %s %s", kv->url.user, kv->url.password);
	else
		reply = redisCommand(connection, "AUTH %s", kv->url.password);
	ok = reply != NULL && reply->type == REDIS_REPLY_STATUS;
	if (!ok)
		sk_log(SK_LOG_WARN, NULL, "Valkey refuses to log us in: %s",
		       reply != NULL ? reply->str : connection->errstr);
	if (reply != NULL)
		freeReplyObject(reply);
	return ok;
}

/* A connection that is logged in, or NULL (the reason is logged). */
static redisContext *connect_now(const struct sk_kv *kv, int64_t timeout_ms)
{
	int64_t end_us = sk_time_monotonic_us() + timeout_ms * 1000;
	struct timeval timeout = { .tv_sec = timeout_ms / 1000,
				   .tv_usec = timeout_ms % 1000 * 1000 };
	redisContext *connection = kv->url.path[0] != '\0'
					   ? redisConnectUnixWithTimeout(kv->url.path, timeout)
					   : redisConnectWithTimeout(kv->url.host, kv->url.port,
								     timeout);

	if (connection == NULL)
		abort();
	if (connection->err == 0 && set_limit(connection, end_us) &&
	    (kv->url.path[0] != '\0' || redisEnableKeepAlive(connection) == REDIS_OK) &&
	    log_in(kv, connection))
		return connection;
	if (connection->err != 0)
		sk_log(SK_LOG_WARN, NULL, "cannot reach Valkey (VALKEY_URL): %s",
		       connection->errstr);
	redisFree(connection);
	return NULL;
}

static enum sk_status unavailable(struct sk_context *context)
{
	return sk_fail(context, SK_UNAVAILABLE, "cache_unavailable", "Valkey cannot be reached");
}

/* Opens one more; the caller has counted it. */
static enum sk_status open_one(struct sk_kv *kv, struct sk_context *context, redisContext **out)
{
	*out = connect_now(kv, sk_context_remaining_ms(context, kv->timeout_ms));
	pthread_mutex_lock(&kv->mutex);
	if (*out != NULL) {
		kv->failures = 0;
		kv->retry_after_us = 0;
	} else {
		kv->open_count--;
		kv->retry_after_us = sk_time_monotonic_us() +
				     1000 * (RETRY_BASE_MS + sk_time_backoff_ms(kv->failures++,
										RETRY_BASE_MS,
										RETRY_MAX_MS));
		pthread_cond_signal(&kv->returned);
	}
	pthread_mutex_unlock(&kv->mutex);
	return *out != NULL ? SK_OK : unavailable(context);
}

/* Whether the server closed it. An idle connection has nothing to say but that. */
static bool is_dead(const redisContext *connection)
{
	struct pollfd socket = { .fd = connection->fd, .events = POLLIN };

	return poll(&socket, 1, 0) != 0;
}

/* An idle connection that lives, or NULL. Caller holds kv->mutex. */
static redisContext *take_idle(struct sk_kv *kv)
{
	while (kv->idle_count > 0) {
		redisContext *connection = kv->idle[--kv->idle_count];

		if (!is_dead(connection))
			return connection;
		redisFree(connection);
		kv->open_count--;
	}
	return NULL;
}

/* Counts one more connection, which the caller is to open; false while it is too early for
 * another attempt. Caller holds kv->mutex. */
static bool reserve_one(struct sk_kv *kv)
{
	if (sk_time_monotonic_us() < kv->retry_after_us)
		return false;
	kv->open_count++;
	if (kv->failures > 0) /* one tries, the others fail at once meanwhile */
		kv->retry_after_us = sk_time_monotonic_us() + (int64_t)kv->timeout_ms * 1000;
	return true;
}

static enum sk_status take(struct sk_kv *kv, struct sk_context *context, redisContext **out)
{
	int64_t end_us = sk_time_monotonic_us() +
			 sk_context_remaining_ms(context, kv->timeout_ms) * 1000;
	bool may_open;

	assert(kv->magic == KV_MAGIC);
	pthread_mutex_lock(&kv->mutex);
	while (kv->idle_count == 0 && kv->open_count == kv->limit) {
		if (!sk_condition_wait(&kv->returned, &kv->mutex, end_us)) {
			pthread_mutex_unlock(&kv->mutex);
			return sk_fail(context, SK_UNAVAILABLE, "cache_busy",
				       "no connection to Valkey became free in time");
		}
	}
	*out = take_idle(kv);
	may_open = *out == NULL && reserve_one(kv);
	pthread_mutex_unlock(&kv->mutex);
	if (*out != NULL)
		return SK_OK;
	return may_open ? open_one(kv, context, out) : unavailable(context);
}

static void give(struct sk_kv *kv, redisContext *connection)
{
	pthread_mutex_lock(&kv->mutex);
	kv->idle[kv->idle_count++] = connection;
	pthread_cond_signal(&kv->returned);
	pthread_mutex_unlock(&kv->mutex);
}

/* Throws a connection away. Where the server itself gave no answer the idle ones would cost
 * a time-out each: they go, too, and the next caller is the one that tries. */
static void discard(struct sk_kv *kv, redisContext *connection, bool server_is_silent)
{
	redisFree(connection);
	pthread_mutex_lock(&kv->mutex);
	kv->open_count--;
	while (server_is_silent && kv->idle_count > 0) {
		redisFree(kv->idle[--kv->idle_count]);
		kv->open_count--;
	}
	if (server_is_silent && kv->failures == 0)
		kv->failures = 1;
	pthread_cond_broadcast(&kv->returned);
	pthread_mutex_unlock(&kv->mutex);
}

/* ---- commands ---- */

static void free_reply(void *reply)
{
	freeReplyObject(reply);
}

/* The error answers that mean something to us, by their first word. */
static enum sk_status error_answer(struct sk_context *context, const char *words)
{
	if (strncmp(words, "NOPERM", 6) == 0)
		return sk_fail(context, SK_FORBIDDEN, "cache_refused", "Valkey refuses: %s", words);
	if (strncmp(words, "LOADING", 7) == 0 || strncmp(words, "NOSCRIPT", 8) == 0 ||
	    strstr(words, "Function not found") != NULL || strncmp(words, "READONLY", 8) == 0 ||
	    strncmp(words, "NOAUTH", 6) == 0 || strncmp(words, "OOM", 3) == 0)
		return sk_fail(context, SK_UNAVAILABLE, "cache_unavailable", "Valkey says: %s",
			       words);
	return sk_fail(context, SK_INTERNAL, "cache_error", "Valkey says: %s", words);
}

/* The reply in our terms; strings stay where hiredis put them. */
static enum sk_status convert(struct sk_context *context,
			      const redisReply *from, /* NOLINT(misc-no-recursion) */
			      struct sk_kv_reply *to, int depth)
{
	*to = (struct sk_kv_reply) { .kind = SK_KV_NIL, .text = "" };
	switch (from->type) {
	case REDIS_REPLY_ERROR:
		return error_answer(context, from->str);
	case REDIS_REPLY_STRING:
	case REDIS_REPLY_STATUS:
		to->kind = SK_KV_TEXT;
		to->text = from->str;
		to->len = (size_t)from->len;
		return SK_OK;
	case REDIS_REPLY_INTEGER:
		to->kind = SK_KV_INT;
		to->number = from->integer;
		return SK_OK;
	case REDIS_REPLY_ARRAY:
		to->kind = SK_KV_LIST;
		to->count = from->elements;
		break;
	default:
		return SK_OK;
	}
	if (depth == REPLY_DEPTH_MAX)
		return sk_fail(context, SK_INTERNAL, "cache_error",
			       "Valkey's answer is nested too deeply");
	to->items = sk_arena_array(context->arena, to->count + 1, sizeof(*to->items));
	for (size_t i = 0; i < to->count; i++) {
		enum sk_status st = convert(context, from->element[i], &to->items[i], depth + 1);

		if (st != SK_OK)
			return st;
	}
	return SK_OK;
}

static void append(redisContext *connection, const struct sk_kv_command *command)
{
	/* hiredis takes char **; it does not write through it. */
	redisAppendCommandArgv(connection, (int)command->argc,
			       (const char **)(uintptr_t)command->argv, command->lengths);
}

static enum sk_status timed_out(struct sk_context *context)
{
	return sk_fail(context, SK_TIMEOUT, "cache_timeout", "Valkey did not answer in time");
}

/* Why no answer came. errno is still that of hiredis. */
static enum sk_status failed(const redisContext *connection, struct sk_context *context)
{
	if (connection->err == REDIS_ERR_IO && errno == EAGAIN)
		return timed_out(context);
	return sk_fail(context, SK_UNAVAILABLE, "cache_unavailable",
		       "the connection to Valkey was lost");
}

/* Reads count answers. An error answer does not end it: the rest must be read, too.
 * *whole says whether all were read, and the connection can be used again. */
static enum sk_status read_replies(redisContext *connection, struct sk_context *context,
				   size_t count, struct sk_kv_reply *replies, bool *whole)
{
	enum sk_status first = SK_OK;

	*whole = false;
	for (size_t i = 0; i < count; i++) {
		struct sk_kv_reply unused;
		void *reply = NULL;
		enum sk_status st;

		if (redisGetReply(connection, &reply) != REDIS_OK || reply == NULL)
			return failed(connection, context);
		sk_arena_defer(context->arena, free_reply, reply);
		st = convert(context, reply, replies != NULL ? &replies[i] : &unused, 0);
		first = first == SK_OK ? st : first;
	}
	*whole = true;
	return first;
}

/* One round trip on one connection. */
static enum sk_status round_trip(struct sk_kv *kv, struct sk_context *context,
				 const struct sk_kv_command *commands, size_t count,
				 struct sk_kv_reply *replies)
{
	redisContext *connection = NULL;
	int64_t budget_ms = sk_context_remaining_ms(context, kv->timeout_ms);
	int64_t end_us = sk_time_monotonic_us() + budget_ms * 1000;
	bool whole = false;
	enum sk_status st;

	if (budget_ms == 0)
		return timed_out(context);
	st = take(kv, context, &connection);
	if (st != SK_OK)
		return st;
	assert(connection != NULL);
	if (!set_limit(connection, end_us)) {
		give(kv, connection); /* nothing was sent */
		return timed_out(context);
	}
	for (size_t i = 0; i < count; i++)
		append(connection, &commands[i]);
	st = read_replies(connection, context, count, replies, &whole);
	if (whole)
		give(kv, connection);
	else /* a caller in a hurry says nothing about the server */
		discard(kv, connection, st == SK_TIMEOUT && budget_ms == kv->timeout_ms);
	return st;
}

enum sk_status sk_kv_pipeline(struct sk_kv *kv, struct sk_context *context,
			      const struct sk_kv_command *commands, size_t count,
			      struct sk_kv_reply *replies)
{
	int64_t began_us = sk_time_monotonic_us();
	enum sk_status st = round_trip(kv, context, commands, count, replies);

	if (kv->duration != NULL) {
		sk_metric_observe_us(kv->duration, sk_time_monotonic_us() - began_us);
		sk_metric_add(kv->errors, st != SK_OK);
	}
	return st;
}

enum sk_status sk_kv_run(struct sk_kv *kv, struct sk_context *context, struct sk_kv_command command,
			 struct sk_kv_reply *reply)
{
	return sk_kv_pipeline(kv, context, &command, 1, reply);
}

enum sk_status sk_kv_ping(struct sk_kv *kv, struct sk_context *context)
{
	return sk_kv_run(kv, context, SK_KV("PING"), NULL);
}

const char *sk_kv_number(struct sk_arena *arena, int64_t value)
{
	return sk_arena_printf(arena, "%lld", (long long)value);
}
