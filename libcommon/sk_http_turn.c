/* One request with an Idempotency-Key at a time, within this process.
 *
 * The unique index alone would do for correctness, and between replicas it does. But who waits
 * there holds a connection of the pool, and eight repeated requests of one impatient client
 * would keep the service from everybody else for as long as the first of them takes. Here they
 * wait without a connection.
 *
 * They still hold a worker each. So once half of the workers wait, further ones are not patient
 * any more: the usual first request is done long before, and one that is not must not take all. */
#include "sk_http_internal.h"

#include <stdlib.h>
#include <string.h>

#include "sk_condition.h"
#include "sk_time.h"

#define IMPATIENT_US SK_SECOND_US

struct sk__turns {
	pthread_mutex_t mutex; /* guards all below */
	pthread_cond_t given;
	struct sk__turn *taken; /* of those that run; each is on its request's stack */
	int waiting, patient_max;
	struct sk_metric *waiting_gauge;
};

struct sk__turns *sk__turns_open(int workers, struct sk_metrics *metrics)
{
	struct sk__turns *turns = calloc(1, sizeof(*turns));

	if (turns == NULL)
		abort();
	pthread_mutex_init(&turns->mutex, NULL);
	sk_condition_init(&turns->given);
	turns->patient_max = workers / 2;
	turns->waiting_gauge = sk_metrics_gauge(
		metrics, "souk_idempotency_waiting",
		"requests that wait for the first one with their Idempotency-Key", "");
	return turns;
}

void sk__turns_close(struct sk__turns **turns)
{
	if (*turns == NULL)
		return;
	pthread_cond_destroy(&(*turns)->given);
	pthread_mutex_destroy(&(*turns)->mutex);
	free(*turns);
	*turns = NULL;
}

/* Caller holds turns->mutex. */
static bool is_taken(const struct sk__turns *turns, const struct sk__turn *wanted)
{
	for (const struct sk__turn *at = turns->taken; at != NULL; at = at->next)
		if (strcmp(at->key, wanted->key) == 0 && strcmp(at->scope, wanted->scope) == 0)
			return true;
	return false;
}

/* Caller holds turns->mutex. */
static void wait_for_turn(struct sk__turns *turns, const struct sk__turn *turn, int64_t until_us)
{
	int64_t impatient_us = sk_time_monotonic_us() + IMPATIENT_US;
	bool in_time = true;

	if (turns->waiting >= turns->patient_max && impatient_us < until_us)
		until_us = impatient_us;
	sk_metric_set(turns->waiting_gauge, ++turns->waiting);
	while (in_time && is_taken(turns, turn))
		in_time = sk_condition_wait(&turns->given, &turns->mutex, until_us);
	sk_metric_set(turns->waiting_gauge, --turns->waiting);
}

bool sk__turn_take(struct sk__turns *turns, struct sk__turn *turn, int64_t until_us)
{
	bool free;

	pthread_mutex_lock(&turns->mutex);
	if (is_taken(turns, turn))
		wait_for_turn(turns, turn, until_us);
	free = !is_taken(turns, turn);
	if (free) {
		turn->next = turns->taken;
		turns->taken = turn;
	}
	pthread_mutex_unlock(&turns->mutex);
	return free;
}

void sk__turn_give(struct sk__turns *turns, const struct sk__turn *turn)
{
	struct sk__turn **at = &turns->taken;

	pthread_mutex_lock(&turns->mutex);
	while (*at != turn)
		at = &(*at)->next;
	*at = turn->next;
	pthread_cond_broadcast(&turns->given);
	pthread_mutex_unlock(&turns->mutex);
}
