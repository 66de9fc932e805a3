/* The life of a service: configuration, stores, open, threads, serve, drain, close.
 *
 * A store that cannot be reached at start does not end the process: promise 6 says that
 * it costs only what it holds, at start as at any moment. /readyz names it meanwhile. A
 * wrong configuration does end it, with one line that names the variable.
 *
 * The schema is made by `soukctl provision`, with rights that a service has not. A
 * service that is newer than its schema says so in /readyz and serves nothing. */
#include "sk_service.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>
#include <sodium.h>

#include "sk_crash_report.h"
#include "sk_describe.h"

#define START_TIMEOUT_MS      5000
#define DESCRIPTION_MAX_BYTES ((size_t)1024 * 1024)
#define SCHEMA_FILES_MAX      64
#define RUN_MAGIC	      0x73657276u

extern const struct sk_file LIBCOMMON_MIGRATIONS[];

static const struct sk_sql SQL_SCHEMA_COUNT = {
	"schema_count",
	"SELECT count(*) FROM schema_migration WHERE name = ANY($1::text[])",
};

/* Everything of one run, in the order in which it is opened. */
struct run {
	unsigned magic;
	const struct sk_service *service;
	void *app;
	struct sk_context context;
	struct sk_config *config;
	struct sk_parts parts;
	bool app_open;
	struct sk_outbox *outbox;
	struct sk_consumers *consumers;
	struct sk_http *http;
	atomic_bool draining;
	atomic_bool schema_seen;
};

/* ---- ready ---- */

/* Whether every migration that this binary carries has been applied. */
static enum sk_status check_schema(struct run *run, struct sk_context *context)
{
	const char *names[SCHEMA_FILES_MAX];
	struct sk_rows rows;
	size_t count = 0;
	enum sk_status st;

	if (run->parts.pg == NULL || atomic_load(&run->schema_seen))
		return SK_OK;
	for (const struct sk_file *file = LIBCOMMON_MIGRATIONS;
	     file->name != NULL && count < SCHEMA_FILES_MAX; file++)
		names[count++] = sk_arena_printf(context->arena, "libcommon/%s", file->name);
	for (const struct sk_file *file = run->service->migrations;
	     file != NULL && file->name != NULL && count < SCHEMA_FILES_MAX; file++)
		names[count++] = file->name;
	st = sk_pg_run(run->parts.pg, context, &SQL_SCHEMA_COUNT,
		       SK_PARAMS(sk_text_array(context->arena, names, count)), &rows);
	if (st == SK_UNAVAILABLE || st == SK_TIMEOUT)
		return st;
	if (st != SK_OK || sk_row_int(&rows, 0, 0) < (int64_t)count) {
		sk_context_clear_error(context);
		return sk_fail(context, SK_UNAVAILABLE, "schema_missing",
			       "the schema of %s is not there or too old: run soukctl provision",
			       run->service->name);
	}
	atomic_store(&run->schema_seen, true);
	return SK_OK;
}

static enum sk_status ready(struct sk_parts *parts, struct sk_context *context)
{
	struct run *run = parts->ready_state;

	assert(run->magic == RUN_MAGIC);
	if (atomic_load(&run->draining))
		return sk_fail(context, SK_UNAVAILABLE, "draining", "the service is stopping");
	return check_schema(run, context);
}

/* ---- start ---- */

static enum sk_status require(struct run *run, const char *name)
{
	if (sk_config_text(run->config, name)[0] != '\0')
		return SK_OK;
	return sk_fail(&run->context, SK_INVALID, "configuration", "%s must be set", name);
}

static enum sk_status open_config(struct run *run)
{
	enum sk_status st = sk_config_open(run->service->config, &run->config, &run->context);

	if (st == SK_OK && run->service->uses_pg)
		st = require(run, "POSTGRES_URL");
	if (st == SK_OK && run->service->uses_kv)
		st = require(run, "VALKEY_URL");
	if (st == SK_OK)
		st = require(run, "NATS_URL");
	run->parts.config = run->config;
	return st;
}

static struct sk_kv *open_kv(struct run *run, const char *variable, const char *pool)
{
	return sk_kv_open(
		&(struct sk_kv_options) {
			.url = sk_config_text(run->config, variable),
			.connections = (int)sk_config_int(run->config, "VALKEY_CONNECTIONS"),
			.timeout_ms = (int)sk_config_int(run->config, "VALKEY_TIMEOUT_MS"),
		},
		pool, run->parts.metrics);
}

static void open_stores(struct run *run)
{
	struct sk_parts *parts = &run->parts;

	parts->metrics = sk_metrics_open();
	if (run->service->uses_pg)
		parts->pg = sk_pg_open(
			&(struct sk_pg_options) {
				.url = sk_config_text(run->config, "POSTGRES_URL"),
				.application_name = run->service->name,
				.connections = (int)sk_config_int(run->config,
								  "POSTGRES_CONNECTIONS"),
				.timeout_ms = (int)sk_config_int(run->config,
								 "POSTGRES_TIMEOUT_MS"),
			},
			parts->metrics);
	if (run->service->uses_kv) {
		bool apart = sk_config_text(run->config, "VALKEY_CACHE_URL")[0] != '\0';

		parts->kv = open_kv(run, "VALKEY_URL", "main");
		parts->cache = apart ? open_kv(run, "VALKEY_CACHE_URL", "cache") : parts->kv;
		parts->ratelimiter = sk_ratelimiter_open(parts->kv);
	}
	parts->bus = sk_bus_open(
		&(struct sk_bus_options) {
			.url = sk_config_text(run->config, "NATS_URL"),
			.service = run->service->name,
			.publish_timeout_ms = (int)sk_config_int(run->config,
								 "NATS_PUBLISH_TIMEOUT_MS"),
		},
		parts->metrics);
}

static bool has_live_rows(const struct sk_service *service)
{
	const struct sk_route *row = service->routes;

	while (row != NULL && row->method != NULL && (row->flags & SK_LIVE) == 0)
		row++;
	return row != NULL && row->method != NULL;
}

static void open_live(struct run *run)
{
	int64_t connections = sk_config_int(run->config, "POSTGRES_CONNECTIONS");

	if (!has_live_rows(run->service))
		return;
	run->parts.live = sk_live_open(
		&(struct sk_live_options) {
			.max_open = (int)sk_config_int(run->config, "LIVE_MAX_OPEN"),
			.share = (int)sk_config_int(run->config, "LIVE_SHARE"),
			.readers = connections > 4 ? (int)connections / 4 : 1,
			.heartbeat_ms = sk_config_int(run->config, "LIVE_HEARTBEAT_MS"),
			.lifetime_ms = sk_config_int(run->config, "LIVE_LIFETIME_S") * 1000,
			.timeout_ms = sk_config_int(run->config, "HTTP_TIMEOUT_MS"),
		},
		run->parts.metrics);
}

static void set_self_url(struct run *run)
{
	const char *listen = sk_config_text(run->config, "HTTP_LISTEN");

	run->parts.self_url = listen[0] != '\0'
				      ? sk_arena_printf(run->context.arena, "http://%s", listen)
				      : sk_arena_printf(run->context.arena, "http://127.0.0.1:%d",
							run->service->port);
	run->parts.ready = ready;
	run->parts.ready_state = run;
}

static struct sk_outbox *open_outbox(const struct run *run)
{
	const struct sk_outbox_options options = {
		.url = sk_config_text(run->config, "POSTGRES_URL"),
		.service = run->service->name,
		.keep_hours = (int)sk_config_int(run->config, "OUTBOX_KEEP_HOURS"),
		.streams = run->service->streams,
		.publishes = run->service->publishes,
	};

	return sk_outbox_open(run->parts.pg, run->parts.bus, &options, run->parts.metrics);
}

static enum sk_status start(struct run *run)
{
	const struct sk_service *service = run->service;
	struct sk_parts *parts = &run->parts;
	enum sk_status st = SK_OK;

	set_self_url(run);
	open_stores(run);
	open_live(run);
	if (service->open != NULL)
		st = service->open(parts, run->app, &run->context);
	if (st != SK_OK)
		return st;
	run->app_open = true;
	parts->sweeps = sk_sweeps_open(service->sweeps, run->app, parts->metrics);
	if (parts->pg != NULL)
		run->outbox = open_outbox(run);
	run->consumers = sk_consumers_open(
		service->consumers, parts->bus, parts->pg, run->app,
		(int)sk_config_int(run->config, "CONSUMER_MAX_DELIVERIES"), parts->metrics);
	return sk_http_open(service, parts, run->app, &run->http, &run->context);
}

/* ---- stop ---- */

static void stop(struct run *run)
{
	struct sk_parts *parts = &run->parts;

	atomic_store(&run->draining, true);
	sk_http_close(&run->http);
	sk_consumers_close(&run->consumers);
	sk_sweeps_close(&parts->sweeps);
	sk_outbox_close(&run->outbox);
	if (run->app_open && run->service->close != NULL)
		run->service->close(run->app);
	sk_ratelimiter_close(&parts->ratelimiter);
	sk_bus_close(&parts->bus);
	sk_live_close(&parts->live); /* after the bus: what is heard wakes streams */
	if (parts->cache != parts->kv)
		sk_kv_close(&parts->cache);
	sk_kv_close(&parts->kv);
	sk_pg_close(&parts->pg);
	sk_metrics_close(&parts->metrics);
	sk_config_close(&run->config);
	sk_context_release(&run->context);
}

/* ---- run ---- */

/* Signals are for the main thread alone: every thread inherits this mask. */
static void block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	pthread_sigmask(SIG_BLOCK, set, NULL);
	signal(SIGPIPE, SIG_IGN); /* hiredis writes without MSG_NOSIGNAL */
}

static void wait_for_signal(const sigset_t *set)
{
	int number = 0;

	while (sigwait(set, &number) != 0)
		;
	sk_log(SK_LOG_INFO, NULL, "stopping: %s", strsignal(number));
}

/* A drain that hangs must not outlive the supervisor's patience without a word. */
static void *watch_drain(void *closure)
{
	intptr_t seconds = (intptr_t)closure;
	struct timespec limit = { .tv_sec = seconds };

	nanosleep(&limit, NULL);
	sk_log(SK_LOG_ERROR, NULL, "the drain took more than %ld s (DRAIN_TIMEOUT_S); exiting",
	       (long)seconds);
	_Exit(1);
}

static void limit_drain(const struct run *run)
{
	pthread_t thread;
	intptr_t seconds = (intptr_t)sk_config_int(run->config, "DRAIN_TIMEOUT_S");

	if (pthread_create(&thread, NULL, watch_drain, (void *)seconds) == 0)
		pthread_detach(thread);
}

static int fail_start(struct run *run, int exit_status)
{
	sk_log_failure(SK_LOG_ERROR, &run->context, "cannot start");
	stop(run);
	return exit_status;
}

static enum sk_log_level log_level(const struct sk_config *config)
{
	const char *word = sk_config_text(config, "LOG_LEVEL");

	if (strcmp(word, "debug") == 0)
		return SK_LOG_DEBUG;
	if (strcmp(word, "warn") == 0)
		return SK_LOG_WARN;
	if (strcmp(word, "error") == 0)
		return SK_LOG_ERROR;
	return SK_LOG_INFO;
}

static int serve(const struct sk_service *service, void *app)
{
	struct run run = { .magic = RUN_MAGIC, .service = service, .app = app };
	int64_t began_us = sk_time_monotonic_us();
	sigset_t signals;

	sk_log_init(service->name, SK_LOG_INFO);
	block_signals(&signals);
	if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		return 1;
	sk_context_init(&run.context, START_TIMEOUT_MS);
	if (open_config(&run) != SK_OK)
		return fail_start(&run, 2);
	sk_log_init(service->name, log_level(run.config));
	if (start(&run) != SK_OK)
		return fail_start(&run, 1);
	sk_log(SK_LOG_INFO, NULL, "serving on %s after %lld ms", run.parts.self_url,
	       (long long)(sk_time_monotonic_us() - began_us) / 1000);
	wait_for_signal(&signals);
	limit_drain(&run);
	stop(&run);
	curl_global_cleanup();
	return 0;
}

static int describe(const struct sk_service *service)
{
	struct sk_arena *arena = sk_arena_open(DESCRIPTION_MAX_BYTES);
	struct sk_json json;
	bool ok;

	sk_json_init(&json, arena, DESCRIPTION_MAX_BYTES);
	sk_describe(service, &json);
	ok = sk_buf_ok(&json.buf) && puts(sk_buf_text(&json.buf)) >= 0;
	sk_arena_close(&arena);
	return ok ? 0 : 1;
}

static int help(const struct sk_service *service)
{
	printf("%s: %s\n\nusage: %s [--describe | --help]\n\nConfiguration, from the environment "
	       "(NAME, or NAME_FILE with a file's path):\n\n",
	       service->name, service->summary, service->name);
	sk_config_print_help(service->config, stdout);
	return 0;
}

int sk_service_main(int argc, char **argv, const struct sk_service *service, void *app)
{
	if (argc == 1)
		return serve(service, app);
	if (argc == 2 && strcmp(argv[1], "--describe") == 0)
		return describe(service);
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return help(service);
#ifdef SK_CRASH_POINTS
	if (argc == 2 && strcmp(argv[1], "--crash-points") == 0) {
		sk_crash_report(service, stdout);
		return 0;
	}
#endif
	fprintf(stderr, "usage: %s [--describe | --help]\n", service->name);
	return 2;
}
