/* W3C trace context (Recommendation, 2021): the trace id that follows a request
 * through every message, log line and audit entry. */
#ifndef SK_TRACE_H
#define SK_TRACE_H

#include <stdbool.h>

#define SK_TRACEPARENT_BYTES 56

struct sk_trace {
	char trace_id[33]; /* 32 lower-case hexadecimal digits, not all zero */
	char span_id[17];
	bool sampled;
};

/* A new trace. Thread-safe. */
struct sk_trace sk_trace_new(void);

/* The trace of an incoming traceparent with a span of our own; a new trace
 * where the text is NULL or not a valid traceparent. */
struct sk_trace sk_trace_continue(const char *traceparent);

/* "00-<trace>-<span>-01". Returns out. */
const char *sk_trace_format(const struct sk_trace *trace, char out[SK_TRACEPARENT_BYTES]);

#endif
