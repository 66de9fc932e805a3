#include "sk_money.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ISO 4217, active codes, by digits after the point. */
static const char TWO_DIGITS[] = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB "
				 "BRL BSD BTN BWP BYN BZD CAD CDF "
				 "CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP "
				 "GBP GEL GHS GIP GMD GTQ GYD HKD "
				 "HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP "
				 "LKR LRD LSL MAD MDL MGA MKD MMK "
				 "MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB "
				 "PEN PGK PHP PKR PLN QAR RON RSD "
				 "RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL "
				 "THB TJS TMT TOP TRY TTD TWD TZS "
				 "UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG";
static const char NO_DIGITS[] = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF";
static const char THREE_DIGITS[] = "BHD IQD JOD KWD LYD OMR TND";

static bool listed(const char *list, const char *code)
{
	const char *at = strstr(list, code);

	return at != NULL && (at - list) % 4 == 0;
}

bool sk_currency_valid(const char *code)
{
	return code != NULL && strlen(code) == 3 && strchr(code, ' ') == NULL &&
	       (listed(TWO_DIGITS, code) || listed(NO_DIGITS, code) || listed(THREE_DIGITS, code));
}

int sk_currency_digits(const char *code)
{
	if (listed(NO_DIGITS, code))
		return 0;
	return listed(THREE_DIGITS, code) ? 3 : 2;
}

struct sk_money sk_money_of(int64_t minor, const char *currency)
{
	struct sk_money money = { .minor = minor };

	(void)snprintf(money.currency, sizeof(money.currency), "%s", currency);
	return money;
}

enum sk_status sk_money_add(struct sk_money a, struct sk_money b, struct sk_money *sum)
{
	struct sk_money result = a;

	if (strcmp(a.currency, b.currency) != 0 ||
	    __builtin_add_overflow(a.minor, b.minor, &result.minor) ||
	    result.minor > SK_MONEY_MAX_MINOR || result.minor < -SK_MONEY_MAX_MINOR)
		return SK_INVALID;
	*sum = result;
	return SK_OK;
}

enum sk_status sk_money_times(struct sk_money price, int64_t quantity, struct sk_money *total)
{
	struct sk_money result = price;

	if (__builtin_mul_overflow(price.minor, quantity, &result.minor) ||
	    result.minor > SK_MONEY_MAX_MINOR || result.minor < -SK_MONEY_MAX_MINOR)
		return SK_INVALID;
	*total = result;
	return SK_OK;
}

enum sk_status sk_money_parse(const char *decimal, const char *currency, struct sk_money *money)
{
	int digits, after = -1;
	int64_t minor = 0;
	bool any = false;

	if (!sk_currency_valid(currency))
		return SK_INVALID;
	digits = sk_currency_digits(currency);
	for (const char *at = decimal; *at != '\0'; at++) {
		if (*at == '.' && after < 0 && any && at[1] != '\0') {
			after = 0;
			continue;
		}
		/* Zeros beyond the currency's digits are harmless: 3.390 is 3.39. */
		if (*at < '0' || *at > '9' || (after >= digits && *at != '0'))
			return SK_INVALID;
		any = true;
		if (after >= digits)
			continue;
		after += after >= 0;
		minor = minor * 10 + (*at - '0');
		if (minor > SK_MONEY_MAX_MINOR)
			return SK_INVALID;
	}
	for (after = after < 0 ? 0 : after; after < digits; after++) {
		minor *= 10;
		if (minor > SK_MONEY_MAX_MINOR)
			return SK_INVALID;
	}
	if (!any)
		return SK_INVALID;
	*money = sk_money_of(minor, currency);
	return SK_OK;
}

const char *sk_money_format(struct sk_money money, char out[SK_MONEY_TEXT_BYTES])
{
	int digits = sk_currency_digits(money.currency);
	const char *sign = money.minor < 0 ? "-" : "";
	uint64_t minor = money.minor < 0 ? (uint64_t)-money.minor : (uint64_t)money.minor;
	uint64_t unit = digits == 0 ? 1 : digits == 2 ? 100 : 1000;

	if (digits == 0)
		(void)snprintf(out, SK_MONEY_TEXT_BYTES, "%s%" PRIu64 " %s", sign, minor,
			       money.currency);
	else
		(void)snprintf(out, SK_MONEY_TEXT_BYTES, "%s%" PRIu64 ".%0*" PRIu64 " %s", sign,
			       minor / unit, digits, minor % unit, money.currency);
	return out;
}
