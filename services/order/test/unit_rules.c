#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../order.h"

#define OWNER "018f3c1e-0000-7000-8000-000000000001"
#define OTHER "018f3c1e-0000-7000-8000-000000000002"

static const struct order_service SERVICE = { .resend_ms = 30000, .step_timeout_ms = 900000 };

static struct order order_in(enum order_status status)
{
	return (struct order) {
		.id = "018f3c1e-0000-7000-8000-000000000003",
		.number = "S-100001",
		.status = status,
		.reason = "",
		.currency = "GBP",
		.total_minor = 1000,
		.payment_id = "",
	};
}

/* ---- who may see it ---- */

static void an_order_is_seen_by_its_owner_by_staff_and_by_nobody_else(void **state)
{
	const struct order_head head = { .account_id = OWNER, .access_hash = "" };

	(void)state;
	assert_true(order_may_see(&head, &(struct sk_actor) { SK_ROLE_CUSTOMER, OWNER, "", "", "" },
				  NULL));
	assert_true(order_may_see(&head, &(struct sk_actor) { SK_ROLE_STAFF, OTHER, "", "", "" },
				  NULL));
	assert_false(order_may_see(
		&head, &(struct sk_actor) { SK_ROLE_CUSTOMER, OTHER, "", "", "" }, NULL));
	assert_false(order_may_see(&head, &(struct sk_actor) { SK_ROLE_NONE, "", "", "", "" }, ""));
}

static void a_guests_order_is_seen_by_whoever_has_its_token(void **state)
{
	const struct order_head head = { .account_id = "", .access_hash = "0123456789abcdef" };
	const struct sk_actor nobody = { SK_ROLE_NONE, "", "", "", "" };

	(void)state;
	assert_true(order_may_see(&head, &nobody, "0123456789abcdef"));
	assert_false(order_may_see(&head, &nobody, "0123456789abcdeF"));
	assert_false(order_may_see(&head, &nobody, "0123456789abcde"));
	assert_false(order_may_see(&head, &nobody, ""));
	assert_false(order_may_see(&head, &nobody, NULL));
	assert_false(order_may_see(
		&head, &(struct sk_actor) { SK_ROLE_CUSTOMER, OTHER, "", "", "" }, NULL));
}

/* ---- what it costs ---- */

static void a_total_is_the_sum_of_its_lines(void **state)
{
	struct order_line lines[] = { { .quantity = 3, .unit_price_minor = 199 },
				      { .quantity = 1, .unit_price_minor = 0 } };
	struct order order = { .currency = "GBP", .lines = lines, .lines_count = 2 };
	struct sk_context context;

	(void)state;
	sk_context_init(&context, 0);
	assert_int_equal(order_total(&order, &context), SK_OK);
	assert_int_equal(lines[0].line_total_minor, 597);
	assert_int_equal(lines[1].line_total_minor, 0);
	assert_int_equal(order.subtotal_minor, 597);
	assert_int_equal(order.total_minor, 597);
	sk_context_release(&context);
}

static void a_total_that_does_not_fit_is_refused(void **state)
{
	struct order_line one[] = { { .quantity = 2, .unit_price_minor = SK_MONEY_MAX_MINOR } };
	struct order_line two[] = { { .quantity = 1, .unit_price_minor = SK_MONEY_MAX_MINOR },
				    { .quantity = 1, .unit_price_minor = 1 } };
	struct order product = { .currency = "GBP", .lines = one, .lines_count = 1 };
	struct order sum = { .currency = "GBP", .lines = two, .lines_count = 2 };
	struct sk_context context;

	(void)state;
	sk_context_init(&context, 0);
	assert_int_equal(order_total(&product, &context), SK_INVALID);
	assert_string_equal(context.error.code, "total_too_large");
	assert_int_equal(order_total(&sum, &context), SK_INVALID);
	sk_context_release(&context);
}

/* ---- what a step changes ---- */

static bool apply(struct order *order, const struct order_fact *fact)
{
	struct order_step step = order_next(order->status, fact->event);

	assert_int_equal(step.verdict, ORDER_GO);
	return order_apply(order, &step, fact);
}

static void a_fact_heard_twice_changes_nothing(void **state)
{
	struct order order = order_in(ORDER_PAID);
	const struct order_fact sold = { .event = ORDER_STOCK_SOLD };
	const struct order_fact labelled = { .event = ORDER_LABEL_CREATED };
	const struct order_fact voided = { .event = ORDER_LABEL_VOIDED };

	(void)state;
	assert_true(apply(&order, &sold));
	assert_false(apply(&order, &sold));
	assert_true(apply(&order, &labelled));
	assert_false(apply(&order, &labelled));
	assert_true(apply(&order, &(struct order_fact) { .event = ORDER_CANCEL_ASKED }));
	assert_true(apply(&order, &voided));
	assert_false(apply(&order, &voided));
}

static void a_late_payment_of_a_cancelled_order_can_be_paid_back_once(void **state)
{
	struct order order = order_in(ORDER_CANCELLED);
	const struct order_fact confirmed = { .event = ORDER_PAYMENT_CONFIRMED,
					      .payment_id = OTHER };

	(void)state;
	assert_int_equal(order_refundable_minor(&order), 0);
	assert_true(apply(&order, &confirmed));
	assert_int_equal(order_refundable_minor(&order), 1000);
	order.refund_requested_minor = 1000;
	assert_false(apply(&order, &confirmed));
	assert_int_equal(order_refundable_minor(&order), 0);
}

static void a_refund_that_failed_can_be_asked_for_anew(void **state)
{
	static const enum order_status STATUSES[] = { ORDER_PAID, ORDER_SHIPPED, ORDER_DELIVERED,
						      ORDER_CANCELLED };
	const struct order_refund refund = { .id = OTHER, .amount_minor = 400 };

	(void)state;
	for (size_t i = 0; i < sizeof(STATUSES) / sizeof(*STATUSES); i++) {
		struct order order = order_in(STATUSES[i]);

		order.payment = ORDER_PAYMENT_CAPTURED;
		order.stock_settled = true;
		assert_true(apply(&order, &(struct order_fact) { .event = ORDER_REFUND_ASKED,
								 .refund = &refund }));
		assert_int_equal(order_refundable_minor(&order), 600);
		assert_int_equal(order_owed(&order), ORDER_SEND_REFUND_REQUEST);
		assert_true(apply(&order, &(struct order_fact) { .event = ORDER_REFUND_FAILED,
								 .refund = &refund }));
		assert_int_equal(order.status, STATUSES[i]);
		assert_int_equal(order_refundable_minor(&order), 1000);
		assert_int_equal(order_owed(&order), 0);
	}
}

static void an_expired_reservation_is_answered_each_time(void **state)
{
	struct order order = order_in(ORDER_RESERVED);
	const struct order_fact expired = { .event = ORDER_STOCK_EXPIRED };

	(void)state;
	assert_true(apply(&order, &expired));
	assert_true(apply(&order, &expired));
	assert_int_equal(order.status, ORDER_RESERVED);
}

/* ---- undoing: the parcel first, then the stock ---- */

static struct order paid_order(void)
{
	struct order order = order_in(ORDER_PAID);

	order.payment = ORDER_PAYMENT_CAPTURED;
	return order;
}

static const struct order_fact CANCEL = { .event = ORDER_CANCEL_ASKED,
					  .reason = "cancelled by the customer" };
static const struct order_fact SOLD = { .event = ORDER_STOCK_SOLD };
static const struct order_fact RELEASED = { .event = ORDER_STOCK_RELEASED };
static const struct order_fact LABELLED = { .event = ORDER_LABEL_CREATED };
static const struct order_fact SHIPPED = { .event = ORDER_PARCEL_SHIPPED };
static const struct order_fact VOIDED = { .event = ORDER_LABEL_VOIDED };

static void a_cancelled_order_calls_back_its_parcel_and_then_its_stock(void **state)
{
	struct order order = paid_order();

	(void)state;
	assert_true(apply(&order, &SOLD));
	assert_true(apply(&order, &LABELLED));
	assert_true(apply(&order, &CANCEL));
	assert_string_equal(order.reason, "cancelled by the customer");
	assert_int_equal(order_recall(&order), ORDER_SEND_RECALL_REQUEST);
	assert_int_equal(order_owed(&order), ORDER_SEND_RECALL_REQUEST);
	assert_true(apply(&order, &VOIDED));
	assert_int_equal(order_owed(&order), ORDER_SEND_RECALLED);
	assert_true(apply(&order, &RELEASED));
	assert_int_equal(order_owed(&order), 0);
}

static void a_parcel_that_is_asked_for_and_has_no_label_yet_is_called_back_too(void **state)
{
	struct order order = paid_order();

	(void)state;
	assert_true(apply(&order, &SOLD));
	assert_true(apply(&order, &CANCEL));
	assert_int_equal(order_owed(&order), ORDER_SEND_RECALL_REQUEST);
}

static void an_order_that_has_no_parcel_calls_back_its_stock_at_once(void **state)
{
	struct order order = paid_order();

	(void)state;
	assert_true(apply(&order, &CANCEL));
	assert_int_equal(order_recall(&order), ORDER_SEND_RECALLED);
	assert_int_equal(order_owed(&order), ORDER_SEND_RECALLED);
	/* The word that it was sold comes late, and asks for no parcel any more. */
	assert_int_equal(order_next(order.status, ORDER_STOCK_SOLD).verdict, ORDER_IGNORE);
	assert_true(apply(&order, &RELEASED));
	assert_int_equal(order_owed(&order), 0);
}

static void a_parcel_that_left_ends_the_asking_and_keeps_the_goods_sold(void **state)
{
	struct order order = paid_order();

	(void)state;
	assert_true(apply(&order, &SOLD));
	assert_true(apply(&order, &CANCEL));
	assert_true(apply(&order, &SHIPPED));
	assert_int_equal(order_recall(&order), ORDER_SEND_NOTHING);
	assert_int_equal(order_owed(&order), 0);
	assert_false(apply(&order, &VOIDED)); /* whoever says so */
	assert_int_equal(order_owed(&order), 0);
}

static void an_order_that_was_never_paid_has_only_a_reservation_to_release(void **state)
{
	struct order order = order_in(ORDER_RESERVED);

	(void)state;
	assert_true(apply(&order, &CANCEL));
	assert_int_equal(order_owed(&order), ORDER_SEND_CANCELLED);
	/* A late payment changes what is asked, not what inventory does. */
	assert_true(apply(&order, &(struct order_fact) { .event = ORDER_PAYMENT_CONFIRMED,
							 .payment_id = OTHER }));
	assert_int_equal(order_owed(&order), ORDER_SEND_RECALLED);
}

static void a_cancel_is_asked_until_inventory_and_payment_have_answered(void **state)
{
	struct order order = order_in(ORDER_RESERVED);
	const struct order_fact declined = { .event = ORDER_PAYMENT_CANCELLED };

	(void)state;
	assert_true(apply(&order, &CANCEL));
	assert_true(apply(&order, &RELEASED));
	assert_int_equal(order_owed(&order), ORDER_SEND_CANCELLED);
	assert_true(apply(&order, &declined));
	assert_int_equal(order_owed(&order), 0);
	assert_string_equal(order_payment_status(&order), "cancelled");
	/* Money that comes after all is paid back, and is not forgotten for a late word. */
	assert_true(apply(&order, &(struct order_fact) { .event = ORDER_PAYMENT_CONFIRMED,
							 .payment_id = OTHER }));
	assert_false(apply(&order, &declined));
	assert_int_equal(order_refundable_minor(&order), 1000);
}

static void a_paid_order_whose_stock_is_gone_owes_inventory_nothing(void **state)
{
	struct order order = paid_order();

	(void)state;
	assert_true(apply(&order, &(struct order_fact) { .event = ORDER_STOCK_REJECTED,
							 .reason = "not enough in stock" }));
	assert_int_equal(order.status, ORDER_CANCELLED);
	assert_string_equal(order.reason, "not enough in stock");
	assert_int_equal(order_owed(&order), 0);
}

static void a_full_refund_calls_back_what_has_not_left_and_leaves_what_has(void **state)
{
	const struct order_refund all = { .id = OTHER, .amount_minor = 1000 };
	const struct order_fact refunded = { .event = ORDER_REFUNDED_FULLY, .refund = &all };
	struct order here = paid_order(), gone = paid_order();

	(void)state;
	here.refund_requested_minor = gone.refund_requested_minor = 1000;
	assert_true(apply(&here, &SOLD));
	assert_true(apply(&here, &refunded));
	assert_int_equal(order_owed(&here), ORDER_SEND_RECALL_REQUEST);
	assert_true(apply(&here, &VOIDED));
	assert_int_equal(order_owed(&here), ORDER_SEND_RECALLED);
	assert_true(apply(&here, &RELEASED));
	assert_int_equal(order_owed(&here), 0);

	assert_true(apply(&gone, &SOLD));
	assert_true(apply(&gone, &SHIPPED));
	assert_true(apply(&gone, &refunded));
	assert_int_equal(gone.status, ORDER_REFUNDED);
	assert_int_equal(order_owed(&gone), 0);
}

static void the_payment_status_says_what_became_of_the_money(void **state)
{
	struct order order = order_in(ORDER_CANCELLED);

	(void)state;
	assert_string_equal(order_payment_status(&order), "cancelled");
	order.payment = ORDER_PAYMENT_CAPTURED;
	assert_string_equal(order_payment_status(&order), "captured");
	order.refunded_minor = 400;
	assert_string_equal(order_payment_status(&order), "partially_refunded");
	order.refunded_minor = 1000;
	assert_string_equal(order_payment_status(&order), "refunded");
	order = order_in(ORDER_PENDING);
	assert_string_equal(order_payment_status(&order), "pending");
}

/* ---- what is still to be answered ---- */

static void an_order_owes_what_nobody_answered(void **state)
{
	struct order order = order_in(ORDER_PENDING);

	(void)state;
	assert_int_equal(order_owed(&order), ORDER_SEND_CREATED);
	order.status = ORDER_RESERVED;
	assert_int_equal(order_owed(&order), ORDER_SEND_PAYMENT_REQUEST);
	order.status = ORDER_PAID;
	assert_int_equal(order_owed(&order), ORDER_SEND_PAID);
	order.stock_settled = true;
	order.parcel = ORDER_PARCEL_ASKED;
	assert_int_equal(order_owed(&order), ORDER_SEND_SHIPMENT_REQUEST);
	order.parcel = ORDER_PARCEL_LABELLED;
	assert_int_equal(order_owed(&order), 0);
	order.refund_requested_minor = 10;
	assert_int_equal(order_owed(&order), ORDER_SEND_REFUND_REQUEST);
	order.status = ORDER_REJECTED;
	order.refund_requested_minor = 0;
	assert_int_equal(order_owed(&order), 0);
}

static void patience_doubles_and_ends_with_the_steps_time(void **state)
{
	struct order order = order_in(ORDER_PENDING);

	(void)state;
	assert_int_equal(order_patience_ms(&order, 0, &SERVICE), 30000);
	assert_int_equal(order_patience_ms(&order, 1, &SERVICE), 60000);
	assert_int_equal(order_patience_ms(&order, 3, &SERVICE), 240000);
	assert_int_equal(order_patience_ms(&order, 4, &SERVICE), 450000);
	order.status = ORDER_PAID; /* never given up */
	assert_int_equal(order_patience_ms(&order, 4, &SERVICE), 480000);
	assert_int_equal(order_patience_ms(&order, 40, &SERVICE), 6 * 3600 * 1000);
}

static void an_order_that_nobody_answers_is_given_up_only_before_it_is_paid(void **state)
{
	struct order order = order_in(ORDER_RESERVED);

	(void)state;
	order.attempts = 3;
	assert_int_equal(order_look_at(&order, &SERVICE), ORDER_LOOK_RESEND);
	order.attempts = 4;
	assert_int_equal(order_look_at(&order, &SERVICE), ORDER_LOOK_GIVE_UP);
	order.status = ORDER_PAID;
	assert_int_equal(order_look_at(&order, &SERVICE), ORDER_LOOK_RESEND);
}

static void an_outage_does_not_count_against_an_order(void **state)
{
	struct order order = order_in(ORDER_RESERVED);

	(void)state;
	order.attempts = 4;
	order.overdue_ms = 3600 * 1000;
	assert_int_equal(order_look_at(&order, &SERVICE), ORDER_LOOK_RESEND_UNCOUNTED);
}

/* ---- titles, countries ---- */

static void a_long_title_is_cut_between_characters(void **state)
{
	struct sk_arena *arena = sk_arena_open(0);
	const char *euro = "€€€€€€€€€€"; /* 30 bytes */
	const char *product = sk_arena_printf(arena, "x%s%s%s%s%s", euro, euro, euro, euro, euro);
	const char *title = order_title(arena, product, "");

	(void)state;
	assert_int_equal(strlen(title), 118);
	assert_string_equal(order_title(arena, "Shirt", "Small"), "Shirt - Small");
	assert_string_equal(order_title(arena, "Shirt", ""), "Shirt");
	sk_arena_close(&arena);
}

static void countries_are_those_of_iso_3166(void **state)
{
	static const char *const unknown[] = { "", "G", "gb", "XX", "UK", "GBR", "B ", " B" };

	(void)state;
	assert_true(order_country_known("AD"));
	assert_true(order_country_known("GB"));
	assert_true(order_country_known("ZW"));
	for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); i++)
		assert_false(order_country_known(unknown[i]));
	assert_true(order_country_has_postal_codes("GB"));
	assert_false(order_country_has_postal_codes("HK"));
}

static void every_word_of_a_column_keeps_its_name(void **state)
{
	(void)state;
	for (int i = 0; i < ORDER_PARCELS; i++)
		assert_int_equal(order_parcel_parse(order_parcel_name((enum order_parcel)i)), i);
	for (int i = 0; i < ORDER_REFUND_STATES; i++)
		assert_int_equal(order_refund_state_parse(
					 order_refund_state_name((enum order_refund_state)i)),
				 i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_order_is_seen_by_its_owner_by_staff_and_by_nobody_else),
		cmocka_unit_test(a_guests_order_is_seen_by_whoever_has_its_token),
		cmocka_unit_test(a_total_is_the_sum_of_its_lines),
		cmocka_unit_test(a_total_that_does_not_fit_is_refused),
		cmocka_unit_test(a_fact_heard_twice_changes_nothing),
		cmocka_unit_test(a_late_payment_of_a_cancelled_order_can_be_paid_back_once),
		cmocka_unit_test(a_refund_that_failed_can_be_asked_for_anew),
		cmocka_unit_test(an_expired_reservation_is_answered_each_time),
		cmocka_unit_test(a_cancelled_order_calls_back_its_parcel_and_then_its_stock),
		cmocka_unit_test(
			a_parcel_that_is_asked_for_and_has_no_label_yet_is_called_back_too),
		cmocka_unit_test(an_order_that_has_no_parcel_calls_back_its_stock_at_once),
		cmocka_unit_test(a_parcel_that_left_ends_the_asking_and_keeps_the_goods_sold),
		cmocka_unit_test(an_order_that_was_never_paid_has_only_a_reservation_to_release),
		cmocka_unit_test(a_cancel_is_asked_until_inventory_and_payment_have_answered),
		cmocka_unit_test(a_paid_order_whose_stock_is_gone_owes_inventory_nothing),
		cmocka_unit_test(a_full_refund_calls_back_what_has_not_left_and_leaves_what_has),
		cmocka_unit_test(every_word_of_a_column_keeps_its_name),
		cmocka_unit_test(the_payment_status_says_what_became_of_the_money),
		cmocka_unit_test(an_order_owes_what_nobody_answered),
		cmocka_unit_test(patience_doubles_and_ends_with_the_steps_time),
		cmocka_unit_test(an_order_that_nobody_answers_is_given_up_only_before_it_is_paid),
		cmocka_unit_test(an_outage_does_not_count_against_an_order),
		cmocka_unit_test(a_long_title_is_cut_between_characters),
		cmocka_unit_test(countries_are_those_of_iso_3166),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
