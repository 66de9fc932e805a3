#include "unit.h"

#include "sk_context.h"
#include "sk_time.h"
#include "sk_utf8.h"

static void roles_are_read_as_they_are_written(void **state)
{
	(void)state;
	for (int role = SK_ROLE_CUSTOMER; role <= SK_ROLE_ADMIN; role++)
		assert_int_equal(sk_role_parse(sk_role_name((enum sk_role)role)), role);
	assert_string_equal(sk_role_name(SK_ROLE_NONE), "none");
	assert_int_equal(sk_role_parse("none"), SK_ROLE_NONE);
	assert_int_equal(sk_role_parse("root"), SK_ROLE_NONE);
	assert_int_equal(sk_role_parse("Admin"), SK_ROLE_NONE);
	assert_int_equal(sk_role_parse(""), SK_ROLE_NONE);
	assert_int_equal(sk_role_parse(NULL), SK_ROLE_NONE);
}

static void a_new_context_knows_nobody_and_has_no_error(void **state)
{
	struct sk_context context;

	(void)state;
	sk_context_init(&context, 0);
	assert_int_equal(context.actor.role, SK_ROLE_NONE);
	assert_string_equal(context.actor.account_id, "");
	assert_string_equal(context.actor.email, "");
	assert_string_equal(context.actor.session_id, "");
	assert_string_equal(context.actor.address, "");
	assert_int_equal(context.error.status, SK_OK);
	assert_true(context.now_us > 0);
	sk_context_release(&context);
}

static void the_first_error_is_kept_and_each_status_returned(void **state)
{
	struct sk_context context;

	(void)state;
	sk_context_init(&context, 0);
	assert_int_equal(sk_fail(&context, SK_CONFLICT, "order_shipped", "order %s has left", "A1"),
			 SK_CONFLICT);
	assert_int_equal(sk_fail(&context, SK_INTERNAL, "other", "what it led to"), SK_INTERNAL);
	assert_int_equal(context.error.status, SK_CONFLICT);
	assert_string_equal(context.error.code, "order_shipped");
	assert_string_equal(context.error.detail, "order A1 has left");
	sk_context_clear_error(&context);
	assert_int_equal(context.error.status, SK_OK);
	assert_int_equal(sk_fail(&context, SK_INTERNAL, "other", "new"), SK_INTERNAL);
	assert_string_equal(context.error.detail, "new");
	sk_context_release(&context);
}

static void a_long_sentence_is_cut_between_characters(void **state)
{
	struct sk_context context;

	(void)state;
	sk_context_init(&context, 0);
	for (int shift = 0; shift < 4; shift++) {
		const char *pad = &"xxxx"[4 - shift];
		char text[SK_ERROR_DETAIL_MAX_BYTES * 2] = "";

		for (size_t at = 0; at + 4 < sizeof(text); at += 4)
			memcpy(text + at, "\xf0\x9f\x8f\xba", 5);
		sk_context_clear_error(&context);
		assert_int_equal(sk_fail(&context, SK_INVALID, "long", "%s%s", pad, text),
				 SK_INVALID);
		assert_true(sk_utf8_valid(context.error.detail, strlen(context.error.detail)));
		assert_true(strlen(context.error.detail) > SK_ERROR_DETAIL_MAX_BYTES - 5);
	}
	sk_context_release(&context);
}

static void a_reset_forgets_all_of_the_last_call(void **state)
{
	struct sk_context context;
	char trace_id[33];

	(void)state;
	sk_context_init(&context, 1000);
	memcpy(trace_id, context.trace.trace_id, sizeof(trace_id));
	context.actor.role = SK_ROLE_ADMIN;
	context.actor.email = sk_arena_strdup(context.arena, "ada@example.com");
	assert_int_equal(sk_fail(&context, SK_INVALID, "wrong", "wrong"), SK_INVALID);
	sk_context_reset(&context, 0);
	assert_int_equal(context.actor.role, SK_ROLE_NONE);
	assert_string_equal(context.actor.email, "");
	assert_int_equal(context.error.status, SK_OK);
	assert_int_equal(context.deadline_us, 0);
	assert_string_not_equal(context.trace.trace_id, trace_id);
	assert_int_equal(sk_arena_used(context.arena), 0);
	sk_context_release(&context);
}

static void what_remains_is_at_most_the_cap_and_at_least_nothing(void **state)
{
	struct sk_context context;

	(void)state;
	sk_context_init(&context, 0);
	assert_int_equal(sk_context_remaining_ms(&context, 5000), 5000);
	context.deadline_us = sk_time_monotonic_us() + 60 * SK_SECOND_US;
	assert_int_equal(sk_context_remaining_ms(&context, 5000), 5000);
	assert_in_range(sk_context_remaining_ms(&context, 3600000), 1, 60000);
	context.deadline_us = sk_time_monotonic_us() - 60 * SK_SECOND_US;
	assert_int_equal(sk_context_remaining_ms(&context, 5000), 0);
	sk_context_release(&context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(roles_are_read_as_they_are_written),
		cmocka_unit_test(a_new_context_knows_nobody_and_has_no_error),
		cmocka_unit_test(the_first_error_is_kept_and_each_status_returned),
		cmocka_unit_test(a_long_sentence_is_cut_between_characters),
		cmocka_unit_test(a_reset_forgets_all_of_the_last_call),
		cmocka_unit_test(what_remains_is_at_most_the_cap_and_at_least_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
