/* Outgoing HTTP and SMTP on libcurl. Every call has a deadline; redirects are not
 * followed; an answer over SK_CLIENT_ANSWER_MAX_BYTES is cut off there. Thread-safe. */
#ifndef SK_CLIENT_H
#define SK_CLIENT_H

#include "sk_context.h"

#define SK_CLIENT_ANSWER_MAX_BYTES 1048576 /* 1 MiB: what a webhook answers is for its log */

struct sk_client_request {
	const char *method;
	const char *url;
	const char *const *headers; /* "Name: value", NULL-ended; or NULL */
	const void *body;
	size_t body_len;
	int timeout_ms;
};

struct sk_client_answer {
	int status;	  /* HTTP status */
	const char *body; /* in the context's arena; ends in NUL */
	size_t len;
};

/* SK_OK whatever the HTTP status; SK_UNAVAILABLE or SK_TIMEOUT where no answer came. */
SK_MUST_CHECK enum sk_status sk_client_send(struct sk_context *context,
					    const struct sk_client_request *request,
					    struct sk_client_answer *answer);

struct sk_mail {
	const char *smtp_url;	     /* smtp://host:port or smtps:// */
	const char *user, *password; /* NULL or "": none */
	const char *from, *to;
	const char *message; /* RFC 5322, CRLF line ends */
	int timeout_ms;
};

/* SK_OK: the server took it over. SK_INVALID: it refuses for ever (5xx).
 * SK_UNAVAILABLE, SK_TIMEOUT: try again; after SK_TIMEOUT it may have been taken. */
SK_MUST_CHECK enum sk_status sk_client_mail(struct sk_context *context, const struct sk_mail *mail);

#endif
