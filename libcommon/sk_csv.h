/* A streaming parser of CSV (RFC 4180), for files from anywhere.
 *
 * Bytes come in pieces of any size; records go out to a function. A record may
 * span lines where a field is quoted. Every size is bounded.
 *
 * What it makes of a broken record: the record is handed out with an error and
 * with the fields that ended before the damage, and parsing starts again at the
 * line after the one where the record began. A quote that is opened and never
 * closed thus costs its own line, not the rest of the file. No byte is read more than
 * twice, whatever the file: only a line with an odd number of quotes runs into
 * the next, and the lines that it ran through have an even number each, so read by
 * themselves they end, or break, where they stand.
 *
 * Accepted beyond the RFC: a byte order mark, LF or CR alone as line end, a last
 * record without a line end, empty lines (skipped). Refused: a quote inside an
 * unquoted field, text after a closing quote, NUL bytes. */
#ifndef SK_CSV_H
#define SK_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "sk_arena.h"

#define SK_CSV_FIELD_MAX_BYTES	((size_t)64 * 1024)  /* a product's description */
#define SK_CSV_RECORD_MAX_BYTES ((size_t)512 * 1024) /* a whole record, quotes included */
#define SK_CSV_COLUMNS_MAX	256		     /* Shopify's own files have under 100 */

struct sk_csv_field {
	const char *text; /* without its quotes; ends in NUL */
	size_t len;
};

/* Valid during the call only. */
struct sk_csv_record {
	int line; /* where it begins, from 1 */
	const struct sk_csv_field *fields;
	int count;
	const char *error; /* NULL, or a sentence: fields holds what came before the damage */
};

/* Anything but SK_OK ends the parsing with that status. */
typedef enum sk_status sk_csv_record_fn(const struct sk_csv_record *record, void *arg);

struct sk_csv;

/* Its memory (about 1.2 MiB) is the arena's. */
struct sk_csv *sk_csv_open(struct sk_arena *arena, sk_csv_record_fn *each, void *arg);

/* The next bytes; final with the last of them (len may be 0). Returns what `each`
 * returned. After a failure, or after final, no more may be fed. */
SK_MUST_CHECK enum sk_status sk_csv_feed(struct sk_csv *csv, const void *bytes, size_t len,
					 bool final);

#endif
