#include "sk_time.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

static int64_t read_clock_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * SK_SECOND_US + now.tv_nsec / 1000;
}

int64_t sk_time_now_us(void)
{
	return read_clock_us(CLOCK_REALTIME);
}

int64_t sk_time_monotonic_us(void)
{
	return read_clock_us(CLOCK_MONOTONIC);
}

const char *sk_time_format(int64_t time_us, char out[SK_RFC3339_BYTES])
{
	/* Towards the past: before 1970 the microseconds still count forward. */
	int64_t micros = (time_us % SK_SECOND_US + SK_SECOND_US) % SK_SECOND_US;
	time_t seconds = (time_t)((time_us - micros) / SK_SECOND_US);
	struct tm parts;

	gmtime_r(&seconds, &parts);
	(void)snprintf(out, SK_RFC3339_BYTES, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ",
		       (unsigned)(parts.tm_year + 1900) % 10000, (unsigned)(parts.tm_mon + 1) % 100,
		       (unsigned)parts.tm_mday % 100, (unsigned)parts.tm_hour % 100,
		       (unsigned)parts.tm_min % 100, (unsigned)parts.tm_sec % 100,
		       (unsigned)micros % 1000000);
	return out;
}

/* Exactly count digits at *text, which moves on. -1 where there are others. */
static int read_digits(const char **text, int count)
{
	int value = 0;

	for (int i = 0; i < count; i++, (*text)++) {
		if (**text < '0' || **text > '9')
			return -1;
		value = value * 10 + (**text - '0');
	}
	return value;
}

static bool read_char(const char **text, const char *wanted)
{
	if (**text == '\0' || strchr(wanted, **text) == NULL)
		return false;
	(*text)++;
	return true;
}

static int days_in_month(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

/* Days since 1970-01-01 of a date of the Gregorian calendar. Source: H. Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms", days_from_civil. */
static int64_t days_from_civil(int year, int month, int day)
{
	int64_t y = year - (month <= 2);
	int64_t era = y / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return era * 146097 + day_of_era - 719468;
}

static bool read_date(const char **text, int64_t *days)
{
	int year = read_digits(text, 4), month, day;

	if (year < 1970 || !read_char(text, "-"))
		return false;
	month = read_digits(text, 2);
	if (month < 1 || month > 12 || !read_char(text, "-"))
		return false;
	day = read_digits(text, 2);
	if (day < 1 || day > days_in_month(year, month))
		return false;
	*days = days_from_civil(year, month, day);
	return true;
}

static int64_t read_fraction_us(const char **text)
{
	int64_t micros = 0, unit = 100000;

	for (; **text >= '0' && **text <= '9'; (*text)++, unit /= 10)
		micros += (**text - '0') * unit;
	return micros;
}

static bool read_clock(const char **text, int64_t *time_us)
{
	int hour = read_digits(text, 2), minute, second;

	if (hour < 0 || hour > 23 || !read_char(text, ":"))
		return false;
	minute = read_digits(text, 2);
	if (minute < 0 || minute > 59 || !read_char(text, ":"))
		return false;
	second = read_digits(text, 2);
	if (second < 0 || second > 60)
		return false;
	*time_us = hour * SK_HOUR_US + minute * SK_MINUTE_US + second * SK_SECOND_US;
	if (**text == '.') {
		(*text)++;
		if (**text < '0' || **text > '9')
			return false;
		*time_us += read_fraction_us(text);
	}
	return true;
}

/* "Z" or "+01:00", as what has to be subtracted. */
static bool read_offset(const char **text, int64_t *offset_us)
{
	int sign, hours, minutes;

	*offset_us = 0;
	if (read_char(text, "Zz"))
		return true;
	sign = **text == '-' ? -1 : 1;
	if (!read_char(text, "+-"))
		return false;
	hours = read_digits(text, 2);
	if (hours < 0 || hours > 23 || !read_char(text, ":"))
		return false;
	minutes = read_digits(text, 2);
	if (minutes < 0 || minutes > 59)
		return false;
	*offset_us = sign * (hours * SK_HOUR_US + minutes * SK_MINUTE_US);
	return true;
}

bool sk_time_parse(const char *text, int64_t *time_us)
{
	int64_t days, clock_us = 0, offset_us = 0;

	if (text == NULL || !read_date(&text, &days))
		return false;
	if (*text != '\0' && (!read_char(&text, "Tt ") || !read_clock(&text, &clock_us) ||
			      !read_offset(&text, &offset_us)))
		return false;
	if (*text != '\0')
		return false;
	*time_us = days * SK_DAY_US + clock_us - offset_us;
	return true;
}

void sk_time_sleep_ms(int64_t ms)
{
	struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}

int64_t sk_time_backoff_ms(int attempt, int64_t base_ms, int64_t max_ms)
{
	int64_t most = base_ms;

	for (int i = 0; i < attempt && most < max_ms; i++)
		most *= 2;
	if (most > max_ms)
		most = max_ms;
	return most <= 0 ? 0 : (int64_t)randombytes_uniform((uint32_t)most + 1);
}
