#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../notification.h"

static int open_context(void **state)
{
	static struct sk_context context;

	sk_context_init(&context, 0);
	*state = &context;
	return 0;
}

static int close_context(void **state)
{
	sk_context_release(*state);
	return 0;
}

static struct sk_arena *arena_of(void **state)
{
	struct sk_context *context = *state;

	return context->arena;
}

/* ---- trying again ---- */

static void a_mail_is_given_up_when_the_server_says_never_or_when_tries_end(void **state)
{
	static const struct {
		enum sk_status status;
		int attempts;
		enum notification_fate fate;
	} CASES[] = {
		{ SK_OK, 1, NOTIFICATION_DONE },
		{ SK_OK, 5, NOTIFICATION_DONE },
		{ SK_INVALID, 1, NOTIFICATION_GIVE_UP },
		{ SK_UNAVAILABLE, 1, NOTIFICATION_AGAIN },
		{ SK_TIMEOUT, 4, NOTIFICATION_AGAIN },
		{ SK_UNAVAILABLE, 5, NOTIFICATION_GIVE_UP },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
		assert_int_equal(notification_fate_of(CASES[i].status, CASES[i].attempts, 5),
				 CASES[i].fate);
}

static void a_webhook_is_tried_ten_times(void **state)
{
	(void)state;
	assert_int_equal(notification_webhook_fate(200, 1), NOTIFICATION_DONE);
	assert_int_equal(notification_webhook_fate(204, 10), NOTIFICATION_DONE);
	assert_int_equal(notification_webhook_fate(0, 1), NOTIFICATION_AGAIN);
	assert_int_equal(notification_webhook_fate(301, 1), NOTIFICATION_AGAIN);
	assert_int_equal(notification_webhook_fate(500, 9), NOTIFICATION_AGAIN);
	assert_int_equal(notification_webhook_fate(500, 10), NOTIFICATION_GIVE_UP);
}

static void delays_grow_and_end(void **state)
{
	(void)state;
	assert_int_equal(notification_mail_delay_ms(1), 1000);
	assert_int_equal(notification_mail_delay_ms(2), 2000);
	assert_int_equal(notification_mail_delay_ms(1000), 3600 * 1000);
	assert_int_equal(notification_webhook_delay_ms(1), 5000);
	assert_int_equal(notification_webhook_delay_ms(2), 20000);
	assert_int_equal(notification_webhook_delay_ms(10), 6 * 3600 * 1000);
}

static void a_code_that_expired_is_not_sent(void **state)
{
	struct notification_message message = { .expires_at_us = 1000 };

	(void)state;
	assert_false(notification_expired(&message, 999));
	assert_true(notification_expired(&message, 1000));
	message.expires_at_us = 0;
	assert_false(notification_expired(&message, INT64_MAX));
}

static void every_state_keeps_its_name(void **state)
{
	(void)state;
	for (int i = 0; i < NOTIFICATION_STATES; i++)
		assert_int_equal(notification_state_parse(
					 notification_state_name((enum notification_state)i)),
				 i);
}

/* ---- which events go outside ---- */

static void only_events_for_outsiders_go_outside(void **state)
{
	struct sk_arena *arena = arena_of(state);

	assert_string_equal(notification_public_event(arena, "orders.created.7"), "orders.created");
	assert_string_equal(notification_public_event(arena, "shipments.shipped.7"),
			    "shipments.shipped");
	assert_string_equal(notification_public_event(arena, "payments.confirmed.7"),
			    "payments.confirmed");
	assert_null(notification_public_event(arena, "orders.payment_requested.7"));
	assert_null(notification_public_event(arena, "sessions.otp_requested.7"));
	assert_null(notification_public_event(arena, "ordersx.created.7"));
	assert_null(notification_public_event(arena, "orders.7"));
	assert_null(notification_public_event(arena, "orders"));
}

static void an_endpoint_asks_for_events_by_pattern(void **state)
{
	static const struct {
		const char *pattern;
		bool valid;
	} CASES[] = {
		{ "*", true },
		{ "orders.*", true },
		{ "orders.created", true },
		{ "shipments.label_created", true },
		{ "orders.payment_requested", false },
		{ "sessions.*", false },
		{ "orders", false },
		{ "orders.", false },
		{ "orders.created.7", false },
		{ "orders.Created", false },
		{ "*.created", false },
		{ "", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
		assert_int_equal(notification_pattern_valid(CASES[i].pattern), CASES[i].valid);
}

/* ---- addresses ---- */

static void private_addresses_are_known(void **state)
{
	static const struct {
		const char *address;
		bool open;
	} CASES[] = {
		{ "127.0.0.1", false },	  { "10.1.2.3", false },       { "172.15.255.255", true },
		{ "172.16.0.1", false },  { "172.31.255.255", false }, { "172.32.0.0", true },
		{ "192.168.1.1", false }, { "192.169.0.1", true },     { "169.254.169.254", false },
		{ "100.64.0.1", false },  { "100.63.255.255", true },  { "100.128.0.0", true },
		{ "0.0.0.0", false },	  { "224.0.0.1", false },      { "255.255.255.255", false },
		{ "198.18.0.1", false },  { "198.20.0.1", true },      { "8.8.8.8", true },
		{ "1.1.1.1", true },
	};
	unsigned char address[4];

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		assert_int_equal(inet_pton(AF_INET, CASES[i].address, address), 1);
		assert_int_equal(notification_ipv4_public(address), CASES[i].open);
	}
}

static void private_ipv6_addresses_are_known(void **state)
{
	static const struct {
		const char *address;
		bool open;
	} CASES[] = {
		{ "::1", false },
		{ "::", false },
		{ "fe80::1", false },
		{ "fd00::1", false },
		{ "ff02::1", false },
		{ "::ffff:127.0.0.1", false },
		{ "::ffff:10.0.0.1", false },
		{ "::ffff:8.8.8.8", true },
		{ "::127.0.0.1", false },
		{ "64:ff9b::7f00:1", false },
		{ "2001:db8::1", false },
		{ "2001::1", false },
		{ "2002:7f00:1::", false },
		{ "2606:4700:4700::1111", true },
		{ "2001:4860:4860::8888", true },
		{ "4000::1", false },
	};
	unsigned char address[16];

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		assert_int_equal(inet_pton(AF_INET6, CASES[i].address, address), 1);
		assert_int_equal(notification_ipv6_public(address), CASES[i].open);
	}
}

/* Numeric hosts only: no resolver is asked. */
static void a_url_that_leads_inside_is_refused(void **state)
{
	static const struct {
		const char *url;
		enum sk_status status;
	} CASES[] = {
		{ "https://8.8.8.8/hook", SK_OK },
		{ "http://[2606:4700:4700::1111]:8080/", SK_OK },
		{ "http://127.0.0.1:5432/", SK_INVALID },
		{ "http://[::1]/", SK_INVALID },
		{ "http://0x7f000001/", SK_INVALID },
		{ "http://2130706433/", SK_INVALID },
		{ "http://169.254.169.254/latest/meta-data", SK_INVALID },
		{ "ftp://8.8.8.8/", SK_INVALID },
		{ "file:///etc/passwd", SK_INVALID },
		{ "http://user:secret@8.8.8.8/", SK_INVALID },
		{ "not a url", SK_INVALID },
		{ "", SK_INVALID },
	};

	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		assert_int_equal(notification_target_resolve(*state, CASES[i].url),
				 CASES[i].status);
		sk_context_clear_error(*state);
	}
}

static void a_private_url_is_well_formed_all_the_same(void **state)
{
	assert_int_equal(notification_target_check(*state, "http://127.0.0.1:9000/hook"), SK_OK);
	assert_int_equal(notification_target_check(*state, "gopher://127.0.0.1/"), SK_INVALID);
	sk_context_clear_error(*state);
}

static void control_characters_become_spaces(void **state)
{
	assert_string_equal(notification_one_line(arena_of(state), "a\r\nb\tc\x7F"), "a  b c ");
	assert_string_equal(notification_one_line(arena_of(state), "M\xC3\xBCller"),
			    "M\xC3\xBCller");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mail_is_given_up_when_the_server_says_never_or_when_tries_end),
		cmocka_unit_test(a_webhook_is_tried_ten_times),
		cmocka_unit_test(delays_grow_and_end),
		cmocka_unit_test(a_code_that_expired_is_not_sent),
		cmocka_unit_test(every_state_keeps_its_name),
		cmocka_unit_test(only_events_for_outsiders_go_outside),
		cmocka_unit_test(an_endpoint_asks_for_events_by_pattern),
		cmocka_unit_test(private_addresses_are_known),
		cmocka_unit_test(private_ipv6_addresses_are_known),
		cmocka_unit_test(a_url_that_leads_inside_is_refused),
		cmocka_unit_test(a_private_url_is_well_formed_all_the_same),
		cmocka_unit_test(control_characters_become_spaces),
	};

	return cmocka_run_group_tests(tests, open_context, close_context);
}
