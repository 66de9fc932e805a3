/* The URL of a Valkey server in its parts. For sk_kv.c and its tests. */
#ifndef SK_KV_INTERNAL_H
#define SK_KV_INTERNAL_H

#include <sodium.h>
#include <stdbool.h>

struct sk__kv_url {
	char host[256];
	int port;
	char path[108]; /* of a unix socket; "" for TCP */
	char user[64], password[256];
};

/* redis://[user[:password]@]host[:port][/] or unix://path[?user=…&password=…], each
 * part percent-decoded. False where it is neither, or a part is too long. */
bool sk__kv_url_parse(const char *text, struct sk__kv_url *url);

#endif
