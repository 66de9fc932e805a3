#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../sk_csv.h"
#include "sk_buf.h"

/* Writes records as "1:[a][b] 2:[c]!error ". */
static enum sk_status note(const struct sk_csv_record *record, void *arg)
{
	struct sk_buf *out = arg;

	sk_buf_printf(out, "%d:", record->line);
	for (int i = 0; i < record->count; i++)
		sk_buf_printf(out, "[%s]", record->fields[i].text);
	if (record->error)
		sk_buf_printf(out, "!%s", record->error);
	sk_buf_putc(out, ' ');
	return SK_OK;
}

static const char *parse_in_pieces(struct sk_arena *arena, const char *text, size_t len,
				   size_t piece)
{
	struct sk_buf *out = sk_arena_alloc(arena, sizeof(*out));
	struct sk_csv *csv = sk_csv_open(arena, note, out);

	sk_buf_init(out, arena, 1024 * 1024);
	for (size_t at = 0; at < len; at += piece) {
		size_t n = len - at < piece ? len - at : piece;

		assert_int_equal(sk_csv_feed(csv, text + at, n, false), SK_OK);
	}
	assert_int_equal(sk_csv_feed(csv, "", 0, true), SK_OK);
	return sk_buf_text(out);
}

/* However the bytes are cut, the records are the same. */
static void expect(const char *text, const char *records)
{
	struct sk_arena *arena = sk_arena_open(SIZE_MAX);
	size_t len = strlen(text);

	for (size_t piece = 1; piece <= len + 1; piece++)
		assert_string_equal(parse_in_pieces(arena, text, len, piece), records);
	sk_arena_close(&arena);
}

static void fields_and_lines_are_told_apart(void **state)
{
	(void)state;
	expect("a,b\r\nc,d\r\n", "1:[a][b] 2:[c][d] ");
	expect("a,b\nc,d", "1:[a][b] 2:[c][d] ");
	expect("a,b\rc,d\r", "1:[a][b] 2:[c][d] ");
	expect("a,\n,b\n", "1:[a][] 2:[][b] ");
	expect("a,", "1:[a][] ");
	expect("", "");
}

static void empty_lines_and_rows_of_commas_are_skipped(void **state)
{
	(void)state;
	expect("a\n\n\r\n,,,\nb\n", "1:[a] 5:[b] ");
}

static void quotes_hold_commas_quotes_and_line_ends(void **state)
{
	(void)state;
	expect("\"a,b\",\"say \"\"hi\"\"\"\nc\n", "1:[a,b][say \"hi\"] 2:[c] ");
	expect("\"one\ntwo\r\nthree\",x\ny\n", "1:[one\ntwo\r\nthree][x] 4:[y] ");
	expect("\"\",\"x\"", "1:[][x] ");
}

static void a_byte_order_mark_is_skipped_at_the_beginning_only(void **state)
{
	(void)state;
	expect("\xEF\xBB\xBF"
	       "a,b\n",
	       "1:[a][b] ");
	expect("\xEF\xBB\xBF\"a\"\n\xEF\xBB\xBF"
	       "b\n",
	       "1:[a] 2:[\xEF\xBB\xBF"
	       "b] ");
	expect("\xEF\xBB", "1:[\xEF\xBB] ");
}

static void a_broken_quote_costs_its_own_line(void **state)
{
	(void)state;
	expect("a,\"b\"c\nd,e\n", "1:[a]!there is text after a closing quote 2:[d][e] ");
	expect("a,b\"c\nd,e\n", "1:[a]!there is a quote inside an unquoted field 2:[d][e] ");
	expect("a,\"b\nd,e\nf,g\n", "1:[a]!a quote is opened and never closed 2:[d][e] 3:[f][g] ");
	expect("a,\"b\r\nd,e\r\n", "1:[a]!a quote is opened and never closed 2:[d][e] ");
	expect("a,\"b\nd,\"e\"\nf,g\n",
	       "1:[a]!there is text after a closing quote 2:[d][e] 3:[f][g] ");
	expect("x\ny,\"", "1:[x] 2:[y]!a quote is opened and never closed ");
}

static void a_nul_byte_breaks_its_line(void **state)
{
	struct sk_arena *arena = sk_arena_open(SIZE_MAX);

	(void)state;
	assert_string_equal(parse_in_pieces(arena, "a,b\0c\nd\n", 8, 3),
			    "1:[a]!there is a NUL byte 2:[d] ");
	sk_arena_close(&arena);
}

static void a_field_that_is_too_long_breaks_its_line(void **state)
{
	struct sk_arena *arena = sk_arena_open(SIZE_MAX);
	size_t len = SK_CSV_FIELD_MAX_BYTES + 10;
	char *text = sk_arena_alloc(arena, len);

	(void)state;
	memset(text, 'x', len);
	memcpy(text + len - 3, "\ny\n", 3);
	assert_string_equal(parse_in_pieces(arena, text, len, 1000),
			    "1:!a field is longer than 64 KiB 2:[y] ");
	sk_arena_close(&arena);
}

static void too_many_columns_break_the_line(void **state)
{
	struct sk_arena *arena = sk_arena_open(SIZE_MAX);
	char text[SK_CSV_COLUMNS_MAX + 4];
	const char *records;

	(void)state;
	memset(text, ',', sizeof(text));
	text[0] = 'x';
	memcpy(text + sizeof(text) - 3, "\ny\n", 3);
	records = parse_in_pieces(arena, text, sizeof(text), sizeof(text));
	assert_non_null(strstr(records, "!there are more than 256 columns 2:[y]"));
	sk_arena_close(&arena);
}

static enum sk_status count(const struct sk_csv_record *record, void *arg)
{
	(void)record;
	++*(int *)arg;
	return SK_OK;
}

static void a_file_of_broken_lines_gives_each_line_once(void **state)
{
	struct sk_arena *arena = sk_arena_open(SIZE_MAX);
	int records = 0;
	struct sk_csv *csv = sk_csv_open(arena, count, &records);
	size_t lines = 100000;

	(void)state;
	for (size_t i = 0; i < lines; i++)
		assert_int_equal(sk_csv_feed(csv, "a,\"b\n", 5, i + 1 == lines), SK_OK);
	assert_int_equal(records, lines);
	sk_arena_close(&arena);
}

static enum sk_status refuse(const struct sk_csv_record *record, void *arg)
{
	(void)arg;
	return record->line == 2 ? SK_CONFLICT : SK_OK;
}

static void the_callers_status_ends_the_parsing(void **state)
{
	struct sk_arena *arena = sk_arena_open(SIZE_MAX);
	struct sk_csv *csv = sk_csv_open(arena, refuse, NULL);

	(void)state;
	assert_int_equal(sk_csv_feed(csv, "a\nb\nc\n", 6, true), SK_CONFLICT);
	sk_arena_close(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_and_lines_are_told_apart),
		cmocka_unit_test(empty_lines_and_rows_of_commas_are_skipped),
		cmocka_unit_test(quotes_hold_commas_quotes_and_line_ends),
		cmocka_unit_test(a_byte_order_mark_is_skipped_at_the_beginning_only),
		cmocka_unit_test(a_broken_quote_costs_its_own_line),
		cmocka_unit_test(a_nul_byte_breaks_its_line),
		cmocka_unit_test(a_field_that_is_too_long_breaks_its_line),
		cmocka_unit_test(too_many_columns_break_the_line),
		cmocka_unit_test(a_file_of_broken_lines_gives_each_line_once),
		cmocka_unit_test(the_callers_status_ends_the_parsing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
