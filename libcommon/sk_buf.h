/* A growing buffer with its greatest size given at birth. Errors latch: after
 * an append that would pass the limit nothing more is written, and sk_buf_ok
 * says so once, so that twenty appends need one check.
 * Its memory is its arena's. Not thread-safe. */
#ifndef SK_BUF_H
#define SK_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "sk_arena.h"

struct sk_buf {
	struct sk_arena *arena;
	char *data; /* always ends in NUL; NULL while nothing was written */
	size_t len, capacity, max_bytes;
	bool overflowed;
};

void sk_buf_init(struct sk_buf *buf, struct sk_arena *arena, size_t max_bytes);
void sk_buf_put(struct sk_buf *buf, const void *data, size_t len);
void sk_buf_puts(struct sk_buf *buf, const char *text);
void sk_buf_putc(struct sk_buf *buf, char c);
void sk_buf_printf(struct sk_buf *buf, const char *format, ...) SK_PRINTF(2, 3);

/* The text so far, "" where nothing was written. Valid until the next append. */
const char *sk_buf_text(const struct sk_buf *buf);
bool sk_buf_ok(const struct sk_buf *buf);

#endif
