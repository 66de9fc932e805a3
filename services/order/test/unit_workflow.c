#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../order.h"

/* The whole table, as it is documented: the next status, or
 * "-" ignored, "?" too early, "!" refused. */
static const char *const EXPECTED[ORDER_STATUSES][ORDER_EVENTS] = {
	/* stock: reserved, rejected, sold, released; payment: confirmed, declined;
	 * parcel: label, shipped, delivered, voided; asked: cancel, refund;
	 * refunded: partly, fully; timed out */
	[ORDER_PENDING] = { "reserved", "rejected", "?", "!", "?", "?", "?", "?", "?", "!",
			    "cancelled", "!", "!", "!", "cancelled" },
	[ORDER_RESERVED] = { "-", "!", "?", "!", "paid", "payment_failed", "?", "?", "?", "!",
			     "cancelled", "!", "!", "!", "cancelled" },
	[ORDER_PAID] = { "-", "!", "paid", "!", "-", "!", "paid", "shipped", "?", "!", "cancelled",
			 "paid", "paid", "refunded", "-" },
	[ORDER_SHIPPED] = { "-", "!", "shipped", "!", "-", "!", "-", "-", "delivered", "!", "!",
			    "shipped", "shipped", "refunded", "-" },
	[ORDER_DELIVERED] = { "-", "!", "delivered", "!", "-", "!", "-", "-", "-", "!", "!",
			      "delivered", "delivered", "refunded", "-" },
	[ORDER_REJECTED] = { "!", "-", "!", "!", "!", "!", "!", "!", "!", "!", "!", "!", "!", "!",
			     "-" },
	[ORDER_PAYMENT_FAILED] = { "-", "!", "!", "payment_failed", "!", "-", "!", "!", "!", "!",
				   "!", "!", "!", "!", "-" },
	[ORDER_CANCELLED] = { "-", "-", "-", "cancelled", "cancelled", "-", "-", "cancelled",
			      "cancelled", "cancelled", "-", "!", "cancelled", "cancelled", "-" },
	[ORDER_REFUNDED] = { "-", "!", "refunded", "!", "-", "!", "refunded", "refunded",
			     "refunded", "refunded", "!", "!", "-", "-", "-" },
};

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
	assert_non_null(strstr(text, "paid --> cancelled: cancel_asked / orders.cancelled / "
				     "orders.refund_requested\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_event_in_every_status_is_decided_as_documented),
		cmocka_unit_test(what_does_not_go_changes_and_sends_nothing),
		cmocka_unit_test(every_move_to_another_status_is_told),
		cmocka_unit_test(every_status_keeps_its_name),
		cmocka_unit_test(the_diagram_names_every_status_and_the_compensation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
