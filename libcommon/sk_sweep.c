#include "sk_sweep.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <nats/nats.h>

#include "sk_condition.h"
#include "sk_crash.h"
#include "sk_log.h"
#include "sk_metrics.h"
#include "sk_time.h"

#define FAILURE_BASE_MS 100
#define FAILURE_MAX_MS	10000
#define SWEEP_MAGIC	0x73776570u

struct sweep {
	unsigned magic;
	const struct sk_sweep *row;
	struct sk_sweeps *all;
	pthread_t thread;
	struct sk_context context;
	bool woken; /* guarded by all->mutex */
	struct sk_metric *runs, *failures;
};

struct sk_sweeps {
	void *app;
	pthread_mutex_t mutex; /* guards stopping and each sweep's woken */
	pthread_cond_t changed;
	bool stopping;
	struct sweep *list;
	int count;
};

/* Waits for the interval, a wake or a stop. Returns whether to go on. */
static bool wait_for_turn(struct sweep *sweep, int64_t ms)
{
	struct sk_sweeps *all = sweep->all;
	int64_t until_us = sk_time_monotonic_us() + ms * 1000;
	bool in_time = true, stopping;

	pthread_mutex_lock(&all->mutex);
	while (!all->stopping && !sweep->woken && in_time)
		in_time = sk_condition_wait(&all->changed, &all->mutex, until_us);
	sweep->woken = false;
	stopping = all->stopping;
	pthread_mutex_unlock(&all->mutex);
	return !stopping;
}

/* Runs the sweep once; returns the milliseconds until the next run. */
static int64_t run_once(struct sweep *sweep, int *failures)
{
	bool again = false;
	enum sk_status st;

	sk_context_reset(&sweep->context, sweep->row->timeout_ms);
	sk_crash_here(SK_CRASH_SWEEP_BEFORE);
	st = sweep->row->run(&sweep->context, sweep->all->app, &again);
	sk_crash_here(SK_CRASH_SWEEP_AFTER);
	sk_metric_add(sweep->runs, 1);
	if (st == SK_OK) {
		*failures = 0;
		return again ? 0 : sweep->row->interval_ms;
	}
	sk_metric_add(sweep->failures, 1);
	if (*failures == 0)
		sk_log_failure(SK_LOG_WARN, &sweep->context, sweep->row->name);
	return FAILURE_BASE_MS + sk_time_backoff_ms((*failures)++, FAILURE_BASE_MS, FAILURE_MAX_MS);
}

static void *sweep_until_stopped(void *closure)
{
	struct sweep *sweep = closure;
	int failures = 0;

	assert(sweep->magic == SWEEP_MAGIC);
	while (wait_for_turn(sweep, run_once(sweep, &failures)))
		;
	nats_ReleaseThreadMemory();
	return NULL;
}

static void start(struct sk_sweeps *all, int index, const struct sk_sweep *row,
		  struct sk_metrics *metrics)
{
	struct sweep *sweep = &all->list[index];
	const char *labels;

	sweep->magic = SWEEP_MAGIC;
	sweep->row = row;
	sweep->all = all;
	sk_context_init(&sweep->context, row->timeout_ms);
	labels = sk_arena_printf(sweep->context.arena, "sweep=\"%s\"", row->name);
	sweep->runs = sk_metrics_counter(metrics, "souk_sweep_runs_total", "runs of a sweep",
					 labels);
	sweep->failures = sk_metrics_counter(metrics, "souk_sweep_failures_total",
					     "runs of a sweep that failed", labels);
	if (pthread_create(&sweep->thread, NULL, sweep_until_stopped, sweep) != 0)
		abort();
}

struct sk_sweeps *sk_sweeps_open(const struct sk_sweep *rows, void *app, struct sk_metrics *metrics)
{
	struct sk_sweeps *all = calloc(1, sizeof(*all));

	if (all == NULL)
		abort();
	all->app = app;
	pthread_mutex_init(&all->mutex, NULL);
	sk_condition_init(&all->changed);
	while (rows != NULL && rows[all->count].name != NULL)
		all->count++;
	all->list = calloc((size_t)all->count + 1, sizeof(*all->list));
	if (all->list == NULL)
		abort();
	for (int i = 0; rows != NULL && i < all->count; i++)
		start(all, i, &rows[i], metrics);
	return all;
}

void sk_sweeps_close(struct sk_sweeps **sweeps)
{
	struct sk_sweeps *all = *sweeps;

	if (all == NULL)
		return;
	*sweeps = NULL;
	pthread_mutex_lock(&all->mutex);
	all->stopping = true;
	pthread_cond_broadcast(&all->changed);
	pthread_mutex_unlock(&all->mutex);
	for (int i = 0; i < all->count; i++) {
		pthread_join(all->list[i].thread, NULL);
		sk_context_release(&all->list[i].context);
		all->list[i].magic = 0;
	}
	pthread_cond_destroy(&all->changed);
	pthread_mutex_destroy(&all->mutex);
	free(all->list);
	free(all);
}

void sk_sweep_wake(struct sk_sweeps *sweeps, const char *name)
{
	pthread_mutex_lock(&sweeps->mutex);
	for (int i = 0; i < sweeps->count; i++) {
		if (strcmp(sweeps->list[i].row->name, name) == 0) {
			sweeps->list[i].woken = true;
			pthread_cond_broadcast(&sweeps->changed);
			pthread_mutex_unlock(&sweeps->mutex);
			return;
		}
	}
	abort(); /* no such row: a bug of the caller */
}
