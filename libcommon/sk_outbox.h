/* The transactional outbox: an event is a row, written in the transaction that
 * makes it true, and leaves after the commit.
 *
 * One relay per service at a time (a PostgreSQL advisory lock on a connection of
 * its own; another replica takes over when that dies) publishes the unsent rows in
 * order, awaits the acknowledgements and marks them sent. It is woken in-process at commit
 * and polls besides. It looks for rows that are not marked, never for ids
 * above the last one seen: sequences commit out of order, and rows would be lost.
 * Sent rows are kept OUTBOX_KEEP_HOURS, so that they can be sent again. */
#ifndef SK_OUTBOX_H
#define SK_OUTBOX_H

#include "sk_bus.h"
#include "sk_pg.h"

struct sk_outbox;

/* Checks, packs and adds the event. The outbox reaches the relay through the
 * transaction's pool, so the service needs no handle here. */
SK_MUST_CHECK enum sk_status sk_outbox_add(struct sk_tx *tx, const struct sk_event *event);

/* The relay's thread; used by sk_service. */
struct sk_outbox *sk_outbox_open(struct sk_pg *pg, struct sk_bus *bus, const char *pg_url,
				 const char *service, int keep_hours, struct sk_metrics *metrics);
void sk_outbox_close(struct sk_outbox **outbox); /* relays what is committed, for 2 s at most */
void sk_outbox_wake(struct sk_outbox *outbox);

#endif
