/* Messages: what is refused before a handler sees it. */
#include "unit.h"

#include "../sk_message.h"
#include "souk/inventory/v1/events.pb-c.h"
#include "souk/orders/v1/events.pb-c.h"

#define ID "0190163d-8694-739b-aea5-966c26f8ad91"

static struct sk_context context;

static int set_up(void **state)
{
	(void)state;
	sk_context_init(&context, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	sk_context_release(&context);
	return 0;
}

static char *text(const char *value)
{
	return sk_arena_strdup(context.arena, value);
}

static Souk__Inventory__V1__StockLevel good_level(void)
{
	Souk__Inventory__V1__StockLevel level;

	souk__inventory__v1__stock_level__init(&level);
	level.sku = text("LAMP-1");
	level.version = 1;
	level.on_hand = 10;
	level.available = 10;
	return level;
}

static void a_good_message_comes_back_as_it_was(void **state)
{
	Souk__Inventory__V1__StockLevel level = good_level();
	ProtobufCMessage *back = NULL;
	const void *data = NULL;
	size_t len = 0;

	(void)state;
	assert_int_equal(sk_message_pack(&context, &level.base, &data, &len), SK_OK);
	assert_int_equal(sk_message_unpack(&context, level.base.descriptor, data, len, &back),
			 SK_OK);
	assert_string_equal(((Souk__Inventory__V1__StockLevel *)(void *)back)->sku, "LAMP-1");
}

static void each_rule_refuses(void **state)
{
	Souk__Inventory__V1__StockLevel level;

	(void)state;
	level = good_level();
	level.sku = text("");
	assert_int_equal(sk_message_check(&context, &level.base), SK_INVALID);
	sk_context_clear_error(&context);
	level.sku = text(" x");
	assert_int_equal(sk_message_check(&context, &level.base), SK_INVALID);
	assert_string_equal(context.error.detail, "souk.inventory.v1.StockLevel.sku is no SKU");
	sk_context_clear_error(&context);
	level = good_level();
	level.version = 0;
	assert_int_equal(sk_message_check(&context, &level.base), SK_INVALID);
	level = good_level();
	level.on_hand = -1;
	assert_int_equal(sk_message_check(&context, &level.base), SK_INVALID);
}

static void nested_messages_are_checked(void **state)
{
	Souk__Inventory__V1__StockRejected rejected;
	Souk__Inventory__V1__Shortage shortage, *list[] = { &shortage };

	(void)state;
	souk__inventory__v1__stock_rejected__init(&rejected);
	souk__inventory__v1__shortage__init(&shortage);
	rejected.order_id = text(ID);
	rejected.version = 1;
	rejected.shortages = list;
	rejected.n_shortages = 1;
	shortage.sku = text("A");
	assert_int_equal(sk_message_check(&context, &rejected.base), SK_OK);
	shortage.wanted = -1;
	assert_int_equal(sk_message_check(&context, &rejected.base), SK_INVALID);
	assert_string_equal(context.error.detail,
			    "souk.inventory.v1.Shortage.wanted is out of range");
}

static void bytes_that_are_no_message_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} cases[] = {
		{ "\xff\xff\xff", 3 }, /* no field at all */
		{ "\x0a\x05"
		  "AB",
		  4 }, /* a string longer than the bytes */
		{ "\x0a\x03"
		  "A\0B\x10\x01",
		  7 },				   /* a NUL inside a string */
		{ "\x0a\x02\xc3\x28\x10\x01", 6 }, /* no UTF-8 */
		{ "", 0 },			   /* nothing that is required */
	};
	ProtobufCMessage *message = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		sk_context_clear_error(&context);
		assert_int_equal(sk_message_unpack(&context,
						   &souk__inventory__v1__stock_level__descriptor,
						   cases[i].bytes, cases[i].len, &message),
				 SK_INVALID);
	}
}

static void a_small_message_cannot_take_much_memory(void **state)
{
	/* 20,000 empty lines of two bytes each: protobuf-c would make them 1 MiB and more. */
	size_t len = 40000;
	char *bytes = sk_arena_alloc(context.arena, len);
	ProtobufCMessage *message = NULL;
	size_t before;

	(void)state;
	for (size_t i = 0; i < len; i += 2)
		bytes[i] = 0x42;
	before = sk_arena_used(context.arena);
	assert_int_equal(sk_message_unpack(&context, &souk__orders__v1__order_created__descriptor,
					   bytes, len, &message),
			 SK_INVALID);
	/* The cap, and what alignment adds to each of many small pieces. */
	assert_true(sk_arena_used(context.arena) - before <= 2 * len * SK_UNPACK_FACTOR);
}

static void a_message_over_the_limit_is_refused(void **state)
{
	ProtobufCMessage *message = NULL;

	(void)state;
	assert_int_equal(sk_message_unpack(&context, &souk__inventory__v1__stock_level__descriptor,
					   "", SK_MESSAGE_MAX_BYTES + 1, &message),
			 SK_TOO_LARGE);
}

static void types_are_found_by_name_and_descriptor(void **state)
{
	const struct sk_message_type *type = sk_message_type_find("souk.orders.v1.OrderCreated");

	(void)state;
	assert_non_null(type);
	assert_ptr_equal(type->descriptor, &souk__orders__v1__order_created__descriptor);
	assert_ptr_equal(sk_message_type_of(type->descriptor), type);
	assert_string_equal(type->entity_field, "order_id");
	assert_null(sk_message_type_find("souk.orders.v1.Nothing"));
}

static void every_event_names_its_entity_and_its_version(void **state)
{
	(void)state;
	for (size_t i = 0; i < SK_MESSAGE_TYPES_COUNT; i++) {
		const struct sk_message_type *type = &SK_MESSAGE_TYPES[i];

		if (type->entity_field == NULL ||
		    strcmp(type->name, "souk.sessions.v1.SessionSeen") == 0)
			continue;
		assert_non_null(protobuf_c_message_descriptor_get_field_by_name(type->descriptor,
										"version"));
	}
}

static void a_message_becomes_json(void **state)
{
	Souk__Inventory__V1__StockLevel level = good_level();
	struct sk_json json;

	(void)state;
	sk_json_init(&json, context.arena, 1000);
	sk_message_to_json(&json, NULL, &level.base);
	assert_string_equal(sk_buf_text(&json.buf),
			    "{\"sku\":\"LAMP-1\",\"version\":1,\"on_hand\":10,"
			    "\"reserved\":0,\"available\":10}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_good_message_comes_back_as_it_was, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(each_rule_refuses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nested_messages_are_checked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bytes_that_are_no_message_are_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_small_message_cannot_take_much_memory, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_message_over_the_limit_is_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(types_are_found_by_name_and_descriptor, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(every_event_names_its_entity_and_its_version,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_message_becomes_json, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
