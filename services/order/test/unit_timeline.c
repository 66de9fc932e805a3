/* What a step adds to the timeline, and how that reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../order.h"

static struct sk_arena *arena;

static int set_up(void **state)
{
	(void)state;
	arena = sk_arena_open(0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	sk_arena_close(&arena);
	return 0;
}

static const char *read_as(struct order_moment moment)
{
	struct sk_json json;

	moment.at_us = 0;
	moment.currency = "GBP";
	sk_json_init(&json, arena, 4096);
	order_moment_write(&json, &moment);
	return sk_arena_strdup(arena, sk_buf_text(&json.buf));
}

static const struct order PAID = { .version = 3, .status = ORDER_PAID, .total_minor = 1000 };

static void every_event_has_a_name_of_the_bus(void **state)
{
	(void)state;
	for (int event = 0; event < ORDER_EVENTS; event++) {
		struct order_fact fact = { .event = (enum order_event)event };
		struct order_moment moment = order_moment_of(arena, &PAID, &fact, 0);

		assert_non_null(moment.event);
		assert_non_null(strchr(moment.event, '.'));
	}
}

static void everything_that_a_step_sends_is_told_by_its_subject(void **state)
{
	(void)state;
	for (int status = 0; status < ORDER_STATUSES; status++)
		for (int event = 0; event < ORDER_EVENTS; event++) {
			unsigned sends = order_next((enum order_status)status,
						    (enum order_event)event)
						 .sends;

			for (unsigned send = 1; send <= sends; send <<= 1)
				if ((sends & send) != 0)
					assert_memory_equal(
						order_send_subject((enum order_sends)send),
						"orders.", strlen("orders."));
		}
}

static void the_beginning_reads_as_what_was_placed(void **state)
{
	const struct order placed = { .version = 1, .status = ORDER_PENDING, .total_minor = 1000 };

	(void)state;
	assert_string_equal(read_as(order_moment_placed(&placed)),
			    "{\"version\":1,\"at\":null,\"event\":\"orders.created\","
			    "\"status\":\"pending\",\"told\":[\"orders.created\"],"
			    "\"amount\":{\"amount\":1000,\"currency\":\"GBP\"}}");
}

static void a_step_reads_as_what_was_heard_and_what_was_told(void **state)
{
	const struct order_fact fact = { .event = ORDER_PAYMENT_CONFIRMED, .payment_id = "p" };

	(void)state;
	assert_string_equal(read_as(order_moment_of(arena, &PAID, &fact, ORDER_SEND_PAID)),
			    "{\"version\":3,\"at\":null,\"event\":\"payments.confirmed\","
			    "\"status\":\"paid\",\"told\":[\"orders.paid\"],"
			    "\"amount\":{\"amount\":1000,\"currency\":\"GBP\"}}");
}

static void a_cancel_tells_its_reason_and_what_is_paid_back(void **state)
{
	const struct order_refund refund = { .id = "r",
					     .amount_minor = 600,
					     .reason = "a secret of staff" };
	const struct order_fact fact = { .event = ORDER_CANCEL_ASKED,
					 .reason = "late",
					 .refund = &refund };
	const struct order cancelled = { .version = 5, .status = ORDER_CANCELLED };

	(void)state;
	assert_string_equal(
		read_as(order_moment_of(arena, &cancelled, &fact,
					ORDER_SEND_CANCELLED | ORDER_SEND_REFUND_REQUEST)),
		"{\"version\":5,\"at\":null,\"event\":\"orders.cancelled\","
		"\"status\":\"cancelled\","
		"\"told\":[\"orders.cancelled\",\"orders.refund_requested\"],\"reason\":\"late\","
		"\"amount\":{\"amount\":600,\"currency\":\"GBP\"}}");
}

static void a_parcel_is_told_with_its_number(void **state)
{
	const struct order_shipment shipment = { .id = "s",
						 .carrier = "test",
						 .tracking_number = "SK1" };
	const struct order_fact fact = { .event = ORDER_LABEL_CREATED, .shipment = &shipment };

	(void)state;
	assert_string_equal(read_as(order_moment_of(arena, &PAID, &fact, 0)),
			    "{\"version\":3,\"at\":null,\"event\":\"shipments.label_created\","
			    "\"status\":\"paid\",\"told\":[],\"carrier\":\"test\","
			    "\"tracking_number\":\"SK1\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_event_has_a_name_of_the_bus),
		cmocka_unit_test(everything_that_a_step_sends_is_told_by_its_subject),
		cmocka_unit_test(the_beginning_reads_as_what_was_placed),
		cmocka_unit_test(a_step_reads_as_what_was_heard_and_what_was_told),
		cmocka_unit_test(a_cancel_tells_its_reason_and_what_is_paid_back),
		cmocka_unit_test(a_parcel_is_told_with_its_number),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
