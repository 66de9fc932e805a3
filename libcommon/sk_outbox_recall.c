/* Streams that lose what they acknowledged, and how what is kept here is sent again.
 *
 * A broker may lose everything: its store is deleted, or a power cut takes back what it had not
 * flushed. Whoever has consumed the events by then misses nothing; whoever has not would miss
 * them for ever. So the relay remembers of each stream its identity (when it was created) and
 * the last sequence that it acknowledged, in the statement that marks the rows sent, and compares:
 *
 * - about each second, and after each connection before anything is sent, with what the stream
 *   says of itself: another identity, or a lower last sequence, is a loss;
 * - with each acknowledgement: a new event's sequence that is not above the last one is a loss;
 * - after each connection by a probe: the newest row of each stream that is young enough for
 *   the stream's window is sent again. A stream that has it says "duplicate". One that
 *   stores it has lost it. (Others publish to the streams audit and sessions as well, and may
 *   have filled the sequences of a rolled-back stream before we look.)
 *
 * After a loss the rows that are kept are marked unsent, RECALL_SEQS at a time, and the
 * relay sends them as any other, under their own ids. How far it came is in the table
 * outbox_stream: a crash loses nothing. Consumers get all of it anew, and their inboxes (kept
 * longer than the rows are) know what they had. Who publishes nothing new recalls as well.
 *
 * Rows are kept OUTBOX_KEEP_HOURS (24 at least) after they were sent. Is that "until the workflow
 * has answered"? The order's workflow remembers itself what is unanswered (its table, not the
 * outbox) and its sweep asks again every ORDER_RESEND_S with fresh ids until an answer comes or the
 * step's deadline cancels the order, all of which is within the hour. What has no answer (mails,
 * audit, analytics, carts) rests on the rows alone: it is lost only if a consumer was away for
 * more than 24 hours and the stream was lost in that time, too. To hold each row until all its
 * consumers had confirmed it would need a message back from each: refused.
 *
 * A compacted stream holds more than 24 hours of rows can rebuild. Its owner gives a retell
 * hook, which adds the events of one page of entities to the outbox; the place is kept in the
 * transaction of the page. It is called where the stream was lost or is new and empty, and where
 * sk_outbox_retell asked for it. Such a stream is told again instead of being recalled: rows of a
 * recall go out beside newer ones, and an old version must not become the last of its subject. */
#include "sk_outbox_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sk_audit.h"
#include "sk_log.h"
#include "sk_metrics.h"
#include "sk_time.h"

#define LOOK_INTERVAL_US SK_SECOND_US
#define MARK_TIMEOUT_US	 SK_SECOND_US
#define RECALL_SEQS	 2000 /* of the outbox, looked through in one statement */
#define RETELL_ENTITIES	 100  /* in one transaction */
#define RETELL_RETRY_US	 (2 * SK_SECOND_US)

static const struct sk_sql SQL_REMEMBERED = {
	"outbox_streams",
	"SELECT stream, created, last_sequence, recall_after IS NOT NULL, retold IS NOT NULL"
	" FROM outbox_stream",
};

static const struct sk_sql SQL_SEEN = {
	"outbox_stream_seen",
	"INSERT INTO outbox_stream (stream, created, last_sequence) VALUES ($1, $2, $3)"
	" ON CONFLICT (stream) DO UPDATE SET created = excluded.created,"
	"  last_sequence = excluded.last_sequence",
};

/* $4: whether all that the stream should hold is told again; $5: whether kept rows are sent again. */
static const struct sk_sql SQL_LOST = {
	"outbox_stream_lost",
	"INSERT INTO outbox_stream"
	"  (stream, created, last_sequence, recall_after, recall_until, retold)"
	" SELECT $1, $2, $3, CASE WHEN $5 THEN coalesce(min(seq) - 1, 0) END,"
	"  CASE WHEN $5 THEN coalesce(max(seq), 0) END, CASE WHEN $4 THEN '' END FROM outbox"
	" ON CONFLICT (stream) DO UPDATE SET created = excluded.created,"
	"  last_sequence = excluded.last_sequence, recall_after = excluded.recall_after,"
	"  recall_until = excluded.recall_until, retold = excluded.retold",
};

static const struct sk_sql SQL_SENT = {
	"outbox_sent",
	"WITH marked AS ("
	" UPDATE outbox SET sent_at = now() WHERE seq = ANY($1::bigint[]))"
	" INSERT INTO outbox_stream (stream, created, last_sequence)"
	" SELECT * FROM unnest($2::text[], $3::text[], $4::bigint[])"
	" ON CONFLICT (stream) DO UPDATE SET last_sequence = excluded.last_sequence",
};

/* Young enough that the stream's window (120 s) still knows it. */
static const struct sk_sql SQL_PROBE = {
	"outbox_probe",
	"UPDATE outbox SET sent_at = NULL WHERE seq = ("
	" SELECT seq FROM outbox WHERE sent_at > now() - interval '90 seconds'"
	"  AND split_part(subject, '.', 1) = $1 ORDER BY sent_at DESC, seq DESC LIMIT 1)"
	" RETURNING seq",
};

static const struct sk_sql SQL_RECALL = {
	"outbox_recall",
	"WITH place AS ("
	" SELECT recall_after AS after, least(recall_after + $2, recall_until) AS until"
	"  FROM outbox_stream WHERE stream = $1 AND recall_after IS NOT NULL),"
	" recalled AS ("
	" UPDATE outbox SET sent_at = NULL FROM place"
	"  WHERE seq > after AND seq <= until AND sent_at IS NOT NULL"
	"   AND split_part(subject, '.', 1) = $1 RETURNING 1),"
	" moved AS ("
	" UPDATE outbox_stream SET recall_after = nullif(until, recall_until),"
	"  recall_until = CASE WHEN until < recall_until THEN recall_until END"
	"  FROM place WHERE stream = $1)"
	" SELECT count(*) FROM recalled",
};

static const struct sk_sql SQL_RETOLD = {
	"outbox_retold",
	"SELECT retold FROM outbox_stream WHERE stream = $1 AND retold IS NOT NULL FOR UPDATE",
};

static const struct sk_sql SQL_RETELL_FROM = {
	"outbox_retell_from",
	"UPDATE outbox_stream SET retold = $2 WHERE stream = $1",
};

static const struct sk_sql SQL_RETELL = {
	"outbox_retell",
	"INSERT INTO outbox_stream (stream, created, last_sequence, retold) VALUES ($1, '', 0, '')"
	" ON CONFLICT (stream) DO UPDATE SET retold = ''",
};

/* ---- which streams ---- */

/* The stream of a subject is its first token. */
static struct sk__outbox_stream *stream_of(struct sk_outbox *outbox, const char *subject)
{
	size_t len = strcspn(subject, ".");

	for (int i = 0; i < outbox->streams_count; i++)
		if (strlen(outbox->streams[i].name) == len &&
		    strncmp(outbox->streams[i].name, subject, len) == 0)
			return &outbox->streams[i];
	return NULL;
}

static void know(struct sk_outbox *outbox, const char *subject, const struct sk_stream *own)
{
	struct sk__outbox_stream *stream = stream_of(outbox, subject);

	if (stream != NULL)
		return;
	if (outbox->streams_count == SK__OUTBOX_STREAMS_MAX)
		abort();
	stream = &outbox->streams[outbox->streams_count++];
	stream->name = strndup(subject, strcspn(subject, "."));
	if (own != NULL) {
		stream->retell = own->retell;
		stream->compacted = own->compacted;
	}
	if (stream->name == NULL)
		abort();
}

void sk__outbox_know_streams(struct sk_outbox *outbox, const struct sk_stream *streams,
			     const char *const *publishes)
{
	for (; streams != NULL && streams->name != NULL; streams++)
		know(outbox, streams->name, streams);
	for (; publishes != NULL && *publishes != NULL; publishes++)
		know(outbox, *publishes, NULL);
	know(outbox, SK_AUDIT_STREAM, NULL);
}

void sk__outbox_forget_streams(struct sk_outbox *outbox)
{
	for (int i = 0; i < outbox->streams_count; i++)
		free(outbox->streams[i].name);
	outbox->streams_count = 0;
}

static bool was_seen(const struct sk__outbox_stream *stream)
{
	return stream->created[0] != '\0';
}

/* ---- looking ---- */

static enum sk_status read_remembered(struct sk_outbox *outbox)
{
	struct sk_rows rows;
	enum sk_status st = sk__outbox_run(outbox, &SQL_REMEMBERED, SK_NO_PARAMS, &rows);

	for (int row = 0; st == SK_OK && row < rows.count; row++) {
		struct sk__outbox_stream *stream = stream_of(outbox, sk_row_text(&rows, row, 0));

		if (stream == NULL)
			continue;
		snprintf(stream->created, sizeof(stream->created), "%s",
			 sk_row_text(&rows, row, 1));
		stream->last_sequence = sk_row_int(&rows, row, 2);
		stream->recalls = sk_row_bool(&rows, row, 3);
		stream->retells = sk_row_bool(&rows, row, 4);
	}
	return st;
}

/* Remembers the stream as it is now; lost: and that all that is kept has to go there again. */
static enum sk_status remember(struct sk_outbox *outbox, struct sk__outbox_stream *stream,
			       const char *created, int64_t last_sequence, bool lost)
{
	bool retells = lost && stream->retell != NULL;
	bool recalls = lost && !(stream->compacted && retells);
	struct sk_param params[] = {
		sk_text(stream->name), sk_text(created), sk_int(last_sequence),
		sk_bool(retells),      sk_bool(recalls),
	};
	enum sk_status st = sk__outbox_run(outbox, lost ? &SQL_LOST : &SQL_SEEN, params,
					   lost ? 5 : 3, NULL);

	if (st != SK_OK)
		return st;
	if (lost && was_seen(stream))
		sk_log(SK_LOG_WARN, NULL,
		       "stream %s lost what it had acknowledged (it was made %s and had come to "
		       "%lld; now %s and %lld): sending the kept events again",
		       stream->name, stream->created, (long long)stream->last_sequence, created,
		       (long long)last_sequence);
	snprintf(stream->created, sizeof(stream->created), "%s", created);
	stream->last_sequence = last_sequence;
	stream->recalls = recalls || (!lost && stream->recalls);
	stream->retells = retells || (!lost && stream->retells);
	return SK_OK;
}

/* A stream that cannot be asked, or that is not there yet, is asked again in a second. */
static enum sk_status look_at(struct sk_outbox *outbox, struct sk__outbox_stream *stream)
{
	struct sk_stream_state state;
	int64_t last;
	bool lost;

	if (sk_bus_stream_state(outbox->bus, &outbox->context, stream->name, &state) != SK_OK) {
		sk_context_clear_error(&outbox->context);
		return SK_OK;
	}
	last = (int64_t)state.last_sequence;
	if (!was_seen(stream))
		/* New to us: what it should hold may have been lost with the one before. */
		lost = state.messages == 0;
	else
		lost = strcmp(stream->created, state.created) != 0 || last < stream->last_sequence;
	if (!lost && was_seen(stream))
		return SK_OK;
	return remember(outbox, stream, state.created, last, lost);
}

static enum sk_status probe(struct sk_outbox *outbox, struct sk__outbox_stream *stream)
{
	struct sk_rows rows;
	enum sk_status st;

	stream->probe = 0;
	if (!was_seen(stream) || stream->recalls)
		return SK_OK;
	st = sk__outbox_run(outbox, &SQL_PROBE, SK_PARAMS(sk_text(stream->name)), &rows);
	if (st == SK_OK && rows.count > 0)
		stream->probe = sk_row_int(&rows, 0, 0);
	return st;
}

enum sk_status sk__outbox_look(struct sk_outbox *outbox)
{
	unsigned epoch = sk_bus_epoch(outbox->bus);
	bool thoroughly = outbox->next_look_us == 0 || outbox->epoch != epoch;
	enum sk_status st;

	if (!sk_bus_connected(outbox->bus) ||
	    (!thoroughly && sk_time_monotonic_us() < outbox->next_look_us))
		return SK_OK;
	st = read_remembered(outbox);
	for (int i = 0; st == SK_OK && i < outbox->streams_count; i++) {
		st = look_at(outbox, &outbox->streams[i]);
		if (st == SK_OK && thoroughly)
			st = probe(outbox, &outbox->streams[i]);
	}
	if (st == SK_OK) {
		outbox->epoch = epoch;
		outbox->next_look_us = sk_time_monotonic_us() + LOOK_INTERVAL_US;
	}
	return st;
}

/* ---- acknowledgements ---- */

static bool contradicts(const struct sk__outbox_stream *stream, int64_t row,
			const struct sk_ack *ack)
{
	return !ack->duplicate &&
	       ((int64_t)ack->sequence <= stream->last_sequence || row == stream->probe);
}

/* A stream of which the first thing known is an acknowledgement, or that just showed a loss. Its
 * identity is asked for; what follows in this batch is measured by this acknowledgement, since
 * the stream itself may have come further meanwhile. */
static enum sk_status meet(struct sk_outbox *outbox, struct sk__outbox_stream *stream,
			   const struct sk_ack *ack, bool lost)
{
	struct sk_stream_state state = { .created = stream->created };
	enum sk_status st = sk_bus_stream_state(outbox->bus, &outbox->context, stream->name,
						&state);

	sk_context_clear_error(&outbox->context);
	if (st != SK_OK && !lost)
		return SK_OK;
	return remember(outbox, stream, state.created, (int64_t)ack->sequence, lost);
}

/* What one acknowledgement says of its stream. */
static enum sk_status note_ack(struct sk_outbox *outbox, const char *subject, int64_t row,
			       struct sk_ack *ack)
{
	struct sk__outbox_stream *stream = stream_of(outbox, subject);
	enum sk_status st = SK_OK;

	if (stream == NULL)
		return SK_OK;
	if (!was_seen(stream))
		st = meet(outbox, stream, ack, false);
	else if (contradicts(stream, row, ack))
		st = meet(outbox, stream, ack, true);
	if (st != SK_OK || !was_seen(stream)) {
		ack->stored = false; /* it is sent again, once the stream is known */
		return st;
	}
	if (row == stream->probe)
		stream->probe = 0;
	if ((int64_t)ack->sequence > stream->last_sequence)
		stream->last_sequence = (int64_t)ack->sequence;
	return SK_OK;
}

/* The streams as they are known now, as columns. */
static enum sk_status mark(struct sk_outbox *outbox, const int64_t *seqs, size_t count)
{
	const char *names[SK__OUTBOX_STREAMS_MAX], *created[SK__OUTBOX_STREAMS_MAX];
	int64_t last[SK__OUTBOX_STREAMS_MAX];
	struct sk_arena *arena = outbox->context.arena;
	size_t known = 0;

	for (int i = 0; i < outbox->streams_count; i++) {
		if (!was_seen(&outbox->streams[i]))
			continue;
		names[known] = outbox->streams[i].name;
		created[known] = outbox->streams[i].created;
		last[known++] = outbox->streams[i].last_sequence;
	}
	return sk__outbox_run(
		outbox, &SQL_SENT,
		SK_PARAMS(sk_int_array(arena, seqs, count), sk_text_array(arena, names, known),
			  sk_text_array(arena, created, known), sk_int_array(arena, last, known)),
		NULL);
}

enum sk_status sk__outbox_mark_sent(struct sk_outbox *outbox, const struct sk_rows *rows,
				    struct sk_ack *acks)
{
	int64_t seqs[SK_OUTBOX_BATCH_MAX];
	size_t count = 0;
	enum sk_status st = SK_OK;

	/* However late it is: what is not marked is sent again. */
	outbox->context.deadline_us = sk_time_monotonic_us() + MARK_TIMEOUT_US;
	for (int row = 0; row < rows->count && st == SK_OK; row++) {
		int64_t seq = sk_row_int(rows, row, 0);

		if (acks[row].stored)
			st = note_ack(outbox, sk_row_text(rows, row, 2), seq, &acks[row]);
		if (acks[row].stored)
			seqs[count++] = seq;
	}
	if (st != SK_OK || count == 0)
		return st;
	st = mark(outbox, seqs, count);
	if (st == SK_OK)
		sk_metric_add(outbox->sent, (int64_t)count);
	return st;
}

/* ---- sending again ---- */

static enum sk_status recall_step(struct sk_outbox *outbox, struct sk__outbox_stream *stream)
{
	struct sk_rows rows;
	enum sk_status st = sk__outbox_run(
		outbox, &SQL_RECALL, SK_PARAMS(sk_text(stream->name), sk_int(RECALL_SEQS)), &rows);

	if (st == SK_OK)
		sk_metric_add(outbox->recalled, sk_row_int(&rows, 0, 0));
	return st;
}

/* One page of a retelling, and the place that it came to. */
static enum sk_status retell_page(struct sk_tx *tx, void *arg)
{
	const struct sk__outbox_stream *stream = arg;
	const char *last = NULL;
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_RETOLD, SK_PARAMS(sk_text(stream->name)), &rows);

	if (st != SK_OK || rows.count == 0)
		return st;
	st = stream->retell(tx, sk_row_text(&rows, 0, 0), RETELL_ENTITIES, &last);
	if (st != SK_OK)
		return st;
	if (last == NULL)
		sk_log(SK_LOG_INFO, NULL, "everything of stream %s is told again", stream->name);
	return sk_tx_run(tx, &SQL_RETELL_FROM, SK_PARAMS(sk_text(stream->name), sk_text(last)),
			 NULL);
}

/* A hook that fails must not hold up the relay. */
static enum sk_status retell_step(struct sk_outbox *outbox, struct sk__outbox_stream *stream)
{
	if (sk_pg_transact(outbox->pg, &outbox->context, retell_page, stream) == SK_OK)
		return SK_OK;
	sk_log_failure(SK_LOG_WARN, &outbox->context, "telling a stream again");
	sk_context_clear_error(&outbox->context);
	outbox->next_retell_us = sk_time_monotonic_us() + RETELL_RETRY_US;
	return SK_OK;
}

enum sk_status sk__outbox_recall(struct sk_outbox *outbox, bool *more)
{
	bool may_retell = sk_time_monotonic_us() >= outbox->next_retell_us;
	enum sk_status st;

	for (int i = 0; i < outbox->streams_count; i++) {
		struct sk__outbox_stream *stream = &outbox->streams[i];

		if (stream->recalls)
			st = recall_step(outbox, stream);
		else if (stream->retells && stream->retell != NULL && may_retell)
			st = retell_step(outbox, stream);
		else
			continue;
		*more = st == SK_OK;
		return st == SK_OK ? read_remembered(outbox) : st;
	}
	return SK_OK;
}

enum sk_status sk_outbox_retell(struct sk_tx *tx, const char *stream)
{
	return sk_tx_run(tx, &SQL_RETELL, SK_PARAMS(sk_text(stream)), NULL);
}
