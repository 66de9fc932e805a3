/* The parser is a small state machine over `raw`, which holds every byte since the
 * current record began. Keeping them is what makes recovery simple: after a broken record
 * `position` goes back to the record's second line and the machine starts afresh.
 * The unquoted text of the record's fields gathers in `text`. */
#include "sk_csv.h"

#include <string.h>

#define SLICE_BYTES ((size_t)64 * 1024) /* taken from the caller at a time */

enum state {
	FIELD_BEGIN,
	UNQUOTED,
	QUOTED,
	QUOTE_IN_QUOTED, /* its end, or the first half of "" */
	SKIPPING,	 /* the rest of a broken line that has no second one at hand */
};

struct sk_csv {
	sk_csv_record_fn *each;
	void *arg;

	char *raw;
	size_t raw_len, start, position; /* of the record, and of the next byte to look at */

	enum state state;
	bool began;    /* past the place of a byte order mark */
	bool after_cr; /* a LF that follows belongs to it */
	int line, record_line;

	char *text;
	size_t text_len, field_start;
	struct sk_csv_field fields[SK_CSV_COLUMNS_MAX];
	int count;
	const char *error; /* of the record at hand */
};

struct sk_csv *sk_csv_open(struct sk_arena *arena, sk_csv_record_fn *each, void *arg)
{
	struct sk_csv *csv = sk_arena_alloc(arena, sizeof(*csv));

	csv->each = each;
	csv->arg = arg;
	csv->raw = sk_arena_alloc(arena, SK_CSV_RECORD_MAX_BYTES + 2 * SLICE_BYTES);
	csv->text = sk_arena_alloc(arena, SK_CSV_RECORD_MAX_BYTES + SK_CSV_COLUMNS_MAX);
	csv->line = csv->record_line = 1;
	return csv;
}

static void begin_record(struct sk_csv *csv, size_t at, int line)
{
	csv->start = csv->position = at;
	csv->line = csv->record_line = line;
	csv->state = FIELD_BEGIN;
	csv->text_len = csv->field_start = 0;
	csv->count = 0;
	csv->error = NULL;
}

static void put(struct sk_csv *csv, char c)
{
	if (csv->text_len - csv->field_start == SK_CSV_FIELD_MAX_BYTES)
		csv->error = "a field is longer than 64 KiB";
	else
		csv->text[csv->text_len++] = c;
}

static void end_field(struct sk_csv *csv)
{
	if (csv->count == SK_CSV_COLUMNS_MAX) {
		csv->error = "there are more than 256 columns";
		return;
	}
	csv->fields[csv->count++] = (struct sk_csv_field) { csv->text + csv->field_start,
							    csv->text_len - csv->field_start };
	csv->text[csv->text_len++] = '\0';
	csv->field_start = csv->text_len;
	csv->state = FIELD_BEGIN;
}

static enum sk_status hand_out(struct sk_csv *csv)
{
	const struct sk_csv_record record = { csv->record_line, csv->fields, csv->count,
					      csv->error };

	/* Nothing but the ends of fields: an empty line, or a spreadsheet's row of commas. */
	if (!csv->error && csv->text_len == (size_t)csv->count)
		return SK_OK;
	return csv->each(&record, csv->arg);
}

static enum sk_status end_record(struct sk_csv *csv)
{
	enum sk_status status;

	end_field(csv);
	if (csv->error)
		return SK_OK; /* recover() hands it out */
	status = hand_out(csv);
	begin_record(csv, csv->position, csv->line + 1);
	return status;
}

/* Hands the broken record out and goes on at the line after its first. */
static enum sk_status recover(struct sk_csv *csv)
{
	enum sk_status status = hand_out(csv);
	size_t at = csv->start;

	while (at < csv->position && csv->raw[at] != '\n' && csv->raw[at] != '\r')
		at++;
	if (at == csv->position) {
		csv->state = SKIPPING;
		csv->error = NULL;
		return status;
	}
	csv->after_cr = csv->raw[at] == '\r';
	begin_record(csv, at + 1, csv->record_line + 1);
	return status;
}

/* A byte that is not inside quotes: text, or the end of a field or record. */
static enum sk_status take_plain(struct sk_csv *csv, char c)
{
	switch (c) {
	case ',':
		end_field(csv);
		return SK_OK;
	case '\r':
	case '\n':
		csv->after_cr = c == '\r';
		return end_record(csv);
	default:
		if (csv->state == QUOTE_IN_QUOTED)
			csv->error = "there is text after a closing quote";
		else if (c == '"')
			csv->error = "there is a quote inside an unquoted field";
		else
			put(csv, c);
		csv->state = UNQUOTED;
		return SK_OK;
	}
}

static void take_quoted(struct sk_csv *csv, char c)
{
	if (c == '"') {
		csv->state = QUOTE_IN_QUOTED;
		return;
	}
	if (c == '\n')
		csv->line++;
	put(csv, c);
}

static enum sk_status take(struct sk_csv *csv, char c)
{
	bool follows_cr = csv->after_cr;

	csv->after_cr = false;
	if (follows_cr && c == '\n') { /* the second half of a line end */
		csv->start = csv->position;
		return SK_OK;
	}
	if (csv->state == SKIPPING) {
		csv->after_cr = c == '\r';
		if (c == '\n' || c == '\r')
			begin_record(csv, csv->position, csv->record_line + 1);
		return SK_OK;
	}
	if (c == '\0')
		csv->error = "there is a NUL byte";
	else if (csv->position - csv->start > SK_CSV_RECORD_MAX_BYTES)
		csv->error = "the record is longer than 512 KiB";
	else if (csv->state == QUOTED)
		take_quoted(csv, c);
	else if (csv->state == FIELD_BEGIN && c == '"')
		csv->state = QUOTED;
	else if (csv->state == QUOTE_IN_QUOTED && c == '"') {
		put(csv, c);
		csv->state = QUOTED;
	} else
		return take_plain(csv, c);
	return SK_OK;
}

/* Looks at every byte at hand. */
static enum sk_status scan(struct sk_csv *csv)
{
	enum sk_status status = SK_OK;

	while (status == SK_OK && csv->position < csv->raw_len) {
		status = take(csv, csv->raw[csv->position++]);
		if (status == SK_OK && csv->error)
			status = recover(csv);
	}
	return status;
}

/* The end of the bytes ends the last record; inside quotes it breaks it, and what
 * comes after its first line is looked at again, until nothing is left. */
static enum sk_status finish(struct sk_csv *csv)
{
	enum sk_status status = SK_OK;

	while (status == SK_OK && csv->state == QUOTED) {
		csv->error = "a quote is opened and never closed";
		status = recover(csv);
		if (status == SK_OK)
			status = scan(csv);
	}
	if (status != SK_OK || csv->state == SKIPPING)
		return status;
	if (csv->state == FIELD_BEGIN && csv->count == 0)
		return SK_OK;
	status = end_record(csv);
	return status == SK_OK && csv->error ? hand_out(csv) : status;
}

/* Forgets the bytes before the current record. */
static void compact(struct sk_csv *csv)
{
	if (csv->state == SKIPPING)
		csv->start = csv->position;
	memmove(csv->raw, csv->raw + csv->start, csv->raw_len - csv->start);
	csv->raw_len -= csv->start;
	csv->position -= csv->start;
	csv->start = 0;
}

/* Whether the first bytes are there to tell a byte order mark; skips it. */
static bool begin(struct sk_csv *csv, bool final)
{
	static const char MARK[] = "\xEF\xBB\xBF";

	if (csv->raw_len < 3 && !final && memcmp(csv->raw, MARK, csv->raw_len) == 0)
		return false;
	if (csv->raw_len >= 3 && memcmp(csv->raw, MARK, 3) == 0)
		begin_record(csv, 3, 1);
	return true;
}

enum sk_status sk_csv_feed(struct sk_csv *csv, const void *bytes, size_t len, bool final)
{
	const char *from = bytes;
	enum sk_status status = SK_OK;

	do {
		size_t slice = len < SLICE_BYTES ? len : SLICE_BYTES;

		if (slice > 0)
			memcpy(csv->raw + csv->raw_len, from, slice);
		csv->raw_len += slice;
		from += slice;
		len -= slice;
		if (!csv->began)
			csv->began = begin(csv, final && len == 0);
		if (csv->began) {
			status = scan(csv);
			compact(csv);
		}
	} while (status == SK_OK && len > 0);
	return status == SK_OK && final ? finish(csv) : status;
}
