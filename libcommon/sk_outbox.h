/* The transactional outbox: an event is a row, written in the transaction that
 * makes it true, and leaves after the commit.
 *
 * One relay per service at a time (a PostgreSQL advisory lock on a connection of
 * its own; another replica takes over when that dies) publishes the unsent rows in
 * order, awaits the acknowledgements and marks them sent. It is woken in-process at commit
 * and polls besides. It looks for rows that are not marked, never for ids
 * above the last one seen: sequences commit out of order, and rows would be lost.
 * Sent rows are kept OUTBOX_KEEP_HOURS, and are sent again when the broker turns out to have
 * lost what it had acknowledged (sk_outbox_recall.c). */
#ifndef SK_OUTBOX_H
#define SK_OUTBOX_H

#include "sk_bus.h"
#include "sk_pg.h"

struct sk_outbox;

/* Adds to the outbox what the next max entities after `after` ("": the first) have to say of
 * themselves; *last becomes the one that it came to, NULL after the end. What somebody counts carries
 * an id that follows from entity and version (sk_id_derive), as it did the first time. */
typedef enum sk_status sk_retell_fn(struct sk_tx *tx, const char *after, int max,
				    const char **last);

/* A stream that the service owns. */
struct sk_stream {
	const char *name; /* "orders": takes orders.> */
	bool compacted; /* keeps the last message per subject for ever, and may be read directly */
	int max_age_hours; /* 0: for ever (compacted) or 7 days */
	/* For what is older than the outbox keeps: called, page after page, when the stream was
	 * lost or is new and empty. NULL: what the outbox keeps is enough. */
	sk_retell_fn *retell;
};

/* Checks, packs and adds the event. The outbox reaches the relay through the
 * transaction's pool, so the service needs no handle here. An event whose id is there already is
 * the same event: it is sent again. */
SK_MUST_CHECK enum sk_status sk_outbox_add(struct sk_tx *tx, const struct sk_event *event);

/* Has the relay tell everything of this stream again, by its retell hook, though the stream is there:
 * ids that it has had within its window are dropped by it. */
SK_MUST_CHECK enum sk_status sk_outbox_retell(struct sk_tx *tx, const char *stream);

struct sk_outbox_options {
	const char *url; /* of PostgreSQL: the relay's connection is its own */
	const char *service;
	int keep_hours;
	const struct sk_stream *streams; /* as in struct sk_service */
	const char *const *publishes;
};

/* The relay's thread; used by sk_service. */
struct sk_outbox *sk_outbox_open(struct sk_pg *pg, struct sk_bus *bus,
				 const struct sk_outbox_options *options,
				 struct sk_metrics *metrics);
void sk_outbox_close(struct sk_outbox **outbox); /* relays what is committed, for 2 s at most */
void sk_outbox_wake(struct sk_outbox *outbox);

#endif
