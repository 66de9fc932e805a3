#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../provider.h"

static const struct payment CAPTURED = {
	.amount = { 1000, "GBP" },
	.state = PAYMENT_CAPTURED,
};

static void every_state_keeps_its_name(void **state)
{
	(void)state;
	for (int i = 0; i < PAYMENT_STATES; i++)
		assert_int_equal(payment_state_parse(payment_state_name((enum payment_state)i)), i);
	for (int i = 0; i < PAYMENT_REFUND_STATES; i++)
		assert_int_equal(payment_refund_state_parse(
					 payment_refund_state_name((enum payment_refund_state)i)),
				 i);
}

/* Both tables, as they are documented and written by hand: the next state, or "-" ignored,
 * "+" answered once more, "!" refused. */
static const char *const EXPECTED[PAYMENT_STATES][PAYMENT_EVENTS] = {
	/* asked, succeeded, declined, order cancelled */
	[PAYMENT_REQUESTED] = { "-", "captured", "failed", "cancelled" },
	[PAYMENT_CHARGING] = { "-", "captured", "failed", "-" },
	[PAYMENT_CAPTURED] = { "+", "-", "!", "+" },
	[PAYMENT_FAILED] = { "+", "!", "-", "+" },
	[PAYMENT_CANCELLED] = { "-", "captured", "-", "+" },
};

static const char *const EXPECTED_REFUND[PAYMENT_REFUND_STATES][PAYMENT_REFUND_EVENTS] = {
	/* asked, succeeded, declined */
	[PAYMENT_REFUND_REQUESTED] = { "-", "done", "refused" },
	[PAYMENT_REFUND_SENT] = { "-", "done", "refused" },
	[PAYMENT_REFUND_DONE] = { "+", "-", "!" },
	[PAYMENT_REFUND_REFUSED] = { "+", "!", "-" },
};

static const char *decision(enum payment_verdict verdict, const char *next)
{
	switch (verdict) {
	case PAYMENT_GO:
		return next;
	case PAYMENT_IGNORE:
		return "-";
	case PAYMENT_ANSWER:
		return "+";
	case PAYMENT_REFUSE:
		break;
	}
	return "!";
}

static void every_event_in_every_state_is_decided_as_documented(void **state)
{
	(void)state;
	for (int from = 0; from < PAYMENT_STATES; from++) {
		for (int event = 0; event < PAYMENT_EVENTS; event++) {
			struct payment_step step = payment_next((enum payment_state)from,
								(enum payment_event)event);

			assert_string_equal(decision(step.verdict, payment_state_name(step.next)),
					    EXPECTED[from][event]);
			assert_int_equal(step.verdict == PAYMENT_GO,
					 step.next != (enum payment_state)from);
		}
	}
}

static void every_event_of_a_refund_is_decided_as_documented(void **state)
{
	(void)state;
	for (int from = 0; from < PAYMENT_REFUND_STATES; from++) {
		for (int event = 0; event < PAYMENT_REFUND_EVENTS; event++) {
			struct payment_refund_step step = payment_refund_next(
				(enum payment_refund_state)from, (enum payment_refund_event)event);

			assert_string_equal(
				decision(step.verdict, payment_refund_state_name(step.next)),
				EXPECTED_REFUND[from][event]);
			assert_int_equal(step.verdict == PAYMENT_GO,
					 step.next != (enum payment_refund_state)from);
		}
	}
}

static void refunds_never_exceed_what_was_taken(void **state)
{
	static const struct {
		int64_t others, wanted;
		const char *currency;
		bool fits;
	} CASES[] = {
		{ 0, 1000, "GBP", true },   { 0, 1001, "GBP", false },
		{ 400, 600, "GBP", true },  { 400, 601, "GBP", false },
		{ 1000, 1, "GBP", false },  { 0, 1, "EUR", false },
		{ 0, 0, "GBP", false },	    { 0, -1, "GBP", false },
		{ 1001, 1, "GBP", false },  { 0, INT64_MAX, "GBP", false },
		{ -1, 1001, "GBP", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct sk_money wanted = { .minor = CASES[i].wanted };

		memcpy(wanted.currency, CASES[i].currency, sizeof(wanted.currency));
		assert_int_equal(payment_refund_fits(&CAPTURED, CASES[i].others, &wanted),
				 CASES[i].fits);
	}
}

static void nothing_goes_back_where_nothing_was_taken(void **state)
{
	struct sk_money one = { 1, "GBP" };
	struct payment payment = CAPTURED;

	(void)state;
	for (int i = 0; i < PAYMENT_STATES; i++) {
		payment.state = (enum payment_state)i;
		assert_int_equal(payment_refund_fits(&payment, 0, &one), i == PAYMENT_CAPTURED);
	}
}

static void the_status_tells_how_much_went_back(void **state)
{
	struct payment payment = CAPTURED;

	(void)state;
	assert_string_equal(payment_status(&payment), "captured");
	payment.refunded_minor = 999;
	assert_string_equal(payment_status(&payment), "partially_refunded");
	payment.refunded_minor = 1000;
	assert_string_equal(payment_status(&payment), "refunded");
	payment.state = PAYMENT_CHARGING;
	assert_string_equal(payment_status(&payment), "pending");
}

static void delays_grow_and_end(void **state)
{
	(void)state;
	assert_int_equal(payment_ask_again_ms(1), PAYMENT_LEASE_MS);
	assert_int_equal(payment_ask_again_ms(2), 2 * PAYMENT_LEASE_MS);
	assert_int_equal(payment_ask_again_ms(1000000), 3600 * 1000);
	assert_true(payment_retry_ms(1) < payment_retry_ms(2));
	assert_int_equal(payment_retry_ms(1000000), 300 * 1000);
	assert_true(PAYMENT_RUN_MS < PAYMENT_LEASE_MS);
}

static void a_webhook_says_one_of_four_things(void **state)
{
	enum payment_notice_kind kind = PAYMENT_NOTICE_FAILED;

	(void)state;
	assert_true(payment_notice_kind_parse("payment.succeeded", &kind));
	assert_int_equal(kind, PAYMENT_NOTICE_SUCCEEDED);
	assert_true(payment_notice_kind_parse("refund.succeeded", &kind));
	assert_int_equal(kind, PAYMENT_NOTICE_REFUNDED);
	assert_false(payment_notice_kind_parse("payment.refunded", &kind));
	assert_false(payment_notice_kind_parse("", &kind));
}

static void the_test_tokens_do_as_they_say(void **state)
{
	(void)state;
	assert_true(payment_test_outcome_of("tok_ok").succeeds);
	assert_true(payment_test_outcome_of("tok_slow").succeeds);
	assert_int_equal(payment_test_outcome_of("tok_slow").delay_ms, 5000);
	assert_false(payment_test_outcome_of("tok_decline").succeeds);
	assert_string_equal(payment_test_outcome_of("tok_ok ").reason, "unknown token");
	assert_true(payment_test_outcome_of("tok_ok").refunds);
	assert_true(payment_test_outcome_of("tok_refund_refused").succeeds);
	assert_false(payment_test_outcome_of("tok_refund_refused").refunds);
}

static void the_test_provider_can_be_switched_off(void **state)
{
	struct payment_service service = { .test_provider = true };

	(void)state;
	assert_ptr_equal(payment_provider_find(&service, "test"), &PAYMENT_TEST_PROVIDER);
	assert_null(payment_provider_find(&service, "Test"));
	service.test_provider = false;
	assert_null(payment_provider_find(&service, "test"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_state_keeps_its_name),
		cmocka_unit_test(every_event_in_every_state_is_decided_as_documented),
		cmocka_unit_test(every_event_of_a_refund_is_decided_as_documented),
		cmocka_unit_test(refunds_never_exceed_what_was_taken),
		cmocka_unit_test(nothing_goes_back_where_nothing_was_taken),
		cmocka_unit_test(the_status_tells_how_much_went_back),
		cmocka_unit_test(delays_grow_and_end),
		cmocka_unit_test(a_webhook_says_one_of_four_things),
		cmocka_unit_test(the_test_tokens_do_as_they_say),
		cmocka_unit_test(the_test_provider_can_be_switched_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
