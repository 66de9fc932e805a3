#include "shipping.h"

#include <stdlib.h>
#include <string.h>

static const char *const STATE_NAMES[SHIPPING_STATES] = {
	[SHIPPING_LABEL_CREATED] = "label_created", [SHIPPING_SHIPPED] = "shipped",
	[SHIPPING_DELIVERED] = "delivered",	    [SHIPPING_VOIDED] = "voided",
	[SHIPPING_CANCELLED] = "cancelled",
};

/* Whoever asks gets an answer, since the order does nothing about its stock before it has one. A
 * parcel that left cannot be called back: the answer to a recall is then that it left. A carrier
 * that speaks of a voided label has a parcel that it should not have, which is for a person. */
static const struct shipping_step STEPS[SHIPPING_STATES][SHIPPING_EVENTS] = {
	[SHIPPING_LABEL_CREATED] = {
		[SHIPPING_REQUESTED] = { SHIPPING_ANSWER, SHIPPING_LABEL_CREATED },
		[SHIPPING_RECALLED] = { SHIPPING_GO, SHIPPING_VOIDED },
		[SHIPPING_PARCEL_SHIPPED] = { SHIPPING_GO, SHIPPING_SHIPPED },
		[SHIPPING_PARCEL_DELIVERED] = { SHIPPING_THROUGH, SHIPPING_SHIPPED },
	},
	[SHIPPING_SHIPPED] = {
		[SHIPPING_REQUESTED] = { SHIPPING_ANSWER, SHIPPING_SHIPPED },
		[SHIPPING_RECALLED] = { SHIPPING_ANSWER, SHIPPING_SHIPPED },
		[SHIPPING_PARCEL_SHIPPED] = { SHIPPING_IGNORE, SHIPPING_SHIPPED },
		[SHIPPING_PARCEL_DELIVERED] = { SHIPPING_GO, SHIPPING_DELIVERED },
	},
	[SHIPPING_DELIVERED] = {
		[SHIPPING_REQUESTED] = { SHIPPING_ANSWER, SHIPPING_DELIVERED },
		[SHIPPING_RECALLED] = { SHIPPING_ANSWER, SHIPPING_DELIVERED },
		[SHIPPING_PARCEL_SHIPPED] = { SHIPPING_IGNORE, SHIPPING_DELIVERED },
		[SHIPPING_PARCEL_DELIVERED] = { SHIPPING_IGNORE, SHIPPING_DELIVERED },
	},
	[SHIPPING_VOIDED] = {
		[SHIPPING_REQUESTED] = { SHIPPING_ANSWER, SHIPPING_VOIDED },
		[SHIPPING_RECALLED] = { SHIPPING_ANSWER, SHIPPING_VOIDED },
		[SHIPPING_PARCEL_SHIPPED] = { SHIPPING_REFUSE, SHIPPING_VOIDED },
		[SHIPPING_PARCEL_DELIVERED] = { SHIPPING_REFUSE, SHIPPING_VOIDED },
	},
	[SHIPPING_CANCELLED] = {
		[SHIPPING_REQUESTED] = { SHIPPING_ANSWER, SHIPPING_CANCELLED },
		[SHIPPING_RECALLED] = { SHIPPING_ANSWER, SHIPPING_CANCELLED },
		[SHIPPING_PARCEL_SHIPPED] = { SHIPPING_REFUSE, SHIPPING_CANCELLED },
		[SHIPPING_PARCEL_DELIVERED] = { SHIPPING_REFUSE, SHIPPING_CANCELLED },
	},
};

const char *shipping_state_name(enum shipping_state state)
{
	return STATE_NAMES[state];
}

/* The column's check allows no other word; CANCELLED is what has no label. */
enum shipping_state shipping_state_parse(const char *name)
{
	for (int i = 0; i < SHIPPING_STATES; i++)
		if (strcmp(STATE_NAMES[i], name) == 0)
			return (enum shipping_state)i;
	return SHIPPING_CANCELLED;
}

struct shipping_step shipping_next(enum shipping_state state, enum shipping_event event)
{
	return STEPS[state][event];
}

bool shipping_word_parse(const char *word, enum shipping_event *event)
{
	if (strcmp(word, "shipped") == 0)
		*event = SHIPPING_PARCEL_SHIPPED;
	else if (strcmp(word, "delivered") == 0)
		*event = SHIPPING_PARCEL_DELIVERED;
	else
		return false;
	return true;
}

bool shipping_visible(const struct shipment *shipment, const struct sk_actor *actor)
{
	if (shipment->state == SHIPPING_CANCELLED) /* a mark, no shipment */
		return false;
	if (actor->role == SK_ROLE_STAFF || actor->role == SK_ROLE_ADMIN)
		return true;
	return *actor->account_id != '\0' && strcmp(actor->account_id, shipment->account_id) == 0;
}

/* ---- tracking numbers ---- */

char shipping_check_digit(const char *digits)
{
	size_t len = strlen(digits);
	int sum = 0;

	for (size_t i = 0; i < len; i++) {
		int digit = digits[len - 1 - i] - '0';

		if (i % 2 == 0) {
			digit *= 2;
			digit = digit > 9 ? digit - 9 : digit;
		}
		sum += digit;
	}
	return (char)('0' + (10 - sum % 10) % 10);
}

/* 60 bits of the id's SHA-256. Two of a billion shipments share a number with a chance of
 * one half; the column is unique, and the second would be made again under another id. */
const char *shipping_tracking_number(struct sk_arena *arena, const char *shipment_id)
{
	const char *hash = sk_token_hash(arena, shipment_id);
	char head[16] = { 0 };
	const char *digits;

	memcpy(head, hash, sizeof(head) - 1);
	digits = sk_arena_printf(arena, "%0*llu", SHIPPING_TRACKING_DIGITS,
				 strtoull(head, NULL, 16) % 1000000000000000000ull);
	return sk_arena_printf(arena, "SK%s%c", digits, shipping_check_digit(digits));
}

/* ---- text for fonts without Unicode ---- */

/* U+0100 to U+017F without their accents. */
static const char LATIN_EXTENDED_A[] = "AaAaAa"
				       "CcCcCcCc"
				       "DdDd"
				       "EeEeEeEeEe"
				       "GgGgGgGg"
				       "HhHh"
				       "IiIiIiIiIi"
				       "Ii"
				       "Jj"
				       "Kkk"
				       "LlLlLlLlLl"
				       "NnNnNn"
				       "nNn"
				       "OoOoOo"
				       "Oo"
				       "RrRrRr"
				       "SsSsSsSs"
				       "TtTtTt"
				       "UuUuUuUuUuUu"
				       "WwYyY"
				       "ZzZzZz"
				       "s";
_Static_assert(sizeof(LATIN_EXTENDED_A) == 0x80 + 1, "one letter for each code point");

/* Windows-1252 beyond Latin-1, as far as names and addresses need it. */
static const struct {
	unsigned code_point;
	unsigned char byte;
} WINDOWS_1252[] = {
	{ 0x20AC, 0x80 }, { 0x0160, 0x8A }, { 0x0152, 0x8C }, { 0x017D, 0x8E }, { 0x2018, 0x91 },
	{ 0x2019, 0x92 }, { 0x201C, 0x93 }, { 0x201D, 0x94 }, { 0x2013, 0x96 }, { 0x2014, 0x97 },
	{ 0x0161, 0x9A }, { 0x0153, 0x9C }, { 0x017E, 0x9E }, { 0x0178, 0x9F },
};

static unsigned char plain_character(unsigned code_point)
{
	if (code_point < 0x20 || code_point == 0x7F)
		return ' ';
	if (code_point < 0x7F || (code_point >= 0xA0 && code_point <= 0xFF))
		return (unsigned char)code_point;
	for (size_t i = 0; i < sizeof(WINDOWS_1252) / sizeof(WINDOWS_1252[0]); i++)
		if (WINDOWS_1252[i].code_point == code_point)
			return WINDOWS_1252[i].byte;
	if (code_point >= 0x100 && code_point <= 0x17F)
		return (unsigned char)LATIN_EXTENDED_A[code_point - 0x100];
	return '?';
}

/* The code point at *at, which moves past it. Messages hold valid UTF-8 only; a byte
 * that is not would be one character of its own. */
static unsigned next_code_point(const unsigned char **at)
{
	unsigned first = *(*at)++;
	int rest = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : first >= 0xC0 ? 1 : 0;
	unsigned code_point = rest == 0 ? first : first & (0x3Fu >> rest);

	for (; rest > 0 && (**at & 0xC0) == 0x80; rest--)
		code_point = code_point << 6 | (*(*at)++ & 0x3Fu);
	return code_point;
}

const char *shipping_plain_text(struct sk_arena *arena, const char *utf8)
{
	const unsigned char *at = (const unsigned char *)utf8;
	char *plain = sk_arena_alloc(arena, strlen(utf8) + 1);
	size_t len = 0;

	while (*at != '\0')
		plain[len++] = (char)plain_character(next_code_point(&at));
	return plain;
}
