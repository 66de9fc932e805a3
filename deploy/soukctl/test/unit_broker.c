/* What soukctl makes of the broker's answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "../broker.h"

static void a_number_that_no_stream_has_is_none(void **state)
{
	static const struct {
		const char *answer;
		uint64_t number;
	} cases[] = {
		{ "{\"seq\":0}", 0 },
		{ "{\"seq\":12}", 12 },
		{ "{\"seq\":9007199254740991}", 9007199254740991u },
		{ "{\"seq\":-12}", 0 },
		{ "{\"seq\":1e300}", 0 },
		{ "{\"seq\":-1e999}", 0 },
		{ "{\"seq\":\"12\"}", 0 },
		{ "{}", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cJSON *answer = cJSON_Parse(cases[i].answer);

		assert_non_null(answer);
		assert_int_equal(broker_number(answer, "seq"), cases[i].number);
		cJSON_Delete(answer);
	}
	assert_int_equal(broker_number(NULL, "seq"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_that_no_stream_has_is_none),
	};

	return cmocka_run_group_tests_name("soukctl_broker", tests, NULL, NULL);
}
