/* Each kind of value at its edges, files that are none, and that no secret is shown;
 * unit_config.c has the common use. */
#include "unit.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../sk_config.h"

static const struct sk_config_field FIELDS[] = {
	{ "UNIT_COUNT", SK_CONFIG_INT, "5", -3, 60, 0, "things at most" },
	{ "UNIT_WORD", SK_CONFIG_TEXT, "ab", 2, 4, 0, "a word" },
	{ "UNIT_ON", SK_CONFIG_BOOL, "0", 0, 0, 0, "whether" },
	{ "UNIT_URL", SK_CONFIG_URL, "", 0, 0, SK_CONFIG_SECRET, "where" },
	{ "UNIT_KEY", SK_CONFIG_TEXT, "development-key", 0, 0, SK_CONFIG_SECRET, "the key" },
	{ NULL, SK_CONFIG_TEXT, NULL, 0, 0, 0, NULL },
};

static struct sk_context context;
static char folder[] = "/tmp/souk-unit-XXXXXX";

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static int set_up(void **state)
{
	static const char *const common[] = {
		"LOG_LEVEL",  "HTTP_LISTEN",	   "POSTGRES_URL",
		"NATS_URL",   "OUTBOX_KEEP_HOURS", "HTTP_THREADS",
		"PUBLIC_URL", "VALKEY_URL",	   "VALKEY_CACHE_URL"
	};

	(void)state;
	for (size_t i = 0; i < COUNT(common); i++)
		unsetenv(common[i]);
	for (size_t i = 0; FIELDS[i].name != NULL; i++) {
		char file[64] = "";

		unsetenv(FIELDS[i].name);
		strncat(file, FIELDS[i].name, 32);
		strncat(file, "_FILE", 6);
		unsetenv(file);
	}
	sk_context_init(&context, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	sk_context_release(&context);
	return 0;
}

/* "" where the variable may have the value, or the error. */
static const char *error_of(const char *name, const char *value)
{
	struct sk_config *config = NULL;
	enum sk_status st;

	sk_context_clear_error(&context);
	setenv(name, value, 1);
	st = sk_config_open(FIELDS, &config, &context);
	unsetenv(name);
	assert_true(st == SK_OK ? config != NULL : config == NULL && st == SK_INVALID);
	sk_config_close(&config);
	return st == SK_OK ? "" : context.error.detail;
}

static void each_kind_has_its_edges(void **state)
{
	static const char *const cases[][3] = {
		{ "UNIT_COUNT", "-3", "" },
		{ "UNIT_COUNT", "60", "" },
		{ "UNIT_COUNT", "-4", "UNIT_COUNT must be an integer from -3 to 60" },
		{ "UNIT_COUNT", "61", "UNIT_COUNT must be an integer from -3 to 60" },
		{ "UNIT_COUNT", "5 ", "UNIT_COUNT must be an integer from -3 to 60" },
		{ "UNIT_COUNT", "0x5", "UNIT_COUNT must be an integer from -3 to 60" },
		{ "UNIT_COUNT", "5.0", "UNIT_COUNT must be an integer from -3 to 60" },
		{ "UNIT_COUNT", "-99999999999999999999",
		  "UNIT_COUNT must be an integer from -3 to 60" },
		{ "UNIT_WORD", "ab", "" },
		{ "UNIT_WORD", "a", "UNIT_WORD must have 2 to 4 characters" },
		{ "UNIT_WORD", "abcde", "UNIT_WORD must have 2 to 4 characters" },
		{ "UNIT_WORD", "abcd", "" },
		{ "UNIT_ON", "true", "" },
		{ "UNIT_ON", "no", "" },
		{ "UNIT_ON", "on", "UNIT_ON must be 1 or 0" },
		{ "UNIT_ON", "TRUE", "UNIT_ON must be 1 or 0" },
		{ "UNIT_URL", "postgresql://souk@localhost/souk", "" },
		{ "LOG_LEVEL", "debug", "" },
		{ "LOG_LEVEL", "error", "" },
		{ "LOG_LEVEL", "verbose", "LOG_LEVEL must be debug, info, warn or error" },
		{ "LOG_LEVEL", "INFO", "LOG_LEVEL must be debug, info, warn or error" },
		{ "OUTBOX_KEEP_HOURS", "23",
		  "OUTBOX_KEEP_HOURS must be an integer from 24 to 720" },
		{ "HTTP_THREADS", "0", "HTTP_THREADS must be an integer from 1 to 512" },
		{ "HTTP_THREADS", "513", "HTTP_THREADS must be an integer from 1 to 512" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_string_equal(error_of(cases[i][0], cases[i][1]), cases[i][2]);
}

static void every_word_for_yes_and_no_is_understood(void **state)
{
	static const struct {
		const char *word;
		bool value;
	} cases[] = { { "1", true },  { "true", true },	  { "yes", true },
		      { "0", false }, { "false", false }, { "no", false } };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sk_config *config = NULL;

		setenv("UNIT_ON", cases[i].word, 1);
		assert_int_equal(sk_config_open(FIELDS, &config, &context), SK_OK);
		assert_int_equal(sk_config_bool(config, "UNIT_ON"), cases[i].value);
		sk_config_close(&config);
	}
}

static void the_common_table_has_its_defaults(void **state)
{
	static const struct {
		const char *name;
		int64_t value;
	} numbers[] = {
		{ "HTTP_THREADS", 32 },
		{ "HTTP_TIMEOUT_MS", 10000 },
		{ "POSTGRES_CONNECTIONS", 8 },
		{ "POSTGRES_TIMEOUT_MS", 5000 },
		{ "VALKEY_CONNECTIONS", 8 },
		{ "VALKEY_TIMEOUT_MS", 200 },
		{ "NATS_PUBLISH_TIMEOUT_MS", 2000 },
		{ "CONSUMER_MAX_DELIVERIES", 10 },
		{ "OUTBOX_KEEP_HOURS", 24 },
		{ "DRAIN_TIMEOUT_S", 20 },
	};
	static const char *const texts[][2] = {
		{ "HTTP_LISTEN", "" },
		{ "POSTGRES_URL", "" },
		{ "VALKEY_URL", "" },
		{ "VALKEY_CACHE_URL", "" },
		{ "NATS_URL", "" },
		{ "LOG_LEVEL", "info" },
		{ "PUBLIC_URL", "http://localhost:8080" },
	};
	struct sk_config *config = NULL;

	(void)state;
	assert_int_equal(sk_config_open(NULL, &config, &context), SK_OK);
	for (size_t i = 0; i < COUNT(numbers); i++)
		assert_int_equal(sk_config_int(config, numbers[i].name), numbers[i].value);
	for (size_t i = 0; i < COUNT(texts); i++)
		assert_string_equal(sk_config_text(config, texts[i][0]), texts[i][1]);
	sk_config_close(&config);
}

static void a_wrong_secret_is_not_shown(void **state)
{
	const char *error = error_of("UNIT_URL", "hunter2@localhost");

	(void)state;
	assert_string_equal(error, "UNIT_URL must be a URL");
	assert_null(strstr(error, "hunter2"));
}

static void the_help_shows_defaults_but_no_secret(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	assert_non_null(out);
	sk_config_print_help(FIELDS, out);
	fclose(out);
	assert_non_null(strstr(text, "UNIT_COUNT                   things at most (5)\n"));
	assert_non_null(strstr(text, "UNIT_KEY                     the key\n"));
	assert_non_null(strstr(text, "HTTP_THREADS "));
	assert_null(strstr(text, "development-key"));
	free(text);
}

/* The text that a file with these bytes gives, or NULL with the error noted. */
static const char *text_of_file(const char *bytes, size_t len)
{
	const char *path = sk_arena_printf(context.arena, "%s/value", folder), *text = NULL;
	struct sk_config *config = NULL;
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
	sk_context_clear_error(&context);
	setenv("UNIT_KEY_FILE", path, 1);
	if (sk_config_open(FIELDS, &config, &context) == SK_OK)
		text = sk_arena_strdup(context.arena, sk_config_text(config, "UNIT_KEY"));
	sk_config_close(&config);
	unsetenv("UNIT_KEY_FILE");
	unlink(path);
	return text;
}

static void a_file_loses_one_newline_at_its_end(void **state)
{
	(void)state;
	assert_string_equal(text_of_file("key", 3), "key");
	assert_string_equal(text_of_file("key\n", 4), "key");
	assert_string_equal(text_of_file("key\n\n", 5), "key\n");
	assert_string_equal(text_of_file("\nkey", 4), "\nkey");
	assert_string_equal(text_of_file("", 0), "");
}

static void a_file_has_at_most_64_kib_and_no_nul(void **state)
{
	size_t most = 64 * 1024;
	char *bytes = sk_arena_alloc(context.arena, most + 1);

	(void)state;
	memset(bytes, 'x', most + 1);
	assert_int_equal(strlen(text_of_file(bytes, most)), most);
	assert_null(text_of_file(bytes, most + 1));
	assert_non_null(strstr(context.error.detail, "UNIT_KEY_FILE: "));
	assert_null(text_of_file("a\0b", 3));
	assert_null(text_of_file("\0", 1));
}

static void a_path_that_is_no_file_is_named(void **state)
{
	const char *error = error_of("UNIT_KEY_FILE", "/nowhere/key");

	(void)state;
	assert_string_equal(error,
			    "UNIT_KEY_FILE: cannot read /nowhere/key: No such file or directory");
	error = error_of("UNIT_KEY_FILE", "/tmp");
	assert_string_equal(error, "UNIT_KEY_FILE: /tmp is not a text of at most 65536 bytes");
}

static void the_value_of_a_file_is_checked_as_any_other(void **state)
{
	const char *path = sk_arena_printf(context.arena, "%s/count", folder);
	FILE *file = fopen(path, "w");

	(void)state;
	assert_non_null(file);
	fputs("61\n", file);
	fclose(file);
	assert_string_equal(error_of("UNIT_COUNT_FILE", path),
			    "UNIT_COUNT must be an integer from -3 to 60");
	unlink(path);
}

static void an_empty_variable_is_an_absent_one(void **state)
{
	(void)state;
	assert_string_equal(error_of("UNIT_COUNT", ""), "");
	assert_string_equal(error_of("UNIT_KEY_FILE", ""), "");
}

static void a_name_that_no_table_declares_aborts(void **state)
{
	struct sk_config *config = NULL;
	int status = 0;
	pid_t child;

	(void)state;
	assert_int_equal(sk_config_open(FIELDS, &config, &context), SK_OK);
	child = fork();
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		sk_config_text(config, "UNIT_NOTHING");
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	sk_config_close(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_kind_has_its_edges, set_up, tear_down),
		cmocka_unit_test_setup_teardown(every_word_for_yes_and_no_is_understood, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_common_table_has_its_defaults, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_wrong_secret_is_not_shown, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_help_shows_defaults_but_no_secret, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_file_loses_one_newline_at_its_end, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_file_has_at_most_64_kib_and_no_nul, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_path_that_is_no_file_is_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_value_of_a_file_is_checked_as_any_other, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(an_empty_variable_is_an_absent_one, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_name_that_no_table_declares_aborts, set_up,
						tear_down),
	};

	return cmocka_run_group_tests_name("config_values", tests, make_folder, remove_folder);
}
