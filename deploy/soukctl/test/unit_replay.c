/* How a file of invoices becomes products, orders and refunds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../replay.h"

#define HEADER                                                                                     \
	"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\r\n"

static struct sk_context context;
static struct replay_data data;

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

static enum sk_status read_text(const char *text)
{
	return replay_read(&context, text, strlen(text), &data);
}

static void a_stock_code_has_a_variant_for_each_price(void **state)
{
	(void)state;
	assert_int_equal(read_text(HEADER "1,A,Lamp,2,d,2.55,7,France\r\n"
					  "1,A,Lamp,1,d,3.00,7,France\r\n"
					  "2,A,Lamp,4,d,2.55,,EIRE\r\n"),
			 SK_OK);
	assert_int_equal(data.variants_count, 2);
	assert_string_equal(data.variants[0].sku, "A-255");
	assert_int_equal(data.variants[0].sold, 6);
	assert_int_equal(data.sales, 2);
	assert_int_equal(data.sales_minor, 2 * 255 + 300 + 4 * 255);
	assert_string_equal(data.invoices[0].country, "FR");
	assert_string_equal(data.invoices[1].country, "IE");
	assert_string_equal(data.invoices[1].customer, "");
}

static void lines_of_one_sku_become_one_line(void **state)
{
	(void)state;
	assert_int_equal(
		read_text(HEADER "1,A,Lamp,2,d,1,7,Norway\r\n1,A,Lamp,3,d,1.00,7,Norway\r\n"),
		SK_OK);
	assert_int_equal(data.invoices[0].lines_count, 1);
	assert_int_equal(data.invoices[0].lines[0].quantity, 5);
}

static void adjustments_are_no_sales(void **state)
{
	(void)state;
	assert_int_equal(read_text(HEADER
				   "1,A,Lost,-5,d,0,,Norway\r\n2,A,Found,5,d,0.00,,Norway\r\n"
				   "3,B,Bad debt,1,d,-11.50,,Norway\r\n"),
			 SK_OK);
	assert_int_equal(data.sales, 0);
	assert_int_equal(data.sales_minor, 0);
}

static void a_cancellation_finds_the_sale_it_gives_back(void **state)
{
	(void)state;
	assert_int_equal(
		read_text(HEADER
			  "1,A,Lamp,6,d,4.25,7,Norway\r\nC2,A,Lamp,-6,d,4.25,7,Norway\r\n"
			  "C3,A,Lamp,-7,d,4.25,7,Norway\r\nC4,A,Lamp,-1,d,4.25,8,Norway\r\n"),
		SK_OK);
	assert_int_equal(data.cancellations, 3);
	assert_int_equal(replay_match(&data, &data.invoices[1], 0), 0);
	assert_int_equal(replay_match(&data, &data.invoices[2], 0), -1); /* more than was sold */
	assert_int_equal(replay_match(&data, &data.invoices[3], 0), -1); /* another customer */
}

static void the_catalogue_has_each_products_variants_together(void **state)
{
	const char *csv;
	size_t len = 0;

	(void)state;
	assert_int_equal(read_text(HEADER "1,A,\"A \"\"fine\"\" lamp\",2,d,2,7,Norway\r\n"
					  "1,B,Rug,1,d,9,7,Norway\r\n1,A,Lamp,1,d,3,7,Norway\r\n"),
			 SK_OK);
	csv = replay_catalogue(&context, &data, &len);
	assert_int_equal(len, strlen(csv));
	assert_non_null(
		strstr(csv, "online-retail-A,\"A \"\"fine\"\" lamp\",Online Retail,true,Price,2.00,"
			    "A-200,2,2.00\nonline-retail-A,\"\",,,,3.00,A-300,1,3.00\n"
			    "online-retail-B,\"Rug\""));
}

static void what_is_no_such_file_is_told(void **state)
{
	(void)state;
	assert_int_equal(read_text("a,b\n1,2\n"), SK_INVALID);
	assert_string_equal(context.error.detail, "the file has no column InvoiceNo");
	sk_context_clear_error(&context);
	assert_int_equal(read_text(HEADER "1,A,Lamp\r\n"), SK_INVALID);
	sk_context_clear_error(&context);
	assert_int_equal(read_text(HEADER "1,A,Lamp,1,d,cheap,7,Norway\r\n"), SK_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_stock_code_has_a_variant_for_each_price, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(lines_of_one_sku_become_one_line, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(adjustments_are_no_sales, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_cancellation_finds_the_sale_it_gives_back, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_catalogue_has_each_products_variants_together,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_such_file_is_told, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
