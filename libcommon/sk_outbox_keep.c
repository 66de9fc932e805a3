/* How long rows stay in the tables that every service has, and how many events wait. Trimming goes
 * in small statements: short locks, and nothing that a busy hour has to wait for. */
#include "sk_log.h"
#include "sk_metrics.h"
#include "sk_outbox_internal.h"
#include "sk_time.h"

#define MEASURE_INTERVAL_US SK_SECOND_US
#define TRIM_INTERVAL_US    (10 * SK_MINUTE_US)
#define TRIM_AGAIN_US	    SK_SECOND_US /* while there is more to trim */
#define TRIM_ROWS	    5000	 /* in one statement */
#define INBOX_KEEP_HOURS    (8 * 24)	 /* a day more than the streams keep their messages */
#define KEY_KEEP_HOURS	    24

static const struct sk_sql SQL_BACKLOG = {
	"outbox_backlog",
	"SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0)::bigint"
	" FROM outbox WHERE sent_at IS NULL",
};

/* $1: older than so many hours; $2: at most so many rows. */
static const struct trim {
	struct sk_sql sql;
	int keep_hours; /* 0: as configured */
} TRIMS[] = {
	{ { "outbox_trim",
	    "DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE sent_at IS NOT NULL"
	    " AND sent_at < now() - make_interval(hours => $1::int) LIMIT $2)" },
	  0 },
	{ { "inbox_trim", "DELETE FROM inbox WHERE ctid IN (SELECT ctid FROM inbox"
			  " WHERE seen_at < now() - make_interval(hours => $1::int) LIMIT $2)" },
	  INBOX_KEEP_HOURS },
	{ { "idempotency_trim",
	    "DELETE FROM idempotency_key WHERE ctid IN (SELECT ctid FROM idempotency_key"
	    " WHERE created_at < now() - make_interval(hours => $1::int) LIMIT $2)" },
	  KEY_KEEP_HOURS },
};

void sk__outbox_measure(struct sk_outbox *outbox, bool all_left)
{
	struct sk_rows rows;

	if (all_left) {
		sk_metric_set(outbox->unsent, 0);
		sk_metric_set(outbox->oldest, 0);
		return;
	}
	if (outbox->held == NULL || sk_time_monotonic_us() < outbox->next_measure_us)
		return;
	outbox->next_measure_us = sk_time_monotonic_us() + MEASURE_INTERVAL_US;
	sk_context_reset(&outbox->context, SK__OUTBOX_CALL_MS);
	if (sk__outbox_run(outbox, &SQL_BACKLOG, SK_NO_PARAMS, &rows) != SK_OK)
		return;
	sk_metric_set(outbox->unsent, sk_row_int(&rows, 0, 0));
	sk_metric_set(outbox->oldest, sk_row_int(&rows, 0, 1));
}

void sk__outbox_trim(struct sk_outbox *outbox)
{
	bool more = false;

	if (sk_time_monotonic_us() < outbox->next_trim_us)
		return;
	for (size_t i = 0; i < sizeof(TRIMS) / sizeof(TRIMS[0]); i++) {
		int hours = TRIMS[i].keep_hours != 0 ? TRIMS[i].keep_hours : outbox->keep_hours;
		struct sk_rows rows = { .affected = 0 };

		sk_context_reset(&outbox->context, SK__OUTBOX_CALL_MS);
		if (sk__outbox_run(outbox, &TRIMS[i].sql,
				   SK_PARAMS(sk_int(hours), sk_int(TRIM_ROWS)), &rows) == SK_OK)
			more = more || rows.affected == TRIM_ROWS;
		else
			sk_log_failure(SK_LOG_WARN, &outbox->context, "trimming");
	}
	outbox->next_trim_us = sk_time_monotonic_us() + (more ? TRIM_AGAIN_US : TRIM_INTERVAL_US);
}
