#include "unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "../sk_config.h"

static const struct sk_config_field FIELDS[] = {
	{ "UNIT_SECONDS", SK_CONFIG_INT, "30", 1, 60, 0, "seconds" },
	{ "UNIT_NAME", SK_CONFIG_TEXT, NULL, 1, 8, SK_CONFIG_REQUIRED, "a name" },
	{ "UNIT_ON", SK_CONFIG_BOOL, "0", 0, 0, 0, "whether" },
	{ NULL, SK_CONFIG_TEXT, NULL, 0, 0, 0, NULL },
};

static struct sk_context context;

static int set_up(void **state)
{
	(void)state;
	sk_context_init(&context, 0);
	unsetenv("UNIT_SECONDS");
	unsetenv("UNIT_NAME_FILE");
	unsetenv("UNIT_ON");
	setenv("UNIT_NAME", "souk", 1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	sk_context_release(&context);
	return 0;
}

static void values_come_from_the_environment_or_the_fallback(void **state)
{
	struct sk_config *config = NULL;

	(void)state;
	setenv("UNIT_ON", "yes", 1);
	assert_int_equal(sk_config_open(FIELDS, &config, &context), SK_OK);
	assert_int_equal(sk_config_int(config, "UNIT_SECONDS"), 30);
	assert_string_equal(sk_config_text(config, "UNIT_NAME"), "souk");
	assert_true(sk_config_bool(config, "UNIT_ON"));
	sk_config_close(&config);
	assert_null(config);
}

static void a_wrong_value_names_its_variable_and_its_limits(void **state)
{
	static const char *const wrong[] = { "0", "61", "x", "5x", "", "99999999999999999999" };
	struct sk_config *config = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		if (wrong[i][0] == '\0')
			continue; /* empty is absent */
		sk_context_clear_error(&context);
		setenv("UNIT_SECONDS", wrong[i], 1);
		assert_int_equal(sk_config_open(FIELDS, &config, &context), SK_INVALID);
		assert_string_equal(context.error.detail,
				    "UNIT_SECONDS must be an integer from 1 to 60");
	}
}

static void a_required_value_that_is_missing_is_named(void **state)
{
	struct sk_config *config = NULL;

	(void)state;
	unsetenv("UNIT_NAME");
	assert_int_equal(sk_config_open(FIELDS, &config, &context), SK_INVALID);
	assert_string_equal(context.error.detail, "UNIT_NAME must be set");
}

static void a_secret_may_be_in_a_file(void **state)
{
	char path[] = "/tmp/souk-unit-XXXXXX";
	struct sk_config *config = NULL;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "filed\n", 6), 6);
	close(fd);
	unsetenv("UNIT_NAME");
	setenv("UNIT_NAME_FILE", path, 1);
	assert_int_equal(sk_config_open(FIELDS, &config, &context), SK_OK);
	assert_string_equal(sk_config_text(config, "UNIT_NAME"), "filed");
	sk_config_close(&config);
	unlink(path);
	assert_int_equal(sk_config_open(FIELDS, &config, &context), SK_INVALID);
	assert_non_null(strstr(context.error.detail, "UNIT_NAME_FILE"));
}

static void a_value_given_twice_is_refused(void **state)
{
	struct sk_config *config = NULL;

	(void)state;
	setenv("UNIT_NAME_FILE", "/dev/null", 1);
	assert_int_equal(sk_config_open(FIELDS, &config, &context), SK_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(values_come_from_the_environment_or_the_fallback,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_wrong_value_names_its_variable_and_its_limits,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_required_value_that_is_missing_is_named, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_secret_may_be_in_a_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_value_given_twice_is_refused, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
