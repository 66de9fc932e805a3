#include "audit.h"

#include <string.h>

/* One writer at a time appends to the chain, whichever consumer or replica it is
 * in. The lock is a statement of its own, before the head is read: within one statement
 * the head would be read from a snapshot older than the lock. It ends with the
 * transaction, so that the next writer sees the new head. */
static const struct sk_sql SQL_LOCK_CHAIN = {
	"lock_chain",
	"SELECT pg_advisory_xact_lock(hashtext('souk audit chain'))",
};

static const struct sk_sql SQL_HEAD = {
	"head",
	"SELECT seq, hash FROM entry ORDER BY seq DESC LIMIT 1",
};

static const struct sk_sql SQL_APPEND = {
	"append",
	"INSERT INTO entry (seq, id, at, subject, type, source, account_id, role, address, action,"
	"  entity, entity_id, detail, trace_id, data, prev_hash, hash)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
};

#define ENTRY_COLUMNS                                                                              \
	"seq, id, at, subject, type, source, account_id, role, address, action, entity, "          \
	"entity_id, detail, trace_id, prev_hash, hash"

static const struct sk_sql SQL_FIND = {
	"find",
	"SELECT " ENTRY_COLUMNS ", ''::bytea FROM entry"
	" WHERE seq < $1"
	"   AND ($2::text IS NULL OR account_id = $2)"
	"   AND ($3::text IS NULL OR action = $3)"
	"   AND ($4::text IS NULL OR trace_id = $4)"
	"   AND ($5::text IS NULL OR entity_id = $5)"
	"   AND ($6::timestamptz IS NULL OR at >= $6)"
	"   AND ($7::timestamptz IS NULL OR at < $7)"
	" ORDER BY seq DESC LIMIT $8",
};

static const struct sk_sql SQL_READ = {
	"read",
	"SELECT " ENTRY_COLUMNS ", data FROM entry WHERE seq >= $1 ORDER BY seq LIMIT $2",
};

static void copy_hash(const struct sk_rows *rows, int row, int column, struct sk_arena *arena,
		      unsigned char hash[AUDIT_HASH_BYTES])
{
	size_t len = 0;
	const void *bytes = sk_row_bytes(rows, row, column, arena, &len);

	memset(hash, 0, AUDIT_HASH_BYTES);
	if (len == AUDIT_HASH_BYTES)
		memcpy(hash, bytes, len);
}

enum sk_status audit_append(struct sk_tx *tx, struct audit_entry *entry)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_LOCK_CHAIN, SK_NO_PARAMS, NULL);

	if (st == SK_OK)
		st = sk_tx_run(tx, &SQL_HEAD, SK_NO_PARAMS, &rows);
	if (st != SK_OK)
		return st;
	entry->seq = 1;
	memset(entry->prev_hash, 0, AUDIT_HASH_BYTES);
	if (rows.count > 0) {
		entry->seq = sk_row_int(&rows, 0, 0) + 1;
		copy_hash(&rows, 0, 1, sk_tx_arena(tx), entry->prev_hash);
	}
	audit_hash(entry, entry->hash);
	return sk_tx_run(
		tx, &SQL_APPEND,
		SK_PARAMS(sk_int(entry->seq), sk_text(entry->id), sk_timestamp(entry->at_us),
			  sk_text(entry->subject), sk_text(entry->type), sk_text(entry->source),
			  sk_text(entry->account_id), sk_text(entry->role), sk_text(entry->address),
			  sk_text(entry->action), sk_text(entry->entity), sk_text(entry->entity_id),
			  sk_text(entry->detail), sk_text(entry->trace_id),
			  sk_bytes(entry->data, entry->len),
			  sk_bytes(entry->prev_hash, AUDIT_HASH_BYTES),
			  sk_bytes(entry->hash, AUDIT_HASH_BYTES)),
		NULL);
}

static void read_entry(const struct sk_rows *rows, int row, struct sk_arena *arena,
		       struct audit_entry *entry)
{
	*entry = (struct audit_entry) {
		.seq = sk_row_int(rows, row, 0),
		.id = sk_row_text(rows, row, 1),
		.at_us = sk_row_time_us(rows, row, 2),
		.subject = sk_row_text(rows, row, 3),
		.type = sk_row_text(rows, row, 4),
		.source = sk_row_text(rows, row, 5),
		.account_id = sk_row_text(rows, row, 6),
		.role = sk_row_text(rows, row, 7),
		.address = sk_row_text(rows, row, 8),
		.action = sk_row_text(rows, row, 9),
		.entity = sk_row_text(rows, row, 10),
		.entity_id = sk_row_text(rows, row, 11),
		.detail = sk_row_text(rows, row, 12),
		.trace_id = sk_row_text(rows, row, 13),
	};
	copy_hash(rows, row, 14, arena, entry->prev_hash);
	copy_hash(rows, row, 15, arena, entry->hash);
	entry->data = sk_row_bytes(rows, row, 16, arena, &entry->len);
}

static void read_entries(const struct sk_rows *rows, struct sk_arena *arena,
			 struct audit_entries *entries)
{
	entries->count = rows->count;
	entries->list = sk_arena_array(arena, (size_t)rows->count + 1, sizeof(*entries->list));
	for (int row = 0; row < rows->count; row++)
		read_entry(rows, row, arena, &entries->list[row]);
}

enum sk_status audit_find(struct sk_pg *pg, struct sk_context *context,
			  const struct audit_filter *filter, struct audit_entries *entries)
{
	struct sk_rows rows;
	enum sk_status st = sk_pg_run(
		pg, context, &SQL_FIND,
		SK_PARAMS(sk_int(filter->before_seq > 0 ? filter->before_seq : INT64_MAX),
			  sk_text(filter->account_id), sk_text(filter->action),
			  sk_text(filter->trace_id), sk_text(filter->entity_id),
			  sk_timestamp(filter->from_us), sk_timestamp(filter->to_us),
			  sk_int(filter->limit)),
		&rows);

	if (st == SK_OK)
		read_entries(&rows, context->arena, entries);
	return st;
}

enum sk_status audit_read(struct sk_pg *pg, struct sk_context *context, int64_t from_seq, int limit,
			  struct audit_entries *entries)
{
	struct sk_rows rows;
	enum sk_status st = sk_pg_run(pg, context, &SQL_READ,
				      SK_PARAMS(sk_int(from_seq), sk_int(limit)), &rows);

	if (st == SK_OK)
		read_entries(&rows, context->arena, entries);
	return st;
}
