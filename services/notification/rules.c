#include "notification.h"

#include <string.h>

#define MAIL_BASE_MS	     1000
#define MAIL_MAX_MS	     ((int64_t)3600 * 1000)
#define WEBHOOK_BASE_MS	     5000
#define WEBHOOK_MAX_MS	     ((int64_t)6 * 3600 * 1000)
#define WEBHOOK_ATTEMPTS_MAX 10

static const char *const STATE_NAMES[NOTIFICATION_STATES] = {
	[NOTIFICATION_QUEUED] = "queued",
	[NOTIFICATION_SENDING] = "sending",
	[NOTIFICATION_SENT] = "sent",
	[NOTIFICATION_FAILED] = "failed",
};

const char *notification_state_name(enum notification_state state)
{
	return STATE_NAMES[state];
}

/* The column's check allows no other word. */
enum notification_state notification_state_parse(const char *name)
{
	for (int i = 0; i < NOTIFICATION_STATES; i++)
		if (strcmp(STATE_NAMES[i], name) == 0)
			return (enum notification_state)i;
	return NOTIFICATION_FAILED;
}

/* ---- trying again ---- */

/* The server's "for ever" is believed at once; anything else may be over in a while. */
enum notification_fate notification_fate_of(enum sk_status status, int attempts, int max_attempts)
{
	if (status == SK_OK)
		return NOTIFICATION_DONE;
	if (status == SK_INVALID || attempts >= max_attempts)
		return NOTIFICATION_GIVE_UP;
	return NOTIFICATION_AGAIN;
}

enum notification_fate notification_webhook_fate(int http_status, int attempts)
{
	if (http_status >= 200 && http_status < 300)
		return NOTIFICATION_DONE;
	return attempts >= WEBHOOK_ATTEMPTS_MAX ? NOTIFICATION_GIVE_UP : NOTIFICATION_AGAIN;
}

static int64_t grown(int64_t ms, int factor, int times, int64_t max_ms)
{
	while (times-- > 0 && ms < max_ms)
		ms *= factor;
	return ms < max_ms ? ms : max_ms;
}

/* 1 s, 2 s, 4 s … an hour. */
int64_t notification_mail_delay_ms(int attempts)
{
	return grown(MAIL_BASE_MS, 2, attempts - 1, MAIL_MAX_MS);
}

/* 5 s, 20 s, 80 s, 5 min, 21 min, 85 min, then every 6 h. */
int64_t notification_webhook_delay_ms(int attempts)
{
	return grown(WEBHOOK_BASE_MS, 4, attempts - 1, WEBHOOK_MAX_MS);
}

bool notification_expired(const struct notification_message *message, int64_t now_us)
{
	return message->expires_at_us != 0 && message->expires_at_us <= now_us;
}

/* ---- which events go outside ---- */

static const char *const PUBLIC_DOMAINS[] = { "orders", "payments", "shipments" };

/* Asks payment to charge, and carries the provider's token. */
static const char PRIVATE_EVENT[] = "orders.payment_requested";

static bool is_public_domain(const char *text, size_t len)
{
	for (size_t i = 0; i < sizeof(PUBLIC_DOMAINS) / sizeof(PUBLIC_DOMAINS[0]); i++)
		if (strlen(PUBLIC_DOMAINS[i]) == len && memcmp(PUBLIC_DOMAINS[i], text, len) == 0)
			return true;
	return false;
}

const char *notification_public_event(struct sk_arena *arena, const char *subject)
{
	const char *last = strrchr(subject, '.');
	const char *event;

	if (last == NULL)
		return NULL;
	event = sk_arena_printf(arena, "%.*s", (int)(last - subject), subject);
	if (!is_public_domain(event, strcspn(event, ".")) || strchr(event, '.') == NULL ||
	    strcmp(event, PRIVATE_EVENT) == 0)
		return NULL;
	return event;
}

bool notification_pattern_valid(const char *pattern)
{
	size_t domain = strcspn(pattern, ".");
	const char *name = pattern + domain + 1;

	if (strcmp(pattern, "*") == 0)
		return true;
	if (strlen(pattern) > NOTIFICATION_PATTERN_MAX_BYTES || pattern[domain] == '\0' ||
	    !is_public_domain(pattern, domain) || strcmp(pattern, PRIVATE_EVENT) == 0)
		return false;
	return strcmp(name, "*") == 0 ||
	       (*name != '\0' && name[strspn(name, "abcdefghijklmnopqrstuvwxyz_")] == '\0');
}

/* ---- addresses: IANA's special-purpose registries (RFC 6890 and its updates) ---- */

struct ipv4_block {
	unsigned char start[4];
	int bits;
};

static const struct ipv4_block IPV4_SPECIAL[] = {
	{ { 0, 0, 0, 0 }, 8 },	    /* this network */
	{ { 10, 0, 0, 0 }, 8 },	    /* private */
	{ { 100, 64, 0, 0 }, 10 },  /* carriers' private */
	{ { 127, 0, 0, 0 }, 8 },    /* loopback */
	{ { 169, 254, 0, 0 }, 16 }, /* link-local, and clouds' metadata */
	{ { 172, 16, 0, 0 }, 12 },  /* private */
	{ { 192, 0, 0, 0 }, 24 },   /* protocol assignments */
	{ { 192, 0, 2, 0 }, 24 },   /* documentation */
	{ { 192, 88, 99, 0 }, 24 }, /* 6to4 relays */
	{ { 192, 168, 0, 0 }, 16 }, /* private */
	{ { 198, 18, 0, 0 }, 15 },  /* benchmarks */
	{ { 198, 51, 100, 0 }, 24 }, { { 203, 0, 113, 0 }, 24 },
	{ { 224, 0, 0, 0 }, 3 }, /* multicast, reserved, broadcast */
};

static bool starts_with_bits(const unsigned char *address, const unsigned char *start, int bits)
{
	int whole = bits / 8, rest = bits % 8;

	if (memcmp(address, start, (size_t)whole) != 0)
		return false;
	return rest == 0 || (address[whole] >> (8 - rest)) == (start[whole] >> (8 - rest));
}

bool notification_ipv4_public(const unsigned char address[4])
{
	for (size_t i = 0; i < sizeof(IPV4_SPECIAL) / sizeof(IPV4_SPECIAL[0]); i++)
		if (starts_with_bits(address, IPV4_SPECIAL[i].start, IPV4_SPECIAL[i].bits))
			return false;
	return true;
}

/* Only 2000::/3 is given out. In it, 6to4 and Teredo wrap an IPv4 address and are
 * refused whole; an address mapped from IPv4 is judged as that. */
bool notification_ipv6_public(const unsigned char address[16])
{
	static const unsigned char MAPPED[16] = { [10] = 0xFF, [11] = 0xFF };
	static const unsigned char GLOBAL[16] = { 0x20 };
	static const unsigned char PROTOCOLS[16] = { 0x20, 0x01, 0x00 };
	static const unsigned char DOCUMENTATION[16] = { 0x20, 0x01, 0x0D, 0xB8 };
	static const unsigned char SIX_TO_FOUR[16] = { 0x20, 0x02 };

	if (starts_with_bits(address, MAPPED, 96))
		return notification_ipv4_public(address + 12);
	return starts_with_bits(address, GLOBAL, 3) && !starts_with_bits(address, PROTOCOLS, 23) &&
	       !starts_with_bits(address, DOCUMENTATION, 32) &&
	       !starts_with_bits(address, SIX_TO_FOUR, 16);
}

const char *notification_one_line(struct sk_arena *arena, const char *text)
{
	char *line = sk_arena_strdup(arena, text);

	for (char *at = line; *at != '\0'; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7F)
			*at = ' ';
	return line;
}
