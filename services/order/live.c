/* Orders that are looked at while they move.
 *
 * A stream is the timeline from where its client was, and then each step as it is taken. It
 * reads the timeline, never the events: they only say that there may be something to read. So a
 * stream has no gaps and nothing twice, whatever was missed, and an event that is lost
 * costs no more than the wait for the next heartbeat. They come by two ways: from this process after its
 * commit, for every step; from other replicas as the order's own events, for steps that tell something. */
#include "order.h"

#include <string.h>

#define MOMENTS_MAX 50 /* of one reading */

/* Where one stream is; its topic is the order's id. */
struct follower {
	const struct order_service *service;
	int64_t version; /* sent last */
};

static void send_moment(struct sk_live_events *events, const struct order_moment *moment)
{
	struct sk_arena *arena = sk_live_context(events)->arena;
	struct sk_json json;

	sk_json_init(&json, arena, ORDER_BODY_MAX_BYTES);
	order_moment_write(&json, moment);
	sk_live_add(events, sk_arena_printf(arena, "%lld", (long long)moment->version), "status",
		    sk_buf_text(&json.buf));
}

static enum sk_status read_moments(struct sk_live_events *events, void *state, bool *more)
{
	struct follower *follower = state;
	struct order_moments moments;
	enum sk_status st = order_store_moments(
		follower->service->parts->pg, sk_live_context(events),
		&(struct order_moments_wanted) { sk_live_topic(events), follower->version,
						 MOMENTS_MAX },
		&moments);

	if (st != SK_OK)
		return st;
	for (int i = 0; i < moments.count; i++)
		send_moment(events, &moments.list[i]);
	if (moments.count > 0)
		follower->version = moments.list[moments.count - 1].version;
	*more = moments.count == MOMENTS_MAX;
	return SK_OK;
}

void order_follow(const struct order_service *service, struct sk_reply *reply,
		  const struct order_moments_wanted *from)
{
	const struct follower follower = { service, from->after };

	sk_reply_live(reply, &(struct sk_live_plan) { .topic = from->order_id,
						      .read = read_moments,
						      .state = &follower,
						      .state_size = sizeof(follower) });
}

/* ---- waking ---- */

struct moved {
	struct sk_live *live;
	const char *order_id;
};

static void wake_followers(void *arg)
{
	const struct moved *moved = arg;

	sk_live_wake(moved->live, moved->order_id);
}

enum sk_status order_remember(struct sk_tx *tx, const struct order_service *service,
			      const struct order *order, const struct order_moment *moment)
{
	struct sk_arena *arena = sk_tx_arena(tx);
	struct moved *moved = sk_arena_alloc(arena, sizeof(*moved));

	*moved = (struct moved) { service->parts->live, sk_arena_strdup(arena, order->id) };
	sk_tx_after_commit(tx, wake_followers, moved);
	return order_store_add_moment(tx, order->id, moment);
}

/* orders.<what>.<order id>, by whichever replica. */
static void on_told(const struct sk_delivery *delivery, void *arg)
{
	const struct order_service *service = arg;
	const char *id = strrchr(delivery->subject, '.');

	if (id != NULL)
		sk_live_wake(service->parts->live, id + 1);
}

enum sk_status order_watch(struct order_service *service)
{
	return sk_bus_watch(service->parts->bus, ORDER_WATCHED, on_told, service);
}
