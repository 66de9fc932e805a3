/* The pool of Valkey connections. hiredis blocks, with the time-outs of its socket; a context
 * that failed or timed out is dead (hiredis says so itself) and is thrown away.
 *
 * Down is a state: after a failure to connect the pool answers SK_UNAVAILABLE at once, and one
 * caller tries again when the back-off is over. What Valkey holds may be lost, so
 * a quick "not now" is worth more than a late answer. */
#include "sk_kv.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

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
	pthread_condattr_t monotonic;
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
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&kv->returned, &monotonic);
	pthread_condattr_destroy(&monotonic);
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

static bool log_in(const struct sk_kv *kv, redisContext *connection)
{
	redisReply *reply;
	bool ok;

	if (kv->url.password[0] == '\0')
		return true;
	reply = kv->url.user[0] != '\0'
			? redisCommand(connection, "AUTH %s %s", kv->url.user, kv->url.password)
			: redisCommand(connection, "AUTH %s", kv->url.password);
	ok = reply != NULL && reply->type == REDIS_REPLY_STATUS;
	if (!ok)
		sk_log(SK_LOG_WARN, NULL, "Valkey refuses to log us in: %s",
		       reply != NULL ? reply->str : connection->errstr);
	if (reply != NULL)
		freeReplyObject(reply);
	return ok;
}

/* A connection that is logged in, or NULL (the reason is logged). */
static redisContext *connect_now(const struct sk_kv *kv)
{
	struct timeval timeout = { .tv_sec = kv->timeout_ms / 1000,
				   .tv_usec = (suseconds_t)(kv->timeout_ms % 1000) * 1000 };
	redisContext *connection = kv->url.path[0] != '\0'
					   ? redisConnectUnixWithTimeout(kv->url.path, timeout)
					   : redisConnectWithTimeout(kv->url.host, kv->url.port,
								     timeout);

	if (connection == NULL)
		abort();
	if (connection->err == 0 && redisSetTimeout(connection, timeout) == REDIS_OK &&
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
	*out = connect_now(kv);
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

static enum sk_status take(struct sk_kv *kv, struct sk_context *context, redisContext **out)
{
	int64_t end_us = sk_time_monotonic_us() +
			 sk_context_remaining_ms(context, kv->timeout_ms) * 1000;
	struct timespec until = { .tv_sec = end_us / SK_SECOND_US,
				  .tv_nsec = end_us % SK_SECOND_US * 1000 };
	bool too_early;

	assert(kv->magic == KV_MAGIC);
	pthread_mutex_lock(&kv->mutex);
	while (kv->idle_count == 0 && kv->open_count == kv->limit) {
		if (pthread_cond_timedwait(&kv->returned, &kv->mutex, &until) != 0) {
			pthread_mutex_unlock(&kv->mutex);
			return sk_fail(context, SK_UNAVAILABLE, "cache_busy",
				       "no connection to Valkey became free in time");
		}
	}
	if (kv->idle_count > 0) {
		*out = kv->idle[--kv->idle_count];
		pthread_mutex_unlock(&kv->mutex);
		return SK_OK;
	}
	too_early = sk_time_monotonic_us() < kv->retry_after_us;
	if (!too_early) {
		kv->open_count++;
		if (kv->failures > 0) /* one tries, the others fail at once meanwhile */
			kv->retry_after_us = sk_time_monotonic_us() +
					     (int64_t)kv->timeout_ms * 1000;
	}
	pthread_mutex_unlock(&kv->mutex);
	return too_early ? unavailable(context) : open_one(kv, context, out);
}

static void give(struct sk_kv *kv, redisContext *connection)
{
	bool dead = connection->err != 0;

	if (dead)
		redisFree(connection);
	pthread_mutex_lock(&kv->mutex);
	if (dead)
		kv->open_count--;
	else
		kv->idle[kv->idle_count++] = connection;
	pthread_cond_signal(&kv->returned);
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

static enum sk_status failed(const redisContext *connection, struct sk_context *context)
{
	if (connection->err == REDIS_ERR_IO)
		return sk_fail(context, SK_TIMEOUT, "cache_timeout",
			       "Valkey did not answer in time");
	return sk_fail(context, SK_UNAVAILABLE, "cache_unavailable",
		       "the connection to Valkey was lost");
}

/* Reads count answers. An error answer does not end it: the rest must be read, too. */
static enum sk_status read_replies(redisContext *connection, struct sk_context *context,
				   size_t count, struct sk_kv_reply *replies)
{
	enum sk_status first = SK_OK;

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
	return first;
}

/* One round trip on one connection. */
static enum sk_status round_trip(struct sk_kv *kv, struct sk_context *context,
				 const struct sk_kv_command *commands, size_t count,
				 struct sk_kv_reply *replies, bool *lost)
{
	redisContext *connection = NULL;
	enum sk_status st = take(kv, context, &connection);

	*lost = false;
	if (st != SK_OK)
		return st;
	assert(connection != NULL);
	for (size_t i = 0; i < count; i++)
		append(connection, &commands[i]);
	st = read_replies(connection, context, count, replies);
	*lost = connection->err == REDIS_ERR_EOF;
	give(kv, connection);
	return st;
}

enum sk_status sk_kv_pipeline(struct sk_kv *kv, struct sk_context *context,
			      const struct sk_kv_command *commands, size_t count,
			      struct sk_kv_reply *replies)
{
	int64_t began_us = sk_time_monotonic_us();
	bool lost = false;
	enum sk_status st = round_trip(kv, context, commands, count, replies, &lost);

	/* The server closed a connection that was idle (it was restarted): others may be as
	 * dead, so every one of the pool may be found out before one is new. */
	for (int i = 0; lost && i < kv->limit; i++) {
		sk_context_clear_error(context);
		st = round_trip(kv, context, commands, count, replies, &lost);
	}
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
