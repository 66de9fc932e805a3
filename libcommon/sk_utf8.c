#include "sk_utf8.h"

#include <string.h>

/* The forms of more than one byte (RFC 3629, section 4). What the second byte may be is
 * what keeps overlong forms and surrogates out. */
static const struct form {
	unsigned char first, last; /* of the leading byte */
	unsigned char low, high;   /* of the second byte */
	unsigned char length;
} FORMS[] = {
	{ 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
	{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
	{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

static bool has_form(const unsigned char *bytes, size_t left, const struct form *form)
{
	if (left < form->length || bytes[1] < form->low || bytes[1] > form->high)
		return false;
	for (size_t i = 2; i < form->length; i++)
		if ((bytes[i] & 0xc0) != 0x80)
			return false;
	return true;
}

size_t sk_utf8_length(const char *text, size_t left)
{
	const unsigned char *bytes = (const unsigned char *)text;

	if (left == 0)
		return 0;
	if (bytes[0] < 0x80)
		return 1;
	for (size_t i = 0; i < sizeof(FORMS) / sizeof(FORMS[0]); i++)
		if (bytes[0] >= FORMS[i].first && bytes[0] <= FORMS[i].last)
			return has_form(bytes, left, &FORMS[i]) ? FORMS[i].length : 0;
	return 0;
}

bool sk_utf8_valid(const char *text, size_t len)
{
	for (size_t at = 0; at < len;) {
		size_t length = sk_utf8_length(text + at, len - at);

		if (length == 0)
			return false;
		at += length;
	}
	return true;
}

void sk_utf8_trim(char *text)
{
	size_t len = strlen(text), tail = 1;

	while (tail < 4 && tail < len && ((unsigned char)text[len - tail] & 0xc0) == 0x80)
		tail++;
	if (tail <= len && sk_utf8_length(text + len - tail, tail) != tail)
		text[len - tail] = '\0';
}
