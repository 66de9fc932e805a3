/* Streams that lose what they acknowledged: the outbox sends again what it kept.
 *
 * TEST_POSTGRES_URL has a schema with libcommon's tables that nobody else uses meanwhile,
 * TEST_NATS_URL an administrator of a broker with a stream "contract" of contract.>, which is deleted
 * and made anew here. */
#include "outbox_fixture.h"

#include <nats/nats.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "../sk_id.h"
#include "souk/audit/v1/events.pb-c.h"

static const struct sk_sql REMEMBER_MORE = {
	"test_remember_more",
	"UPDATE outbox_stream SET last_sequence = last_sequence + 1000000 WHERE stream = "
	"'contract'",
};
/* As a relay leaves it that dies when it has recalled what is up to the row of $2. */
static const struct sk_sql HALF_RECALLED = {
	"test_half_recalled",
	"UPDATE outbox_stream SET created = $1, last_sequence = 0, recall_after = $2,"
	" recall_until = (SELECT max(seq) FROM outbox) WHERE stream = 'contract'",
};
static const struct sk_sql SEQ_IN_THE_MIDDLE = {
	"test_seq_in_the_middle",
	"SELECT seq FROM outbox WHERE subject = $1 ORDER BY seq OFFSET $2 LIMIT 1",
};
static const struct sk_sql RECALLING = {
	"test_recalling",
	"SELECT count(*) FROM outbox_stream WHERE recall_after IS NOT NULL OR retold IS NOT NULL",
};
static const struct sk_sql KNOWN = {
	"test_known",
	"SELECT count(*) FROM outbox_stream WHERE stream = 'contract' AND created = $1",
};
static const struct sk_sql RETELL = {
	"test_retell",
	"UPDATE outbox_stream SET retold = $1 WHERE stream = 'contract'",
};

/* ---- the broker ---- */

/* The answer of JetStream's API, which must be no refusal. */
static const char *call_broker(const char *call, const char *body)
{
	const char *text;
	natsConnection *nats = NULL;
	natsMsg *answer = NULL;

	assert_int_equal(natsConnection_ConnectTo(&nats, needed("TEST_NATS_URL")), NATS_OK);
	assert_int_equal(natsConnection_RequestString(&answer, nats, call, body, PATIENCE_MS),
			 NATS_OK);
	text = sk_arena_printf(fixture.context.arena, "%.*s", natsMsg_GetDataLength(answer),
			       natsMsg_GetData(answer));
	assert_null(strstr(text, "\"error\""));
	natsMsg_Destroy(answer);
	natsConnection_Destroy(nats);
	return text;
}

static void lose_the_stream(void)
{
	call_broker("$JS.API.STREAM.DELETE.contract", "");
	call_broker("$JS.API.STREAM.CREATE.contract",
		    "{\"name\":\"contract\",\"subjects\":[\"contract.>\"],\"storage\":\"memory\","
		    "\"allow_direct\":true}");
}

/* When the stream was created, as the broker writes it. */
static const char *birth_of_the_stream(void)
{
	const char *text = call_broker("$JS.API.STREAM.INFO.contract", "");
	const char *at = strstr(text, "\"created\":\"");

	assert_non_null(at);
	at += strlen("\"created\":\"");
	return sk_arena_printf(fixture.context.arena, "%.*s", (int)strcspn(at, "\""), at);
}

/* ---- recalling ---- */

struct expected {
	const char *subject;
	int count;
};

static bool all_are_there(void *arg)
{
	const struct expected *expected = arg;

	return sk_bus_connected(fixture.first.bus) &&
	       listen_for(expected->subject).count == expected->count;
}

static bool nothing_is_recalled(void *arg)
{
	(void)arg;
	return ask(&RECALLING, SK_NO_PARAMS) == 0 && nothing_waits(NULL);
}

/* Whether the relay has noticed that the stream is another one, by when that was created. */
static bool the_loss_is_known(void *birth)
{
	return ask(&KNOWN, SK_PARAMS(sk_text(birth))) == 1;
}

/* Whether at least so many events were sent again by the first replica. */
static bool has_recalled(void *arg)
{
	struct sk_metric *metric = sk_metrics_counter(fixture.first.metrics,
						      "souk_outbox_recalled_total", "", "");

	return sk_metric_value(metric) >= *(const int *)arg;
}

/* A subject with that many events in the stream, and a relay that has come to rest. */
static const char *tell(int count)
{
	const char *subject = new_subject();

	open_replica(&fixture.first, needed("TEST_NATS_URL"));
	add_events(subject, 0, count);
	assert_true(eventually(nothing_is_recalled, NULL, PATIENCE_MS));
	return subject;
}

static void what_a_lost_stream_had_is_sent_again_though_nothing_new_is(void **state)
{
	struct expected expected = { tell(300), 300 };
	struct heard heard;

	(void)state;
	lose_the_stream();
	assert_true(eventually(all_are_there, &expected, PATIENCE_MS));
	assert_true(eventually(nothing_is_recalled, NULL, PATIENCE_MS));
	heard = listen_for(expected.subject);
	assert_true(heard.in_order);
	assert_int_equal(heard.count, 300);
	assert_true(has_recalled(&(int) { 300 }));
}

static void a_service_that_was_away_when_the_stream_was_lost_sends_again_at_its_start(void **state)
{
	struct expected expected = { tell(3), 3 };

	(void)state;
	close_replica(&fixture.first);
	lose_the_stream();
	open_replica(&fixture.first, needed("TEST_NATS_URL"));
	assert_true(eventually(all_are_there, &expected, PATIENCE_MS));
}

static void a_new_event_shows_the_loss_as_well(void **state)
{
	struct expected expected = { tell(3), 4 };

	(void)state;
	lose_the_stream();
	add_events(expected.subject, 3, 1);
	assert_true(eventually(all_are_there, &expected, PATIENCE_MS));
}

static void a_stream_that_came_less_far_than_it_said_is_told_again(void **state)
{
	const char *subject = tell(3);

	(void)state;
	close_replica(&fixture.first);
	open_replica(&fixture.first, "nats://127.0.0.1:1"); /* leads, and sees no broker */
	ask(&REMEMBER_MORE, SK_NO_PARAMS);
	close_replica(&fixture.first);
	open_replica(&fixture.first, needed("TEST_NATS_URL"));
	assert_true(eventually(has_recalled, &(int) { 3 }, PATIENCE_MS));
	assert_true(eventually(nothing_is_recalled, NULL, PATIENCE_MS));
	assert_int_equal(listen_for(subject).count, 3); /* the stream knew them */
}

static void a_recall_goes_on_where_a_relay_died(void **state)
{
	const char *subject = tell(10);
	struct expected expected = { subject, 6 };

	(void)state;
	close_replica(&fixture.first);
	lose_the_stream();
	open_replica(&fixture.first, "nats://127.0.0.1:1"); /* leads, and sees no broker */
	ask(&HALF_RECALLED,
	    SK_PARAMS(sk_text(birth_of_the_stream()),
		      sk_int(ask(&SEQ_IN_THE_MIDDLE, SK_PARAMS(sk_text(subject), sk_int(3))))));
	close_replica(&fixture.first);
	open_replica(&fixture.first, needed("TEST_NATS_URL"));
	assert_true(eventually(all_are_there, &expected, PATIENCE_MS));
	assert_true(eventually(nothing_is_recalled, NULL, PATIENCE_MS));
	assert_int_equal(listen_for(subject).count, 6); /* and not what was recalled before */
}

/* ---- retelling ---- */

#define ENTITIES 250 /* more than two pages */

/* Entities 0000 to 0249, of which each has one event. */
static enum sk_status retell_numbers(struct sk_tx *tx, const char *after, int max,
				     const char **last)
{
	int next = after[0] == '\0' ? 0 : (int)strtol(after, NULL, 10) + 1, told = 0;
	struct sk_arena *arena = sk_tx_arena(tx);
	enum sk_status st = SK_OK;

	for (; told < max && next + told < ENTITIES && st == SK_OK; told++) {
		Souk__Audit__V1__UserAction body;
		const char *id = sk_arena_printf(arena, "%04d", next + told);

		souk__audit__v1__user_action__init(&body);
		body.version = 1;
		body.action = sk_arena_strdup(arena, "thing.told");
		body.entity_id = sk_arena_strdup(arena, id);
		st = sk_outbox_add(tx, &(struct sk_event) { .subject = "contract.retold",
							    .body = &body.base,
							    .id = sk_id_derive(arena, id) });
	}
	*last = next + told < ENTITIES ? sk_arena_printf(arena, "%04d", next + told - 1) : NULL;
	return st;
}

static const struct sk_stream RETOLD[] = {
	{ .name = "contract", .compacted = true, .retell = retell_numbers },
	{ .name = NULL },
};

static void a_stream_with_a_hook_is_told_again_page_by_page(void **state)
{
	struct expected expected = { "contract.retold", ENTITIES };

	(void)state;
	fixture.streams = RETOLD;
	tell(0);
	lose_the_stream();
	assert_true(eventually(all_are_there, &expected, PATIENCE_MS));
	assert_true(eventually(nothing_is_recalled, NULL, PATIENCE_MS));
	lose_the_stream(); /* and again: what waits in the outbox is sent once more */
	assert_true(eventually(all_are_there, &expected, PATIENCE_MS));
	assert_true(eventually(nothing_is_recalled, NULL, PATIENCE_MS));
	assert_true(listen_for(expected.subject).in_order);
	take_out(expected.subject);
}

static void a_retelling_goes_on_where_a_relay_died(void **state)
{
	struct expected expected = { "contract.retold", 10 };

	(void)state;
	tell(0);
	lose_the_stream();
	/* Else the next one would notice, and tell everything. */
	assert_true(eventually(the_loss_is_known,
			       sk_arena_strdup(fixture.context.arena, birth_of_the_stream()),
			       PATIENCE_MS));
	assert_true(eventually(nothing_is_recalled, NULL, PATIENCE_MS));
	close_replica(&fixture.first);
	fixture.streams = RETOLD;
	open_replica(&fixture.first, "nats://127.0.0.1:1");
	ask(&RETELL, SK_PARAMS(sk_text("0239")));
	close_replica(&fixture.first);
	open_replica(&fixture.first, needed("TEST_NATS_URL"));
	assert_true(eventually(nothing_is_recalled, NULL, PATIENCE_MS));
	assert_true(eventually(all_are_there, &expected, PATIENCE_MS));
	take_out(expected.subject);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_outbox, tear_down_outbox)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_a_lost_stream_had_is_sent_again_though_nothing_new_is),
		TEST(a_service_that_was_away_when_the_stream_was_lost_sends_again_at_its_start),
		TEST(a_new_event_shows_the_loss_as_well),
		TEST(a_stream_that_came_less_far_than_it_said_is_told_again),
		TEST(a_recall_goes_on_where_a_relay_died),
		TEST(a_stream_with_a_hook_is_told_again_page_by_page),
		TEST(a_retelling_goes_on_where_a_relay_died),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests_name("recall", tests, NULL, NULL);
}
