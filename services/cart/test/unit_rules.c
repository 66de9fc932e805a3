/* The rules of carts, without servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../cart.h"

#define ACCOUNT "01890a5d-ac96-774b-bcce-b302099a8057"

static int open_arena(void **state)
{
	*state = sk_arena_open(1 << 20);
	return 0;
}

static int close_arena(void **state)
{
	struct sk_arena *arena = *state;

	sk_arena_close(&arena);
	return 0;
}

/* ---- whose cart ---- */

static void an_account_s_cart_wins_over_the_guest_s(void **state)
{
	struct cart_owner owner = cart_owner_of(*state, ACCOUNT, sk_token_make(*state));

	assert_string_equal(owner.key, "cart:a:" ACCOUNT);
	assert_string_equal(owner.token, "");
}

static void a_guest_s_cart_is_kept_under_the_hash_of_its_token(void **state)
{
	const char *token = sk_token_make(*state);
	struct cart_owner owner = cart_owner_of(*state, "", token);

	assert_string_equal(owner.key,
			    sk_arena_printf(*state, "cart:g:%s", sk_token_hash(*state, token)));
	assert_string_equal(owner.token, token);
	assert_null(strstr(owner.key, token));
}

static void what_is_no_token_of_ours_has_no_cart(void **state)
{
	static const char *const WRONG[] = { NULL, "", "abc",
					     "0123456789 123456789+123456789/123456789=12" };

	for (size_t i = 0; i < sizeof(WRONG) / sizeof(*WRONG); i++)
		assert_null(cart_owner_of(*state, "", WRONG[i]).key);
}

/* ---- lines ---- */

static void a_line_is_a_quantity_and_a_position(void **state)
{
	struct cart_line line;

	(void)state;
	assert_true(cart_line_parse("12:3", &line));
	assert_int_equal(line.quantity, 12);
	assert_int_equal(line.position, 3);
}

static void what_is_no_line_is_not_taken_for_one(void **state)
{
	static const char *const WRONG[] = { "", "12", ":3", "12:x", "0:1", "-1:1", "10001:1" };
	struct cart_line line;

	(void)state;
	for (size_t i = 0; i < sizeof(WRONG) / sizeof(*WRONG); i++)
		assert_false(cart_line_parse(WRONG[i], &line));
}

static struct cart_line priced(const char *sku, int64_t quantity, int64_t minor,
			       const char *currency)
{
	return (struct cart_line) {
		.sku = sku,
		.quantity = quantity,
		.known = true,
		.active = true,
		.price = sk_money_of(minor, currency),
	};
}

static void lines_show_in_the_order_of_their_adding(void **state)
{
	struct cart_line lines[] = { { .sku = "b", .position = 7 },
				     { .sku = "c", .position = 2 },
				     { .sku = "a", .position = 7 } };
	struct cart cart = { .id = "id", .lines = lines, .count = 3 };

	(void)state;
	cart_sort(&cart);
	assert_string_equal(lines[0].sku, "c");
	assert_string_equal(lines[1].sku, "a");
	assert_string_equal(lines[2].sku, "b");
}

static void a_subtotal_is_the_sum_of_price_times_quantity(void **state)
{
	struct cart_line lines[] = { priced("a", 2, 1999, "GBP"), priced("b", 1, 1, "GBP") };
	struct cart cart = { .id = "id", .lines = lines, .count = 2 };
	struct sk_money subtotal;

	(void)state;
	assert_true(cart_subtotal(&cart, "EUR", &subtotal));
	assert_int_equal(subtotal.minor, 3999);
	assert_string_equal(subtotal.currency, "GBP");
}

static void the_subtotal_of_an_empty_cart_is_nothing_in_the_shop_s_currency(void **state)
{
	struct cart cart = { .id = NULL };
	struct sk_money subtotal;

	(void)state;
	assert_true(cart_subtotal(&cart, "EUR", &subtotal));
	assert_int_equal(subtotal.minor, 0);
	assert_string_equal(subtotal.currency, "EUR");
}

static void two_currencies_have_no_subtotal(void **state)
{
	struct cart_line lines[] = { priced("a", 1, 100, "GBP"), priced("b", 1, 100, "EUR") };
	struct cart cart = { .id = "id", .lines = lines, .count = 2 };
	struct sk_money subtotal;

	(void)state;
	assert_false(cart_subtotal(&cart, "GBP", &subtotal));
}

static void an_amount_beyond_every_limit_has_no_subtotal(void **state)
{
	struct cart_line lines[] = { priced("a", CART_QUANTITY_MAX, SK_MONEY_MAX_MINOR, "GBP") };
	struct cart cart = { .id = "id", .lines = lines, .count = 1 };
	struct sk_money subtotal;

	(void)state;
	assert_false(cart_subtotal(&cart, "GBP", &subtotal));
}

static void a_line_without_a_price_is_left_out_of_the_subtotal(void **state)
{
	struct cart_line lines[] = { { .sku = "gone", .quantity = 1 }, priced("a", 1, 100, "GBP") };
	struct cart cart = { .id = "id", .lines = lines, .count = 2 };
	struct sk_money subtotal, total;

	(void)state;
	assert_false(cart_line_total(&lines[0], &total));
	assert_true(cart_subtotal(&cart, "EUR", &subtotal));
	assert_int_equal(subtotal.minor, 100);
	assert_string_equal(subtotal.currency, "GBP");
}

static void a_level_that_nobody_told_is_not_known(void **state)
{
	struct cart_line line = priced("a", 1, 100, "GBP");
	int64_t available;

	(void)state;
	assert_false(cart_line_available(&line, &available));
	line.level_known = true;
	line.available = 7;
	assert_true(cart_line_available(&line, &available));
	assert_int_equal(available, 7);
}

static void nothing_is_available_of_what_is_no_longer_sold(void **state)
{
	struct cart_line line = priced("a", 1, 100, "GBP");
	int64_t available = -1;

	(void)state;
	line.active = false;
	line.level_known = true;
	line.available = 7;
	assert_true(cart_line_available(&line, &available));
	assert_int_equal(available, 0);
}

static void a_cart_s_tag_changes_with_its_version(void **state)
{
	struct cart none = { .id = NULL }, cart = { .id = "x", .version = 3 };

	assert_string_equal(cart_tag(*state, &none), "0");
	assert_string_equal(cart_tag(*state, &cart), "x.3");
}

static void a_variant_s_title_follows_the_product_s(void **state)
{
	assert_string_equal(cart_title(*state, "Shirt", ""), "Shirt");
	assert_string_equal(cart_title(*state, "Shirt", "Small / Blue"), "Shirt - Small / Blue");
}

/* ---- refusals ---- */

static void a_refusal_s_word_decides_its_status(void **state)
{
	static const struct {
		const char *word, *field;
		enum sk_status status;
	} CASES[] = {
		{ "precondition_failed", NULL, SK_PRECONDITION },
		{ "unknown_sku", "sku", SK_INVALID },
		{ "cart_full", "sku", SK_INVALID },
		{ "quantity_too_high", "quantity", SK_INVALID },
		{ "currency_mismatch", "sku", SK_INVALID },
		{ "idempotency_key_reused", NULL, SK_INVALID },
		{ "catalog_not_ready", NULL, SK_UNAVAILABLE },
		{ "what no function says", NULL, SK_INTERNAL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(*CASES); i++) {
		struct sk_context context;
		const char *field = cart_refused_field(CASES[i].word);

		sk_context_init(&context, 0);
		assert_int_equal(cart_refusal(&context, CASES[i].word), CASES[i].status);
		assert_int_equal(field == NULL, CASES[i].field == NULL);
		if (field != NULL)
			assert_string_equal(field, CASES[i].field);
		sk_context_release(&context);
	}
}

/* ---- sets of SKUs ---- */

static void skus_survive_joining_and_splitting(void **state)
{
	const char *list[] = { "A 1", "B,2", "C" };
	struct cart_skus skus = { list, 3 }, again;

	again = cart_skus_split(*state, cart_skus_join(*state, &skus));
	assert_int_equal(again.count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(again.list[i], list[i]);
	assert_int_equal(cart_skus_split(*state, "").count, 0);
}

static void a_sku_that_a_product_no_longer_lists_is_gone(void **state)
{
	const char *old[] = { "A", "B", "C" }, *new[] = { "C", "D", "A" };
	struct cart_skus before = { old, 3 }, now = { new, 3 }, none = { NULL, 0 };
	struct cart_skus gone = cart_skus_gone(*state, &before, &now);

	assert_int_equal(gone.count, 1);
	assert_string_equal(gone.list[0], "B");
	assert_int_equal(cart_skus_gone(*state, &before, &none).count, 3);
	assert_int_equal(cart_skus_gone(*state, &none, &now).count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_arena, close_arena)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_account_s_cart_wins_over_the_guest_s),
		TEST(a_guest_s_cart_is_kept_under_the_hash_of_its_token),
		TEST(what_is_no_token_of_ours_has_no_cart),
		TEST(a_line_is_a_quantity_and_a_position),
		TEST(what_is_no_line_is_not_taken_for_one),
		TEST(lines_show_in_the_order_of_their_adding),
		TEST(a_subtotal_is_the_sum_of_price_times_quantity),
		TEST(the_subtotal_of_an_empty_cart_is_nothing_in_the_shop_s_currency),
		TEST(two_currencies_have_no_subtotal),
		TEST(an_amount_beyond_every_limit_has_no_subtotal),
		TEST(a_line_without_a_price_is_left_out_of_the_subtotal),
		TEST(a_level_that_nobody_told_is_not_known),
		TEST(nothing_is_available_of_what_is_no_longer_sold),
		TEST(a_cart_s_tag_changes_with_its_version),
		TEST(a_variant_s_title_follows_the_product_s),
		TEST(a_refusal_s_word_decides_its_status),
		TEST(skus_survive_joining_and_splitting),
		TEST(a_sku_that_a_product_no_longer_lists_is_gone),
	};

	return cmocka_run_group_tests_name("cart rules", tests, NULL, NULL);
}
