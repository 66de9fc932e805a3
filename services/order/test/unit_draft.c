#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../order.h"

#define ADDRESS                                                                                    \
	"\"shipping_address\":{\"name\":\"Ada\",\"line1\":\"1 High Street\",\"city\":"             \
	"\"Bristol\",\"postal_code\":\"BS1 1AA\",\"country\":\"GB\"}"
#define PAYMENT "\"payment\":{\"provider\":\"test\",\"token\":\"tok_ok\"}"
#define EMAIL	"\"email\":\"ada@example.com\""
#define REST	ADDRESS "," PAYMENT "," EMAIL

/* A body that is being decoded. */
struct decoding {
	struct sk_context context;
	struct sk_field_errors errors;
	struct sk_fields fields;
	struct order_draft draft;
	enum sk_status status;
};

static void decode(struct decoding *decoding, const char *body)
{
	const struct cJSON *root = NULL;

	memset(decoding, 0, sizeof(*decoding));
	sk_context_init(&decoding->context, 0);
	decoding->context.actor = (struct sk_actor) { SK_ROLE_NONE, "", "", "", "" };
	decoding->errors.arena = decoding->context.arena;
	assert_int_equal(sk_json_parse(&decoding->context, body, strlen(body), &root), SK_OK);
	decoding->fields = sk_fields_of(root, &decoding->errors);
	decoding->status = order_draft_decode(&decoding->fields, &decoding->context, "test,other",
					      &decoding->draft);
}

static void done(struct decoding *decoding)
{
	sk_context_release(&decoding->context);
}

static void assert_rejected(const char *body, const char *pointer)
{
	struct decoding decoding;

	decode(&decoding, body);
	assert_int_equal(decoding.status, SK_INVALID);
	assert_int_equal(decoding.errors.count, 1);
	assert_string_equal(decoding.errors.list[0].pointer, pointer);
	done(&decoding);
}

static void a_whole_body_is_understood(void **state)
{
	struct decoding decoding;

	(void)state;
	decode(&decoding, "{\"items\":[{\"sku\":\"A-1\",\"quantity\":2}],"
			  "\"expected_total\":{\"amount\":398,\"currency\":\"GBP\"}," REST "}");
	assert_int_equal(decoding.status, SK_OK);
	assert_int_equal(decoding.draft.count, 1);
	assert_string_equal(decoding.draft.items[0].sku, "A-1");
	assert_int_equal(decoding.draft.items[0].quantity, 2);
	assert_string_equal(decoding.draft.address.city, "Bristol");
	assert_string_equal(decoding.draft.address.line2, "");
	assert_string_equal(decoding.draft.email, "ada@example.com");
	assert_string_equal(decoding.draft.token, "tok_ok");
	assert_true(decoding.draft.total_expected);
	assert_int_equal(decoding.draft.expected_total.minor, 398);
	done(&decoding);
}

static void the_same_sku_twice_is_one_line_in_the_place_of_the_first(void **state)
{
	struct decoding decoding;

	(void)state;
	decode(&decoding,
	       "{\"items\":[{\"sku\":\"B\",\"quantity\":1},{\"sku\":\"A\",\"quantity\":2},"
	       "{\"sku\":\"B\",\"quantity\":4}]," REST "}");
	assert_int_equal(decoding.status, SK_OK);
	assert_int_equal(decoding.draft.count, 2);
	assert_string_equal(decoding.draft.items[0].sku, "B");
	assert_int_equal(decoding.draft.items[0].quantity, 5);
	assert_string_equal(decoding.draft.items[1].sku, "A");
	done(&decoding);
}

static void a_wrong_field_is_named_by_its_pointer(void **state)
{
	(void)state;
	assert_rejected("{\"items\":[]," REST "}", "/items");
	assert_rejected("{" REST "}", "/items");
	assert_rejected(
		"{\"items\":[{\"sku\":\"A\",\"quantity\":1},{\"sku\":\"B\",\"quantity\":0}]," REST
		"}",
		"/items/1/quantity");
	assert_rejected("{\"items\":[{\"sku\":\"A\",\"quantity\":1.5}]," REST "}",
			"/items/0/quantity");
	assert_rejected("{\"items\":[{\"sku\":\" A\",\"quantity\":1}]," REST "}", "/items/0/sku");
	assert_rejected("{\"items\":[7]," REST "}", "/items/0");
	assert_rejected("{\"items\":[{\"sku\":\"A\",\"quantity\":60000},"
			"{\"sku\":\"A\",\"quantity\":60000}]," REST "}",
			"/items/0/quantity");
	assert_rejected("{\"items\":[{\"sku\":\"A\",\"quantity\":1}]," ADDRESS "," PAYMENT "}",
			"/email");
	assert_rejected("{\"items\":[{\"sku\":\"A\",\"quantity\":1}]," ADDRESS "," EMAIL
			",\"payment\":{\"provider\":\"tes\",\"token\":\"x\"}}",
			"/payment/provider");
	assert_rejected("{\"items\":[{\"sku\":\"A\",\"quantity\":1}]," PAYMENT "," EMAIL
			",\"shipping_address\":{\"name\":\"A\",\"line1\":\"B\",\"city\":\"C\","
			"\"postal_code\":\"D\",\"country\":\"XX\"}}",
			"/shipping_address/country");
	assert_rejected("{\"items\":[{\"sku\":\"A\",\"quantity\":1}]," PAYMENT "," EMAIL
			",\"shipping_address\":{\"name\":\"A\",\"line1\":\"B\",\"city\":\"C\","
			"\"country\":\"GB\"}}",
			"/shipping_address/postal_code");
	assert_rejected("{\"items\":[{\"sku\":\"A\",\"quantity\":1}]," REST
			",\"expected_total\":{\"amount\":-1,\"currency\":\"GBP\"}}",
			"/expected_total/amount");
}

static void an_address_without_postal_codes_needs_none(void **state)
{
	struct decoding decoding;

	(void)state;
	decode(&decoding, "{\"items\":[{\"sku\":\"A\",\"quantity\":1}]," PAYMENT "," EMAIL
			  ",\"shipping_address\":{\"name\":\"A\",\"line1\":\"B\",\"city\":\"C\","
			  "\"country\":\"HK\"}}");
	assert_int_equal(decoding.status, SK_OK);
	done(&decoding);
}

/* ---- pricing ---- */

static const char *const TWO_ITEMS = "{\"items\":[{\"sku\":\"A\",\"quantity\":2},"
				     "{\"sku\":\"B\",\"quantity\":1}]," REST "}";

static struct order_price price_of(int64_t minor, const char *currency)
{
	return (struct order_price) { true, "018f3c1e-0000-7000-8000-000000000001", "Title",
				      sk_money_of(minor, currency) };
}

static void an_order_costs_what_the_price_list_says(void **state)
{
	const struct order_price prices[] = { price_of(199, "GBP"), price_of(100, "GBP") };
	struct order order = { .currency = NULL };
	struct decoding decoding;

	(void)state;
	decode(&decoding, TWO_ITEMS);
	assert_int_equal(order_draft_price(&decoding.fields, &decoding.context, &decoding.draft,
					   prices, &order),
			 SK_OK);
	assert_int_equal(order.lines_count, 2);
	assert_int_equal(order.lines[0].line_total_minor, 398);
	assert_int_equal(order.total_minor, 498);
	assert_string_equal(order.currency, "GBP");
	done(&decoding);
}

static void every_sku_that_is_not_sold_is_named(void **state)
{
	const struct order_price prices[] = { { .active = false }, { .active = false } };
	struct order order = { .currency = NULL };
	struct decoding decoding;

	(void)state;
	decode(&decoding, TWO_ITEMS);
	assert_int_equal(order_draft_price(&decoding.fields, &decoding.context, &decoding.draft,
					   prices, &order),
			 SK_INVALID);
	assert_string_equal(decoding.context.error.code, "unknown_sku");
	assert_int_equal(decoding.errors.count, 2);
	assert_string_equal(decoding.errors.list[0].pointer, "/items/0/sku");
	assert_string_equal(decoding.errors.list[1].pointer, "/items/1/sku");
	done(&decoding);
}

static void an_order_has_one_currency(void **state)
{
	const struct order_price prices[] = { price_of(199, "GBP"), price_of(100, "EUR") };
	struct order order = { .currency = NULL };
	struct decoding decoding;

	(void)state;
	decode(&decoding, TWO_ITEMS);
	assert_int_equal(order_draft_price(&decoding.fields, &decoding.context, &decoding.draft,
					   prices, &order),
			 SK_INVALID);
	assert_string_equal(decoding.context.error.code, "mixed_currencies");
	assert_string_equal(decoding.errors.list[0].pointer, "/items/1/sku");
	done(&decoding);
}

static void another_total_than_expected_is_a_changed_price(void **state)
{
	const struct order_price prices[] = { price_of(199, "GBP"), price_of(100, "GBP") };
	struct order order = { .currency = NULL };
	struct decoding decoding;

	(void)state;
	decode(&decoding, TWO_ITEMS);
	decoding.draft.total_expected = true;
	decoding.draft.expected_total = sk_money_of(497, "GBP");
	assert_int_equal(order_draft_price(&decoding.fields, &decoding.context, &decoding.draft,
					   prices, &order),
			 SK_CONFLICT);
	assert_string_equal(decoding.context.error.code, "price_changed");
	done(&decoding);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_body_is_understood),
		cmocka_unit_test(the_same_sku_twice_is_one_line_in_the_place_of_the_first),
		cmocka_unit_test(a_wrong_field_is_named_by_its_pointer),
		cmocka_unit_test(an_address_without_postal_codes_needs_none),
		cmocka_unit_test(an_order_costs_what_the_price_list_says),
		cmocka_unit_test(every_sku_that_is_not_sold_is_named),
		cmocka_unit_test(an_order_has_one_currency),
		cmocka_unit_test(another_total_than_expected_is_a_changed_price),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
