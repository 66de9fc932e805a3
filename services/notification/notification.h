/* The notification service's own types, and the functions between its files.
 *
 * Two ways out of the shop: e-mails to shoppers, one of a kind about one thing, and
 * signed webhooks to the endpoints that staff registered. Both are rows written with the
 * event's inbox entry, and sent by sweeps. */
#ifndef NOTIFICATION_H
#define NOTIFICATION_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "sk_service.h"
#include "sk_webhook.h"

#define NOTIFICATION_STREAM "notifications"

#define NOTIFICATION_SWEEP_SMTP	    "notification-smtp"
#define NOTIFICATION_SWEEP_WEBHOOKS "notification-webhooks"
#define NOTIFICATION_SWEEP_PRUNE    "notification-prune"

/* How long one run of a sweep may last, and its rows stay its own: a run ends before. */
#define NOTIFICATION_RUN_MS   20000
#define NOTIFICATION_LEASE_MS 25000

/* The lines of a message of SK_MESSAGE_MAX_BYTES. */
#define NOTIFICATION_TEXT_MAX_BYTES    ((size_t)512 * 1024)
#define NOTIFICATION_WEBHOOK_MAX_BYTES ((size_t)2 * 1024 * 1024) /* the same, all of it escaped */
#define NOTIFICATION_URL_MAX_BYTES     1024
#define NOTIFICATION_PATTERNS_MAX      32
#define NOTIFICATION_PATTERN_MAX_BYTES 64
#define NOTIFICATION_ENDPOINTS_MAX     100 /* each event is written once for each that wants it */

/* ---- kinds of messages ---- */

enum notification_kind {
	NOTIFICATION_WELCOME,
	NOTIFICATION_ONE_TIME_CODE,
	NOTIFICATION_PASSWORD_RESET,
	NOTIFICATION_PASSWORD_CHANGED,
	NOTIFICATION_ORDER_CONFIRMATION,
	NOTIFICATION_ORDER_REJECTED,
	NOTIFICATION_PAYMENT_FAILED,
	NOTIFICATION_ORDER_CANCELLED,
	NOTIFICATION_ORDER_SHIPPED,
	NOTIFICATION_ORDER_DELIVERED,
	NOTIFICATION_ORDER_REFUNDED,
	NOTIFICATION_KINDS,
};

#define NOTIFICATION_PLACEHOLDERS_MAX 12

/* A kind: its template is templates/<name>.txt. */
struct notification_kind_row {
	const char *name;
	bool secret; /* the body holds a code or a token: never shown, not kept */
	const char
		*placeholders[NOTIFICATION_PLACEHOLDERS_MAX]; /* besides the shop's; NULL-ended */
};

struct notification_value {
	const char *name, *text;
};

/* What an event gives to write about. */
struct notification_draft {
	enum notification_kind kind;
	const char *entity_id;
	const char *order_id; /* "" where it is about no order */
	const char *recipient;
	int64_t expires_at_us; /* 0: never */
	struct notification_value values[NOTIFICATION_PLACEHOLDERS_MAX];
	size_t values_count;
};

/* A template, as parts of its embedded file. */
struct notification_template {
	const char *subject;
	size_t subject_len;
	const char *body;
};

enum notification_state {
	NOTIFICATION_QUEUED,
	NOTIFICATION_SENDING,
	NOTIFICATION_SENT,
	NOTIFICATION_FAILED,
	NOTIFICATION_STATES,
};

/* A message. Strings are never NULL and live as long as the arena they were read into. */
struct notification_message {
	const char *id, *kind, *entity_id;
	const char *order_id; /* "" where it is about no order */
	const char *recipient, *subject, *body;
	enum notification_state state;
	int attempts;
	int64_t expires_at_us;
	const char *last_error;
	int64_t version;
	const char *traceparent;
	int64_t created_at_us, sent_at_us;
};

struct notification_messages {
	struct notification_message *list;
	int count;
};

struct notification_filter {
	const char *recipient, *order_id; /* NULL: any */
	const char *before;		  /* messages with an id below it, newest first */
	int limit;
};

/* ---- webhooks ---- */

struct notification_endpoint {
	const char *id, *url, *secret;
	const char **events;
	size_t events_count;
	int64_t created_at_us;
};

struct notification_endpoints {
	struct notification_endpoint *list;
	int count;
};

struct notification_delivery {
	const char *id, *url, *secret;
	const char *message_id; /* the event's ce-id */
	const char *body, *traceparent;
	int attempts;
};

struct notification_deliveries {
	struct notification_delivery *list;
	int count;
};

/* An event on its way to the endpoints. */
struct notification_hook {
	const char *message_id, *type, *body, *traceparent;
	const char *keys[3]; /* what an endpoint's patterns are compared with */
};

struct notification_service {
	struct sk_parts *parts;
	struct notification_template templates[NOTIFICATION_KINDS];
	const char *shop, *shop_url;
	const char *from;
	const char *smtp_url, *smtp_user, *smtp_password;
	int max_attempts;
	bool allow_private; /* whether webhooks may go to private addresses */
};

/* ---- kinds.c: pure ---- */

extern const struct notification_kind_row NOTIFICATION_KIND_ROWS[NOTIFICATION_KINDS];

/* Whether messages of the kind of this name hold a secret; an unknown name does. */
bool notification_kind_is_secret(const char *name);

/* What to write when this event happened. False where nobody is written to. */
bool notification_draft_of(struct sk_arena *arena, const ProtobufCMessage *body,
			   const char *event_id, struct notification_draft *draft);

/* ---- template.c: pure ---- */

/* Takes the text apart and checks that every {{placeholder}} is one of names (NULL-ended) or of
 * the shop's. SK_INVALID says what is wrong with it. */
SK_MUST_CHECK enum sk_status notification_template_parse(struct sk_context *context,
							 const struct sk_file *file,
							 const char *const *names,
							 struct notification_template *parsed);

/* The templates of all kinds, from files. SK_INVALID where one is missing or wrong. */
SK_MUST_CHECK enum sk_status
notification_templates_load(struct sk_context *context, const struct sk_file *files,
			    struct notification_template templates[NOTIFICATION_KINDS]);

/* text with its placeholders filled in. SK_INTERNAL where one has no value, SK_TOO_LARGE over
 * NOTIFICATION_TEXT_MAX_BYTES. */
SK_MUST_CHECK enum sk_status notification_template_render(struct sk_context *context,
							  const char *text,
							  const struct notification_value *values,
							  size_t count, const char **rendered);

/* ---- mail.c: pure ---- */

struct notification_mail {
	const char *id, *kind;
	const char *shop, *from, *to;
	const char *subject, *body;
	int64_t at_us;
};

/* The whole message after RFC 5322, lines ended by CRLF. Nothing in it can start a header
 * of its own. */
const char *notification_mail_write(struct sk_arena *arena, const struct notification_mail *mail);

/* ---- rules.c: pure ---- */

const char *notification_state_name(enum notification_state state);
enum notification_state notification_state_parse(const char *name);

/* What to do with a message after one attempt to send it. */
enum notification_fate { NOTIFICATION_DONE, NOTIFICATION_AGAIN, NOTIFICATION_GIVE_UP };
enum notification_fate notification_fate_of(enum sk_status status, int attempts, int max_attempts);

/* The same for a webhook, by the status of HTTP (0: no answer). */
enum notification_fate notification_webhook_fate(int http_status, int attempts);

/* How long after the given number of attempts the next one comes. */
int64_t notification_mail_delay_ms(int attempts);
int64_t notification_webhook_delay_ms(int attempts);

/* Whether it is too late for a message. */
bool notification_expired(const struct notification_message *message, int64_t now_us);

/* "orders.created.<id>" -> "orders.created". NULL where the event is not for outsiders: it
 * is of another domain, or a command that carries a payment token. */
const char *notification_public_event(struct sk_arena *arena, const char *subject);

/* Whether it is a pattern that an endpoint may ask for: "orders.created", "orders.*", "*". */
bool notification_pattern_valid(const char *pattern);

/* Whether a machine outside could have this address: 4 or 16 bytes in network order. */
bool notification_ipv4_public(const unsigned char address[4]);
bool notification_ipv6_public(const unsigned char address[16]);

/* text with every control character made a space. */
const char *notification_one_line(struct sk_arena *arena, const char *text);

/* ---- target.c: where webhooks may go ---- */

/* SK_INVALID where url is not http(s) with a host, or carries a password. */
SK_MUST_CHECK enum sk_status notification_target_check(struct sk_context *context, const char *url);

/* The same, and SK_INVALID ("private_address") where its host resolves to an address of
 * our own network. SK_UNAVAILABLE where it does not resolve. */
SK_MUST_CHECK enum sk_status notification_target_resolve(struct sk_context *context,
							 const char *url);

/* ---- smtp.c, delivery.c: the sweeps ---- */

SK_MUST_CHECK enum sk_status notification_sweep_smtp(struct sk_context *context, void *app,
						     bool *again);
SK_MUST_CHECK enum sk_status notification_sweep_webhooks(struct sk_context *context, void *app,
							 bool *again);
SK_MUST_CHECK enum sk_status notification_sweep_prune(struct sk_context *context, void *app,
						      bool *again);

/* ---- events.c ---- */

SK_MUST_CHECK enum sk_status notification_tell_sent(struct sk_tx *tx,
						    const struct notification_message *message);
SK_MUST_CHECK enum sk_status notification_tell_failed(struct sk_tx *tx,
						      const struct notification_message *message);

/* ---- store.c: messages ---- */

/* *added is false where there is one of this kind about this entity. */
SK_MUST_CHECK enum sk_status
notification_store_add(struct sk_tx *tx, const struct notification_message *message, bool *added);
/* Takes due messages: they are sending from now on, and due again after the lease. */
SK_MUST_CHECK enum sk_status notification_store_claim(struct sk_pg *pg, struct sk_context *context,
						      int limit,
						      struct notification_messages *claimed);
/* Ends a message in message->state, sent or failed, with its last_error. *ended is false where
 * somebody else did. */
SK_MUST_CHECK enum sk_status
notification_store_end(struct sk_tx *tx, struct notification_message *message, bool *ended);
SK_MUST_CHECK enum sk_status notification_store_again(struct sk_pg *pg, struct sk_context *context,
						      const struct notification_message *message,
						      int64_t delay_ms);
SK_MUST_CHECK enum sk_status notification_store_list(struct sk_pg *pg, struct sk_context *context,
						     const struct notification_filter *filter,
						     struct notification_messages *found);

/* ---- store_webhook.c: endpoints and deliveries ---- */

/* SK_CONFLICT ("too_many_endpoints"). */
SK_MUST_CHECK enum sk_status
notification_store_add_endpoint(struct sk_tx *tx, struct notification_endpoint *endpoint);
SK_MUST_CHECK enum sk_status
notification_store_list_endpoints(struct sk_pg *pg, struct sk_context *context, const char *before,
				  int limit, struct notification_endpoints *found);
/* SK_NOT_FOUND. */
SK_MUST_CHECK enum sk_status notification_store_drop_endpoint(struct sk_tx *tx, const char *id);

/* A delivery for each endpoint that wants the event. *queued is how many. */
SK_MUST_CHECK enum sk_status
notification_store_queue(struct sk_tx *tx, const struct notification_hook *hook, int *queued);
SK_MUST_CHECK enum sk_status
notification_store_claim_deliveries(struct sk_pg *pg, struct sk_context *context, int limit,
				    struct notification_deliveries *claimed);

/* How one attempt ended. */
struct notification_attempt {
	enum notification_fate fate;
	int http_status; /* 0: no answer */
	const char *error;
	int64_t delay_ms; /* where it is made again */
};
SK_MUST_CHECK enum sk_status
notification_store_attempted(struct sk_pg *pg, struct sk_context *context, const char *id,
			     const struct notification_attempt *attempt);
SK_MUST_CHECK enum sk_status notification_store_prune(struct sk_pg *pg, struct sk_context *context);

/* ---- the tables of main.c ---- */

extern const struct sk_route NOTIFICATION_ROUTES[];
extern const struct sk_consumer NOTIFICATION_CONSUMERS[];
extern const struct sk_file NOTIFICATION_MIGRATIONS[], NOTIFICATION_TEMPLATES[];

#endif
