/* Logs: one JSON object a line on stderr, with time, level, service, trace id
 * and message. Never a secret, a token, a password or a card in a message.
 * Thread-safe: a line is one write(2). */
#ifndef SK_LOG_H
#define SK_LOG_H

#include "sk_context.h"

enum sk_log_level { SK_LOG_DEBUG, SK_LOG_INFO, SK_LOG_WARN, SK_LOG_ERROR };

/* Set once by sk_service_main before any thread starts; the one piece of
 * process-wide state, because stderr is one too. */
void sk_log_init(const char *service, enum sk_log_level least);

/* context may be NULL (no trace id). The message is printf-style. */
void sk_log(enum sk_log_level level, const struct sk_context *context, const char *format, ...)
	SK_PRINTF(3, 4);

/* The error of a context at the given level: "<what>: <detail>" with its code. */
void sk_log_failure(enum sk_log_level level, const struct sk_context *context, const char *what);

/* One line of the access log. duration in microseconds. */
void sk_log_access(const struct sk_context *context, const char *method, const char *route,
		   int status, int64_t duration_us);

#endif
