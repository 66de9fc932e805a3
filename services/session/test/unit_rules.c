/* The rules of sessions, without servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../session.h"

static int open_arena(void **state)
{
	*state = sk_arena_open(1 << 20);
	return 0;
}

static int close_arena(void **state)
{
	struct sk_arena *arena = *state;

	sk_arena_close(&arena);
	return 0;
}

static void a_code_has_six_digits_even_when_its_number_is_small(void **state)
{
	assert_string_equal(session_code_text(*state, 0), "000000");
	assert_string_equal(session_code_text(*state, 42), "000042");
	assert_string_equal(session_code_text(*state, 999999), "999999");
}

static void only_six_digits_are_a_code(void **state)
{
	static const char *const WRONG[] = { "", "12345", "1234567", "12345a", " 12345", "-12345" };

	(void)state;
	assert_true(session_code_valid("012345"));
	for (size_t i = 0; i < sizeof(WRONG) / sizeof(*WRONG); i++)
		assert_false(session_code_valid(WRONG[i]));
}

static void the_same_code_of_two_accounts_has_two_digests(void **state)
{
	assert_string_not_equal(session_code_digest(*state, "a", "123456"),
				session_code_digest(*state, "b", "123456"));
	assert_string_equal(session_code_digest(*state, "a", "123456"),
			    session_code_digest(*state, "a", "123456"));
}

static void an_address_counts_as_the_same_in_any_case(void **state)
{
	assert_string_equal(session_email_digest(*state, "Ada@Example.ORG"),
			    session_email_digest(*state, "ada@example.org"));
	assert_string_not_equal(session_email_digest(*state, "ada@example.org"),
				session_email_digest(*state, "bob@example.org"));
}

static void a_token_of_ours_is_known_by_its_form(void **state)
{
	const char *token = sk_token_make(*state);

	assert_true(session_token_valid(token));
	assert_false(session_token_valid(NULL));
	assert_false(session_token_valid(""));
	assert_false(session_token_valid(token + 1));
	assert_false(session_token_valid(sk_arena_printf(*state, "%sA", token)));
	assert_false(session_token_valid("0123456789 123456789+123456789/123456789=12"));
}

static void a_user_agent_is_cut_and_cleaned(void **state)
{
	char longer[2 * SESSION_USER_AGENT_MAX_BYTES];

	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_string_equal(session_user_agent(*state, NULL), "");
	assert_string_equal(session_user_agent(*state, "curl/8\x1b[1m\xff"), "curl/8?[1m?");
	assert_int_equal(strlen(session_user_agent(*state, longer)), SESSION_USER_AGENT_MAX_BYTES);
}

static void a_session_of_the_old_password_ends_when_it_changes(void **state)
{
	struct session_record session = { .credential_version = 3, .kept_by = "" };

	(void)state;
	assert_false(session_outlives_change(&session, 4, "event"));
}

static void a_session_of_the_new_password_survives_the_message_of_its_change(void **state)
{
	struct session_record session = { .credential_version = 4, .kept_by = "" };

	(void)state;
	assert_true(session_outlives_change(&session, 4, "event"));
	assert_true(session_outlives_change(&session, 3, "an older event, delivered again"));
}

static void the_session_that_changed_the_password_survives_that_change_only(void **state)
{
	struct session_record session = { .credential_version = 3, .kept_by = "event" };

	(void)state;
	assert_true(session_outlives_change(&session, 4, "event"));
	assert_false(session_outlives_change(&session, 5, "another"));
}

static void a_session_expires_thirty_days_after_it_was_last_seen(void **state)
{
	struct session_record session = { .last_seen_s = 1000 };

	(void)state;
	assert_int_equal(session_expires_at_us(&session), 1000 * SK_SECOND_US + 30 * SK_DAY_US);
}

static void who_proved_an_account_is_the_actor(void **state)
{
	struct session_account account = { .id = "id", .email = "e", .role = SK_ROLE_STAFF };
	struct sk_actor actor = { .account_id = "", .email = "", .address = "::1" };

	(void)state;
	session_act_as(&actor, &account);
	assert_string_equal(actor.account_id, "id");
	assert_int_equal(actor.role, SK_ROLE_STAFF);
	assert_string_equal(actor.address, "::1");
}

static struct session_records three(struct sk_arena *arena)
{
	struct session_records records = { sk_arena_array(arena, 3, sizeof(*records.list)), 3 };

	records.list[0] = (struct session_record) { .id = "b", .last_seen_s = 30 };
	records.list[1] = (struct session_record) { .id = "c", .last_seen_s = 10 };
	records.list[2] = (struct session_record) { .id = "a", .last_seen_s = 20 };
	return records;
}

static void a_list_of_sessions_begins_with_the_newest(void **state)
{
	struct session_records records = three(*state);

	assert_true(session_records_page(&records, NULL, 2));
	assert_int_equal(records.count, 2);
	assert_string_equal(records.list[0].id, "c");
	assert_string_equal(records.list[1].id, "b");
}

static void the_next_page_goes_on_after_the_cursor(void **state)
{
	struct session_records records = three(*state);

	assert_false(session_records_page(&records, "b", 2));
	assert_int_equal(records.count, 1);
	assert_string_equal(records.list[0].id, "a");
}

static void a_page_of_no_sessions_is_empty(void **state)
{
	struct session_records records = { NULL, 0 };

	(void)state;
	assert_false(session_records_page(&records, NULL, 20));
	assert_int_equal(records.count, 0);
}

static void the_session_unused_for_longest_is_the_first_surplus(void **state)
{
	struct session_records records = three(*state);

	assert_int_equal(session_records_surplus(&records, 3), 0);
	assert_int_equal(session_records_surplus(&records, 2), 1);
	assert_string_equal(records.list[2].id, "c");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_arena, close_arena)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_code_has_six_digits_even_when_its_number_is_small),
		TEST(only_six_digits_are_a_code),
		TEST(the_same_code_of_two_accounts_has_two_digests),
		TEST(an_address_counts_as_the_same_in_any_case),
		TEST(a_token_of_ours_is_known_by_its_form),
		TEST(a_user_agent_is_cut_and_cleaned),
		TEST(a_session_of_the_old_password_ends_when_it_changes),
		TEST(a_session_of_the_new_password_survives_the_message_of_its_change),
		TEST(the_session_that_changed_the_password_survives_that_change_only),
		TEST(a_session_expires_thirty_days_after_it_was_last_seen),
		TEST(who_proved_an_account_is_the_actor),
		TEST(a_list_of_sessions_begins_with_the_newest),
		TEST(the_next_page_goes_on_after_the_cursor),
		TEST(a_page_of_no_sessions_is_empty),
		TEST(the_session_unused_for_longest_is_the_first_surplus),
	};

	return cmocka_run_group_tests_name("session rules", tests, NULL, NULL);
}
