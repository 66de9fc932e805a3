#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../order.h"

/* The whole table, as it is documented: the next status, or
 * "-" ignored, "?" too early, "!" refused. Written by hand, from what should be. */
static const char *const EXPECTED[ORDER_STATUSES][ORDER_EVENTS] = {
	/* stock: reserved, rejected, sold, released, expired;
	 * payment: confirmed, declined, cancelled;
	 * parcel: label, shipped, delivered, voided;
	 * asked: cancel, refund; refund: partly, fully, failed; timed out */
	[ORDER_PENDING] = { "reserved", "rejected", "?", "!", "pending", /**/ "?", "?", "!", /**/
			    "?", "?", "?", "!", /**/ "cancelled", "!", "!", "!", "!", "cancelled" },
	[ORDER_RESERVED] = { "-", "cancelled", "?", "!", "reserved", /**/ "paid", "payment_failed",
			     "!", /**/ "?", "?", "?", "!", /**/ "cancelled", "!", "!", "!", "!",
			     "cancelled" },
	[ORDER_PAID] = { "-", "cancelled", "paid", "!", "-", /**/ "-", "!", "!", /**/ "paid",
			 "shipped", "?", "!", /**/ "cancelled", "paid", "paid", "refunded", "paid",
			 "-" },
	[ORDER_SHIPPED] = { "-", "!", "shipped", "!", "-", /**/ "-", "!", "!", /**/ "-", "-",
			    "delivered", "!", /**/ "!", "shipped", "shipped", "refunded", "shipped",
			    "-" },
	[ORDER_DELIVERED] = { "-", "!", "delivered", "!", "-", /**/ "-", "!", "!", /**/ "-", "-",
			      "-", "!", /**/ "!", "delivered", "delivered", "refunded", "delivered",
			      "-" },
	[ORDER_REJECTED] = { "-", "-", "!", "!", "-", /**/ "!", "!", "!", /**/ "!", "!", "!", "!",
			     /**/ "!", "!", "!", "!", "!", "-" },
	[ORDER_PAYMENT_FAILED] = { "-", "-", "!", "payment_failed", "-", /**/ "!", "-", "!", /**/
				   "!", "!", "!", "!", /**/ "!", "!", "!", "!", "!", "-" },
	[ORDER_CANCELLED] = { "-", "-", "-", "cancelled", "-", /**/ "cancelled", "cancelled",
			      "cancelled", /**/ "-", "cancelled", "cancelled", "cancelled", /**/
			      "-", "cancelled", "cancelled", "cancelled", "cancelled", "-" },
	[ORDER_REFUNDED] = { "-", "-", "-", "refunded", "-", /**/ "-", "!", "!", /**/ "-",
			     "refunded", "refunded", "refunded", /**/ "!", "!", "-", "-", "!",
			     "-" },
};

/* What is sent, by hand likewise; all other cells send nothing. */
static const struct {
	enum order_status status;
	enum order_event event;
	unsigned sends;
} TOLD[] = {
	{ ORDER_PENDING, ORDER_STOCK_RESERVED, ORDER_SEND_PAYMENT_REQUEST },
	{ ORDER_PENDING, ORDER_STOCK_REJECTED, ORDER_SEND_REJECTED },
	{ ORDER_PENDING, ORDER_STOCK_EXPIRED, ORDER_SEND_CREATED },
	{ ORDER_PENDING, ORDER_CANCEL_ASKED, ORDER_SEND_CANCELLED },
	{ ORDER_PENDING, ORDER_STEP_TIMED_OUT, ORDER_SEND_CANCELLED },
	{ ORDER_RESERVED, ORDER_STOCK_REJECTED, ORDER_SEND_CANCELLED },
	{ ORDER_RESERVED, ORDER_STOCK_EXPIRED, ORDER_SEND_CREATED },
	{ ORDER_RESERVED, ORDER_PAYMENT_CONFIRMED, ORDER_SEND_PAID },
	{ ORDER_RESERVED, ORDER_PAYMENT_DECLINED, ORDER_SEND_PAYMENT_FAILED },
	{ ORDER_RESERVED, ORDER_CANCEL_ASKED, ORDER_SEND_CANCELLED },
	{ ORDER_RESERVED, ORDER_STEP_TIMED_OUT, ORDER_SEND_CANCELLED },
	{ ORDER_PAID, ORDER_STOCK_REJECTED, ORDER_SEND_CANCELLED | ORDER_SEND_REFUND_REQUEST },
	{ ORDER_PAID, ORDER_STOCK_SOLD, ORDER_SEND_SHIPMENT_REQUEST },
	{ ORDER_PAID, ORDER_PARCEL_SHIPPED, ORDER_SEND_SHIPPED },
	{ ORDER_PAID, ORDER_CANCEL_ASKED,
	  ORDER_SEND_CANCELLED | ORDER_SEND_REFUND_REQUEST | ORDER_SEND_RECALL },
	{ ORDER_PAID, ORDER_REFUND_ASKED, ORDER_SEND_REFUND_REQUEST },
	{ ORDER_PAID, ORDER_REFUNDED_PARTLY, ORDER_SEND_REFUNDED },
	{ ORDER_PAID, ORDER_REFUNDED_FULLY, ORDER_SEND_REFUNDED | ORDER_SEND_RECALL },
	{ ORDER_SHIPPED, ORDER_PARCEL_DELIVERED, ORDER_SEND_DELIVERED },
	{ ORDER_SHIPPED, ORDER_REFUND_ASKED, ORDER_SEND_REFUND_REQUEST },
	{ ORDER_SHIPPED, ORDER_REFUNDED_PARTLY, ORDER_SEND_REFUNDED },
	{ ORDER_SHIPPED, ORDER_REFUNDED_FULLY, ORDER_SEND_REFUNDED },
	{ ORDER_DELIVERED, ORDER_REFUND_ASKED, ORDER_SEND_REFUND_REQUEST },
	{ ORDER_DELIVERED, ORDER_REFUNDED_PARTLY, ORDER_SEND_REFUNDED },
	{ ORDER_DELIVERED, ORDER_REFUNDED_FULLY, ORDER_SEND_REFUNDED },
	{ ORDER_CANCELLED, ORDER_PAYMENT_CONFIRMED, ORDER_SEND_REFUND_REQUEST },
	{ ORDER_CANCELLED, ORDER_LABEL_VOIDED, ORDER_SEND_RECALLED },
	{ ORDER_CANCELLED, ORDER_REFUND_ASKED, ORDER_SEND_REFUND_REQUEST },
	{ ORDER_CANCELLED, ORDER_REFUNDED_PARTLY, ORDER_SEND_REFUNDED },
	{ ORDER_CANCELLED, ORDER_REFUNDED_FULLY, ORDER_SEND_REFUNDED },
	{ ORDER_REFUNDED, ORDER_LABEL_VOIDED, ORDER_SEND_RECALLED },
};

static unsigned told(int status, int event)
{
	for (size_t i = 0; i < sizeof(TOLD) / sizeof(*TOLD); i++)
		if (TOLD[i].status == (enum order_status)status &&
		    TOLD[i].event == (enum order_event)event)
			return TOLD[i].sends;
	return 0;
}

static const char *decision(struct order_step step)
{
	switch (step.verdict) {
	case ORDER_GO:
		return order_status_name(step.next);
	case ORDER_IGNORE:
		return "-";
	case ORDER_WAIT:
		return "?";
	case ORDER_REFUSE:
		break;
	}
	return "!";
}

static void every_event_in_every_status_is_decided_as_documented(void **state)
{
	(void)state;
	for (int status = 0; status < ORDER_STATUSES; status++)
		for (int event = 0; event < ORDER_EVENTS; event++)
			assert_string_equal(decision(order_next((enum order_status)status,
								(enum order_event)event)),
					    EXPECTED[status][event]);
}

static void every_event_in_every_status_sends_what_is_documented(void **state)
{
	(void)state;
	for (int status = 0; status < ORDER_STATUSES; status++)
		for (int event = 0; event < ORDER_EVENTS; event++)
			assert_int_equal(
				order_next((enum order_status)status, (enum order_event)event)
					.sends,
				told(status, event));
}

static void what_does_not_go_changes_and_sends_nothing(void **state)
{
	(void)state;
	for (int status = 0; status < ORDER_STATUSES; status++) {
		for (int event = 0; event < ORDER_EVENTS; event++) {
			struct order_step step = order_next((enum order_status)status,
							    (enum order_event)event);

			if (step.verdict != ORDER_GO) {
				assert_int_equal(step.next, status);
				assert_int_equal(step.sends, ORDER_SEND_NOTHING);
			}
		}
	}
}

static void every_move_to_another_status_is_told(void **state)
{
	static const unsigned TELLS[ORDER_STATUSES] = {
		[ORDER_RESERVED] = ORDER_SEND_PAYMENT_REQUEST,
		[ORDER_PAID] = ORDER_SEND_PAID,
		[ORDER_SHIPPED] = ORDER_SEND_SHIPPED,
		[ORDER_DELIVERED] = ORDER_SEND_DELIVERED,
		[ORDER_REJECTED] = ORDER_SEND_REJECTED,
		[ORDER_PAYMENT_FAILED] = ORDER_SEND_PAYMENT_FAILED,
		[ORDER_CANCELLED] = ORDER_SEND_CANCELLED,
		[ORDER_REFUNDED] = ORDER_SEND_REFUNDED,
	};

	(void)state;
	for (int status = 0; status < ORDER_STATUSES; status++) {
		for (int event = 0; event < ORDER_EVENTS; event++) {
			struct order_step step = order_next((enum order_status)status,
							    (enum order_event)event);

			if (step.verdict == ORDER_GO && step.next != (enum order_status)status)
				assert_true((step.sends & TELLS[step.next]) != 0);
		}
	}
}

static void every_status_keeps_its_name(void **state)
{
	(void)state;
	for (int status = 0; status < ORDER_STATUSES; status++)
		assert_int_equal(order_status_parse(order_status_name((enum order_status)status)),
				 status);
	assert_int_equal(order_status_parse("no such status"), ORDER_STATUSES);
}

static void the_diagram_names_every_status_and_the_compensation(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	assert_non_null(out);
	order_workflow_print(out);
	fclose(out);
	for (int status = 0; status < ORDER_STATUSES; status++)
		assert_non_null(strstr(text, order_status_name((enum order_status)status)));
	assert_non_null(strstr(text, "    paid --> cancelled: cancel_asked / orders.cancelled / "
				     "orders.recall_requested or orders.recalled / "
				     "orders.refund_requested\n"));
	assert_non_null(
		strstr(text, "    cancelled --> cancelled: label_voided / orders.recalled\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_event_in_every_status_is_decided_as_documented),
		cmocka_unit_test(every_event_in_every_status_sends_what_is_documented),
		cmocka_unit_test(what_does_not_go_changes_and_sends_nothing),
		cmocka_unit_test(every_move_to_another_status_is_told),
		cmocka_unit_test(every_status_keeps_its_name),
		cmocka_unit_test(the_diagram_names_every_status_and_the_compensation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
