#include "payment.h"

#define PAYMENT_COLUMNS                                                                            \
	" id, order_id, account_id, number, amount_minor, currency, provider, token, state,"       \
	" refunded_minor, version, reason, traceparent, attempts, created_at "

/* Two that ask for one order at once: the second waits for the first and gets no row. */
static const struct sk_sql SQL_ADD = {
	"payment_add",
	"INSERT INTO payment (id, order_id, account_id, number, amount_minor, currency, provider,"
	"  token, state, reason, traceparent, charge_due_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,"
	"  CASE WHEN $9 = 'requested' THEN now() END)"
	" ON CONFLICT (order_id) DO NOTHING",
};

static const struct sk_sql SQL_HOLD = {
	"payment_hold",
	"SELECT" PAYMENT_COLUMNS "FROM payment WHERE id = $1 FOR UPDATE",
};

static const struct sk_sql SQL_HOLD_OF_ORDER = {
	"payment_hold_of_order",
	"SELECT" PAYMENT_COLUMNS "FROM payment WHERE order_id = $1 FOR UPDATE",
};

static const struct sk_sql SQL_MOVE = {
	"payment_move",
	"UPDATE payment"
	" SET state = $2, reason = $3, refunded_minor = $4, version = version + 1,"
	"     charge_due_at = CASE WHEN $2 IN ('requested', 'charging') THEN charge_due_at END,"
	"     updated_at = now()"
	" WHERE id = $1"
	" RETURNING version",
};

/* SKIP LOCKED: replicas take different rows, and a row that a webhook holds is being
 * answered. The state changes with the claim, before any provider is asked: from
 * then on a cancel can no longer stop the charge. */
static const struct sk_sql SQL_CLAIM = {
	"payment_claim",
	"UPDATE payment"
	" SET state = 'charging', attempts = attempts + 1, updated_at = now(),"
	"     version = version + (state = 'requested')::int,"
	"     charge_due_at = now() + $1 * interval '1 millisecond'"
	" WHERE id IN (SELECT id FROM payment"
	"  WHERE state IN ('requested', 'charging') AND charge_due_at <= now()"
	"  ORDER BY charge_due_at LIMIT $2 FOR UPDATE SKIP LOCKED)"
	" RETURNING" PAYMENT_COLUMNS,
};

static const struct sk_sql SQL_ASK_LATER = {
	"payment_ask_later",
	"UPDATE payment SET charge_due_at = now() + $2 * interval '1 millisecond'"
	" WHERE id = $1 AND state = 'charging'",
};

static const struct sk_sql SQL_LIST = {
	"payment_list",
	"SELECT" PAYMENT_COLUMNS "FROM payment"
	" WHERE ($1::uuid IS NULL OR order_id = $1)"
	"   AND ($2::uuid IS NULL OR id < $2)"
	" ORDER BY id DESC LIMIT $3",
};

static const struct sk_sql SQL_SEE_WEBHOOK = {
	"webhook_see",
	"INSERT INTO webhook_seen (provider, webhook_id, said) VALUES ($1, $2, $3)"
	" ON CONFLICT DO NOTHING",
};

/* '' is of an earlier release, which did not note it. */
static const struct sk_sql SQL_SAID_BEFORE = {
	"webhook_said",
	"SELECT said IN ($3, '') FROM webhook_seen WHERE provider = $1 AND webhook_id = $2",
};

/* Far longer than any provider repeats a webhook; the table of states would ignore it
 * even then. */
static const struct sk_sql SQL_PRUNE = {
	"webhook_prune",
	"DELETE FROM webhook_seen WHERE seen_at < now() - interval '90 days'",
};

static void read_payment(const struct sk_rows *rows, int row, struct payment *payment)
{
	*payment = (struct payment) {
		.id = sk_row_text(rows, row, 0),
		.order_id = sk_row_text(rows, row, 1),
		.account_id = sk_row_text(rows, row, 2),
		.number = sk_row_text(rows, row, 3),
		.amount = sk_money_of(sk_row_int(rows, row, 4), sk_row_text(rows, row, 5)),
		.provider = sk_row_text(rows, row, 6),
		.token = sk_row_text(rows, row, 7),
		.state = payment_state_parse(sk_row_text(rows, row, 8)),
		.refunded_minor = sk_row_int(rows, row, 9),
		.version = sk_row_int(rows, row, 10),
		.reason = sk_row_text(rows, row, 11),
		.traceparent = sk_row_text(rows, row, 12),
		.attempts = (int)sk_row_int(rows, row, 13),
		.created_at_us = sk_row_time_us(rows, row, 14),
	};
}

static void read_payments(const struct sk_rows *rows, struct sk_arena *arena,
			  struct payments *payments)
{
	payments->count = rows->count;
	payments->list = sk_arena_array(arena, (size_t)rows->count, sizeof(*payments->list));
	for (int i = 0; i < rows->count; i++)
		read_payment(rows, i, &payments->list[i]);
}

static struct sk_param id_or_null(const char *id)
{
	return sk_text(*id != '\0' ? id : NULL);
}

enum sk_status payment_store_add(struct sk_tx *tx, const struct payment *wanted, bool *added)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(
		tx, &SQL_ADD,
		SK_PARAMS(sk_text(wanted->id), sk_text(wanted->order_id),
			  id_or_null(wanted->account_id), sk_text(wanted->number),
			  sk_int(wanted->amount.minor), sk_text(wanted->amount.currency),
			  sk_text(wanted->provider), sk_text(wanted->token),
			  sk_text(payment_state_name(wanted->state)), sk_text(wanted->reason),
			  sk_text(wanted->traceparent)),
		&rows);

	*added = st == SK_OK && rows.affected == 1;
	return st;
}

static enum sk_status hold(struct sk_tx *tx, const struct sk_sql *sql, const char *id,
			   struct payment *payment)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, sql, SK_PARAMS(sk_text(id)), &rows);

	if (st != SK_OK)
		return st;
	if (rows.count == 0)
		return sk_fail(sk_tx_context(tx), SK_NOT_FOUND, "payment_not_found",
			       "there is no such payment (yet)");
	read_payment(&rows, 0, payment);
	return SK_OK;
}

enum sk_status payment_store_hold(struct sk_tx *tx, const char *id, struct payment *payment)
{
	return hold(tx, &SQL_HOLD, id, payment);
}

enum sk_status payment_store_hold_of_order(struct sk_tx *tx, const char *order_id,
					   struct payment *payment)
{
	return hold(tx, &SQL_HOLD_OF_ORDER, order_id, payment);
}

enum sk_status payment_store_move(struct sk_tx *tx, struct payment *payment)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(
		tx, &SQL_MOVE,
		SK_PARAMS(sk_text(payment->id), sk_text(payment_state_name(payment->state)),
			  sk_text(payment->reason), sk_int(payment->refunded_minor)),
		&rows);

	if (st == SK_OK)
		payment->version = sk_row_int(&rows, 0, 0);
	return st;
}

enum sk_status payment_store_claim_charges(struct sk_pg *pg, struct sk_context *context,
					   struct payments *claimed)
{
	struct sk_rows rows;
	enum sk_status st = sk_pg_run(
		pg, context, &SQL_CLAIM,
		SK_PARAMS(sk_int(PAYMENT_LEASE_MS), sk_int(PAYMENT_CLAIM_MAX)), &rows);

	if (st == SK_OK)
		read_payments(&rows, context->arena, claimed);
	return st;
}

enum sk_status payment_store_ask_later(struct sk_pg *pg, struct sk_context *context, const char *id,
				       int64_t delay_ms)
{
	return sk_pg_run(pg, context, &SQL_ASK_LATER, SK_PARAMS(sk_text(id), sk_int(delay_ms)),
			 NULL);
}

enum sk_status payment_store_list(struct sk_pg *pg, struct sk_context *context,
				  const struct payment_filter *filter, struct payments *found)
{
	struct sk_rows rows;
	enum sk_status st = sk_pg_run(pg, context, &SQL_LIST,
				      SK_PARAMS(sk_text(filter->order_id), sk_text(filter->before),
						sk_int(filter->limit)),
				      &rows);

	if (st == SK_OK)
		read_payments(&rows, context->arena, found);
	return st;
}

/* What a notice is about, in words that do not change when it is sent again: providers
 * count attempts in their bodies, so the bytes would not do. */
static const char *words_of(struct sk_arena *arena, const struct payment_notice *notice)
{
	static const char *const kinds[] = {
		[PAYMENT_NOTICE_SUCCEEDED] = "succeeded",
		[PAYMENT_NOTICE_FAILED] = "failed",
		[PAYMENT_NOTICE_REFUNDED] = "refunded",
		[PAYMENT_NOTICE_REFUND_REFUSED] = "refund refused",
	};

	return sk_arena_printf(arena, "%s %s %s %lld %s", kinds[notice->kind], notice->payment_id,
			       notice->refund_id, (long long)notice->amount.minor,
			       notice->amount.currency);
}

enum sk_status payment_store_see_webhook(struct sk_tx *tx, const struct payment_notice *notice,
					 bool *fresh)
{
	struct sk_param provider = sk_text(notice->provider), id = sk_text(notice->webhook_id);
	struct sk_param said = sk_text(words_of(sk_tx_arena(tx), notice));
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_SEE_WEBHOOK, SK_PARAMS(provider, id, said), &rows);

	*fresh = st == SK_OK && rows.affected == 1;
	if (st != SK_OK || *fresh)
		return st;
	st = sk_tx_run(tx, &SQL_SAID_BEFORE, SK_PARAMS(provider, id, said), &rows);
	if (st == SK_OK && (rows.count == 0 || !sk_row_bool(&rows, 0, 0)))
		return sk_fail(sk_tx_context(tx), SK_CONFLICT, "webhook_id_reused",
			       "webhook %s told something else before", notice->webhook_id);
	return st;
}

enum sk_status payment_store_prune(struct sk_pg *pg, struct sk_context *context)
{
	return sk_pg_run(pg, context, &SQL_PRUNE, SK_NO_PARAMS, NULL);
}
