#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "sk_id.h"
#include "sk_time.h"

#define IDS 2000

static struct sk_arena *arena;

static int open_arena(void **state)
{
	(void)state;
	arena = sk_arena_open(SIZE_MAX);
	return 0;
}

static int close_arena(void **state)
{
	(void)state;
	sk_arena_close(&arena);
	return 0;
}

/* The millisecond in a UUIDv7's first 48 bits. */
static int64_t made_at_ms(const char *id)
{
	char digits[13];

	memcpy(digits, id, 8);
	memcpy(digits + 8, id + 9, 4);
	digits[12] = '\0';
	return (int64_t)strtoll(digits, NULL, 16);
}

static int compare_ids(const void *a, const void *b)
{
	return strcmp(((const struct sk_id *)a)->text, ((const struct sk_id *)b)->text);
}

static void a_new_id_is_a_uuid_of_version_7_with_the_time_in_front(void **state)
{
	int64_t before = sk_time_now_us() / 1000;
	struct sk_id id = sk_id_new();

	(void)state;
	assert_true(sk_id_valid(id.text));
	assert_int_equal(id.text[14], '7');
	assert_non_null(strchr("89ab", id.text[19]));
	assert_in_range(made_at_ms(id.text), before, sk_time_now_us() / 1000);
	assert_true(sk_id_valid(sk_id_make(arena)));
}

static void ids_do_not_repeat_and_sort_by_their_millisecond(void **state)
{
	static struct sk_id ids[IDS];

	(void)state;
	for (int i = 0; i < IDS; i++) {
		ids[i] = sk_id_new();
		assert_true(i == 0 || made_at_ms(ids[i - 1].text) <= made_at_ms(ids[i].text));
	}
	qsort(ids, IDS, sizeof(ids[0]), compare_ids);
	for (int i = 1; i < IDS; i++) {
		assert_string_not_equal(ids[i - 1].text, ids[i].text);
		assert_true(made_at_ms(ids[i - 1].text) <= made_at_ms(ids[i].text));
	}
}

static void only_canonical_lower_case_is_an_id(void **state)
{
	static const struct {
		const char *text;
		bool valid;
	} cases[] = {
		{ "0190a3b2-1234-7abc-8def-0123456789ab", true },
		{ "00000000-0000-0000-0000-000000000000", true }, /* any version */
		{ "f47ac10b-58cc-4372-a567-0e02b2c3d479", true },
		{ NULL, false },
		{ "", false },
		{ "0190A3B2-1234-7abc-8def-0123456789ab", false },
		{ "0190a3b2-1234-7abc-8def-0123456789a", false },
		{ "0190a3b2-1234-7abc-8def-0123456789abc", false },
		{ "0190a3b2-1234-7abc-8def-0123456789ag", false },
		{ "0190a3b21234-7abc--8def-0123456789ab", false },
		{ "0190a3b2_1234-7abc-8def-0123456789ab", false },
		{ "0190a3b212347abc8def0123456789ab", false },
		{ "{190a3b2-1234-7abc-8def-0123456789a}", false },
		{ " 190a3b2-1234-7abc-8def-0123456789ab", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		if (sk_id_valid(cases[i].text) != cases[i].valid)
			fail_msg("%s", cases[i].text);
}

static void what_follows_from_a_name_always_has_the_same_id(void **state)
{
	const char *name = "cancel:0190a3b2-0000-7000-8000-000000000001";

	(void)state;
	assert_string_equal(sk_id_derive(arena, name), "cb74def5-6eef-8bf1-9c5d-7774617b3451");
	assert_string_equal(sk_id_derive(arena, name), sk_id_derive(arena, name));
	assert_string_not_equal(sk_id_derive(arena, name), sk_id_derive(arena, "cancel:"));
	assert_true(sk_id_valid(sk_id_derive(arena, "")));
}

static void a_token_is_43_characters_of_url_safe_base64(void **state)
{
	const char *token = sk_token_make(arena);

	(void)state;
	assert_int_equal(strlen(token), 43);
	assert_int_equal(
		strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
		43);
	assert_string_not_equal(token, sk_token_make(arena));
}

static void a_token_is_stored_as_its_sha_256(void **state)
{
	(void)state;
	/* FIPS 180-2, appendix B.1 */
	assert_string_equal(sk_token_hash(arena, "abc"),
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_string_equal(sk_token_hash(arena, ""),
			    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void an_id_becomes_one_token_of_a_subject(void **state)
{
	static const char *const cases[][2] = {
		{ "SKU-1_a", "SKU-1_a" }, { "", "=" },		{ "=", "=3D" },
		{ "a.b", "a=2Eb" },	  { "a b", "a=20b" },	{ "*", "=2A" },
		{ ">", "=3E" },		  { "$SYS", "=24SYS" }, { "caf\xc3\xa9", "caf=C3=A9" },
		{ "\r\n", "=0D=0A" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_string_equal(sk_subject_token(arena, cases[i][0]), cases[i][1]);
}

static void a_sku_is_1_to_64_printable_ascii_characters(void **state)
{
	char longest[66];

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[64] = '\0';
	assert_true(sk_sku_valid(longest));
	longest[64] = 'x';
	longest[65] = '\0';
	assert_false(sk_sku_valid(longest));
	assert_true(sk_sku_valid("A"));
	assert_true(sk_sku_valid("TEA 250g/blue~"));
	assert_false(sk_sku_valid(NULL));
	assert_false(sk_sku_valid(""));
	assert_false(sk_sku_valid(" A"));
	assert_false(sk_sku_valid("A "));
	assert_false(sk_sku_valid("A\tB"));
	assert_false(sk_sku_valid("A\x7f"));
	assert_false(sk_sku_valid("caf\xc3\xa9"));
}

static void an_address_that_mail_goes_to_has_one_at_and_nothing_that_ends_a_header(void **state)
{
	static const struct {
		const char *text;
		bool valid;
	} cases[] = {
		{ "ada@example.com", true },
		{ "a.b+tag@sub.example.co.uk", true },
		{ "admin@souk.localhost", true },
		{ "x@y", true },
		{ NULL, false },
		{ "", false },
		{ "@", false },
		{ "ada", false },
		{ "@example.com", false },
		{ "ada@", false },
		{ "ada@@example.com", false },
		{ "ada@example@com", false },
		{ "ada@.example.com", false },
		{ "ada@example.com.", false },
		{ "ada lovelace@example.com", false },
		{ "ada@example.com\r\nBcc: x@y", false },
		{ "ada@example.com\n", false },
		{ "ada@exa\x7fmple.com", false },
		{ "<ada@example.com>", false },
		{ "ada@example.com,eve@example.com", false },
		{ "\"ada\"@example.com", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		if (sk_email_valid(cases[i].text) != cases[i].valid)
			fail_msg("%s", cases[i].text);
}

static void an_address_keeps_the_lengths_of_rfc_5321(void **state)
{
	char address[300];

	(void)state;
	snprintf(address, sizeof(address), "%064d@example.com", 1);
	assert_true(sk_email_valid(address));
	snprintf(address, sizeof(address), "%065d@example.com", 1);
	assert_false(sk_email_valid(address));
	snprintf(address, sizeof(address), "a@%0252d", 1);
	assert_true(sk_email_valid(address));
	snprintf(address, sizeof(address), "a@%0253d", 1);
	assert_false(sk_email_valid(address));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_id_is_a_uuid_of_version_7_with_the_time_in_front),
		cmocka_unit_test(ids_do_not_repeat_and_sort_by_their_millisecond),
		cmocka_unit_test(only_canonical_lower_case_is_an_id),
		cmocka_unit_test(what_follows_from_a_name_always_has_the_same_id),
		cmocka_unit_test(a_token_is_43_characters_of_url_safe_base64),
		cmocka_unit_test(a_token_is_stored_as_its_sha_256),
		cmocka_unit_test(an_id_becomes_one_token_of_a_subject),
		cmocka_unit_test(a_sku_is_1_to_64_printable_ascii_characters),
		cmocka_unit_test(
			an_address_that_mail_goes_to_has_one_at_and_nothing_that_ends_a_header),
		cmocka_unit_test(an_address_keeps_the_lengths_of_rfc_5321),
	};

	return cmocka_run_group_tests(tests, open_arena, close_arena);
}
