/* Sweeps: work that comes due, found in a store and not in memory: deadlines,
 * expiries, mail to be sent. A thread for each row runs it every interval, or when
 * woken. Rows of work are taken with FOR UPDATE SKIP LOCKED, so that replicas do
 * not collide. A failure is logged and the next run comes with back-off. */
#ifndef SK_SWEEP_H
#define SK_SWEEP_H

#include <stdbool.h>

#include "sk_context.h"

/* A row; a table ends with a row whose name is NULL. *again may be set to true to
 * run once more at once, because there was more work than one run takes. */
struct sk_sweep {
	const char *name;
	int interval_ms;
	int timeout_ms; /* the context's deadline */
	enum sk_status (*run)(struct sk_context *context, void *app, bool *again);
};

struct sk_sweeps;
struct sk_metrics;

struct sk_sweeps *sk_sweeps_open(const struct sk_sweep *rows, void *app,
				 struct sk_metrics *metrics);
void sk_sweeps_close(struct sk_sweeps **sweeps);

/* Runs the named sweep soon. Thread-safe. An unknown name is a bug and aborts. */
void sk_sweep_wake(struct sk_sweeps *sweeps, const char *name);

#endif
