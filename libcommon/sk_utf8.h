/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above
 * U+10FFFF. Every door through which text comes in asks here, so that PostgreSQL,
 * which refuses the same, never has to. Thread-safe. */
#ifndef SK_UTF8_H
#define SK_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The bytes (1 to 4) of the character at text, of which left bytes may be read;
 * 0 where there is none. NUL is a character of one byte. */
size_t sk_utf8_length(const char *text, size_t left);

/* Whether all len bytes are characters. */
bool sk_utf8_valid(const char *text, size_t len);

/* Drops the character that a copy into a fixed size has cut at the end of text. */
void sk_utf8_trim(char *text);

#endif
