/* What the files of sk_pg share. Not for anybody else, but for its tests. */
#ifndef SK_PG_INTERNAL_H
#define SK_PG_INTERNAL_H

#include <libpq-fe.h>
#include <pthread.h>

#include "sk_metrics.h"
#include "sk_pg.h"

#define SK__PG_STATEMENTS_MAX 160 /* of one service; each is a constant in its store.c */

/* One connection of the pool; used by one thread at a time. */
struct sk__pg_slot {
	PGconn *connection; /* NULL: not open */
	bool taken;
	const struct sk_sql *prepared[SK__PG_STATEMENTS_MAX];
	int prepared_count;
};

struct sk_pg {
	unsigned magic;
	char *url, *application_name;
	int timeout_ms;
	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t returned;
	struct sk__pg_slot *slots;
	int slots_count;
	int failures;		/* connection attempts that failed in a row */
	int64_t retry_after_us; /* no attempt before it: callers fail at once instead */
	void (*outbox_wake)(void *arg);
	void *outbox_arg;
	struct sk_metric *open_connections, *duration, *errors;
};

/* What runs after the commit; in the arena of the transaction's context. */
struct sk__pg_hook {
	void (*fn)(void *arg);
	void *arg;
	struct sk__pg_hook *next;
};

struct sk_tx {
	unsigned magic;
	struct sk_pg *pg;
	struct sk__pg_slot *slot;
	struct sk_context *context;
	char sqlstate[6];
	char constraint[64];
	bool failed;
	bool outbox_used;
	struct sk__pg_hook *hooks; /* in the order in which they were told */
};

/* Takes a connection that is open, waiting for one until the deadline. */
SK_MUST_CHECK enum sk_status sk__pg_take(struct sk_pg *pg, struct sk_context *context,
					 struct sk__pg_slot **slot);

/* Gives it back; one that is broken, or whose answer may still come, is closed. */
void sk__pg_give(struct sk_pg *pg, struct sk__pg_slot *slot, bool broken);

/* Tells the outbox's relay, if there is one, of a commit. */
void sk__pg_wake_outbox(struct sk_pg *pg);

/* Milliseconds that one call may take now; 0: nothing is to be sent any more. */
int64_t sk__pg_call_ms(const struct sk_pg *pg, const struct sk_context *context);

/* SK_TIMEOUT of a call that was not made: nothing happened, the connection is as good as it was. */
SK_MUST_CHECK enum sk_status sk__pg_too_late(struct sk_context *context);

/* One call on a connection that was taken. */
struct sk__pg_call {
	struct sk_pg *pg;
	struct sk__pg_slot *slot;
	struct sk_context *context;
	struct sk_tx *tx; /* NULL, or where SQLSTATE and constraint of a failure are noted */
	int64_t end_us;	  /* by the monotonic clock; 0: set from the context by those below */
	bool broken;	  /* set where the connection cannot be used again */
};

/* Runs one prepared statement. rows may be NULL. */
SK_MUST_CHECK enum sk_status sk__pg_execute(struct sk__pg_call *call, const struct sk_sql *sql,
					    const struct sk_param *params, size_t count,
					    struct sk_rows *rows);

/* A word of the protocol: BEGIN, COMMIT, ROLLBACK. */
SK_MUST_CHECK enum sk_status sk__pg_simple(struct sk__pg_call *call, const char *word);

/* Waits until the connection's socket is ready. Returns false at the deadline. */
bool sk__pg_wait(PGconn *connection, bool for_write, int64_t end_us);

/* What an SQLSTATE means to a caller. */
SK_MUST_CHECK enum sk_status sk__pg_status_of(const char *sqlstate);

/* "{a,"b,c",NULL}" */
const char *sk__pg_text_array(struct sk_arena *arena, const char *const *texts, size_t count);
const char *sk__pg_int_array(struct sk_arena *arena, const int64_t *values, size_t count);

#endif
