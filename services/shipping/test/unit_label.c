/* The barcode, read back as a scanner would, and the label as a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../shipping.h"

#define START_B 104
#define STOP	106

/* The value whose barcode has these six widths, found by drawing every character: -1 where
 * there is none. */
static int value_of(const unsigned char widths[6])
{
	for (int value = 0; value < 95; value++) {
		char text[2] = { (char)(value + ' '), '\0' };
		struct shipping_barcode barcode;

		assert_true(shipping_barcode_make(text, &barcode));
		if (memcmp(barcode.widths + 6, widths, 6) == 0)
			return value;
	}
	return -1;
}

static void a_barcode_reads_back(void **state)
{
	static const char TEXT[] = "SK1234567890";
	struct shipping_barcode barcode;

	(void)state;
	assert_true(shipping_barcode_make(TEXT, &barcode));
	for (size_t i = 0; i < sizeof(TEXT) - 1; i++)
		assert_int_equal(value_of(barcode.widths + 6 * (i + 1)), TEXT[i] - ' ');
}

/* A well-known example: "PJJ123C" has 54 in set A. In set B these characters have the same
 * values and the start is one more. */
static void the_check_character_is_the_weighted_sum(void **state)
{
	struct shipping_barcode barcode;

	(void)state;
	assert_true(shipping_barcode_make("PJJ123C", &barcode));
	assert_int_equal(value_of(barcode.widths + (size_t)6 * 8), 54 + 1);
}

static void every_character_is_eleven_modules_and_different(void **state)
{
	(void)state;
	for (char c = ' '; c <= '~'; c++) {
		char text[2] = { c, '\0' };
		struct shipping_barcode barcode;
		int modules = 0, bars = 0;

		assert_true(shipping_barcode_make(text, &barcode));
		for (int i = 6; i < 12; i++) {
			modules += barcode.widths[i];
			bars += i % 2 == 0 ? barcode.widths[i] : 0;
		}
		assert_int_equal(modules, 11);
		assert_int_equal(bars % 2, 0);
		assert_int_equal(value_of(barcode.widths + 6), c - ' ');
		assert_int_equal(barcode.modules, 11 * 3 + 13);
	}
}

static void what_cannot_be_a_barcode_is_refused(void **state)
{
	struct shipping_barcode barcode;
	char longest[SHIPPING_BARCODE_TEXT_MAX + 2];

	(void)state;
	memset(longest, 'A', sizeof(longest));
	longest[SHIPPING_BARCODE_TEXT_MAX + 1] = '\0';
	assert_false(shipping_barcode_make(longest, &barcode));
	longest[SHIPPING_BARCODE_TEXT_MAX] = '\0';
	assert_true(shipping_barcode_make(longest, &barcode));
	assert_int_equal(barcode.count, SHIPPING_BARCODE_WIDTHS_MAX);
	assert_false(shipping_barcode_make("M\xC3\xBCller", &barcode));
	assert_false(shipping_barcode_make("a\nb", &barcode));
}

/* ---- the label ---- */

static const struct shipment SHIPMENT = {
	.id = "0190a0b0-0000-7000-8000-000000000001",
	.number = "SO-1001",
	.account_id = "",
	.carrier = "test",
	.tracking_number = "SK1234567890123456789",
	.address = { "J\xC3\xB6rg (Jo) \\ O'Neill", "1 Long Road", "", "London", "N1 1AA", "GB" },
};

static bool contains(const struct shipping_label *label, const char *text)
{
	return memmem(label->pdf, label->len, text, strlen(text)) != NULL;
}

static void a_label_is_a_pdf_with_all_that_a_parcel_needs(void **state)
{
	struct shipping_service service = { .sender = "Souk|1 Market Street", .label_font = "" };
	struct sk_context context;
	struct shipping_label label;

	(void)state;
	sk_context_init(&context, 0);
	assert_int_equal(shipping_label_make(&context, &service, &SHIPMENT, &label), SK_OK);
	assert_memory_equal(label.pdf, "%PDF-", 5);
	assert_true(contains(&label, SHIPMENT.tracking_number));
	assert_true(contains(&label, "Order SO-1001"));
	assert_true(contains(&label, "1 Market Street"));
	assert_true(contains(&label, "N1 1AA  London"));
	assert_true(contains(&label, "%%EOF"));
	sk_context_release(&context);
}

static void a_name_of_any_length_fits(void **state)
{
	struct shipping_service service = { .sender = "Souk", .label_font = "" };
	struct shipment shipment = SHIPMENT;
	char name[1024];
	struct sk_context context;
	struct shipping_label label;

	(void)state;
	memset(name, 'W', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	shipment.address.name = name;
	sk_context_init(&context, 0);
	assert_int_equal(shipping_label_make(&context, &service, &shipment, &label), SK_OK);
	sk_context_release(&context);
}

static void a_font_that_is_not_there_is_an_error_and_no_crash(void **state)
{
	struct shipping_service service = { .sender = "Souk", .label_font = "/nowhere.ttf" };
	struct sk_context context;
	struct shipping_label label;

	(void)state;
	sk_context_init(&context, 0);
	assert_int_equal(shipping_label_make(&context, &service, &SHIPMENT, &label), SK_INTERNAL);
	sk_context_release(&context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_barcode_reads_back),
		cmocka_unit_test(the_check_character_is_the_weighted_sum),
		cmocka_unit_test(every_character_is_eleven_modules_and_different),
		cmocka_unit_test(what_cannot_be_a_barcode_is_refused),
		cmocka_unit_test(a_label_is_a_pdf_with_all_that_a_parcel_needs),
		cmocka_unit_test(a_name_of_any_length_fits),
		cmocka_unit_test(a_font_that_is_not_there_is_an_error_and_no_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
