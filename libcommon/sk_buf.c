#include "sk_buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void sk_buf_init(struct sk_buf *buf, struct sk_arena *arena, size_t max_bytes)
{
	*buf = (struct sk_buf) { .arena = arena, .max_bytes = max_bytes };
}

/* Room for len more bytes and the NUL. False latches the overflow. */
static bool make_room(struct sk_buf *buf, size_t len)
{
	size_t capacity = buf->capacity > 0 ? buf->capacity : 256;
	char *larger;

	if (buf->overflowed || len > buf->max_bytes - buf->len) {
		buf->overflowed = true;
		return false;
	}
	if (buf->len + len < buf->capacity)
		return true;
	while (capacity <= buf->len + len)
		capacity *= 2;
	larger = sk_arena_alloc(buf->arena, capacity);
	if (buf->len > 0)
		memcpy(larger, buf->data, buf->len);
	buf->data = larger;
	buf->capacity = capacity;
	return true;
}

void sk_buf_put(struct sk_buf *buf, const void *data, size_t len)
{
	if (!make_room(buf, len))
		return;
	if (len > 0)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

void sk_buf_puts(struct sk_buf *buf, const char *text)
{
	sk_buf_put(buf, text, strlen(text));
}

void sk_buf_putc(struct sk_buf *buf, char c)
{
	sk_buf_put(buf, &c, 1);
}

void sk_buf_printf(struct sk_buf *buf, const char *format, ...)
{
	va_list args, again;
	int len;

	va_start(args, format);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, args);
	if (len >= 0 && make_room(buf, (size_t)len)) {
		(void)vsnprintf(buf->data + buf->len, (size_t)len + 1, format, again);
		buf->len += (size_t)len;
	}
	va_end(again);
	va_end(args);
}

const char *sk_buf_text(const struct sk_buf *buf)
{
	return buf->data != NULL ? buf->data : "";
}

bool sk_buf_ok(const struct sk_buf *buf)
{
	return !buf->overflowed;
}
