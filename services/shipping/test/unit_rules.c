#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../carrier.h"

static int open_arena(void **state)
{
	*state = sk_arena_open(SK_ARENA_MAX_BYTES);
	return 0;
}

static int close_arena(void **state)
{
	struct sk_arena *arena = *state;

	sk_arena_close(&arena);
	return 0;
}

/* ---- the table ---- */

static void every_state_keeps_its_name(void **state)
{
	(void)state;
	for (int i = 0; i < SHIPPING_STATES; i++)
		assert_int_equal(shipping_state_parse(shipping_state_name((enum shipping_state)i)),
				 i);
}

/* The whole table, as it is documented and written by hand: the next state ("via" it where the
 * event then counts once more), or "-" ignored, "+" answered once more, "!" refused. */
static const char *const EXPECTED[SHIPPING_STATES][SHIPPING_EVENTS] = {
	/* requested, recalled, parcel shipped, delivered */
	[SHIPPING_LABEL_CREATED] = { "+", "voided", "shipped", "via shipped" },
	[SHIPPING_SHIPPED] = { "+", "+", "-", "delivered" },
	[SHIPPING_DELIVERED] = { "+", "+", "-", "-" },
	[SHIPPING_VOIDED] = { "+", "+", "!", "!" },
	[SHIPPING_CANCELLED] = { "+", "+", "!", "!" },
};

static const char *decision(struct sk_arena *arena, struct shipping_step step)
{
	switch (step.verdict) {
	case SHIPPING_GO:
		return shipping_state_name(step.next);
	case SHIPPING_THROUGH:
		return sk_arena_printf(arena, "via %s", shipping_state_name(step.next));
	case SHIPPING_IGNORE:
		return "-";
	case SHIPPING_ANSWER:
		return "+";
	case SHIPPING_REFUSE:
		break;
	}
	return "!";
}

static void every_event_in_every_state_is_decided_as_documented(void **state)
{
	for (int from = 0; from < SHIPPING_STATES; from++) {
		for (int event = 0; event < SHIPPING_EVENTS; event++) {
			struct shipping_step step = shipping_next((enum shipping_state)from,
								  (enum shipping_event)event);
			bool moves = step.verdict == SHIPPING_GO ||
				     step.verdict == SHIPPING_THROUGH;

			assert_string_equal(decision(*state, step), EXPECTED[from][event]);
			assert_int_equal(step.next != (enum shipping_state)from, moves);
		}
	}
}

static void a_carrier_may_skip_the_word_shipped(void **state)
{
	struct shipping_step first = shipping_next(SHIPPING_LABEL_CREATED,
						   SHIPPING_PARCEL_DELIVERED);
	struct shipping_step second = shipping_next(first.next, SHIPPING_PARCEL_DELIVERED);

	(void)state;
	assert_int_equal(first.verdict, SHIPPING_THROUGH);
	assert_int_equal(first.next, SHIPPING_SHIPPED);
	assert_int_equal(second.verdict, SHIPPING_GO);
	assert_int_equal(second.next, SHIPPING_DELIVERED);
}

static void a_carrier_knows_two_words(void **state)
{
	enum shipping_event event = SHIPPING_REQUESTED;

	(void)state;
	assert_true(shipping_word_parse("shipped", &event));
	assert_int_equal(event, SHIPPING_PARCEL_SHIPPED);
	assert_true(shipping_word_parse("delivered", &event));
	assert_int_equal(event, SHIPPING_PARCEL_DELIVERED);
	assert_false(shipping_word_parse("lost", &event));
	assert_non_null(shipping_carrier_find("test"));
	assert_null(shipping_carrier_find("pigeon"));
}

/* ---- who may see ---- */

static void a_shipment_is_seen_by_staff_and_by_who_ordered_it(void **state)
{
	static const struct {
		const char *owner;
		struct sk_actor actor;
		bool seen;
	} CASES[] = {
		{ "a", { .role = SK_ROLE_CUSTOMER, .account_id = "a" }, true },
		{ "a", { .role = SK_ROLE_CUSTOMER, .account_id = "b" }, false },
		{ "a", { .role = SK_ROLE_STAFF, .account_id = "b" }, true },
		{ "a", { .role = SK_ROLE_ADMIN, .account_id = "b" }, true },
		{ "", { .role = SK_ROLE_CUSTOMER, .account_id = "" }, false },
		{ "", { .role = SK_ROLE_STAFF, .account_id = "b" }, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct shipment shipment = { .account_id = CASES[i].owner };

		assert_int_equal(shipping_visible(&shipment, &CASES[i].actor), CASES[i].seen);
		shipment.state = SHIPPING_CANCELLED;
		assert_false(shipping_visible(&shipment, &CASES[i].actor));
	}
}

/* ---- tracking numbers ---- */

static void the_check_digit_is_luhns(void **state)
{
	(void)state;
	assert_int_equal(shipping_check_digit("7992739871"), '3');
	assert_int_equal(shipping_check_digit("0"), '0');
	assert_int_not_equal(shipping_check_digit("12"), shipping_check_digit("21"));
}

static void a_tracking_number_follows_from_the_shipment(void **state)
{
	struct sk_arena *arena = *state;
	const char *number = shipping_tracking_number(arena,
						      "0190a0b0-0000-7000-8000-000000000001");
	char digits[SHIPPING_TRACKING_DIGITS + 1] = { 0 };

	assert_int_equal(strlen(number), SHIPPING_TRACKING_BYTES - 1);
	assert_memory_equal(number, "SK", 2);
	assert_int_equal(strspn(number + 2, "0123456789"), SHIPPING_TRACKING_DIGITS + 1);
	memcpy(digits, number + 2, SHIPPING_TRACKING_DIGITS);
	assert_int_equal(number[SHIPPING_TRACKING_BYTES - 2], shipping_check_digit(digits));
	assert_string_equal(
		number, shipping_tracking_number(arena, "0190a0b0-0000-7000-8000-000000000001"));
	assert_string_not_equal(
		number, shipping_tracking_number(arena, "0190a0b0-0000-7000-8000-000000000002"));
}

/* ---- text ---- */

static void names_are_shown_in_the_letters_a_plain_font_has(void **state)
{
	static const struct {
		const char *utf8, *plain;
	} CASES[] = {
		{ "Jane Doe", "Jane Doe" },
		{ "M\xC3\xBCller", "M\xFCller" },
		{ "\xC5\x81\xC3\xB3\xC5\xBA", "L\xF3z" },
		{ "O\xE2\x80\x99"
		  "Brien",
		  "O\x92"
		  "Brien" },
		{ "\xC4\x80\xC5\xBF", "As" },
		{ "\xE6\x9D\xB1\xE4\xBA\xAC", "??" },
		{ "\xF0\x9F\x93\xA6", "?" },
		{ "a\tb\x7F", "a b " },
		{ "cut\xE2\x80", "cut?" },
		{ "", "" },
	};

	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
		assert_string_equal(shipping_plain_text(*state, CASES[i].utf8), CASES[i].plain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_state_keeps_its_name),
		cmocka_unit_test(every_event_in_every_state_is_decided_as_documented),
		cmocka_unit_test(a_carrier_may_skip_the_word_shipped),
		cmocka_unit_test(a_carrier_knows_two_words),
		cmocka_unit_test(a_shipment_is_seen_by_staff_and_by_who_ordered_it),
		cmocka_unit_test(the_check_digit_is_luhns),
		cmocka_unit_test(a_tracking_number_follows_from_the_shipment),
		cmocka_unit_test(names_are_shown_in_the_letters_a_plain_font_has),
	};

	return cmocka_run_group_tests(tests, open_arena, close_arena);
}
