#include "unit.h"

#include "sk_status.h"

static void every_status_has_a_word_of_its_own(void **state)
{
	(void)state;
	for (int a = SK_OK; a <= SK_INTERNAL; a++) {
		const char *word = sk_status_name((enum sk_status)a);

		assert_true(strlen(word) > 0);
		assert_int_equal(strspn(word, "abcdefghijklmnopqrstuvwxyz_"), strlen(word));
		for (int b = SK_OK; b < a; b++)
			assert_string_not_equal(word, sk_status_name((enum sk_status)b));
	}
}

static void a_value_that_is_no_status_is_an_internal_error(void **state)
{
	(void)state;
	assert_string_equal(sk_status_name((enum sk_status)(SK_INTERNAL + 1)), "internal");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_status_has_a_word_of_its_own),
		cmocka_unit_test(a_value_that_is_no_status_is_an_internal_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
