/* News that wait to be told: a bounded queue between the handlers and the sweep
 * that publishes them.
 *
 * A shopper does not wait for the broker to hear of an added item, and an outage
 * of the broker must not fill the memory. So the handler's part is a copy under a lock; what
 * does not fit is dropped and counted; and what was taken stays until its batch is
 * acknowledged, so that a short outage loses nothing. Lost with the process. */
#include "cart.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct cart_announcer {
	pthread_mutex_t mutex; /* guards all below but the metrics */
	struct cart_news *ring;
	size_t capacity, first, count;
	struct sk_metric *dropped, *waiting;
};

struct cart_announcer *cart_announcer_open(size_t capacity, struct sk_metrics *metrics)
{
	struct cart_announcer *announcer = calloc(1, sizeof(*announcer));

	if (announcer == NULL)
		abort();
	announcer->ring = calloc(capacity, sizeof(*announcer->ring));
	if (announcer->ring == NULL)
		abort();
	announcer->capacity = capacity;
	announcer->dropped = sk_metrics_counter(metrics, "souk_cart_news_dropped_total",
						"events that found the queue full", "");
	announcer->waiting = sk_metrics_gauge(metrics, "souk_cart_news_waiting",
					      "events that wait for the broker", "");
	pthread_mutex_init(&announcer->mutex, NULL);
	return announcer;
}

void cart_announcer_close(struct cart_announcer **announcer)
{
	if (*announcer == NULL)
		return;
	pthread_mutex_destroy(&(*announcer)->mutex);
	free((*announcer)->ring);
	free(*announcer);
	*announcer = NULL;
}

bool cart_announcer_put(struct cart_announcer *announcer, const struct cart_news *news)
{
	bool fits;

	pthread_mutex_lock(&announcer->mutex);
	fits = announcer->count < announcer->capacity;
	if (fits) {
		size_t end = (announcer->first + announcer->count) % announcer->capacity;

		announcer->ring[end] = *news;
		announcer->count++;
		sk_metric_set(announcer->waiting, (int64_t)announcer->count);
	}
	pthread_mutex_unlock(&announcer->mutex);
	if (!fits)
		sk_metric_add(announcer->dropped, 1);
	return fits;
}

size_t cart_announcer_peek(struct cart_announcer *announcer, struct cart_news *news, size_t max)
{
	size_t count;

	pthread_mutex_lock(&announcer->mutex);
	count = announcer->count < max ? announcer->count : max;
	for (size_t i = 0; i < count; i++)
		news[i] = announcer->ring[(announcer->first + i) % announcer->capacity];
	pthread_mutex_unlock(&announcer->mutex);
	return count;
}

void cart_announcer_drop(struct cart_announcer *announcer, size_t count)
{
	pthread_mutex_lock(&announcer->mutex);
	announcer->first = (announcer->first + count) % announcer->capacity;
	announcer->count -= count;
	sk_metric_set(announcer->waiting, (int64_t)announcer->count);
	pthread_mutex_unlock(&announcer->mutex);
}

/* Cuts what does not fit, which the checks of ids and SKUs leave nothing of. */
static void copy(char *to, size_t size, const char *text)
{
	size_t len = strnlen(text, size - 1);

	memcpy(to, text, len);
	to[len] = '\0';
}

struct cart_news cart_news_of(const struct sk_context *context, enum cart_news_kind kind,
			      const struct cart *cart, const char *account_id)
{
	struct cart_news news = {
		.kind = kind,
		.id = sk_id_new(),
		.version = cart->version,
		.time_us = context->now_us,
	};

	copy(news.cart_id, sizeof(news.cart_id), cart->id);
	copy(news.account_id, sizeof(news.account_id), account_id);
	sk_trace_format(&context->trace, news.traceparent);
	return news;
}

void cart_news_set_item(struct cart_news *news, const char *sku, int64_t quantity)
{
	copy(news->sku, sizeof(news->sku), sku);
	news->quantity = quantity;
}
