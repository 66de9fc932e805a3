/* What a message of JetStream says of itself: its reply subject and its headers. */
#include "unit.h"

#include "../sk_bus.h"
#include "../sk_bus_internal.h"

static int open_nats(void **state)
{
	(void)state;
	return nats_Open(-1) == NATS_OK ? 0 : -1;
}

static int close_nats(void **state)
{
	(void)state;
	return nats_CloseAndWait(0) == NATS_OK ? 0 : -1;
}

static void a_reply_subject_has_the_numbers_of_its_delivery(void **state)
{
	static const struct {
		const char *reply;
		int deliveries;
		uint64_t sequence, pending;
		int64_t time_us;
	} cases[] = {
		{ "$JS.ACK.orders.payments.2.15.3.1764280000000001000.4", 2, 15, 4,
		  1764280000000001 },
		{ "$JS.ACK.hub.HASH.orders.payments.2.15.3.1764280000000001000.4", 2, 15, 4,
		  1764280000000001 },
		{ "$JS.ACK.hub.HASH.orders.payments.2.15.3.1764280000000001000.4.token", 2, 15, 4,
		  1764280000000001 },
		/* None of JetStream's: nothing is known. */
		{ "$JS.ACK.orders.payments.2.15.3.1764280000000001000", 1, 0, 0, 0 },
		{ "$JS.ACK.HASH.orders.payments.2.15.3.1764280000000001000.4", 1, 0, 0, 0 },
		{ "_INBOX.orders.payments.2.15.3.1764280000000001000.4.5", 1, 0, 0, 0 },
		{ "$JS.ACK.", 1, 0, 0, 0 },
		{ NULL, 1, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sk_delivery delivery;
		natsMsg *message = NULL;

		assert_int_equal(
			natsMsg_Create(&message, "orders.created.1", cases[i].reply, "x", 1),
			NATS_OK);
		sk__bus_read_delivery(message, &delivery);
		assert_int_equal(delivery.deliveries, cases[i].deliveries);
		assert_int_equal(delivery.sequence, cases[i].sequence);
		assert_int_equal(delivery.pending, cases[i].pending);
		assert_int_equal(delivery.time_us, cases[i].time_us);
		natsMsg_Destroy(message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reply_subject_has_the_numbers_of_its_delivery),
	};

	return cmocka_run_group_tests_name("bus", tests, open_nats, close_nats);
}
