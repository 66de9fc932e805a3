/* Every size limit that libcommon imposes, with its unit and its reason.
 * Services state their own limits in their rules; a limit that an operator may
 * want to change is configuration instead. */
#ifndef SK_LIMITS_H
#define SK_LIMITS_H

/* HTTP */
#define SK_BODY_MAX_BYTES	     65536 /* default for a JSON body: a cart of 100 lines takes 8 KiB */
#define SK_HEADER_MAX_BYTES	     16384 /* request line and headers; civetweb's max_request_size */
#define SK_JSON_MAX_DEPTH	     16	   /* deepest of our own bodies is 5 */
#define SK_PATH_PARAMS_MAX	     4	   /* deepest of our own paths has 1 */
#define SK_REPLY_HEADERS_MAX	     16
#define SK_REPLY_MAX_BYTES	     8388608 /* a page of 100 products of 64 KiB, and then some */
#define SK_FIELD_ERRORS_MAX	     32	     /* further wrong fields are not listed */
#define SK_PAGE_DEFAULT		     20
#define SK_PAGE_MAX		     100
#define SK_CURSOR_MAX_BYTES	     512
#define SK_IDEMPOTENCY_KEY_MAX_BYTES 255

/* Memory of one request or one message */
#define SK_ARENA_BLOCK_BYTES (8 * 1024)
#define SK_ARENA_MAX_BYTES                                                                         \
	(32 * 1024 * 1024) /* for what grows with outside input; see sk_arena_try_alloc */

/* Messages */
#define SK_MESSAGE_MAX_BYTES                                                                       \
	(256 * 1024)		/* an order of 1,000 lines takes 150 KiB; the streams refuse more */
#define SK_UNPACK_FACTOR     64 /* protobuf-c turns 20 KiB into 1 MiB at worst (stack.md, 6) */
#define SK_SUBJECT_MAX_BYTES 256
#define SK_BATCH_MAX	     64	 /* messages in one transaction of a consumer */
#define SK_OUTBOX_BATCH_MAX  256 /* rows published before their acks are awaited */

/* Text */
#define SK_SKU_MAX_BYTES	  64
#define SK_EMAIL_MAX_BYTES	  254 /* RFC 5321 */
#define SK_ERROR_DETAIL_MAX_BYTES 256

#endif
