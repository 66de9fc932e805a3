/* Each rule of a field, the promises of the whole schema, and messages as JSON;
 * unit_message.c has packing, unpacking and their limits. */
#include "unit.h"

#include "../sk_message.h"
#include "souk/catalog/v1/events.pb-c.h"
#include "souk/orders/v1/events.pb-c.h"

#define ID    "0190163d-8694-739b-aea5-966c26f8ad91"
#define LINES 1001

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

static char *text_of_length(size_t len)
{
	char *value = sk_arena_alloc(context.arena, len + 1);

	memset(value, 'x', len);
	return value;
}

/* An order that every rule lets pass. */
static Souk__Orders__V1__OrderCreated *good_order(void)
{
	Souk__Orders__V1__OrderCreated *order = sk_arena_alloc(context.arena, sizeof(*order));
	Souk__Orders__V1__Line *line = sk_arena_alloc(context.arena, sizeof(*line));
	Souk__Orders__V1__Address *address = sk_arena_alloc(context.arena, sizeof(*address));

	souk__orders__v1__order_created__init(order);
	souk__orders__v1__line__init(line);
	souk__orders__v1__address__init(address);
	line->sku = text("LAMP-1");
	line->quantity = 1;
	address->country = text("GB");
	order->order_id = text(ID);
	order->version = 1;
	order->number = text("S-1");
	order->email = text("ada@example.com");
	order->currency = text("GBP");
	order->lines = sk_arena_array(context.arena, LINES, sizeof(line));
	for (size_t i = 0; i < LINES; i++)
		order->lines[i] = line;
	order->n_lines = 1;
	order->shipping_address = address;
	return order;
}

/* "" where the message passes, or what is said of it after its package. */
static const char *refusal(const ProtobufCMessage *message)
{
	enum sk_status st;

	sk_context_clear_error(&context);
	st = sk_message_check(&context, message);
	if (st == SK_OK)
		return "";
	assert_int_equal(st, SK_INVALID);
	assert_string_equal(context.error.code, "invalid_message");
	return context.error.detail + strlen("souk.orders.v1.");
}

static void an_order_that_keeps_the_rules_passes(void **state)
{
	(void)state;
	assert_string_equal(refusal(&good_order()->base), "");
}

static void a_text_keeps_its_form(void **state)
{
	static const struct {
		const char *value, *error;
		size_t offset;
	} cases[] = {
#define FIELD(name) offsetof(Souk__Orders__V1__OrderCreated, name)
		{ "", "OrderCreated.order_id is empty", FIELD(order_id) },
		{ "1", "OrderCreated.order_id is no UUID", FIELD(order_id) },
		{ "0190163D-8694-739B-AEA5-966C26F8AD91", "OrderCreated.order_id is no UUID",
		  FIELD(order_id) },
		{ "", "", FIELD(account_id) }, /* a guest */
		{ ID, "", FIELD(account_id) },
		{ "guest", "OrderCreated.account_id is no UUID", FIELD(account_id) },
		{ "", "OrderCreated.email is empty", FIELD(email) },
		{ "ada", "OrderCreated.email is no e-mail address", FIELD(email) },
		{ "", "OrderCreated.currency is empty", FIELD(currency) },
		{ "XYZ", "OrderCreated.currency is no currency", FIELD(currency) },
		{ "gbp", "OrderCreated.currency is no currency", FIELD(currency) },
		{ "caf\xc3\xa9", "", FIELD(number) },
		{ "\xff", "OrderCreated.number is no UTF-8", FIELD(number) },
		{ "\xed\xa0\x80", "OrderCreated.number is no UTF-8", FIELD(number) },
#undef FIELD
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		Souk__Orders__V1__OrderCreated *order = good_order();

		*(char **)(void *)((char *)order + cases[i].offset) = text(cases[i].value);
		assert_string_equal(refusal(&order->base), cases[i].error);
	}
}

static void a_text_keeps_its_length(void **state)
{
	Souk__Orders__V1__OrderCreated *order = good_order();

	(void)state;
	order->number = text_of_length(32); /* as its rule says */
	assert_string_equal(refusal(&order->base), "");
	order->number = text_of_length(33);
	assert_string_equal(refusal(&order->base), "OrderCreated.number is too long");
	order = good_order();
	order->cart_token_hash = text_of_length(1024); /* as all do that have no rule */
	assert_string_equal(refusal(&order->base), "");
	order->cart_token_hash = text_of_length(1025);
	assert_string_equal(refusal(&order->base), "OrderCreated.cart_token_hash is too long");
}

static void a_number_keeps_its_range(void **state)
{
	Souk__Orders__V1__OrderCreated *order = good_order();

	(void)state;
	order->version = 0;
	assert_string_equal(refusal(&order->base), "OrderCreated.version is out of range");
	order->version = SK_MONEY_MAX_MINOR;
	assert_string_equal(refusal(&order->base), "");
	order->version = SK_MONEY_MAX_MINOR + 1;
	assert_string_equal(refusal(&order->base), "OrderCreated.version is out of range");
	order = good_order();
	order->total_minor = -1;
	assert_string_equal(refusal(&order->base), "OrderCreated.total_minor is out of range");
}

static void a_list_keeps_its_count(void **state)
{
	Souk__Orders__V1__OrderCreated *order = good_order();

	(void)state;
	order->n_lines = 0;
	assert_string_equal(refusal(&order->base), "OrderCreated.lines is empty");
	order->n_lines = 1000;
	assert_string_equal(refusal(&order->base), "");
	order->n_lines = 1001;
	assert_string_equal(refusal(&order->base), "OrderCreated.lines has too many elements");
}

static void what_is_inside_is_checked_too(void **state)
{
	Souk__Orders__V1__OrderCreated *order = good_order();
	Souk__Orders__V1__Line wrong = *order->lines[0];

	(void)state;
	wrong.quantity = 0;
	order->lines[2] = &wrong;
	order->n_lines = 2;
	assert_string_equal(refusal(&order->base), "");
	order->n_lines = 3;
	assert_string_equal(refusal(&order->base), "Line.quantity is out of range");
	order = good_order();
	order->shipping_address->country = text("GBR");
	assert_string_equal(refusal(&order->base), "Address.country is too long");
	order->shipping_address = NULL;
	assert_string_equal(refusal(&order->base), "OrderCreated.shipping_address is missing");
}

static void a_value_that_an_enumeration_does_not_have_is_refused(void **state)
{
	Souk__Catalog__V1__ProductChanged product;

	(void)state;
	souk__catalog__v1__product_changed__init(&product);
	product.product_id = text(ID);
	product.version = 1;
	product.status = SOUK__CATALOG__V1__PRODUCT_STATUS__PRODUCT_STATUS_DELETED;
	assert_int_equal(sk_message_check(&context, &product.base), SK_OK);
	product.status = (Souk__Catalog__V1__ProductStatus)999;
	assert_int_equal(sk_message_check(&context, &product.base), SK_INVALID);
	assert_string_equal(context.error.detail,
			    "souk.catalog.v1.ProductChanged.status has a value that is not known");
}

static void what_breaks_a_rule_is_not_packed(void **state)
{
	Souk__Orders__V1__OrderCreated *order = good_order();
	const void *data = NULL;
	size_t len = 0;

	(void)state;
	order->version = 0;
	assert_int_equal(sk_message_pack(&context, &order->base, &data, &len), SK_INVALID);
	assert_null(data);
}

static void fields_of_a_later_version_are_kept(void **state)
{
	Souk__Orders__V1__OrderCreated *order = good_order();
	ProtobufCMessage *back = NULL;
	const void *data = NULL, *again = NULL;
	size_t len = 0, again_len = 0;
	char *longer;

	(void)state;
	assert_int_equal(sk_message_pack(&context, &order->base, &data, &len), SK_OK);
	longer = sk_arena_alloc(context.arena, len + 5);
	memcpy(longer, data, len);
	memcpy(longer + len, "\xa2\x06\x02hi", 5); /* field 100, two bytes */
	assert_int_equal(
		sk_message_unpack(&context, order->base.descriptor, longer, len + 5, &back), SK_OK);
	assert_int_equal(back->n_unknown_fields, 1);
	assert_int_equal(sk_message_pack(&context, back, &again, &again_len), SK_OK);
	assert_int_equal(again_len, len + 5);
	assert_memory_equal(again, longer, again_len);
}

static void a_cut_at_any_byte_is_refused_or_keeps_the_rules(void **state)
{
	const void *data = NULL;
	size_t len = 0;

	(void)state;
	assert_int_equal(sk_message_pack(&context, &good_order()->base, &data, &len), SK_OK);
	for (size_t cut = 0; cut < len; cut++) {
		ProtobufCMessage *back = NULL;
		char *bytes = sk_arena_memdup(context.arena, data, cut);

		sk_context_clear_error(&context);
		assert_int_equal(sk_message_unpack(&context,
						   &souk__orders__v1__order_created__descriptor,
						   bytes, cut, &back),
				 SK_INVALID);
	}
}

/* The levels below a type; fails at what could only be a circle. */
static int depth_of(const ProtobufCMessageDescriptor *type, int above)
{
	int deepest = 0;

	if (above > 8)
		fail_msg("%s is recursive", type->name);
	for (unsigned i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &type->fields[i];

		if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
			int depth = 1 + depth_of(field->descriptor, above + 1);

			deepest = depth > deepest ? depth : deepest;
		}
	}
	return deepest;
}

static void no_type_is_recursive_nor_has_what_the_check_cannot_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < SK_MESSAGE_TYPES_COUNT; i++) {
		const ProtobufCMessageDescriptor *type = SK_MESSAGE_TYPES[i].descriptor;

		assert_true(depth_of(type, 0) <= 2);
		for (unsigned at = 0; at < type->n_fields; at++) {
			assert_int_not_equal(type->fields[at].type, PROTOBUF_C_TYPE_DOUBLE);
			assert_int_not_equal(type->fields[at].type, PROTOBUF_C_TYPE_FLOAT);
			assert_int_equal(type->fields[at].flags & PROTOBUF_C_FIELD_FLAG_ONEOF, 0);
		}
	}
}

static void the_table_names_types_and_fields_that_there_are(void **state)
{
	(void)state;
	for (size_t i = 0; i < SK_MESSAGE_TYPES_COUNT; i++) {
		const struct sk_message_type *type = &SK_MESSAGE_TYPES[i];

		assert_string_equal(type->name, type->descriptor->name);
		assert_ptr_equal(sk_message_type_find(type->name), type);
		if (type->entity_field != NULL)
			assert_non_null(protobuf_c_message_descriptor_get_field_by_name(
				type->descriptor, type->entity_field));
		for (size_t rule = 0; rule < type->rules_count; rule++)
			assert_non_null(protobuf_c_message_descriptor_get_field_by_name(
				type->descriptor, type->rules[rule].field));
	}
}

static void a_message_with_all_inside_becomes_json(void **state)
{
	Souk__Catalog__V1__ProductChanged product;
	Souk__Catalog__V1__Variant variant, *variants[] = { &variant, &variant };
	struct sk_json json;

	(void)state;
	souk__catalog__v1__variant__init(&variant);
	variant.sku = text("A\"1");
	variant.price_minor = SK_MONEY_MAX_MINOR;
	souk__catalog__v1__product_changed__init(&product);
	product.product_id = text(ID);
	product.version = 3;
	product.status = SOUK__CATALOG__V1__PRODUCT_STATUS__PRODUCT_STATUS_ACTIVE;
	product.variants = variants;
	product.n_variants = 2;
	sk_json_init(&json, context.arena, 4096);
	sk_json_begin_array(&json, NULL);
	sk_message_to_json(&json, NULL, &product.base);
	product.n_variants = 0;
	sk_message_to_json(&json, NULL, &product.base);
	sk_json_end_array(&json);
#define VARIANT                                                                                    \
	"{\"sku\":\"A\\\"1\",\"title\":\"\",\"price_minor\":9007199254740991,\"currency\":\"\","   \
	"\"weight_grams\":0,\"initial_quantity\":0}"
#define PRODUCT                                                                                    \
	"{\"product_id\":\"" ID                                                                    \
	"\",\"version\":3,\"status\":\"PRODUCT_STATUS_ACTIVE\",\"slug\":\"\","                     \
	"\"title\":\"\",\"vendor\":\"\",\"category\":\"\",\"variants\":["
	assert_string_equal(sk_buf_text(&json.buf),
			    "[" PRODUCT VARIANT "," VARIANT "]}," PRODUCT "]}]");
}

static void a_message_that_is_not_there_is_null_in_json(void **state)
{
	Souk__Orders__V1__OrderCreated *order = good_order();
	struct sk_json json;

	(void)state;
	order->shipping_address = NULL;
	sk_json_init(&json, context.arena, 4096);
	sk_json_begin_object(&json, NULL);
	sk_message_to_json(&json, "data", &order->base);
	sk_json_end_object(&json);
	assert_non_null(strstr(sk_buf_text(&json.buf), "{\"data\":{\"order_id\":\"" ID "\","));
	assert_non_null(strstr(sk_buf_text(&json.buf), "\"shipping_address\":null,"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_order_that_keeps_the_rules_passes, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_text_keeps_its_form, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_text_keeps_its_length, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_number_keeps_its_range, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_list_keeps_its_count, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_inside_is_checked_too, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_value_that_an_enumeration_does_not_have_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_breaks_a_rule_is_not_packed, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(fields_of_a_later_version_are_kept, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_cut_at_any_byte_is_refused_or_keeps_the_rules,
						set_up, tear_down),
		cmocka_unit_test(no_type_is_recursive_nor_has_what_the_check_cannot_read),
		cmocka_unit_test(the_table_names_types_and_fields_that_there_are),
		cmocka_unit_test_setup_teardown(a_message_with_all_inside_becomes_json, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_message_that_is_not_there_is_null_in_json, set_up,
						tear_down),
	};

	return cmocka_run_group_tests_name("message_rules", tests, NULL, NULL);
}
