/* The outbox: events that are as true as the transaction that made them, and leave after it.
 *
 * TEST_POSTGRES_URL has a schema with libcommon's tables, TEST_NATS_URL a stream "contract" of
 * contract.> that can be read directly. What waits in the outbox at the start is not ours,
 * so the schema must be one that nobody else uses meanwhile. */
#include "unit.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "../sk_audit.h"
#include "../sk_id.h"
#include "../sk_log.h"
#include "../sk_message.h"
#include "../sk_metrics.h"
#include "../sk_outbox.h"
#include "souk/audit/v1/events.pb-c.h"
#include "store_faults.h"

#define PATIENCE_MS 10000

static const struct sk_sql WAITING = {
	"test_waiting",
	"SELECT count(*) FROM outbox WHERE sent_at IS NULL",
};
static const struct sk_sql LAST = {
	"test_last",
	"SELECT subject, type, traceparent FROM outbox ORDER BY seq DESC LIMIT 1",
};
static const struct sk_sql TAKE_OUT = {
	"test_take_out",
	"DELETE FROM outbox WHERE subject = $1",
};
static const struct sk_sql HOLDERS = {
	"test_holders",
	"SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
	" AND classid::bigint::bit(32) = hashtext('souk outbox')::bit(32)"
	" AND objid::bigint::bit(32) = hashtext('contract')::bit(32)",
};
static const struct sk_sql END_PROCESS = {
	"test_end_process",
	"SELECT pg_terminate_backend($1, 5000)",
};
static const struct sk_sql ADD_OLD = {
	"test_add_old",
	"INSERT INTO inbox (consumer, message_id, seen_at) SELECT $1, i::text, now() - interval '9 "
	"days'"
	" FROM generate_series(1, 12000) AS i",
};
static const struct sk_sql COUNT_OF = {
	"test_count",
	"SELECT count(*) FROM inbox WHERE consumer = $1",
};

/* One replica of a service. */
struct replica {
	struct sk_metrics *metrics;
	struct sk_pg *pg;
	struct sk_bus *bus;
	struct sk_outbox *outbox;
};

static struct replica first, second;
static struct sk_context context;

static void open_replica(struct replica *replica, const char *nats_url)
{
	const char *url = needed("TEST_POSTGRES_URL");

	replica->metrics = sk_metrics_open();
	replica->pg = sk_pg_open(&(struct sk_pg_options) { .url = url,
							   .application_name = "contract",
							   .connections = 2,
							   .timeout_ms = 5000 },
				 NULL);
	replica->bus = sk_bus_open(&(struct sk_bus_options) { .url = nats_url,
							      .service = "contract",
							      .publish_timeout_ms = 2000 },
				   replica->metrics);
	replica->outbox = sk_outbox_open(replica->pg, replica->bus, url, "contract", 1,
					 replica->metrics);
}

static void close_replica(struct replica *replica)
{
	sk_outbox_close(&replica->outbox);
	sk_bus_close(&replica->bus);
	sk_pg_close(&replica->pg);
	sk_metrics_close(&replica->metrics);
}

static int set_up(void **state)
{
	(void)state;
	sk_log_init("contract", SK_LOG_ERROR);
	sk_context_init(&context, 0);
	first = second = (struct replica) { .outbox = NULL };
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close_replica(&first);
	close_replica(&second);
	sk_context_release(&context);
	return 0;
}

static int64_t gauge(const struct replica *replica, const char *name)
{
	return sk_metric_value(sk_metrics_gauge(replica->metrics, name, "", ""));
}

static int64_t ask(const struct sk_sql *sql, const struct sk_param *params, size_t count)
{
	struct sk_rows rows;

	assert_int_equal(sk_pg_run(first.pg, &context, sql, params, count, &rows), SK_OK);
	return rows.count > 0 ? sk_row_int(&rows, 0, 0) : 0;
}

static bool nothing_waits(void *arg)
{
	(void)arg;
	return ask(&WAITING, SK_NO_PARAMS) == 0;
}

static bool one_waits(void *arg)
{
	(void)arg;
	return ask(&WAITING, SK_NO_PARAMS) == 1;
}

static bool one_is_shown(void *arg)
{
	(void)arg;
	return gauge(&first, "souk_outbox_unsent") == 1;
}

static bool is_connected(void *arg)
{
	const struct replica *replica = arg;

	return sk_bus_connected(replica->bus);
}

/* ---- events ---- */

struct batch {
	const char *subject;
	int from, count;
};

/* Events whose entity_id is their number. */
static enum sk_status add_events(struct sk_tx *tx, void *arg)
{
	const struct batch *batch = arg;
	enum sk_status st = SK_OK;

	for (int i = 0; i < batch->count && st == SK_OK; i++) {
		Souk__Audit__V1__UserAction body;

		souk__audit__v1__user_action__init(&body);
		body.version = 1;
		body.action = sk_arena_strdup(sk_tx_arena(tx), "thing.done");
		body.entity_id = sk_arena_printf(sk_tx_arena(tx), "%d", batch->from + i);
		st = sk_outbox_add(
			tx, &(struct sk_event) { .subject = batch->subject, .body = &body.base });
	}
	return st;
}

static void add(const char *subject, int from, int count)
{
	struct batch batch = { .subject = subject, .from = from, .count = count };

	assert_int_equal(sk_pg_transact(first.pg, &context, add_events, &batch), SK_OK);
}

/* What the stream has of one subject: the numbers in their order. */
struct heard {
	const char *subject;
	int count;
	bool in_order;
};

static enum sk_status hear(const struct sk_delivery *delivery, void *arg)
{
	struct heard *heard = arg;
	ProtobufCMessage *message = NULL;

	if (strcmp(delivery->subject, heard->subject) != 0)
		return SK_OK;
	assert_string_equal(delivery->type, "souk.audit.v1.UserAction");
	assert_string_equal(delivery->source, "souk/contract");
	assert_int_equal(sk_message_unpack(&context, &souk__audit__v1__user_action__descriptor,
					   delivery->data, delivery->len, &message),
			 SK_OK);
	heard->in_order = heard->in_order &&
			  strtol(((Souk__Audit__V1__UserAction *)message)->entity_id, NULL, 10) ==
				  heard->count;
	heard->count++;
	return SK_OK;
}

static struct heard listen_for(const char *subject)
{
	struct heard heard = { .subject = subject, .in_order = true };
	uint64_t next = 0;

	assert_int_equal(sk_bus_replay(first.bus, &context, "contract", &next, hear, &heard),
			 SK_OK);
	return heard;
}

static const char *new_subject(void)
{
	return sk_arena_printf(context.arena, "contract.%s", sk_id_make(context.arena));
}

/* ---- adding ---- */

static enum sk_status act_and_look(struct sk_tx *tx, void *arg)
{
	struct sk_rows rows;

	(void)arg;
	assert_int_equal(sk_audit_action(tx, "thing.done", "thing", "17", NULL), SK_OK);
	assert_int_equal(sk_tx_run(tx, &LAST, SK_NO_PARAMS, &rows), SK_OK);
	assert_string_equal(sk_row_text(&rows, 0, 0), "audit.user_actions.anonymous");
	assert_string_equal(sk_row_text(&rows, 0, 1), "souk.audit.v1.UserAction");
	assert_int_equal(strlen(sk_row_text(&rows, 0, 2)), 55);
	return SK_NOT_FOUND;
}

static void an_event_is_a_row_of_its_transaction(void **state)
{
	(void)state;
	open_replica(&first, "nats://127.0.0.1:1");
	assert_int_equal(sk_pg_transact(first.pg, &context, act_and_look, NULL), SK_NOT_FOUND);
	assert_true(nothing_waits(NULL));
}

/* ---- relaying ---- */

static void events_leave_in_order_after_the_commit(void **state)
{
	const char *subject = new_subject();
	struct heard heard;

	(void)state;
	open_replica(&first, needed("TEST_NATS_URL"));
	for (int from = 0; from < 600; from += 300) /* more than one batch of the relay */
		add(subject, from, 300);
	assert_true(eventually(nothing_waits, NULL, PATIENCE_MS));
	heard = listen_for(subject);
	assert_int_equal(heard.count, 600);
	assert_true(heard.in_order);
}

static void events_wait_for_a_broker_that_is_down(void **state)
{
	const char *subject = new_subject();

	(void)state;
	needed("TEST_NATS_URL");
	open_replica(&first, "nats://127.0.0.1:1");
	add(subject, 0, 3);
	close_replica(&first); /* as a service that ends before the broker is back */
	open_replica(&first, needed("TEST_NATS_URL"));
	assert_true(eventually(nothing_waits, NULL, PATIENCE_MS));
	assert_int_equal(listen_for(subject).count, 3);
}

static void what_is_committed_leaves_before_the_end(void **state)
{
	const char *subject = new_subject();

	(void)state;
	open_replica(&first, needed("TEST_NATS_URL"));
	assert_true(eventually(is_connected, &first, PATIENCE_MS));
	add(subject, 0, 300);
	close_replica(&first);
	open_replica(&first, needed("TEST_NATS_URL"));
	assert_true(nothing_waits(NULL));
}

static void an_event_that_is_refused_stays_and_does_not_hold_the_others(void **state)
{
	const char *nowhere = "nowhere.at.all", *subject = new_subject();

	(void)state;
	open_replica(&first, needed("TEST_NATS_URL"));
	add(nowhere, 0, 1);
	add(subject, 0, 1);
	assert_true(eventually(one_waits, NULL, PATIENCE_MS));
	assert_int_equal(listen_for(subject).count, 1);
	assert_true(eventually(one_is_shown, NULL, PATIENCE_MS));
	ask(&TAKE_OUT, SK_PARAMS(sk_text(nowhere)));
}

/* ---- one leader ---- */

static bool one_leads_and_holds_the_lock(void *arg)
{
	const int64_t *not_this = arg;
	int64_t leaders = gauge(&first, "souk_outbox_leader") +
			  gauge(&second, "souk_outbox_leader");
	struct sk_rows rows;

	assert_int_equal(sk_pg_run(first.pg, &context, &HOLDERS, SK_NO_PARAMS, &rows), SK_OK);
	return leaders == 1 && rows.count == 1 && sk_row_int(&rows, 0, 0) != *not_this;
}

static void who_loses_the_lock_leads_no_more(void **state)
{
	int64_t holder = 0;

	(void)state;
	open_replica(&first, "nats://127.0.0.1:1");
	open_replica(&second, "nats://127.0.0.1:1");
	for (int i = 0; i < 5; i++) {
		assert_true(eventually(one_leads_and_holds_the_lock, &holder, PATIENCE_MS));
		holder = ask(&HOLDERS, SK_NO_PARAMS);
		ask(&END_PROCESS, SK_PARAMS(sk_int(holder)));
	}
	assert_true(eventually(one_leads_and_holds_the_lock, &holder, PATIENCE_MS));
}

/* ---- trimming ---- */

static bool old_rows_are_gone(void *arg)
{
	return ask(&COUNT_OF, SK_PARAMS(sk_text(arg))) == 0;
}

static void a_backlog_of_old_rows_is_trimmed_batch_by_batch(void **state)
{
	struct sk_id mine = sk_id_new();

	(void)state;
	open_replica(&first, "nats://127.0.0.1:1");
	ask(&ADD_OLD, SK_PARAMS(sk_text(mine.text)));
	close_replica(&first);
	open_replica(&first, "nats://127.0.0.1:1"); /* a relay trims when it begins */
	assert_true(eventually(old_rows_are_gone, mine.text, PATIENCE_MS));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_event_is_a_row_of_its_transaction),
		TEST(events_leave_in_order_after_the_commit),
		TEST(events_wait_for_a_broker_that_is_down),
		TEST(what_is_committed_leaves_before_the_end),
		TEST(an_event_that_is_refused_stays_and_does_not_hold_the_others),
		TEST(who_loses_the_lock_leads_no_more),
		TEST(a_backlog_of_old_rows_is_trimmed_batch_by_batch),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests_name("outbox", tests, NULL, NULL);
}
