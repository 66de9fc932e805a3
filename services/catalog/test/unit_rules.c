#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../catalog.h"

#define ID "01936b2e-7c5a-7d3e-8f00-0123456789ab"

static int open_arena(void **state)
{
	*state = sk_arena_open(SIZE_MAX);
	return 0;
}

static int close_arena(void **state)
{
	struct sk_arena *arena = *state;

	sk_arena_close(&arena);
	return 0;
}

static void a_slug_is_lower_case_words_joined_by_hyphens(void **state)
{
	static const struct {
		const char *slug;
		bool valid;
	} CASES[] = {
		{ "brass-lamp", true }, { "lamp2", true },
		{ "a", true },		{ "", false },
		{ "-lamp", false },	{ "lamp-", false },
		{ "a--b", false },	{ "Lamp", false },
		{ "a b", false },	{ "caf\xC3\xA9", false },
		{ "a/b", false },	{ ID, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(*CASES); i++)
		assert_int_equal(catalog_slug_valid(CASES[i].slug), CASES[i].valid);
}

static void a_slug_can_be_made_of_any_text(void **state)
{
	struct sk_arena *arena = *state;
	static const char *const TEXTS[] = { "Caf\xC3\xA9", "\xE6\x97\xA5\xE6\x9C\xAC", "---", "",
					     ID };
	char long_text[1000];

	assert_string_equal(catalog_slug_make(arena, "Classic Varsity Top"), "classic-varsity-top");
	assert_string_equal(catalog_slug_make(arena, " -A  b_C!"), "a-b-c");
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	assert_true(catalog_slug_valid(catalog_slug_make(arena, long_text)));
	for (size_t i = 0; i < sizeof(TEXTS) / sizeof(*TEXTS); i++)
		assert_true(catalog_slug_valid(catalog_slug_make(arena, TEXTS[i])));
}

static void two_texts_that_lose_letters_stay_two_slugs(void **state)
{
	assert_string_not_equal(catalog_slug_make(*state, "\xE6\x97\xA5"),
				catalog_slug_make(*state, "\xE6\x9C\xAC"));
	assert_string_not_equal(catalog_slug_make(*state, "caf\xC3\xA9"),
				catalog_slug_make(*state, "caf"));
}

static struct catalog_variant variant_of(const char *first, const char *second)
{
	struct catalog_variant variant = { .title = "", .barcode = "", .options_count = 1 };

	variant.options[0] = (struct catalog_option) { "Size", first };
	variant.options[1] = (struct catalog_option) { "Colour", second };
	variant.options_count = second ? 2 : first ? 1 : 0;
	return variant;
}

static void a_sku_is_made_of_handle_and_options(void **state)
{
	struct catalog_variant none = variant_of(NULL, NULL), small = variant_of("Small", NULL);
	struct catalog_variant both = variant_of("X-Large", "Sea Blue");

	assert_string_equal(catalog_sku_make(*state, "brass-lamp", &none, false), "BRASS-LAMP");
	assert_string_equal(catalog_sku_make(*state, "classic-varsity-top", &small, false),
			    "CLASSIC-VARSITY-TOP-SMALL");
	assert_string_equal(catalog_sku_make(*state, "top", &both, false), "TOP-X-LARGE-SEA-BLUE");
}

static void a_sku_that_is_too_long_ends_in_a_hash_and_stays_the_same(void **state)
{
	const char *slug =
		"a-very-long-handle-that-goes-on-and-on-until-nothing-more-fits-into-a-sku";
	struct catalog_variant small = variant_of("Small", NULL), large = variant_of("Large", NULL);
	const char *sku = catalog_sku_make(*state, slug, &small, false);

	assert_true(sk_sku_valid(sku));
	assert_string_equal(sku, catalog_sku_make(*state, slug, &small, false));
	assert_string_not_equal(sku, catalog_sku_make(*state, slug, &large, false));
}

static void the_second_choice_of_a_sku_differs_where_the_first_collides(void **state)
{
	struct catalog_variant dashed = variant_of("A-B", NULL), spaced = variant_of("A B", NULL);

	assert_string_equal(catalog_sku_make(*state, "x", &dashed, false),
			    catalog_sku_make(*state, "x", &spaced, false));
	assert_string_not_equal(catalog_sku_make(*state, "x", &dashed, true),
				catalog_sku_make(*state, "x", &spaced, true));
	assert_true(sk_sku_valid(catalog_sku_make(*state, "x", &dashed, true)));
}

static void tags_are_trimmed_and_kept_once(void **state)
{
	const char **tags;

	assert_int_equal(catalog_tags_split(*state, "Anchor, Gold , ,Gold,Silver", &tags), 3);
	assert_string_equal(tags[0], "Anchor");
	assert_string_equal(tags[1], "Gold");
	assert_string_equal(tags[2], "Silver");
	assert_int_equal(catalog_tags_split(*state, "", &tags), 0);
}

static void a_cursor_comes_back_as_it_went_out(void **state)
{
	static const struct catalog_cursor OUT[] = {
		[CATALOG_NEWEST] = { "", ID },
		[CATALOG_BY_TITLE] = { "a lamp\nof two lines", ID },
		[CATALOG_CHEAPEST] = { "1999", ID },
		[CATALOG_DEAREST] = { "0", ID },
	};

	for (int sort = CATALOG_NEWEST; sort <= CATALOG_DEAREST; sort++) {
		struct catalog_cursor back;
		const char *text = catalog_cursor_encode(*state, (enum catalog_sort)sort,
							 &OUT[sort]);

		assert_true(catalog_cursor_decode(*state, (enum catalog_sort)sort, text, &back));
		assert_string_equal(back.key, OUT[sort].key);
		assert_string_equal(back.id, ID);
	}
}

static void a_cursor_of_another_order_or_of_somebody_else_is_refused(void **state)
{
	static const char *const WRONG[] = { "",
					     "price",
					     "price\n",
					     "price\nx\n1",
					     "title\n" ID "\na",
					     "price\n" ID,
					     "price\n" ID "\n",
					     "price\n" ID "\n-1",
					     "price\n" ID "\n99999999999999999999",
					     "-price\n" ID "\n1" };
	struct catalog_cursor cursor;

	for (size_t i = 0; i < sizeof(WRONG) / sizeof(*WRONG); i++)
		assert_false(catalog_cursor_decode(*state, CATALOG_CHEAPEST, WRONG[i], &cursor));
}

static void if_match_counts_the_version_of_a_strong_tag_only(void **state)
{
	static const struct {
		const char *header;
		bool matches;
	} CASES[] = {
		{ NULL, true },
		{ "*", true },
		{ "\"7-abc\"", true },
		{ "\"7-other\"", true },
		{ "\"1-a\", \"7-b\"", true },
		{ "\"6-abc\"", false },
		{ "\"77-abc\"", false },
		{ "W/\"7-abc\"", false },
		{ "7-abc", false },
		{ "\"\"", false },
		{ "\"7\"", false },
		{ "", false },
		{ "\"6-7-7-\"", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(*CASES); i++)
		assert_int_equal(catalog_if_match(CASES[i].header, 7), CASES[i].matches);
}

static void a_tag_changes_with_the_body_and_with_the_version(void **state)
{
	struct catalog_product product = { .version = 3 }, next = { .version = 4 };
	const char *tag = catalog_product_tag(*state, &product, "{\"available\":1}");

	assert_string_not_equal(tag, catalog_product_tag(*state, &product, "{\"available\":2}"));
	assert_string_not_equal(tag, catalog_product_tag(*state, &next, "{\"available\":1}"));
	assert_int_equal(strncmp(tag, "3-", 2), 0);
}

static void sorts_and_statuses_are_words_that_we_know(void **state)
{
	enum catalog_sort sort;
	enum catalog_status status;

	(void)state;
	assert_true(catalog_sort_parse(NULL, &sort));
	assert_int_equal(sort, CATALOG_NEWEST);
	assert_true(catalog_sort_parse("-price", &sort));
	assert_int_equal(sort, CATALOG_DEAREST);
	assert_false(catalog_sort_parse("cheapest", &sort));
	assert_true(catalog_status_parse("archived", &status));
	assert_int_equal(status, CATALOG_ARCHIVED);
	assert_false(catalog_status_parse("deleted", &status));
	assert_false(catalog_status_parse(NULL, &status));
}

static void an_address_is_http_without_spaces_or_quotes(void **state)
{
	(void)state;
	assert_true(catalog_url_valid("https://example.com/a.jpg?x=1#y"));
	assert_true(catalog_url_valid("http://localhost:8080/a.png"));
	assert_false(catalog_url_valid("javascript:alert(1)"));
	assert_false(catalog_url_valid("https://"));
	assert_false(catalog_url_valid("https://a b"));
	assert_false(catalog_url_valid("https://a\"onload="));
}

static void utf8_is_told_from_what_only_looks_like_it(void **state)
{
	(void)state;
	assert_true(catalog_utf8_valid("caf\xC3\xA9 \xF0\x9F\x8F\xBA", 10));
	assert_false(catalog_utf8_valid("\xC0\xAF", 2));	 /* overlong */
	assert_false(catalog_utf8_valid("\xED\xA0\x80", 3));	 /* a surrogate */
	assert_false(catalog_utf8_valid("\xF4\x90\x80\x80", 4)); /* beyond Unicode */
	assert_false(catalog_utf8_valid("\xC3", 1));
	assert_false(catalog_utf8_valid("\x80", 1));
}

static void a_product_is_the_same_until_something_shown_or_counted_changes(void **state)
{
	struct catalog_variant variants[] = { variant_of("Small", NULL) };
	struct catalog_product a = { .slug = "x",
				     .title = "X",
				     .description_html = "",
				     .vendor = "",
				     .category = "",
				     .variants = variants,
				     .variants_count = 1 };
	struct catalog_product b = a;
	struct catalog_variant other[1];

	(void)state;
	variants[0].sku = "X-SMALL";
	variants[0].price = sk_money_of(100, "GBP");
	other[0] = variants[0];
	b.variants = other;
	b.version = 9;
	other[0].available = 5;
	assert_true(catalog_product_same(&a, &b));
	other[0].price.minor = 101;
	assert_false(catalog_product_same(&a, &b));
	other[0].price.minor = 100;
	other[0].initial_quantity = 1;
	assert_false(catalog_product_same(&a, &b));
	b = a;
	b.title = "Y";
	assert_false(catalog_product_same(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slug_is_lower_case_words_joined_by_hyphens),
		cmocka_unit_test(a_slug_can_be_made_of_any_text),
		cmocka_unit_test(two_texts_that_lose_letters_stay_two_slugs),
		cmocka_unit_test(a_sku_is_made_of_handle_and_options),
		cmocka_unit_test(a_sku_that_is_too_long_ends_in_a_hash_and_stays_the_same),
		cmocka_unit_test(the_second_choice_of_a_sku_differs_where_the_first_collides),
		cmocka_unit_test(tags_are_trimmed_and_kept_once),
		cmocka_unit_test(a_cursor_comes_back_as_it_went_out),
		cmocka_unit_test(a_cursor_of_another_order_or_of_somebody_else_is_refused),
		cmocka_unit_test(if_match_counts_the_version_of_a_strong_tag_only),
		cmocka_unit_test(a_tag_changes_with_the_body_and_with_the_version),
		cmocka_unit_test(sorts_and_statuses_are_words_that_we_know),
		cmocka_unit_test(an_address_is_http_without_spaces_or_quotes),
		cmocka_unit_test(utf8_is_told_from_what_only_looks_like_it),
		cmocka_unit_test(a_product_is_the_same_until_something_shown_or_counted_changes),
	};

	return cmocka_run_group_tests(tests, open_arena, close_arena);
}
