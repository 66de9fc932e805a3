#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../catalog.h"

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

/* Decodes a body over product as POST (creating) or PATCH would. */
static struct sk_field_errors decode(struct sk_context *context, const char *body, bool creating,
				     struct catalog_product *product)
{
	struct sk_field_errors errors = { .arena = context->arena };
	const struct cJSON *root;
	struct sk_fields fields;

	assert_int_equal(sk_json_parse(context, body, strlen(body), &root), SK_OK);
	fields = sk_fields_of(root, &errors);
	catalog_product_decode(&fields, context->arena, creating, product);
	catalog_product_complete(&fields, context->arena, "GBP", product);
	return errors;
}

static struct catalog_product empty_product(void)
{
	return (struct catalog_product) { .description_html = "", .vendor = "", .category = "" };
}

static void a_small_body_makes_a_whole_product(void **state)
{
	struct catalog_product product = empty_product();
	struct sk_field_errors errors = decode(
		*state,
		"{\"title\": \"Brass Lamp\", \"unknown\": 1, \"variants\": ["
		"{\"options\": {\"Size\": \"Small\"}, \"price\": {\"amount\": 1999, \"currency\": "
		"\"GBP\"},"
		" \"available\": 99},"
		"{\"sku\": \"L\", \"options\": {\"Size\": \"Large\"}, \"initial_quantity\": 5,"
		" \"price\": {\"amount\": 2999, \"currency\": \"GBP\"}}]}",
		true, &product);

	assert_int_equal(errors.count, 0);
	assert_string_equal(product.slug, "brass-lamp");
	assert_int_equal(product.status, CATALOG_DRAFT);
	assert_string_equal(product.variants[0].sku, "BRASS-LAMP-SMALL");
	assert_string_equal(product.variants[0].title, "Small");
	assert_int_equal(product.variants[0].available, 0); /* nobody but inventory says that */
	assert_int_equal(product.variants[1].initial_quantity, 5);
	assert_int_equal(catalog_lowest_price(&product), 1999);
}

static void wrong_fields_are_named_by_their_pointers(void **state)
{
#define PRICE "\"price\": {\"amount\": 1, \"currency\": \"GBP\"}"
	static const struct {
		const char *body, *pointer;
	} CASES[] = {
		{ "{\"variants\": [{" PRICE "}]}", "/title" },
		{ "{\"title\": \"x\"}", "/variants" },
		{ "{\"title\": \"x\", \"variants\": []}", "/variants" },
		{ "{\"title\": \"x\", \"variants\": [{}]}", "/variants/0/price" },
		{ "{\"title\": \"x\", \"slug\": \"Not A Slug\", \"variants\": [{" PRICE "}]}",
		  "/slug" },
		{ "{\"title\": \"x\", \"status\": \"deleted\", \"variants\": [{" PRICE "}]}",
		  "/status" },
		{ "{\"title\": \"x\", \"tags\": [\"a\", 1], \"variants\": [{" PRICE "}]}",
		  "/tags/1" },
		{ "{\"title\": \"x\", \"images\": [{\"src\": \"javascript:x\"}], \"variants\": "
		  "[{" PRICE "}]}",
		  "/images/0/src" },
		{ "{\"title\": \"x\", \"variants\": [{" PRICE ", \"options\": {\"Size\": 5}}]}",
		  "/variants/0/options/Size" },
		{ "{\"title\": \"x\", \"variants\": [{" PRICE "}, {" PRICE "}]}",
		  "/variants/1/options" },
		{ "{\"title\": \"x\", \"variants\": [{\"price\": {\"amount\": 1, \"currency\": "
		  "\"EUR\"}}]}",
		  "/variants/0/price/currency" },
		{ "{\"title\": \"x\", \"variants\": [{" PRICE ", \"weight_grams\": -1}]}",
		  "/variants/0/weight_grams" },
	};

	for (size_t i = 0; i < sizeof(CASES) / sizeof(*CASES); i++) {
		struct catalog_product product = empty_product();
		struct sk_field_errors errors = decode(*state, CASES[i].body, true, &product);

		assert_int_equal(errors.count, 1);
		assert_string_equal(errors.list[0].pointer, CASES[i].pointer);
	}
}

static struct catalog_product stored_product(struct sk_context *context)
{
	struct catalog_product product = { .id = "01936b2e-7c5a-7d3e-8f00-0123456789ab",
					   .slug = "lamp",
					   .title = "Lamp",
					   .description_html = "<p>a</p>",
					   .vendor = "Souk",
					   .category = "Home",
					   .version = 2,
					   .status = CATALOG_ACTIVE };

	assert_int_equal(
		catalog_parts_decode(
			context,
			"{\"tags\": [\"brass\"], \"images\": [{\"src\": \"https://x.test/1\", "
			"\"alt\": \"\"}],"
			" \"variants\": [{\"sku\": \"LAMP\", \"title\": \"\", \"options\": {},"
			" \"price\": {\"amount\": 500, \"currency\": \"GBP\"}, "
			"\"compare_at_price\": null,"
			" \"barcode\": \"\", \"weight_grams\": 10, \"initial_quantity\": 7,"
			" \"available\": 4}]}",
			&product),
		SK_OK);
	return product;
}

static void a_patch_changes_what_it_names_and_nothing_else(void **state)
{
	struct catalog_product before = stored_product(*state), after = before;
	struct sk_field_errors errors = decode(
		*state, "{\"title\": \"Old Lamp\", \"slug\": \"lamp\"}", false, &after);

	assert_int_equal(errors.count, 0);
	assert_string_equal(after.title, "Old Lamp");
	assert_string_equal(after.vendor, "Souk");
	assert_int_equal(after.status, CATALOG_ACTIVE);
	assert_int_equal(after.tags_count, 1);
	assert_int_equal(after.variants[0].price.minor, 500);
	assert_false(catalog_product_same(&before, &after));
}

static void a_patch_cannot_move_a_product_to_another_address(void **state)
{
	struct catalog_product product = stored_product(*state);
	struct sk_field_errors errors = decode(*state, "{\"slug\": \"other\"}", false, &product);

	assert_int_equal(errors.count, 1);
	assert_string_equal(errors.list[0].pointer, "/slug");
}

static void new_variants_keep_the_stock_of_the_skus_that_stay(void **state)
{
	struct catalog_product product = stored_product(*state);
	struct sk_field_errors errors = decode(
		*state,
		"{\"variants\": ["
		"{\"sku\": \"LAMP\", \"options\": {\"Size\": \"S\"},"
		" \"price\": {\"amount\": 600, \"currency\": \"GBP\"}},"
		"{\"options\": {\"Size\": \"L\"}, \"price\": {\"amount\": 900, \"currency\": "
		"\"GBP\"}}]}",
		false, &product);

	assert_int_equal(errors.count, 0);
	assert_int_equal(product.variants_count, 2);
	assert_int_equal(product.variants[0].initial_quantity, 7);
	assert_int_equal(product.variants[0].available, 4);
	assert_int_equal(product.variants[1].initial_quantity, 0);
	assert_string_equal(product.variants[1].sku, "LAMP-L");
}

static void a_product_is_written_as_the_contract_says(void **state)
{
	struct sk_context *context = *state;
	struct catalog_product product = stored_product(context);
	struct sk_json json;

	sk_json_init(&json, context->arena, 10000);
	catalog_product_write(&json, &product);
	assert_string_equal(
		sk_buf_text(&json.buf),
		"{\"id\":\"01936b2e-7c5a-7d3e-8f00-0123456789ab\",\"slug\":\"lamp\",\"title\":"
		"\"Lamp\","
		"\"description_html\":\"<p>a</p>\",\"vendor\":\"Souk\",\"category\":\"Home\","
		"\"tags\":[\"brass\"],\"status\":\"active\","
		"\"images\":[{\"src\":\"https://x.test/1\",\"alt\":null}],"
		"\"variants\":[{\"sku\":\"LAMP\",\"title\":\"\",\"options\":{},"
		"\"price\":{\"amount\":500,\"currency\":\"GBP\"},\"compare_at_price\":null,"
		"\"barcode\":null,\"weight_grams\":10,\"available\":4}],"
		"\"created_at\":null,\"updated_at\":null}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_small_body_makes_a_whole_product),
		cmocka_unit_test(wrong_fields_are_named_by_their_pointers),
		cmocka_unit_test(a_patch_changes_what_it_names_and_nothing_else),
		cmocka_unit_test(a_patch_cannot_move_a_product_to_another_address),
		cmocka_unit_test(new_variants_keep_the_stock_of_the_skus_that_stay),
		cmocka_unit_test(a_product_is_written_as_the_contract_says),
	};

	return cmocka_run_group_tests(tests, open_context, close_context);
}
