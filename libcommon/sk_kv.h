/* Valkey: a pool of connections on hiredis.
 *
 * What is kept there may be lost, so no caller may need it to be right: SK_UNAVAILABLE
 * and SK_TIMEOUT come quickly (VALKEY_TIMEOUT_MS, 200 by default) and after a
 * failure the pool answers SK_UNAVAILABLE at once until a new connection worked, tried
 * with back-off. A connection that timed out is never used again: its late
 * answer would be taken for the next command's. Nothing is sent twice: a command whose answer
 * was lost may have been done.
 *
 * Atomic logic is in Valkey functions (FCALL), which the provisioning loads with
 * an administrator's rights; services hold no scripting rights.
 *
 * Thread-safe. */
#ifndef SK_KV_H
#define SK_KV_H

#include <stddef.h>
#include <stdint.h>

#include "sk_context.h"

struct sk_kv;
struct sk_metrics;

enum sk_kv_kind { SK_KV_NIL, SK_KV_TEXT, SK_KV_INT, SK_KV_LIST };

/* An answer; it lives as long as the context's arena. */
struct sk_kv_reply {
	enum sk_kv_kind kind;
	const char *text; /* TEXT; ends in NUL */
	size_t len;
	int64_t number;		   /* INT */
	struct sk_kv_reply *items; /* LIST */
	size_t count;
};

struct sk_kv_options {
	const char *url; /* redis://user:password@host:port or unix:///path?user=…&password=… */
	int connections;
	int timeout_ms;
};

struct sk_kv *sk_kv_open(const struct sk_kv_options *options, const char *pool_name,
			 struct sk_metrics *metrics);
void sk_kv_close(struct sk_kv **kv);
SK_MUST_CHECK enum sk_status sk_kv_ping(struct sk_kv *kv, struct sk_context *context);

struct sk_kv_command {
	const char *const *argv;
	const size_t *lengths; /* NULL: every argument ends in NUL */
	size_t argc;
};

/* SK_KV("GET", key) expands to a command of strings. It lives as long as the block it stands in:
 * one made inside a loop's body must not be kept for after it. */
#define SK_KV(...)                                                                                 \
	((struct sk_kv_command) { (const char *const[]) { __VA_ARGS__ }, NULL,                     \
				  sizeof((const char *const[]) { __VA_ARGS__ }) /                  \
					  sizeof(char *) })

/* One command. An error answer of the server is SK_INTERNAL, except: NOSCRIPT and
 * "Function not found" and LOADING are SK_UNAVAILABLE, NOPERM is SK_FORBIDDEN. reply may be NULL. */
SK_MUST_CHECK enum sk_status sk_kv_run(struct sk_kv *kv, struct sk_context *context,
				       struct sk_kv_command command, struct sk_kv_reply *reply);

/* Several commands in one round trip. Fails as a whole; a command's own error
 * answer fails it as in sk_kv_run. replies has count elements or is NULL. */
SK_MUST_CHECK enum sk_status sk_kv_pipeline(struct sk_kv *kv, struct sk_context *context,
					    const struct sk_kv_command *commands, size_t count,
					    struct sk_kv_reply *replies);

/* "3600": numbers as arguments. */
const char *sk_kv_number(struct sk_arena *arena, int64_t value);

#endif
