/* The SQL of refunds. A refund is always read and written with its payment's row held,
 * so that two refunds cannot both see room for themselves. */
#include "payment.h"

#define REFUND_COLUMNS                                                                             \
	" r.id, r.payment_id, p.order_id, p.provider, p.traceparent, r.amount_minor,"              \
	" p.currency, r.reason, r.state, r.attempts, r.failure "

static const struct sk_sql SQL_FIND = {
	"refund_find",
	"SELECT" REFUND_COLUMNS "FROM refund r JOIN payment p ON p.id = r.payment_id"
	" WHERE r.id = $1",
};

static const struct sk_sql SQL_SUM = {
	"refund_sum",
	"SELECT coalesce(sum(amount_minor), 0)::bigint FROM refund"
	" WHERE payment_id = $1 AND state <> 'refused'",
};

static const struct sk_sql SQL_ADD = {
	"refund_add",
	"INSERT INTO refund (id, payment_id, amount_minor, reason, state, due_at)"
	" VALUES ($1, $2, $3, $4, 'requested', now())",
};

static const struct sk_sql SQL_END = {
	"refund_end",
	"UPDATE refund SET state = $2, failure = $3, due_at = NULL, updated_at = now() WHERE id = "
	"$1",
};

static const struct sk_sql SQL_CLAIM = {
	"refund_claim",
	"UPDATE refund r"
	" SET state = 'sent', attempts = r.attempts + 1, updated_at = now(),"
	"     due_at = now() + $1 * interval '1 millisecond'"
	" FROM payment p"
	" WHERE p.id = r.payment_id AND r.id IN (SELECT id FROM refund"
	"  WHERE state IN ('requested', 'sent') AND due_at <= now()"
	"  ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED)"
	" RETURNING" REFUND_COLUMNS,
};

static const struct sk_sql SQL_LATER = {
	"refund_later",
	"UPDATE refund SET due_at = now() + $2 * interval '1 millisecond'"
	" WHERE id = $1 AND state = 'sent'",
};

static void read_refund(const struct sk_rows *rows, int row, struct payment_refund *refund)
{
	*refund = (struct payment_refund) {
		.id = sk_row_text(rows, row, 0),
		.payment_id = sk_row_text(rows, row, 1),
		.order_id = sk_row_text(rows, row, 2),
		.provider = sk_row_text(rows, row, 3),
		.traceparent = sk_row_text(rows, row, 4),
		.amount = sk_money_of(sk_row_int(rows, row, 5), sk_row_text(rows, row, 6)),
		.reason = sk_row_text(rows, row, 7),
		.state = payment_refund_state_parse(sk_row_text(rows, row, 8)),
		.attempts = (int)sk_row_int(rows, row, 9),
		.failure = sk_row_text(rows, row, 10),
	};
}

enum sk_status payment_store_find_refund(struct sk_tx *tx, const char *id,
					 struct payment_refund *refund)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_FIND, SK_PARAMS(sk_text(id)), &rows);

	if (st != SK_OK)
		return st;
	if (rows.count == 0)
		return sk_fail(sk_tx_context(tx), SK_NOT_FOUND, "refund_not_found",
			       "there is no such refund");
	read_refund(&rows, 0, refund);
	return SK_OK;
}

enum sk_status payment_store_sum_refunds(struct sk_tx *tx, const char *payment_id, int64_t *minor)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_SUM, SK_PARAMS(sk_text(payment_id)), &rows);

	*minor = st == SK_OK ? sk_row_int(&rows, 0, 0) : 0;
	return st;
}

enum sk_status payment_store_add_refund(struct sk_tx *tx, const struct payment_refund *refund)
{
	return sk_tx_run(tx, &SQL_ADD,
			 SK_PARAMS(sk_text(refund->id), sk_text(refund->payment_id),
				   sk_int(refund->amount.minor), sk_text(refund->reason)),
			 NULL);
}

enum sk_status payment_store_end_refund(struct sk_tx *tx, const struct payment_refund *refund)
{
	return sk_tx_run(tx, &SQL_END,
			 SK_PARAMS(sk_text(refund->id),
				   sk_text(payment_refund_state_name(refund->state)),
				   sk_text(refund->failure)),
			 NULL);
}

enum sk_status payment_store_claim_refunds(struct sk_pg *pg, struct sk_context *context,
					   struct payment_refunds *claimed)
{
	struct sk_rows rows;
	enum sk_status st = sk_pg_run(
		pg, context, &SQL_CLAIM,
		SK_PARAMS(sk_int(PAYMENT_LEASE_MS), sk_int(PAYMENT_CLAIM_MAX)), &rows);

	if (st != SK_OK)
		return st;
	claimed->count = rows.count;
	claimed->list = sk_arena_array(context->arena, (size_t)rows.count, sizeof(*claimed->list));
	for (int i = 0; i < rows.count; i++)
		read_refund(&rows, i, &claimed->list[i]);
	return SK_OK;
}

enum sk_status payment_store_refund_later(struct sk_pg *pg, struct sk_context *context,
					  const char *id, int64_t delay_ms)
{
	return sk_pg_run(pg, context, &SQL_LATER, SK_PARAMS(sk_text(id), sk_int(delay_ms)), NULL);
}
