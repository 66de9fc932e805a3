/* The one error idiom of Souk: every function that can fail returns an
 * enum sk_status, and the words for people travel in the call's sk_context.
 *
 * A status says what kind of failure it is, so that exactly two places can
 * decide what it means outside: sk_http.c turns it into an HTTP problem,
 * sk_consumer.c into acknowledge, retry or dead letter. Both are a switch
 * without a default, so a new status does not compile until both decide. */
#ifndef SK_STATUS_H
#define SK_STATUS_H

#define SK_MUST_CHECK __attribute__((warn_unused_result))
#define SK_PRINTF(format_index, first_index)                                                       \
	__attribute__((format(printf, format_index, first_index)))

enum sk_status {
	SK_OK = 0,
	SK_DUPLICATE,	    /* the effect is already there; the caller may treat it as done */
	SK_MALFORMED,	    /* input that cannot be parsed: 400 */
	SK_INVALID,	    /* parsed, but a field is wrong: 422 */
	SK_UNAUTHENTICATED, /* no token, or one that is not known: 401 */
	SK_FORBIDDEN,	    /* known, but the role does not suffice: 403 */
	SK_NOT_FOUND,	    /* also another's resource: 404. To a consumer: perhaps early */
	SK_CONFLICT,	    /* the state does not allow it: 409 */
	SK_PRECONDITION,    /* If-Match did not match: 412 */
	SK_TOO_LARGE,	    /* over a size limit: 413 */
	SK_TOO_MANY,	    /* over a rate limit: 429 */
	SK_UNAVAILABLE,	    /* a store or the broker cannot be reached: 503 */
	SK_TIMEOUT,	    /* its deadline passed; the effect is unknown: 503 */
	SK_NO_MEMORY,	    /* an arena's or the machine's limit: 503 */
	SK_INTERNAL,	    /* a bug or a broken promise of a store: 500 */
};

/* The status as a word for logs ("not_found"). Never NULL. Thread-safe. */
const char *sk_status_name(enum sk_status status);

/* A deliberate discard of a status, with the reason beside it:
 *     sk_ignore(sk_kv_run(...), "a cache that cannot be filled is a miss"); */
static inline void sk_ignore(enum sk_status status, const char *why)
{
	(void)status;
	(void)why;
}

#endif
