/* Arenas and buffers. */
#include "unit.h"

#include "../sk_buf.h"

static void memory_is_zeroed_aligned_and_apart(void **state)
{
	struct sk_arena *arena = sk_arena_open(1 << 20);
	char *one = sk_arena_alloc(arena, 3), *other = sk_arena_alloc(arena, 100000);

	(void)state;
	assert_int_equal((uintptr_t)other % _Alignof(max_align_t), 0);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(other[i], 0);
	memset(one, 1, 3);
	assert_int_equal(other[0], 0);
	sk_arena_close(&arena);
	assert_null(arena);
}

static void outside_input_meets_the_limit(void **state)
{
	struct sk_arena *arena = sk_arena_open(1000);

	(void)state;
	assert_non_null(sk_arena_try_alloc(arena, 900));
	assert_null(sk_arena_try_alloc(arena, 900));
	assert_null(sk_arena_try_alloc(arena, SIZE_MAX));
	sk_arena_reset(arena);
	assert_non_null(sk_arena_try_alloc(arena, 900));
	sk_arena_close(&arena);
}

static char order[4];

static void note(void *letter)
{
	strncat(order, letter, 1);
}

static void releases_run_last_in_first_out(void **state)
{
	struct sk_arena *arena = sk_arena_open(1000);
	static char a[] = "a", b[] = "b";

	(void)state;
	order[0] = '\0';
	sk_arena_defer(arena, note, a);
	sk_arena_defer(arena, note, b);
	sk_arena_reset(arena);
	assert_string_equal(order, "ba");
	sk_arena_close(&arena);
	assert_string_equal(order, "ba");
}

static void copies_end_in_nul(void **state)
{
	struct sk_arena *arena = sk_arena_open(1000);

	(void)state;
	assert_null(sk_arena_strdup(arena, NULL));
	assert_string_equal(sk_arena_strdup(arena, "x"), "x");
	assert_string_equal(sk_arena_memdup(arena, "abc", 2), "ab");
	assert_string_equal(sk_arena_printf(arena, "%s-%d", "n", 7), "n-7");
	sk_arena_close(&arena);
}

static void a_buffer_grows_and_latches_its_limit(void **state)
{
	struct sk_arena *arena = sk_arena_open(1 << 20);
	struct sk_buf buf;

	(void)state;
	sk_buf_init(&buf, arena, 1000);
	assert_string_equal(sk_buf_text(&buf), "");
	for (int i = 0; i < 100; i++)
		sk_buf_puts(&buf, "0123456789");
	assert_true(sk_buf_ok(&buf));
	assert_int_equal(buf.len, 1000);
	sk_buf_putc(&buf, 'x');
	assert_false(sk_buf_ok(&buf));
	sk_buf_puts(&buf, "");
	assert_false(sk_buf_ok(&buf));
	assert_int_equal(strlen(sk_buf_text(&buf)), 1000);
	sk_arena_close(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zeroed_aligned_and_apart),
		cmocka_unit_test(outside_input_meets_the_limit),
		cmocka_unit_test(releases_run_last_in_first_out),
		cmocka_unit_test(copies_end_in_nul),
		cmocka_unit_test(a_buffer_grows_and_latches_its_limit),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
