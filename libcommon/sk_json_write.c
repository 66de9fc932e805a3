#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sk_json.h"
#include "sk_time.h"

void sk_json_init(struct sk_json *json, struct sk_arena *arena, size_t max_bytes)
{
	sk_buf_init(&json->buf, arena, max_bytes);
	json->need_comma = false;
}

/* A string with what must be escaped escaped, run by run. */
static void put_string(struct sk_buf *buf, const char *text)
{
	const char *run = text;

	sk_buf_putc(buf, '"');
	for (;; text++) {
		unsigned char c = (unsigned char)*text;

		if (c >= ' ' && c != '"' && c != '\\')
			continue;
		sk_buf_put(buf, run, (size_t)(text - run));
		run = text + 1;
		if (c == '\0')
			break;
		if (c == '"' || c == '\\')
			sk_buf_put(buf, (const char[]) { '\\', (char)c }, 2);
		else if (c == '\n')
			sk_buf_put(buf, "\\n", 2);
		else
			sk_buf_printf(buf, "\\u%04x", c);
	}
	sk_buf_putc(buf, '"');
}

/* The comma before a value, and its key where it has one. */
static void begin_value(struct sk_json *json, const char *key)
{
	if (json->need_comma)
		sk_buf_putc(&json->buf, ',');
	json->need_comma = true;
	if (key != NULL) {
		put_string(&json->buf, key);
		sk_buf_putc(&json->buf, ':');
	}
}

static void open_bracket(struct sk_json *json, const char *key, char bracket)
{
	begin_value(json, key);
	sk_buf_putc(&json->buf, bracket);
	json->need_comma = false;
}

static void close_bracket(struct sk_json *json, char bracket)
{
	sk_buf_putc(&json->buf, bracket);
	json->need_comma = true;
}

void sk_json_begin_object(struct sk_json *json, const char *key)
{
	open_bracket(json, key, '{');
}

void sk_json_end_object(struct sk_json *json)
{
	close_bracket(json, '}');
}

void sk_json_begin_array(struct sk_json *json, const char *key)
{
	open_bracket(json, key, '[');
}

void sk_json_end_array(struct sk_json *json)
{
	close_bracket(json, ']');
}

void sk_json_text(struct sk_json *json, const char *key, const char *text)
{
	begin_value(json, key);
	if (text == NULL)
		sk_buf_put(&json->buf, "null", 4);
	else
		put_string(&json->buf, text);
}

void sk_json_int(struct sk_json *json, const char *key, int64_t value)
{
	char digits[24];

	begin_value(json, key);
	sk_buf_put(&json->buf, digits, (size_t)snprintf(digits, sizeof(digits), "%" PRId64, value));
}

void sk_json_bool(struct sk_json *json, const char *key, bool value)
{
	begin_value(json, key);
	sk_buf_puts(&json->buf, value ? "true" : "false");
}

void sk_json_null(struct sk_json *json, const char *key)
{
	sk_json_text(json, key, NULL);
}

void sk_json_money(struct sk_json *json, const char *key, struct sk_money money)
{
	sk_json_begin_object(json, key);
	sk_json_int(json, "amount", money.minor);
	sk_json_text(json, "currency", money.currency);
	sk_json_end_object(json);
}

void sk_json_time(struct sk_json *json, const char *key, int64_t time_us)
{
	char text[SK_RFC3339_BYTES];

	sk_json_text(json, key, time_us == 0 ? NULL : sk_time_format(time_us, text));
}

void sk_json_raw(struct sk_json *json, const char *key, const char *text)
{
	begin_value(json, key);
	sk_buf_puts(&json->buf, text != NULL ? text : "null");
}

void sk_json_begin_list(struct sk_json *json)
{
	sk_json_begin_object(json, NULL);
	sk_json_begin_array(json, "items");
}

void sk_json_end_list(struct sk_json *json, const char *next_cursor)
{
	sk_json_end_array(json);
	sk_json_text(json, "next_cursor", next_cursor);
	sk_json_end_object(json);
}
