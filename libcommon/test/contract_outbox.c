/* The outbox: events that are as true as the transaction that made them, and leave after it.
 *
 * TEST_POSTGRES_URL has a schema with libcommon's tables, TEST_NATS_URL a stream "contract" of
 * contract.> that can be read directly. What waits in the outbox at the start is not ours,
 * so the schema must be one that nobody else uses meanwhile. */
#include "outbox_fixture.h"

#include <sodium.h>

#include "../sk_audit.h"
#include "../sk_id.h"

static const struct sk_sql LAST = {
	"test_last",
	"SELECT subject, type, traceparent FROM outbox ORDER BY seq DESC LIMIT 1",
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

static bool one_is_shown(void *arg)
{
	(void)arg;
	return gauge(&fixture.first, "souk_outbox_unsent") == 1;
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
	open_replica(&fixture.first, "nats://127.0.0.1:1");
	assert_int_equal(sk_pg_transact(fixture.first.pg, &fixture.context, act_and_look, NULL),
			 SK_NOT_FOUND);
	assert_true(nothing_waits(NULL));
}

/* ---- relaying ---- */

static void events_leave_in_order_after_the_commit(void **state)
{
	const char *subject = new_subject();
	struct heard heard;

	(void)state;
	open_replica(&fixture.first, needed("TEST_NATS_URL"));
	for (int from = 0; from < 600; from += 300) /* more than one batch of the relay */
		add_events(subject, from, 300);
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
	open_replica(&fixture.first, "nats://127.0.0.1:1");
	add_events(subject, 0, 3);
	close_replica(&fixture.first); /* as a service that ends before the broker is back */
	open_replica(&fixture.first, needed("TEST_NATS_URL"));
	assert_true(eventually(nothing_waits, NULL, PATIENCE_MS));
	assert_int_equal(listen_for(subject).count, 3);
}

static void what_is_committed_leaves_before_the_end(void **state)
{
	const char *subject = new_subject();

	(void)state;
	open_replica(&fixture.first, needed("TEST_NATS_URL"));
	assert_true(eventually(is_connected, &fixture.first, PATIENCE_MS));
	add_events(subject, 0, 300);
	close_replica(&fixture.first);
	open_replica(&fixture.first, needed("TEST_NATS_URL"));
	assert_true(nothing_waits(NULL));
}

static void an_event_that_is_refused_stays_and_does_not_hold_the_others(void **state)
{
	const char *nowhere = "nowhere.at.all", *subject = new_subject();

	(void)state;
	open_replica(&fixture.first, needed("TEST_NATS_URL"));
	add_events(nowhere, 0, 1);
	add_events(subject, 0, 1);
	assert_true(eventually(one_waits, NULL, PATIENCE_MS));
	assert_int_equal(listen_for(subject).count, 1);
	assert_true(eventually(one_is_shown, NULL, PATIENCE_MS));
	take_out(nowhere);
}

/* ---- one leader ---- */

static bool one_leads_and_holds_the_lock(void *arg)
{
	const int64_t *not_this = arg;
	int64_t leaders = gauge(&fixture.first, "souk_outbox_leader") +
			  gauge(&fixture.second, "souk_outbox_leader");
	struct sk_rows rows;

	assert_int_equal(
		sk_pg_run(fixture.first.pg, &fixture.context, &HOLDERS, SK_NO_PARAMS, &rows),
		SK_OK);
	return leaders == 1 && rows.count == 1 && sk_row_int(&rows, 0, 0) != *not_this;
}

static void who_loses_the_lock_leads_no_more(void **state)
{
	int64_t holder = 0;

	(void)state;
	open_replica(&fixture.first, "nats://127.0.0.1:1");
	open_replica(&fixture.second, "nats://127.0.0.1:1");
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
	open_replica(&fixture.first, "nats://127.0.0.1:1");
	ask(&ADD_OLD, SK_PARAMS(sk_text(mine.text)));
	close_replica(&fixture.first);
	open_replica(&fixture.first, "nats://127.0.0.1:1"); /* a relay trims when it begins */
	assert_true(eventually(old_rows_are_gone, mine.text, PATIENCE_MS));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_outbox, tear_down_outbox)

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
