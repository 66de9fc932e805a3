/* Where webhooks may go. Staff types a URL and our network calls it: without a look at
 * where it leads, that would reach what only our network can reach (a store, a cloud's
 * metadata), so every address that the host resolves to must be one of the open net.
 *
 * The URL is taken apart by libcurl, which also makes the call: two parsers could
 * disagree about the host. The limit: the name is resolved here and once more for the
 * call, and a hostile resolver may answer differently in between. Where that
 * matters, let an egress proxy or a NetworkPolicy hold the line; README.md says so. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <netdb.h>
#include <string.h>

#include "notification.h"

/* A part of the URL in the arena, NULL where it has none. */
static const char *url_part(struct sk_context *context, CURLU *url, CURLUPart part)
{
	char *text = NULL;
	const char *copy = NULL;

	if (curl_url_get(url, part, &text, 0) == CURLUE_OK)
		copy = sk_arena_strdup(context->arena, text);
	curl_free(text);
	return copy;
}

static enum sk_status refuse(struct sk_context *context, const char *why)
{
	return sk_fail(context, SK_INVALID, "invalid_url", "%s", why);
}

/* The host of a URL that may be called; an IPv6 address without its brackets. */
static enum sk_status host_of(struct sk_context *context, const char *text, const char **host)
{
	CURLU *url = curl_url();
	const char *scheme, *user, *name;
	bool parsed;

	if (url == NULL)
		return sk_fail(context, SK_NO_MEMORY, "no_memory", "no memory for a URL");
	parsed = curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK;
	scheme = url_part(context, url, CURLUPART_SCHEME);
	user = url_part(context, url, CURLUPART_USER);
	name = url_part(context, url, CURLUPART_HOST);
	curl_url_cleanup(url);
	if (!parsed || scheme == NULL || name == NULL)
		return refuse(context, "the URL is not valid");
	if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
		return refuse(context, "the URL is neither http nor https");
	if (user != NULL)
		return refuse(context, "the URL may not carry a user or a password");
	*host = name;
	if (*name == '[')
		*host = sk_arena_printf(context->arena, "%.*s", (int)strcspn(name + 1, "]"),
					name + 1);
	return SK_OK;
}

enum sk_status notification_target_check(struct sk_context *context, const char *url)
{
	const char *host = NULL;

	return host_of(context, url, &host);
}

static bool is_public(const struct addrinfo *info)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (info->ai_family == AF_INET) {
		memcpy(&v4, info->ai_addr, sizeof(v4));
		return notification_ipv4_public((const unsigned char *)&v4.sin_addr);
	}
	if (info->ai_family != AF_INET6)
		return false;
	memcpy(&v6, info->ai_addr, sizeof(v6));
	return notification_ipv6_public((const unsigned char *)&v6.sin6_addr);
}

enum sk_status notification_target_resolve(struct sk_context *context, const char *url)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	const char *host = NULL;
	bool open = true;
	enum sk_status st = host_of(context, url, &host);

	if (st != SK_OK)
		return st;
	if (getaddrinfo(host, NULL, &hints, &list) != 0)
		return sk_fail(context, SK_UNAVAILABLE, "unknown_host", "%s does not resolve",
			       host);
	for (const struct addrinfo *info = list; info != NULL; info = info->ai_next)
		open = open && is_public(info);
	freeaddrinfo(list);
	if (!open)
		return sk_fail(context, SK_INVALID, "private_address",
			       "%s is an address of a private network", host);
	return SK_OK;
}
