/* civetweb bounds each wait for a byte, but not a whole body: who sends one byte every nine
 * seconds holds a worker for as long as he likes, and a few dozen such clients hold them
 * all. Nor does mg_stop wake the threads that wait; they notice after up to two seconds.
 *
 * civetweb gives its sockets to nobody, so that they cannot be shut from outside. But its
 * waits end when poll(2) is interrupted. So a worker says until when it will wait for its
 * client, and this thread sends a signal to those who are late, again and again until they
 * no longer wait. The signal does nothing but interrupt. SIGURG, because it is
 * ignored by default: one that comes late harms nobody. */
#include "sk_http_internal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sk_time.h"

#define LOOK_MS	 200 /* a slow client is let go by so much later than its deadline */
#define AGAIN_MS 1   /* mg_read goes on where a byte of a chunk has come since the last signal */

struct sk__watch {
	pthread_t thread;
	pthread_mutex_t mutex; /* guards all below */
	pthread_cond_t changed;
	struct sk__waiter *waiters;
	enum sk__release release;
	bool ended;
};

static void interrupt_only(int number)
{
	(void)number;
}

static bool is_released(enum sk__release release, int place)
{
	switch (release) {
	case SK__RELEASE_NONE:
		return false;
	case SK__RELEASE_KEPT:
		return place == SK__PLACE_NEXT;
	case SK__RELEASE_SILENT:
		return place == SK__PLACE_NEXT || place == SK__PLACE_FIRST;
	case SK__RELEASE_ALL:
		return true;
	}
	return true;
}

/* Whether anybody was late. Caller holds watch->mutex, which keeps the threads alive that
 * are in the list. */
static bool let_go(const struct sk__watch *watch)
{
	int64_t now_us = sk_time_monotonic_us();
	bool any = false;

	for (struct sk__waiter *at = watch->waiters; at != NULL; at = at->next) {
		int64_t until_us = atomic_load(&at->until_us);

		if (is_released(watch->release, atomic_load(&at->place)) ||
		    (until_us != 0 && until_us < now_us)) {
			pthread_kill(at->thread, SIGURG);
			any = true;
		}
	}
	return any;
}

static struct timespec in_ms(int64_t ms)
{
	int64_t at_us = sk_time_monotonic_us() + ms * 1000;

	return (struct timespec) { .tv_sec = at_us / SK_SECOND_US,
				   .tv_nsec = at_us % SK_SECOND_US * 1000 };
}

static void *look(void *closure)
{
	struct sk__watch *watch = closure;
	bool late = false;

	pthread_mutex_lock(&watch->mutex);
	while (!watch->ended) {
		struct timespec next = in_ms(late ? AGAIN_MS : LOOK_MS);

		pthread_cond_timedwait(&watch->changed, &watch->mutex, &next);
		late = let_go(watch);
	}
	pthread_mutex_unlock(&watch->mutex);
	return NULL;
}

struct sk__watch *sk__watch_open(void)
{
	struct sigaction action = { .sa_handler = interrupt_only }; /* no SA_RESTART */
	struct sk__watch *watch = calloc(1, sizeof(*watch));
	pthread_condattr_t monotonic;

	if (watch == NULL)
		abort();
	sigaction(SIGURG, &action, NULL);
	pthread_mutex_init(&watch->mutex, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&watch->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (pthread_create(&watch->thread, NULL, look, watch) != 0)
		abort();
	return watch;
}

void sk__watch_release(struct sk__watch *watch, enum sk__release release)
{
	pthread_mutex_lock(&watch->mutex);
	watch->release = release;
	pthread_cond_signal(&watch->changed);
	pthread_mutex_unlock(&watch->mutex);
}

int sk__watch_connections(struct sk__watch *watch)
{
	int count = 0;

	pthread_mutex_lock(&watch->mutex);
	for (const struct sk__waiter *at = watch->waiters; at != NULL; at = at->next)
		count += atomic_load(&at->place) != SK__PLACE_NONE;
	pthread_mutex_unlock(&watch->mutex);
	return count;
}

void sk__watch_close(struct sk__watch **watch_in)
{
	struct sk__watch *watch = *watch_in;

	if (watch == NULL)
		return;
	*watch_in = NULL;
	pthread_mutex_lock(&watch->mutex);
	watch->ended = true;
	pthread_cond_signal(&watch->changed);
	pthread_mutex_unlock(&watch->mutex);
	pthread_join(watch->thread, NULL);
	pthread_cond_destroy(&watch->changed);
	pthread_mutex_destroy(&watch->mutex);
	free(watch);
}

void sk__watch_add(struct sk__watch *watch, struct sk__waiter *me)
{
	me->thread = pthread_self();
	pthread_mutex_lock(&watch->mutex);
	me->next = watch->waiters;
	watch->waiters = me;
	pthread_mutex_unlock(&watch->mutex);
}

void sk__watch_remove(struct sk__watch *watch, struct sk__waiter *me)
{
	pthread_mutex_lock(&watch->mutex);
	for (struct sk__waiter **at = &watch->waiters; *at != NULL; at = &(*at)->next) {
		if (*at == me) {
			*at = me->next;
			break;
		}
	}
	pthread_mutex_unlock(&watch->mutex);
}
