/* stderr is one end of a socket that keeps the bounds of each write(2), so that a
 * datagram is what one call of the log wrote. */
#include "unit.h"

#include <cjson/cJSON.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../sk_json.h"
#include "../sk_log.h"

#define LINE_MAX_BYTES 4096

static struct sk_context context;
static int ends[2], kept_stderr;

static int catch_stderr(void **state)
{
	(void)state;
	sk_context_init(&context, 0);
	sk_log_init("order", SK_LOG_INFO);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	kept_stderr = dup(STDERR_FILENO);
	return dup2(ends[0], STDERR_FILENO) < 0;
}

static int give_stderr_back(void **state)
{
	(void)state;
	dup2(kept_stderr, STDERR_FILENO);
	close(kept_stderr);
	close(ends[0]);
	close(ends[1]);
	sk_context_release(&context);
	return 0;
}

/* The one line that was written, as JSON; NULL where nothing was. */
static const cJSON *read_line(void)
{
	const cJSON *line = NULL;
	char text[LINE_MAX_BYTES * 2], more[1];
	ssize_t len = recv(ends[1], text, sizeof(text), 0);

	if (len < 0)
		return NULL;
	assert_true(len <= LINE_MAX_BYTES);
	assert_int_equal(text[len - 1], '\n');
	assert_null(memchr(text, '\n', (size_t)len - 1));
	assert_true(recv(ends[1], more, sizeof(more), 0) < 0);
	assert_int_equal(sk_json_parse(&context, text, (size_t)len, &line), SK_OK);
	return line;
}

static const char *member(const cJSON *line, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(line, name));
}

static void a_line_has_time_level_service_trace_and_message(void **state)
{
	const cJSON *line;

	(void)state;
	sk_log(SK_LOG_WARN, &context, "%d of %s", 2, "three");
	line = read_line();
	assert_int_equal(strlen(member(line, "time")), 27);
	assert_string_equal(member(line, "level"), "warn");
	assert_string_equal(member(line, "service"), "order");
	assert_string_equal(member(line, "trace_id"), context.trace.trace_id);
	assert_string_equal(member(line, "message"), "2 of three");
}

static void without_a_context_there_is_no_trace(void **state)
{
	(void)state;
	sk_log(SK_LOG_ERROR, NULL, "down");
	assert_null(member(read_line(), "trace_id"));
}

static void what_is_below_the_level_is_not_written(void **state)
{
	(void)state;
	sk_log(SK_LOG_DEBUG, NULL, "detail");
	assert_null(read_line());
	sk_log_init("order", SK_LOG_ERROR);
	sk_log(SK_LOG_WARN, NULL, "odd");
	sk_log_access(&context, "GET", "/v1/orders", 200, 1);
	sk_log_failure(SK_LOG_WARN, &context, "sending");
	assert_null(read_line());
	sk_log(SK_LOG_ERROR, NULL, "broken");
	assert_non_null(read_line());
}

static void whatever_the_message_holds_the_line_is_json(void **state)
{
	static const char *const cases[][2] = {
		{ "say \"hi\" \\ bye", "say \"hi\" \\ bye" },
		{ "two\r\nlines\t", "two\r\nlines\t" },
		{ "\x01\x1f\x7f", "\x01\x1f\x7f" },
		{ "caf\xc3\xa9", "caf\xc3\xa9" },
		{ "a\xff"
		  "b\xc3",
		  "a\xef\xbf\xbd"
		  "b\xef\xbf\xbd" },
		{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\",\"level\":\"error", "\",\"level\":\"error" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		sk_log(SK_LOG_INFO, NULL, "%s", cases[i][0]);
		assert_string_equal(member(read_line(), "message"), cases[i][1]);
	}
}

static void however_long_the_message_the_line_is_json_of_4_kib_at_most(void **state)
{
	static const char *const pieces[] = { "x",   "\"", "\x01", "\xc3\xa9", "\xf0\x9f\x8f\xba",
					      "\xff" };
	char text[3 * LINE_MAX_BYTES];

	(void)state;
	for (size_t i = 0; i < COUNT(pieces); i++) {
		size_t len = strlen(pieces[i]);

		/* Each place where the cut may fall within a character or an escape. */
		for (size_t shift = 0; shift < 8; shift++) {
			memset(text, 'x', shift);
			for (size_t at = shift; at + len < sizeof(text); at += len)
				memcpy(text + at, pieces[i], len + 1);
			sk_log(SK_LOG_INFO, &context, "%s", text);
			assert_true(strlen(member(read_line(), "message")) > 500);
		}
	}
}

static void a_failure_is_written_with_its_code(void **state)
{
	const cJSON *line;

	(void)state;
	assert_int_equal(sk_fail(&context, SK_TIMEOUT, "valkey_timeout", "no answer in %d ms", 200),
			 SK_TIMEOUT);
	sk_log_failure(SK_LOG_ERROR, &context, "reading the cart");
	line = read_line();
	assert_string_equal(member(line, "code"), "valkey_timeout");
	assert_string_equal(member(line, "message"), "reading the cart: no answer in 200 ms");
}

static void a_failure_without_a_sentence_is_its_status(void **state)
{
	(void)state;
	context.error.status = SK_UNAVAILABLE;
	sk_log_failure(SK_LOG_ERROR, &context, "opening");
	assert_string_equal(member(read_line(), "message"), "opening: unavailable");
}

static void a_request_is_one_line_with_numbers(void **state)
{
	const cJSON *line;

	(void)state;
	context.actor.address = "192.0.2.7";
	sk_log_access(&context, "POST", "/v1/orders/{id}", 201, 1234567);
	line = read_line();
	assert_string_equal(member(line, "method"), "POST");
	assert_string_equal(member(line, "route"), "/v1/orders/{id}");
	assert_string_equal(member(line, "address"), "192.0.2.7");
	assert_int_equal(cJSON_GetObjectItem(line, "status")->valueint, 201);
	assert_int_equal(cJSON_GetObjectItem(line, "duration_us")->valueint, 1234567);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_line_has_time_level_service_trace_and_message,
						catch_stderr, give_stderr_back),
		cmocka_unit_test_setup_teardown(without_a_context_there_is_no_trace, catch_stderr,
						give_stderr_back),
		cmocka_unit_test_setup_teardown(what_is_below_the_level_is_not_written,
						catch_stderr, give_stderr_back),
		cmocka_unit_test_setup_teardown(whatever_the_message_holds_the_line_is_json,
						catch_stderr, give_stderr_back),
		cmocka_unit_test_setup_teardown(
			however_long_the_message_the_line_is_json_of_4_kib_at_most, catch_stderr,
			give_stderr_back),
		cmocka_unit_test_setup_teardown(a_failure_is_written_with_its_code, catch_stderr,
						give_stderr_back),
		cmocka_unit_test_setup_teardown(a_failure_without_a_sentence_is_its_status,
						catch_stderr, give_stderr_back),
		cmocka_unit_test_setup_teardown(a_request_is_one_line_with_numbers, catch_stderr,
						give_stderr_back),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
