/* The built-in test provider: an outside party that lives in our process.
 *
 * It behaves as a real one would, so that nothing else knows the difference: it takes a
 * charge under an idempotency key and says nothing of how it ends; later it calls the
 * public webhook over HTTP with a signed body, again and again until it gets 2xx. It
 * keeps what it knows in tables of its own and shares no SQL with store.c, because
 * what an outside party knows must not move in one transaction with what we know. */
#include "provider.h"

#include <string.h>

#define WEBHOOK_TIMEOUT_MS 5000
#define SENDS_MAX	   32
#define RETRY_BASE_MS	   200
#define RETRY_MAX_MS	   60000

/* A charge that is asked for again is the same charge; its webhook is sent again at once
 * where it was taken, since we would not ask had it reached us. */
static const struct sk_sql SQL_CHARGE = {
	"test_provider_charge",
	"INSERT INTO test_provider_charge (key, amount_minor, currency, outcome, reason, due_at,"
	"  refunds)"
	" VALUES ($1, $2, $3, $4, $5, now() + $6 * interval '1 millisecond', $7)"
	" ON CONFLICT (key) DO UPDATE SET due_at = coalesce(test_provider_charge.due_at, now())",
};

/* What it took it pays back, but for the charges that it refuses to. */
static const struct sk_sql SQL_REFUND = {
	"test_provider_refund",
	"INSERT INTO test_provider_refund (key, payment_id, amount_minor, currency, due_at, "
	"outcome)"
	" VALUES ($1, $2, $3, $4, now(), CASE WHEN EXISTS (SELECT FROM test_provider_charge"
	"  WHERE key = $2 AND NOT refunds) THEN 'failed' ELSE 'succeeded' END)"
	" ON CONFLICT (key) DO UPDATE SET due_at = coalesce(test_provider_refund.due_at, now())",
};

/* Both claims give: key, type, payment id, refund id, amount, currency, reason, attempts. */
static const struct sk_sql SQL_CLAIM_CHARGES = {
	"test_provider_claim_charges",
	"UPDATE test_provider_charge"
	" SET attempts = attempts + 1, due_at = now() + $1 * interval '1 millisecond'"
	" WHERE key IN (SELECT key FROM test_provider_charge WHERE due_at <= now()"
	"  ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED)"
	" RETURNING key, 'payment.' || outcome, key, NULL::uuid, amount_minor, currency, reason,"
	"  attempts",
};

static const struct sk_sql SQL_CLAIM_REFUNDS = {
	"test_provider_claim_refunds",
	"UPDATE test_provider_refund"
	" SET attempts = attempts + 1, due_at = now() + $1 * interval '1 millisecond'"
	" WHERE key IN (SELECT key FROM test_provider_refund WHERE due_at <= now()"
	"  ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED)"
	" RETURNING key, 'refund.' || outcome, payment_id, key, amount_minor, currency,"
	"  CASE outcome WHEN 'failed' THEN 'the card does not take money back' ELSE '' END, "
	"attempts",
};

static const struct sk_sql SQL_CHARGE_NEXT = {
	"test_provider_charge_next",
	"UPDATE test_provider_charge SET due_at = now() + $2 * interval '1 millisecond'"
	" WHERE key = $1",
};

static const struct sk_sql SQL_REFUND_NEXT = {
	"test_provider_refund_next",
	"UPDATE test_provider_refund SET due_at = now() + $2 * interval '1 millisecond'"
	" WHERE key = $1",
};

/* ---- being asked ---- */

static enum sk_status charge(struct payment_service *service, struct sk_context *context,
			     const struct payment *payment)
{
	struct payment_test_outcome outcome = payment_test_outcome_of(payment->token);
	enum sk_status st = sk_pg_run(service->parts->pg, context, &SQL_CHARGE,
				      SK_PARAMS(sk_text(payment->id), sk_int(payment->amount.minor),
						sk_text(payment->amount.currency),
						sk_text(outcome.succeeds ? "succeeded" : "failed"),
						sk_text(outcome.reason), sk_int(outcome.delay_ms),
						sk_bool(outcome.refunds)),
				      NULL);

	if (st == SK_OK && outcome.delay_ms == 0)
		sk_sweep_wake(service->parts->sweeps, PAYMENT_SWEEP_TEST_PROVIDER);
	return st;
}

static enum sk_status refund(struct payment_service *service, struct sk_context *context,
			     const struct payment_refund *refund)
{
	enum sk_status st = sk_pg_run(service->parts->pg, context, &SQL_REFUND,
				      SK_PARAMS(sk_text(refund->id), sk_text(refund->payment_id),
						sk_int(refund->amount.minor),
						sk_text(refund->amount.currency)),
				      NULL);

	if (st == SK_OK)
		sk_sweep_wake(service->parts->sweeps, PAYMENT_SWEEP_TEST_PROVIDER);
	return st;
}

/* ---- calling ---- */

/* A webhook that is due. */
struct call {
	const char *key, *type, *payment_id;
	const char *refund_id; /* NULL: of a charge */
	struct sk_money amount;
	const char *reason;
	int attempts;
};

static struct call read_call(const struct sk_rows *rows, int row)
{
	return (struct call) {
		.key = sk_row_text(rows, row, 0),
		.type = sk_row_text(rows, row, 1),
		.payment_id = sk_row_text(rows, row, 2),
		.refund_id = sk_row_text_or_null(rows, row, 3),
		.amount = sk_money_of(sk_row_int(rows, row, 4), sk_row_text(rows, row, 5)),
		.reason = sk_row_text(rows, row, 6),
		.attempts = (int)sk_row_int(rows, row, 7),
	};
}

static struct sk_json encode_call(struct sk_arena *arena, const struct call *call)
{
	struct sk_json json;

	sk_json_init(&json, arena, PAYMENT_WEBHOOK_MAX_BYTES);
	sk_json_begin_object(&json, NULL);
	sk_json_text(&json, "type", call->type);
	sk_json_text(&json, "payment_id", call->payment_id);
	sk_json_text(&json, "refund_id", call->refund_id);
	sk_json_int(&json, "amount", call->amount.minor);
	sk_json_text(&json, "currency", call->amount.currency);
	sk_json_text(&json, "reason", call->reason);
	sk_json_end_object(&json);
	return json;
}

/* Whether the webhook was taken. Its id is the same each time it is sent. */
static bool call_webhook(struct payment_service *service, struct sk_context *context,
			 const struct call *call)
{
	struct sk_arena *arena = context->arena;
	struct sk_json body = encode_call(arena, call);
	struct sk_webhook webhook = {
		.id = sk_arena_printf(arena, "evt_%s", call->key),
		.body = sk_buf_text(&body.buf),
		.len = body.buf.len,
	};
	int status = 0;
	enum sk_status st = sk_webhook_send(context,
					    &(struct sk_webhook_target) {
						    .url = service->test_url,
						    .secret = service->test_secret,
						    .timeout_ms = WEBHOOK_TIMEOUT_MS,
					    },
					    &webhook, &status);

	if (st == SK_OK && status >= 200 && status < 300)
		return true;
	sk_log(SK_LOG_WARN, context, "test provider: webhook %s of %s was not taken (%s %d)",
	       webhook.id, call->type, sk_status_name(st), status);
	sk_context_clear_error(context);
	return false;
}

/* The charges or the refunds that are due. *again as for a sweep. */
static enum sk_status send_due(struct payment_service *service, struct sk_context *context,
			       const struct sk_sql *claim, const struct sk_sql *next, bool *again)
{
	struct sk_rows rows;
	enum sk_status st = sk_pg_run(service->parts->pg, context, claim,
				      SK_PARAMS(sk_int(PAYMENT_LEASE_MS), sk_int(SENDS_MAX)),
				      &rows);

	for (int i = 0; st == SK_OK && i < rows.count; i++) {
		struct call call = read_call(&rows, i);
		struct sk_param delay = sk_null();

		/* The signature carries the time, and a run may last longer than it is good for. */
		context->now_us = sk_time_now_us();
		if (!call_webhook(service, context, &call))
			delay = sk_int(RETRY_BASE_MS + sk_time_backoff_ms(call.attempts,
									  RETRY_BASE_MS,
									  RETRY_MAX_MS));
		st = sk_pg_run(service->parts->pg, context, next,
			       SK_PARAMS(sk_text(call.key), delay), NULL);
	}
	*again = *again || (st == SK_OK && rows.count == SENDS_MAX);
	return st;
}

enum sk_status payment_sweep_test_provider(struct sk_context *context, void *app, bool *again)
{
	struct payment_service *service = app;
	enum sk_status st;

	if (!service->test_provider)
		return SK_OK;
	st = send_due(service, context, &SQL_CLAIM_CHARGES, &SQL_CHARGE_NEXT, again);
	if (st == SK_OK)
		st = send_due(service, context, &SQL_CLAIM_REFUNDS, &SQL_REFUND_NEXT, again);
	return st;
}

/* ---- our side: understanding its webhook ---- */

static enum sk_status decode_notice(struct sk_context *context, const struct sk_webhook *webhook,
				    struct payment_notice *notice)
{
	struct sk_field_errors errors = { .arena = context->arena };
	const struct cJSON *root;
	struct sk_fields fields;
	const char *type, *currency, *refund_id, *reason;
	enum sk_status st = sk_json_parse(context, webhook->body, webhook->len, &root);

	if (st != SK_OK)
		return st;
	fields = sk_fields_of(root, &errors);
	type = sk_field_text(&fields, "type", 1, 64, SK_FIELD_REQUIRED);
	if (type != NULL && !payment_notice_kind_parse(type, &notice->kind))
		sk_field_reject(&fields, "type", "not a type that we know");
	notice->payment_id = sk_field_id(&fields, "payment_id", SK_FIELD_REQUIRED);
	refund_id = sk_field_id(&fields, "refund_id",
				type != NULL && strncmp(type, "refund.", 7) == 0
					? SK_FIELD_REQUIRED
					: SK_FIELD_OPTIONAL);
	notice->amount.minor = sk_field_int(&fields, "amount", 0, SK_MONEY_MAX_MINOR,
					    SK_FIELD_REQUIRED, 0);
	currency = sk_field_text(&fields, "currency", 3, 3, SK_FIELD_REQUIRED);
	reason = sk_field_text(&fields, "reason", 0, PAYMENT_REASON_MAX_BYTES, SK_FIELD_OPTIONAL);
	st = sk_fields_finish(&fields, context);
	if (st != SK_OK)
		return st;
	notice->amount = sk_money_of(notice->amount.minor, currency);
	notice->refund_id = refund_id != NULL ? refund_id : "";
	notice->reason = reason != NULL ? reason : "";
	return SK_OK;
}

static enum sk_status read_webhook(struct payment_service *service, struct sk_context *context,
				   const struct sk_webhook *webhook, struct payment_notice *notice)
{
	enum sk_status st = sk_webhook_verify(context, service->test_secret, webhook);

	return st == SK_OK ? decode_notice(context, webhook, notice) : st;
}

const struct payment_provider PAYMENT_TEST_PROVIDER = {
	.name = "test",
	.charge = charge,
	.refund = refund,
	.read = read_webhook,
};
