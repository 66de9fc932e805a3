#include "sk_trace.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

static void random_hex(char *out, size_t bytes)
{
	unsigned char raw[16];

	do {
		randombytes_buf(raw, bytes);
	} while (sodium_is_zero(raw, bytes));
	sodium_bin2hex(out, bytes * 2 + 1, raw, bytes);
}

struct sk_trace sk_trace_new(void)
{
	struct sk_trace trace = { .sampled = true };

	random_hex(trace.trace_id, 16);
	random_hex(trace.span_id, 8);
	return trace;
}

/* count lower-case hexadecimal digits, not all zero. */
static bool is_hex_id(const char *text, size_t count)
{
	bool zero = true;

	for (size_t i = 0; i < count; i++) {
		if (text[i] == '\0' || strchr("0123456789abcdef", text[i]) == NULL)
			return false;
		zero = zero && text[i] == '0';
	}
	return !zero;
}

/* version "-" trace-id "-" parent-id "-" flags; versions above 00 may go on after it. */
static bool is_traceparent(const char *text)
{
	if (strlen(text) < SK_TRACEPARENT_BYTES - 1 || strncmp(text, "ff", 2) == 0)
		return false;
	if (strspn(text, "0123456789abcdef") != 2 || text[2] != '-' || text[35] != '-' ||
	    text[52] != '-')
		return false;
	if (strspn(text + 53, "0123456789abcdef") < 2)
		return false;
	if (text[55] != '\0' && (strncmp(text, "00", 2) == 0 || text[55] != '-'))
		return false;
	return is_hex_id(text + 3, 32) && is_hex_id(text + 36, 16);
}

struct sk_trace sk_trace_continue(const char *traceparent)
{
	struct sk_trace trace;

	if (traceparent == NULL || !is_traceparent(traceparent))
		return sk_trace_new();
	memcpy(trace.trace_id, traceparent + 3, 32);
	trace.trace_id[32] = '\0';
	random_hex(trace.span_id, 8);
	trace.sampled = (strchr("13579bdf", traceparent[54]) != NULL);
	return trace;
}

const char *sk_trace_format(const struct sk_trace *trace, char out[SK_TRACEPARENT_BYTES])
{
	(void)snprintf(out, SK_TRACEPARENT_BYTES, "00-%s-%s-%s", trace->trace_id, trace->span_id,
		       trace->sampled ? "01" : "00");
	return out;
}
