/* The context of one call, that is of one request, one batch of messages or one
 * run of a sweep: its memory, its clock, its trace, who asked, and the words
 * of its first error. It is passed down to every function that may fail, so that none
 * needs a global, and it is the reason why functions here have few parameters.
 * One thread at a time. */
#ifndef SK_CONTEXT_H
#define SK_CONTEXT_H

#include <stdint.h>

#include "sk_arena.h"
#include "sk_limits.h"
#include "sk_status.h"
#include "sk_trace.h"

enum sk_role {
	SK_ROLE_NONE = 0, /* nobody logged in */
	SK_ROLE_CUSTOMER,
	SK_ROLE_STAFF,
	SK_ROLE_ADMIN,
};

const char *sk_role_name(enum sk_role role);  /* "customer"; "none" */
enum sk_role sk_role_parse(const char *name); /* SK_ROLE_NONE where unknown or NULL */

/* Who asked. Strings live as long as the context's arena; "" where not known. */
struct sk_actor {
	enum sk_role role;
	const char *account_id;
	const char *email;
	const char *session_id;
	const char *address; /* the client's IP address, from the gateway's X-Real-IP */
};

struct sk_error {
	enum sk_status status;
	char code[48];				/* a stable word: "out_of_stock" */
	char detail[SK_ERROR_DETAIL_MAX_BYTES]; /* a sentence for people, without secrets */
	int retry_after_s;			/* 0: the status's default */
};

struct sk_context {
	struct sk_arena *arena;
	struct sk_trace trace;
	struct sk_actor actor;
	struct sk_error error;
	int64_t now_us;	     /* wall clock when the call began: rules take this, not the clock */
	int64_t deadline_us; /* monotonic; store calls end by then at the latest; 0: none */
};

/* A context with a new arena and trace, the clock read, and a deadline in
 * timeout_ms (0: none). The caller releases it. */
void sk_context_init(struct sk_context *context, int64_t timeout_ms);
void sk_context_release(struct sk_context *context);

/* Forgets the error and everything allocated, and reads the clock again. */
void sk_context_reset(struct sk_context *context, int64_t timeout_ms);

/* Notes the error (the first one wins: it is the nearest to the cause) and
 * returns status, so that a failing function ends in
 *     return sk_fail(context, SK_CONFLICT, "order_shipped", "order %s has left", number); */
enum sk_status sk_fail(struct sk_context *context, enum sk_status status, const char *code,
		       const char *format, ...) SK_PRINTF(4, 5);

/* Forgets the error, for a caller that has dealt with it. */
void sk_context_clear_error(struct sk_context *context);

/* Milliseconds until the deadline, at most cap_ms, at least 0. */
int64_t sk_context_remaining_ms(const struct sk_context *context, int64_t cap_ms);

#endif
