/* A line is made in a buffer on the stack and leaves by one write(2), so that lines of
 * different threads never mix and logging needs no lock. */
#include "sk_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sk_time.h"
#include "sk_utf8.h"

#define LINE_MAX_BYTES	  4096
#define MESSAGE_MAX_BYTES 1536 /* escaped it may grow; put_escaped then cuts it */

static struct {
	char service[32];
	enum sk_log_level least;
} settings = { "souk", SK_LOG_INFO };

static const char *const LEVEL_NAMES[] = {
	[SK_LOG_DEBUG] = "debug",
	[SK_LOG_INFO] = "info",
	[SK_LOG_WARN] = "warn",
	[SK_LOG_ERROR] = "error",
};

struct line {
	char text[LINE_MAX_BYTES];
	size_t len;
};

void sk_log_init(const char *service, enum sk_log_level least)
{
	(void)snprintf(settings.service, sizeof(settings.service), "%s", service);
	settings.least = least;
}

static void put(struct line *line, const char *text, size_t len)
{
	/* Room for the closing quote, brace and newline is always kept. */
	size_t room = sizeof(line->text) - 8 - line->len;

	if (len > room)
		len = room;
	memcpy(line->text + line->len, text, len);
	line->len += len;
}

static void put_escaped(struct line *line, const char *text)
{
	size_t left = strlen(text);

	while (left > 0 && line->len < sizeof(line->text) - 16) {
		size_t length = sk_utf8_length(text, left);
		unsigned char c = (unsigned char)*text;
		char escaped[8];

		if (length == 0)
			put(line, "\\ufffd", 6);
		else if (c == '"' || c == '\\')
			put(line, (const char[]) { '\\', (char)c }, 2);
		else if (c < ' ' || c == 127)
			put(line, escaped,
			    (size_t)snprintf(escaped, sizeof(escaped), "\\u%04x", c));
		else
			put(line, text, length);
		length += length == 0;
		text += length;
		left -= length;
	}
}

static void put_text(struct line *line, const char *key, const char *value)
{
	put(line, ",\"", 2);
	put(line, key, strlen(key));
	put(line, "\":\"", 3);
	put_escaped(line, value);
	put(line, "\"", 1);
}

static void begin(struct line *line, enum sk_log_level level, const struct sk_context *context)
{
	char time[SK_RFC3339_BYTES];

	line->len = 0;
	sk_time_format(sk_time_now_us(), time);
	put(line, "{\"time\":\"", 9);
	put(line, time, strlen(time));
	put(line, "\"", 1);
	put_text(line, "level", LEVEL_NAMES[level]);
	put_text(line, "service", settings.service);
	if (context != NULL)
		put_text(line, "trace_id", context->trace.trace_id);
}

static void end(struct line *line)
{
	memcpy(line->text + line->len, "}\n", 2);
	line->len += 2;
	if (write(STDERR_FILENO, line->text, line->len) < 0)
		return; /* nowhere to say so */
}

void sk_log(enum sk_log_level level, const struct sk_context *context, const char *format, ...)
{
	char message[MESSAGE_MAX_BYTES];
	struct line line;
	va_list args;

	if (level < settings.least)
		return;
	va_start(args, format);
	(void)vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	begin(&line, level, context);
	put_text(&line, "message", message);
	end(&line);
}

void sk_log_failure(enum sk_log_level level, const struct sk_context *context, const char *what)
{
	char message[MESSAGE_MAX_BYTES];
	struct line line;

	if (level < settings.least)
		return;
	(void)snprintf(message, sizeof(message), "%s: %s", what,
		       context->error.detail[0] != '\0' ? context->error.detail
							: sk_status_name(context->error.status));
	begin(&line, level, context);
	put_text(&line, "code", context->error.code);
	put_text(&line, "message", message);
	end(&line);
}

void sk_log_access(const struct sk_context *context, const char *method, const char *route,
		   int status, int64_t duration_us)
{
	char numbers[64];
	struct line line;

	if (SK_LOG_INFO < settings.least)
		return;
	begin(&line, SK_LOG_INFO, context);
	put_text(&line, "message", "request");
	put_text(&line, "method", method);
	put_text(&line, "route", route);
	put(&line, numbers,
	    (size_t)snprintf(numbers, sizeof(numbers), ",\"status\":%d,\"duration_us\":%lld",
			     status, (long long)duration_us));
	put_text(&line, "address", context->actor.address);
	end(&line);
}
