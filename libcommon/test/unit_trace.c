#include "unit.h"

#include "sk_trace.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN  "00f067aa0ba902b7"

static void a_new_trace_can_be_read_again(void **state)
{
	struct sk_trace trace = sk_trace_new(), again;
	char text[SK_TRACEPARENT_BYTES];

	(void)state;
	assert_int_equal(strspn(trace.trace_id, "0123456789abcdef"), 32);
	assert_int_equal(strspn(trace.span_id, "0123456789abcdef"), 16);
	assert_int_equal(strlen(sk_trace_format(&trace, text)), SK_TRACEPARENT_BYTES - 1);
	again = sk_trace_continue(text);
	assert_string_equal(again.trace_id, trace.trace_id);
	assert_string_not_equal(again.span_id, trace.span_id);
	assert_true(again.sampled);
}

static void an_incoming_trace_goes_on_with_a_span_of_our_own(void **state)
{
	static const struct {
		const char *text;
		bool sampled;
	} cases[] = {
		{ "00-" TRACE "-" SPAN "-01", true },
		{ "00-" TRACE "-" SPAN "-00", false },
		{ "00-" TRACE "-" SPAN "-03", true },
		{ "00-" TRACE "-" SPAN "-02", false },
		{ "01-" TRACE "-" SPAN "-01", true },
		{ "cc-" TRACE "-" SPAN "-01-what-comes-later",
		  true }, /* versions to come may go on */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sk_trace trace = sk_trace_continue(cases[i].text);

		assert_string_equal(trace.trace_id, TRACE);
		assert_string_not_equal(trace.span_id, SPAN);
		assert_int_equal(trace.sampled, cases[i].sampled);
	}
}

static void what_is_no_traceparent_begins_a_new_trace(void **state)
{
	static const char *const cases[] = {
		NULL,
		"",
		"00",
		"00-" TRACE "-" SPAN,
		"00-" TRACE "-" SPAN "-",
		"00-" TRACE "-" SPAN "-1",
		"00-" TRACE "-" SPAN "-01-more",
		"00-" TRACE "-" SPAN "-012",
		"00-" TRACE "-" SPAN "-0g",
		"ff-" TRACE "-" SPAN "-01",
		"0-" TRACE "-" SPAN "-01",
		"FF-" TRACE "-" SPAN "-01",
		"00_" TRACE "-" SPAN "-01",
		"01-" TRACE "-" SPAN "-01x",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
		"00-4bf92f3577b34da6a3ce929d0e0e473-" SPAN "-01--",
		"00-00000000000000000000000000000000-" SPAN "-01",
		"00-" TRACE "-0000000000000000-01",
		"00-" TRACE "-00f067aa0ba902bg-01",
		" 00-" TRACE "-" SPAN "-01",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sk_trace trace = sk_trace_continue(cases[i]);

		if (strcmp(trace.trace_id, TRACE) == 0 || strlen(trace.trace_id) != 32)
			fail_msg("%s", cases[i]);
	}
}

static void a_trace_is_written_as_the_recommendation_has_it(void **state)
{
	struct sk_trace trace = { .trace_id = TRACE, .span_id = SPAN, .sampled = false };
	char text[SK_TRACEPARENT_BYTES];

	(void)state;
	assert_string_equal(sk_trace_format(&trace, text), "00-" TRACE "-" SPAN "-00");
	trace.sampled = true;
	assert_string_equal(sk_trace_format(&trace, text), "00-" TRACE "-" SPAN "-01");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_trace_can_be_read_again),
		cmocka_unit_test(an_incoming_trace_goes_on_with_a_span_of_our_own),
		cmocka_unit_test(what_is_no_traceparent_begins_a_new_trace),
		cmocka_unit_test(a_trace_is_written_as_the_recommendation_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
