/* Money: integer minor units and an ISO 4217 code. All arithmetic is checked;
 * a result that does not fit, or that mixes currencies, is a status. */
#ifndef SK_MONEY_H
#define SK_MONEY_H

#include <stdbool.h>
#include <stdint.h>

#include "sk_status.h"

struct sk_money {
	int64_t minor;	  /* pence, cents; for JPY yen */
	char currency[4]; /* "GBP" and NUL */
};

/* The greatest amount that Souk accepts anywhere: JSON's exact integers. */
#define SK_MONEY_MAX_MINOR ((int64_t)9007199254740991)

/* Three capital letters of ISO 4217's active list. */
bool sk_currency_valid(const char *code);

/* Digits after the point: 2 for GBP, 0 for JPY, 3 for KWD. */
int sk_currency_digits(const char *code);

struct sk_money sk_money_of(int64_t minor, const char *currency);
SK_MUST_CHECK enum sk_status sk_money_add(struct sk_money a, struct sk_money b,
					  struct sk_money *sum);
SK_MUST_CHECK enum sk_status sk_money_times(struct sk_money price, int64_t quantity,
					    struct sk_money *total);

/* "12.5" and "GBP" -> 1250. Refuses signs, exponents, a point without
 * digits on both sides, more digits than the currency has (zeros apart), and
 * amounts over SK_MONEY_MAX_MINOR. */
SK_MUST_CHECK enum sk_status sk_money_parse(const char *decimal, const char *currency,
					    struct sk_money *money);

#define SK_MONEY_TEXT_BYTES 32
/* 1250 GBP -> "12.50 GBP". Returns out. */
const char *sk_money_format(struct sk_money money, char out[SK_MONEY_TEXT_BYTES]);

#endif
