#include "unit.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sk_arena.h"
#include "sk_limits.h"

/* What the deferred releases did, in order. */
static char released[16];

static void note_release(void *object)
{
	strncat(released, object, sizeof(released) - strlen(released) - 1);
}

static struct sk_arena *open_arena(size_t limit_bytes)
{
	released[0] = '\0';
	return sk_arena_open(limit_bytes);
}

static void memory_is_zeroed_and_aligned_also_after_a_reset(void **state)
{
	struct sk_arena *arena = open_arena(SIZE_MAX);

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (size_t size = 1; size < 300; size++) {
			unsigned char *memory = sk_arena_alloc(arena, size);

			assert_int_equal((uintptr_t)memory % _Alignof(max_align_t), 0);
			for (size_t i = 0; i < size; i++)
				assert_int_equal(memory[i], 0);
			memset(memory, 0xff, size);
		}
		sk_arena_reset(arena);
	}
	sk_arena_close(&arena);
}

static void try_alloc_stops_at_the_limit_and_alloc_does_not(void **state)
{
	struct sk_arena *arena = open_arena(1024);

	(void)state;
	assert_null(sk_arena_try_alloc(arena, SIZE_MAX));
	assert_null(sk_arena_try_alloc(arena, 1025));
	assert_non_null(sk_arena_try_alloc(arena, 1000));
	assert_null(sk_arena_try_alloc(arena, 1000));
	assert_non_null(sk_arena_alloc(arena, 1000));
	assert_null(sk_arena_try_alloc(arena, 1));
	sk_arena_reset(arena);
	assert_non_null(sk_arena_try_alloc(arena, 1024));
	assert_null(sk_arena_try_alloc(arena, 1));
	sk_arena_close(&arena);
}

static void an_arena_with_no_limit_to_give_gives_nothing_to_try_alloc(void **state)
{
	struct sk_arena *arena = open_arena(0);

	(void)state;
	assert_null(sk_arena_try_alloc(arena, 0));
	assert_null(sk_arena_try_alloc(arena, 1));
	sk_arena_close(&arena);
}

static void what_is_larger_than_a_block_gets_one_of_its_own(void **state)
{
	struct sk_arena *arena = open_arena(SIZE_MAX);
	char *small = sk_arena_alloc(arena, 8);
	char *large = sk_arena_alloc(arena, SK_ARENA_BLOCK_BYTES * 5);

	(void)state;
	memset(large, 'x', SK_ARENA_BLOCK_BYTES * 5);
	assert_int_equal(small[0], 0);
	assert_true(sk_arena_used(arena) >= SK_ARENA_BLOCK_BYTES * 5 + 8);
	sk_arena_reset(arena);
	assert_int_equal(sk_arena_used(arena), 0);
	sk_arena_close(&arena);
}

static void releases_run_last_in_first_out_and_once(void **state)
{
	static char a[] = "a", b[] = "b", c[] = "c";
	struct sk_arena *arena = open_arena(SIZE_MAX);

	(void)state;
	sk_arena_defer(arena, note_release, a);
	sk_arena_alloc(arena, SK_ARENA_BLOCK_BYTES * 2); /* they may stand in different blocks */
	sk_arena_defer(arena, note_release, b);
	assert_string_equal(released, "");
	sk_arena_reset(arena);
	assert_string_equal(released, "ba");
	sk_arena_defer(arena, note_release, c);
	sk_arena_close(&arena);
	assert_string_equal(released, "bac");
	assert_null(arena);
}

static void a_release_may_still_read_what_the_arena_holds(void **state)
{
	struct sk_arena *arena = open_arena(SIZE_MAX);

	(void)state;
	sk_arena_defer(arena, note_release, sk_arena_strdup(arena, "held"));
	for (int i = 0; i < 10; i++)
		sk_arena_alloc(arena, SK_ARENA_BLOCK_BYTES);
	sk_arena_close(&arena);
	assert_string_equal(released, "held");
}

struct chain {
	struct sk_arena *arena;
	int left;
};

static void defer_another(void *object)
{
	struct chain *chain = object;

	if (chain->left-- > 0)
		sk_arena_defer(chain->arena, defer_another, chain);
}

static void a_release_may_defer_another(void **state)
{
	struct chain chain = { open_arena(SIZE_MAX), 3 };

	(void)state;
	sk_arena_defer(chain.arena, defer_another, &chain);
	sk_arena_reset(chain.arena);
	assert_int_equal(chain.left, -1);
	sk_arena_close(&chain.arena);
}

static void copies_end_in_nul(void **state)
{
	struct sk_arena *arena = open_arena(SIZE_MAX);

	(void)state;
	assert_null(sk_arena_strdup(arena, NULL));
	assert_string_equal(sk_arena_strdup(arena, ""), "");
	assert_string_equal(sk_arena_strdup(arena, "text"), "text");
	assert_memory_equal(sk_arena_memdup(arena, "a\0b", 3), "a\0b", 4);
	assert_string_equal(sk_arena_memdup(arena, NULL, 0), "");
	sk_arena_close(&arena);
}

static void a_formatted_string_may_have_any_length(void **state)
{
	struct sk_arena *arena = open_arena(16);
	const char *text = sk_arena_printf(arena, "%s%20000d!", "x", 7);

	(void)state;
	assert_int_equal(strlen(text), 20002);
	assert_string_equal(text + 19999, " 7!");
	assert_string_equal(sk_arena_printf(arena, "%s", ""), "");
	sk_arena_close(&arena);
}

static void an_array_whose_size_overflows_aborts(void **state)
{
	pid_t child = fork();
	int status = 0;

	(void)state;
	if (child == 0) {
		struct sk_arena *arena = sk_arena_open(SIZE_MAX);

		signal(SIGABRT, SIG_DFL);
		sk_arena_array(arena, SIZE_MAX / 2, 3);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void closing_nothing_is_fine(void **state)
{
	struct sk_arena *arena = NULL;

	(void)state;
	sk_arena_close(&arena);
	assert_null(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zeroed_and_aligned_also_after_a_reset),
		cmocka_unit_test(try_alloc_stops_at_the_limit_and_alloc_does_not),
		cmocka_unit_test(an_arena_with_no_limit_to_give_gives_nothing_to_try_alloc),
		cmocka_unit_test(what_is_larger_than_a_block_gets_one_of_its_own),
		cmocka_unit_test(releases_run_last_in_first_out_and_once),
		cmocka_unit_test(a_release_may_still_read_what_the_arena_holds),
		cmocka_unit_test(a_release_may_defer_another),
		cmocka_unit_test(copies_end_in_nul),
		cmocka_unit_test(a_formatted_string_may_have_any_length),
		cmocka_unit_test(an_array_whose_size_overflows_aborts),
		cmocka_unit_test(closing_nothing_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
