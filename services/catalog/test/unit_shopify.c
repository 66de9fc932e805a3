#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../shopify.h"

#define HEADER                                                                                     \
	"Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,"          \
	"Variant SKU,Variant Grams,Variant Inventory Qty,Variant Price,Variant Compare At Price,"  \
	"Variant Barcode,Image Src,Image Position,Image Alt Text\n"

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

static struct catalog_import read_text(struct sk_context *context, const char *text)
{
	struct catalog_import import;

	assert_int_equal(catalog_shopify_read(context, text, strlen(text), "GBP", &import), SK_OK);
	return import;
}

static int rejected_lines(const struct catalog_import *import)
{
	int count = 0;

	for (int i = 0; i < import->lines_count; i++)
		count += import->lines[i].rejected != NULL;
	return count;
}

static void a_product_has_a_variant_for_each_of_its_lines(void **state)
{
	struct catalog_import import = read_text(*state, HEADER
						 "top,Varsity Top,<p>Warm</p>,Acme,Clothes,\"wool, "
						 "red\",true,Size,Small,,250,3,60,75.50,123,,,\n"
						 "top,,,,,,,,Large,T-L,,,65.00,,,,,\n");
	const struct catalog_product *top = &import.products[0]->product;

	assert_int_equal(import.products_count, 1);
	assert_int_equal(rejected_lines(&import), 0);
	assert_string_equal(top->slug, "top");
	assert_string_equal(top->category, "Clothes");
	assert_int_equal(top->status, CATALOG_ACTIVE);
	assert_int_equal(top->tags_count, 2);
	assert_int_equal(top->variants_count, 2);
	assert_string_equal(top->variants[0].sku, "TOP-SMALL");
	assert_int_equal(top->variants[0].price.minor, 6000);
	assert_int_equal(top->variants[0].compare_at_minor, 7550);
	assert_int_equal(top->variants[0].weight_grams, 250);
	assert_int_equal(top->variants[0].initial_quantity, 3);
	assert_string_equal(top->variants[0].options[0].name, "Size");
	assert_string_equal(top->variants[1].sku, "T-L");
	assert_string_equal(top->variants[1].title, "Large");
	assert_string_equal(top->variants[1].options[0].name, "Size");
}

static void a_product_without_a_choice_has_one_variant_without_options(void **state)
{
	struct catalog_import import = read_text(
		*state, HEADER "lamp,Lamp,,,,,false,Title,Default Title,,0,-2,9.99,,,,,\n");
	const struct catalog_product *lamp = &import.products[0]->product;

	assert_int_equal(lamp->status, CATALOG_DRAFT);
	assert_int_equal(lamp->variants[0].options_count, 0);
	assert_string_equal(lamp->variants[0].title, "");
	assert_string_equal(lamp->variants[0].sku, "LAMP");
	assert_int_equal(lamp->variants[0].initial_quantity, 0);
}

static void images_stand_in_the_order_of_their_positions_and_once(void **state)
{
	struct catalog_import import = read_text(
		*state, HEADER "lamp,Lamp,,,,,true,,,,,,5,,,https://x.test/2.jpg,2,two\n"
			       "lamp,,,,,,,,,,,,,,,https://x.test/1.jpg,1,\n"
			       "lamp,,,,,,,,,,,,,,,https://x.test/2.jpg,3,\n");
	const struct catalog_product *lamp = &import.products[0]->product;

	assert_int_equal(rejected_lines(&import), 0);
	assert_int_equal(lamp->images_count, 2);
	assert_string_equal(lamp->images[0].src, "https://x.test/1.jpg");
	assert_string_equal(lamp->images[1].alt, "two");
	assert_int_equal(lamp->variants_count, 1);
	assert_null(import.lines[1].sku);
}

/* The file may be a spreadsheet's, sorted by something else. */
static void lines_of_a_product_need_not_stand_together(void **state)
{
	struct catalog_import import = read_text(*state, HEADER "a,A,,,,,,Size,S,,,,1,,,,,\n"
								"b,B,,,,,,Size,S,,,,1,,,,,\n"
								"a,,,,,,,,L,,,,2,,,,,\n");

	assert_int_equal(import.products_count, 2);
	assert_int_equal(import.products[0]->product.variants_count, 2);
}

struct rejection {
	const char *lines, *detail;
	int rejected, variants; /* of the first product */
};

static void a_bad_line_is_rejected_alone(void **state)
{
	static const struct rejection CASES[] = {
		{ "a,A,,,,,,Size,S,,,,1,,,,,\na,,,,,,,,L,,,,,,,,,\n", "Variant Price is missing", 1,
		  1 },
		{ "a,A,,,,,,Size,S,,,,1,,,,,\na,,,,,,,,L,,,,x,,,,,\n",
		  "Variant Price is no amount in GBP", 1, 1 },
		{ "a,A,,,,,,Size,S,,,,1,,,,,\na,,,,,,,,L,,,,1.999,,,,,\n",
		  "Variant Price is no amount in GBP", 1, 1 },
		{ "a,A,,,,,,Size,S,,,,1,,,,,\na,,,,,,,,L,,,,1,free,,,,\n",
		  "Variant Compare At Price is no amount in GBP", 1, 1 },
		{ "a,A,,,,,,Size,S,,,,1,,,,,\na,,,,,,,,S,,,,1,,,,,\n",
		  "the same options are on line 2", 1, 1 },
		{ "a,A,,,,,,Size,S,X,,,1,,,,,\na,,,,,,,,L,X,,,1,,,,,\n",
		  "the same SKU is on line 2", 1, 1 },
		{ "a,A,,,,,,Size,S,,,,1,,,,,\na,,,,,,,,L,,heavy,,1,,,,,\n",
		  "Variant Grams is no weight", 1, 1 },
		{ "a,A,,,,,,Size,S,,,,1,,,,,\na,,,,,,,,L,,,,1,,,ftp://x,,\n",
		  "Image Src is no http or https address", 1, 1 },
		{ "a,A,,,,,,Size,S,,,,1,,,,,\na,,,,,,,,,,,,,,,,,\n",
		  "the line is neither a variant nor an image", 1, 1 },
		{ "a,A,,,,,,Size,S,,,,1,,,,,\na,,,,,,,,\"L\"x,,,,1,,,,,\n",
		  "there is text after a closing quote", 1, 1 },
		{ "a,A,,,,,,Size,S,,,,1,,,,,\na,,,,,,,,L,,,,1,,,,,,,,\n",
		  "the line has more columns than the header", 1, 1 },
		{ "a,A,,,,,,Size,S,,,,1,,,,,\na,,,,,,,,\xFF,,,,1,,,,,\n",
		  "Option1 Value is not UTF-8, or has control characters", 1, 1 },
		{ "a,A,,,,,,Size,S,,,,1,,,,,\n,,,,,,,,L,,,,1,,,,,\n", "Handle is missing", 1, 1 },
	};

	for (size_t i = 0; i < sizeof(CASES) / sizeof(*CASES); i++) {
		char text[2000];
		struct catalog_import import;

		snprintf(text, sizeof(text), "%s%s", HEADER, CASES[i].lines);
		import = read_text(*state, text);
		assert_int_equal(rejected_lines(&import), CASES[i].rejected);
		assert_string_equal(import.lines[import.lines_count - 1].rejected, CASES[i].detail);
		assert_int_equal(import.products[0]->product.variants_count, CASES[i].variants);
		assert_true(import.products[0]->keeps_others);
	}
}

static void a_product_without_title_or_price_is_rejected_with_all_its_lines(void **state)
{
	struct catalog_import import = read_text(*state,
						 HEADER "a,,,,,,,Size,S,,,,1,,,,,\n"
							"a,,,,,,,,L,,,,1,,,,,\n"
							"b,B,,,,,,,,,,,,,,,,\n"
							"b,,,,,,,,,,,,,,,https://x.test/1.jpg,,\n"
							"c,C,,,,,,,,,,,1,,,,,\n");

	assert_int_equal(rejected_lines(&import), 4);
	assert_string_equal(import.lines[1].rejected,
			    "Title is missing on the product's first line");
	assert_string_equal(import.lines[2].rejected, "Variant Price is missing");
	assert_string_equal(import.lines[3].rejected,
			    "the product has no variant that can be imported");
	assert_null(import.products[2]->rejected);
}

static void a_quote_that_never_closes_costs_its_own_line(void **state)
{
	struct catalog_import import = read_text(*state, HEADER "a,\"A,,,,,,,,,,,1,,,,,\n"
								"b,B,,,,,,,,,,,1,,,,,\n");

	assert_int_equal(rejected_lines(&import), 1);
	assert_string_equal(import.lines[0].handle, "a");
	assert_string_equal(import.lines[0].rejected, "a quote is opened and never closed");
	assert_null(import.products[1]->rejected);
}

static void made_skus_never_collide(void **state)
{
	struct catalog_import import = read_text(*state, HEADER "a,A,,,,,,Size,b-c,,,,1,,,,,\n"
								"a-b,B,,,,,,Size,c,,,,1,,,,,\n"
								"d,D,,,,,,Size,s,A-B,,,1,,,,,\n"
								"a-b,,,,,,,,d,,,,1,,,,,\n");

	assert_int_equal(rejected_lines(&import), 0);
	assert_string_equal(import.lines[0].sku, "A-B-C");
	assert_string_not_equal(import.lines[1].sku, "A-B-C");
	assert_true(import.lines[1].sku_made);
	assert_string_equal(import.lines[2].sku, "A-B");
	assert_false(import.lines[2].sku_made);
}

static void columns_are_found_by_name_in_any_order(void **state)
{
	struct catalog_import import = read_text(
		*state, "\xEF\xBB\xBFvariant price,Extra,TITLE,Handle\r\n1.50,x,Lamp,lamp\r\n");

	assert_int_equal(rejected_lines(&import), 0);
	assert_string_equal(import.products[0]->product.title, "Lamp");
	assert_int_equal(import.products[0]->product.variants[0].price.minor, 150);
}

static void a_file_that_is_no_product_file_is_refused_whole(void **state)
{
	static const char *const FILES[] = { "", "\n\n", "Handle,Title\na,A\n", "{\"a\": 1}",
					     "Handle,\"Title,Variant Price\n" };
	struct catalog_import import;

	for (size_t i = 0; i < sizeof(FILES) / sizeof(*FILES); i++)
		assert_int_equal(
			catalog_shopify_read(*state, FILES[i], strlen(FILES[i]), "GBP", &import),
			SK_INVALID);
}

static void a_status_column_goes_before_published(void **state)
{
	struct catalog_import import = read_text(*state,
						 "Handle,Title,Variant Price,Published,Status\n"
						 "a,A,1,true,draft\n"
						 "b,B,1,false,active\n"
						 "c,C,1,,\n"
						 "d,D,1,FALSE,\n");

	assert_int_equal(import.products[0]->product.status, CATALOG_DRAFT);
	assert_int_equal(import.products[1]->product.status, CATALOG_ACTIVE);
	assert_int_equal(import.products[2]->product.status, CATALOG_ACTIVE);
	assert_int_equal(import.products[3]->product.status, CATALOG_DRAFT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_product_has_a_variant_for_each_of_its_lines),
		cmocka_unit_test(a_product_without_a_choice_has_one_variant_without_options),
		cmocka_unit_test(images_stand_in_the_order_of_their_positions_and_once),
		cmocka_unit_test(lines_of_a_product_need_not_stand_together),
		cmocka_unit_test(a_bad_line_is_rejected_alone),
		cmocka_unit_test(a_product_without_title_or_price_is_rejected_with_all_its_lines),
		cmocka_unit_test(a_quote_that_never_closes_costs_its_own_line),
		cmocka_unit_test(made_skus_never_collide),
		cmocka_unit_test(columns_are_found_by_name_in_any_order),
		cmocka_unit_test(a_file_that_is_no_product_file_is_refused_whole),
		cmocka_unit_test(a_status_column_goes_before_published),
	};

	return cmocka_run_group_tests(tests, open_context, close_context);
}
