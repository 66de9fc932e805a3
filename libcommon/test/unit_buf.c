#include "unit.h"

#include "sk_buf.h"

static struct sk_arena *arena;

static int open_arena(void **state)
{
	(void)state;
	arena = sk_arena_open(SIZE_MAX);
	return 0;
}

static int close_arena(void **state)
{
	(void)state;
	sk_arena_close(&arena);
	return 0;
}

static void a_new_buffer_is_an_empty_text(void **state)
{
	struct sk_buf buf;

	(void)state;
	sk_buf_init(&buf, arena, 0);
	assert_string_equal(sk_buf_text(&buf), "");
	assert_true(sk_buf_ok(&buf));
	sk_buf_puts(&buf, "");
	assert_string_equal(sk_buf_text(&buf), "");
	assert_true(sk_buf_ok(&buf));
}

static void appends_add_up(void **state)
{
	struct sk_buf buf;

	(void)state;
	sk_buf_init(&buf, arena, 100);
	sk_buf_puts(&buf, "one");
	sk_buf_putc(&buf, ' ');
	sk_buf_printf(&buf, "%d %s", 2, "three");
	sk_buf_put(&buf, "\0x", 2);
	assert_int_equal(buf.len, 13);
	assert_memory_equal(sk_buf_text(&buf), "one 2 three\0x", 14);
	assert_true(sk_buf_ok(&buf));
}

static void it_grows_over_every_doubling(void **state)
{
	struct sk_buf buf;

	(void)state;
	sk_buf_init(&buf, arena, 100000);
	for (int i = 0; i < 100000; i++) {
		sk_buf_putc(&buf, (char)('a' + i % 26));
		assert_int_equal(buf.data[buf.len], '\0');
	}
	assert_true(sk_buf_ok(&buf));
	for (int i = 0; i < 100000; i++)
		assert_int_equal(buf.data[i], 'a' + i % 26);
}

static void exactly_full_is_fine_and_one_more_is_not(void **state)
{
	struct sk_buf buf;

	(void)state;
	sk_buf_init(&buf, arena, 5);
	sk_buf_puts(&buf, "12345");
	assert_true(sk_buf_ok(&buf));
	sk_buf_put(&buf, "", 0);
	assert_true(sk_buf_ok(&buf));
	sk_buf_putc(&buf, '6');
	assert_false(sk_buf_ok(&buf));
	assert_string_equal(sk_buf_text(&buf), "12345");
}

static void after_an_overflow_nothing_is_written_even_if_it_would_fit(void **state)
{
	struct sk_buf buf;

	(void)state;
	sk_buf_init(&buf, arena, 8);
	sk_buf_puts(&buf, "abc");
	sk_buf_printf(&buf, "%s", "too long to fit");
	sk_buf_putc(&buf, 'd');
	sk_buf_printf(&buf, "%d", 1);
	sk_buf_put(&buf, "e", SIZE_MAX);
	assert_false(sk_buf_ok(&buf));
	assert_string_equal(sk_buf_text(&buf), "abc");
}

static void a_formatted_text_may_be_longer_than_the_room_there_is(void **state)
{
	struct sk_buf buf;

	(void)state;
	sk_buf_init(&buf, arena, 10000);
	sk_buf_puts(&buf, "x");
	sk_buf_printf(&buf, "%5000d", 1);
	assert_int_equal(buf.len, 5001);
	assert_string_equal(sk_buf_text(&buf) + 4999, " 1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_buffer_is_an_empty_text),
		cmocka_unit_test(appends_add_up),
		cmocka_unit_test(it_grows_over_every_doubling),
		cmocka_unit_test(exactly_full_is_fine_and_one_more_is_not),
		cmocka_unit_test(after_an_overflow_nothing_is_written_even_if_it_would_fit),
		cmocka_unit_test(a_formatted_text_may_be_longer_than_the_room_there_is),
	};

	return cmocka_run_group_tests(tests, open_arena, close_arena);
}
