#include <stdlib.h>
#include <string.h>

#include "sk_kv_internal.h"

#define DEFAULT_PORT 6379

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Copies len bytes percent-decoded. False where they do not fit or %XX is none. */
static bool decode(const char *from, size_t len, char *to, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; i < len; i++) {
		char c = from[i];

		if (at + 1 >= size)
			return false;
		if (c == '%') {
			int high = i + 2 < len ? hex_digit(from[i + 1]) : -1;
			int low = i + 2 < len ? hex_digit(from[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char)(high * 16 + low);
			i += 2;
		}
		to[at++] = c;
	}
	to[at] = '\0';
	return true;
}

/* user:password before the @ */
static bool parse_credentials(const char *text, size_t len, struct sk__kv_url *url)
{
	const char *colon = memchr(text, ':', len);
	size_t user_len = colon != NULL ? (size_t)(colon - text) : len;

	if (!decode(text, user_len, url->user, sizeof(url->user)))
		return false;
	return colon == NULL ||
	       decode(colon + 1, len - user_len - 1, url->password, sizeof(url->password));
}

static bool parse_tcp(const char *text, struct sk__kv_url *url)
{
	const char *at = strrchr(text, '@'), *colon;
	char *end = NULL;
	long port = DEFAULT_PORT;
	size_t len;

	if (at != NULL && !parse_credentials(text, (size_t)(at - text), url))
		return false;
	text = at != NULL ? at + 1 : text;
	len = strcspn(text, "/");
	colon = memchr(text, ':', len);
	if (colon != NULL) {
		port = strtol(colon + 1, &end, 10);
		if (end != text + len || port < 1 || port > 65535)
			return false;
		len = (size_t)(colon - text);
	}
	url->port = (int)port;
	return len > 0 && decode(text, len, url->host, sizeof(url->host));
}

static bool parse_query(const char *query, struct sk__kv_url *url)
{
	while (*query != '\0') {
		size_t len = strcspn(query, "&");
		bool ok = true;

		if (strncmp(query, "user=", 5) == 0)
			ok = decode(query + 5, len - 5, url->user, sizeof(url->user));
		else if (strncmp(query, "password=", 9) == 0)
			ok = decode(query + 9, len - 9, url->password, sizeof(url->password));
		if (!ok)
			return false;
		query += len + (query[len] == '&');
	}
	return true;
}

bool sk__kv_url_parse(const char *text, struct sk__kv_url *url)
{
	size_t len;

	memset(url, 0, sizeof(*url));
	if (strncmp(text, "redis://", 8) == 0)
		return parse_tcp(text + 8, url);
	if (strncmp(text, "unix://", 7) != 0)
		return false;
	text += 7;
	len = strcspn(text, "?");
	if (len == 0 || !decode(text, len, url->path, sizeof(url->path)))
		return false;
	return text[len] == '\0' || parse_query(text + len + 1, url);
}
