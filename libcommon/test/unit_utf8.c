#include "unit.h"

#include "sk_utf8.h"

static void a_character_is_measured(void **state)
{
	static const struct {
		const char *text;
		size_t length;
	} cases[] = {
		{ "A", 1 },
		{ "\x7f", 1 },
		{ "\xc2\x80", 2 },	   /* U+0080 */
		{ "\xdf\xbf", 2 },	   /* U+07FF */
		{ "\xe0\xa0\x80", 3 },	   /* U+0800 */
		{ "\xed\x9f\xbf", 3 },	   /* U+D7FF, the last before the surrogates */
		{ "\xee\x80\x80", 3 },	   /* U+E000, the first after them */
		{ "\xef\xbf\xbf", 3 },	   /* U+FFFF */
		{ "\xf0\x90\x80\x80", 4 }, /* U+10000 */
		{ "\xf4\x8f\xbf\xbf", 4 }, /* U+10FFFF */
		{ "\x80", 0 },		   /* a continuation alone */
		{ "\xbf", 0 },
		{ "\xc0\xaf", 0 }, /* overlong '/' */
		{ "\xc1\xbf", 0 },
		{ "\xe0\x9f\xbf", 0 },	   /* overlong U+07FF */
		{ "\xed\xa0\x80", 0 },	   /* U+D800 */
		{ "\xed\xbf\xbf", 0 },	   /* U+DFFF */
		{ "\xf0\x8f\xbf\xbf", 0 }, /* overlong U+FFFF */
		{ "\xf4\x90\x80\x80", 0 }, /* U+110000 */
		{ "\xf5\x80\x80\x80", 0 },
		{ "\xff", 0 },
		{ "\xc3", 0 }, /* cut */
		{ "\xe2\x82", 0 },
		{ "\xf0\x9f\x8f", 0 },
		{ "\xc3(", 0 }, /* not continued */
		{ "\xe2\x82(", 0 },
		{ "\xf0\x9f\x8f(", 0 },
		{ "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		if (sk_utf8_length(cases[i].text, strlen(cases[i].text)) != cases[i].length)
			fail_msg("case %zu", i);
}

static void every_code_point_but_the_surrogates_has_one_form(void **state)
{
	(void)state;
	for (unsigned point = 0x80; point <= 0x10ffff; point++) {
		unsigned char text[4];
		size_t length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
		bool surrogate = point >= 0xd800 && point <= 0xdfff;

		for (size_t i = length - 1, rest = point; i > 0; i--, rest >>= 6)
			text[i] = (unsigned char)(0x80 | (rest & 0x3f));
		text[0] = (unsigned char)((0xf00u >> length & 0xf0) | point >> (6 * (length - 1)));
		if (length == 2)
			text[0] |= 0xc0;
		assert_int_equal(sk_utf8_length((const char *)text, length),
				 surrogate ? 0 : length);
		assert_int_equal(sk_utf8_length((const char *)text, length - 1), 0);
	}
}

static void a_text_is_valid_when_all_its_characters_are(void **state)
{
	(void)state;
	assert_true(sk_utf8_valid("", 0));
	assert_true(sk_utf8_valid("caf\xc3\xa9 \xf0\x9f\x8f\xba", 10));
	assert_true(sk_utf8_valid("a\0b", 3));
	assert_false(sk_utf8_valid("caf\xc3\xa9 \xf0\x9f\x8f", 9));
	assert_false(sk_utf8_valid("a\x80", 2));
}

static void only_a_character_that_was_cut_is_trimmed(void **state)
{
	static const char *const cases[][2] = {
		{ "", "" },
		{ "a", "a" },
		{ "caf\xc3\xa9", "caf\xc3\xa9" },
		{ "caf\xc3", "caf" },
		{ "x\xe2\x82", "x" },
		{ "x\xe2", "x" },
		{ "\xf0\x9f\x8f\xba", "\xf0\x9f\x8f\xba" },
		{ "\xf0\x9f\x8f", "" },
		{ "a\xf0\x9f", "a" },
		{ "\xc3", "" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[8];

		memcpy(text, cases[i][0], strlen(cases[i][0]) + 1);
		sk_utf8_trim(text);
		assert_string_equal(text, cases[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_character_is_measured),
		cmocka_unit_test(every_code_point_but_the_surrogates_has_one_form),
		cmocka_unit_test(a_text_is_valid_when_all_its_characters_are),
		cmocka_unit_test(only_a_character_that_was_cut_is_trimmed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
