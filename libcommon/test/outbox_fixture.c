#include "outbox_fixture.h"

#include <stdlib.h>

#include "../sk_id.h"
#include "../sk_log.h"
#include "../sk_message.h"
#include "souk/audit/v1/events.pb-c.h"

static const struct sk_sql WAITING = {
	"test_waiting",
	"SELECT count(*) FROM outbox WHERE sent_at IS NULL",
};
static const struct sk_sql TAKE_OUT = {
	"test_take_out",
	"DELETE FROM outbox WHERE subject = $1",
};

static const struct sk_stream PLAIN[] = {
	{ .name = "contract" },
	{ .name = NULL },
};

struct outbox_fixture fixture;

void open_replica(struct replica *replica, const char *nats_url)
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
	replica->outbox = sk_outbox_open(replica->pg, replica->bus,
					 &(struct sk_outbox_options) { .url = url,
								       .service = "contract",
								       .keep_hours = 1,
								       .streams = fixture.streams },
					 replica->metrics);
}

void close_replica(struct replica *replica)
{
	sk_outbox_close(&replica->outbox);
	sk_bus_close(&replica->bus);
	sk_pg_close(&replica->pg);
	sk_metrics_close(&replica->metrics);
}

int set_up_outbox(void **state)
{
	(void)state;
	sk_log_init("contract", SK_LOG_ERROR);
	sk_context_init(&fixture.context, 0);
	fixture.first = fixture.second = (struct replica) { .outbox = NULL };
	fixture.streams = PLAIN;
	return 0;
}

int tear_down_outbox(void **state)
{
	(void)state;
	close_replica(&fixture.first);
	close_replica(&fixture.second);
	sk_context_release(&fixture.context);
	return 0;
}

int64_t gauge(const struct replica *replica, const char *name)
{
	return sk_metric_value(sk_metrics_gauge(replica->metrics, name, "", ""));
}

int64_t ask(const struct sk_sql *sql, const struct sk_param *params, size_t count)
{
	struct sk_rows rows;

	assert_int_equal(sk_pg_run(fixture.first.pg, &fixture.context, sql, params, count, &rows),
			 SK_OK);
	return rows.count > 0 ? sk_row_int(&rows, 0, 0) : 0;
}

bool nothing_waits(void *arg)
{
	(void)arg;
	return ask(&WAITING, SK_NO_PARAMS) == 0;
}

bool one_waits(void *arg)
{
	(void)arg;
	return ask(&WAITING, SK_NO_PARAMS) == 1;
}

bool is_connected(void *arg)
{
	const struct replica *replica = arg;

	return sk_bus_connected(replica->bus);
}

void take_out(const char *subject)
{
	ask(&TAKE_OUT, SK_PARAMS(sk_text(subject)));
}

/* ---- events ---- */

struct batch {
	const char *subject;
	int from, count;
};

/* Events whose entity_id is their number. */
static enum sk_status add_batch(struct sk_tx *tx, void *arg)
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

void add_events(const char *subject, int from, int count)
{
	struct batch batch = { .subject = subject, .from = from, .count = count };

	assert_int_equal(sk_pg_transact(fixture.first.pg, &fixture.context, add_batch, &batch),
			 SK_OK);
}

static enum sk_status hear(const struct sk_delivery *delivery, void *arg)
{
	struct heard *heard = arg;
	ProtobufCMessage *message = NULL;

	if (strcmp(delivery->subject, heard->subject) != 0)
		return SK_OK;
	assert_string_equal(delivery->type, "souk.audit.v1.UserAction");
	assert_string_equal(delivery->source, "souk/contract");
	assert_int_equal(sk_message_unpack(&fixture.context,
					   &souk__audit__v1__user_action__descriptor,
					   delivery->data, delivery->len, &message),
			 SK_OK);
	heard->in_order = heard->in_order &&
			  strtol(((Souk__Audit__V1__UserAction *)message)->entity_id, NULL, 10) ==
				  heard->count;
	heard->count++;
	return SK_OK;
}

struct heard listen_for(const char *subject)
{
	struct heard heard = { .subject = subject, .in_order = true };
	uint64_t next = 0;

	assert_int_equal(
		sk_bus_replay(fixture.first.bus, &fixture.context, "contract", &next, hear, &heard),
		SK_OK);
	return heard;
}

const char *new_subject(void)
{
	return sk_arena_printf(fixture.context.arena, "contract.%s",
			       sk_id_make(fixture.context.arena));
}
