/* The table of crash points, and dying at one.
 *
 * The file is claimed by renaming it: of several threads (or replicas) that come to the point
 * at once, one succeeds and the others go on. So there is no state in the process, and what was
 * armed is used up before the process ends, whatever comes next.
 *
 * This file is compiled, checked and tested in every build; in a release build nothing
 * refers to it, and the linker leaves it out. */
#include "sk_crash.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ORDER_MAX_BYTES 64
#define PATH_MAX_BYTES	512
#define SKIP_MAX	1000000

static const struct sk_crash_row ROWS[SK_CRASH_COUNT] = {
	[SK_CRASH_HTTP_BEFORE_BEGIN] = { "http_before_begin", SK_CRASH_NEEDS_TX_ROUTE,
					 "a request is checked; its transaction has not begun" },
	[SK_CRASH_HTTP_KEY_CLAIMED] = { "http_key_claimed", SK_CRASH_NEEDS_KEY_ROUTE,
					"its Idempotency-Key is claimed, uncommitted; nothing is "
					"done" },
	[SK_CRASH_HTTP_BEFORE_COMMIT] = { "http_before_commit", SK_CRASH_NEEDS_TX_ROUTE,
					  "effect, events and answer are written, uncommitted" },
	[SK_CRASH_HTTP_AFTER_COMMIT] = { "http_after_commit", SK_CRASH_NEEDS_TX_ROUTE,
					 "they are committed; the caller has heard nothing" },
	[SK_CRASH_HTTP_BEFORE_REPLY] = { "http_before_reply", SK_CRASH_NEEDS_CODE,
					 "an answer is made; no byte of it was sent" },
	[SK_CRASH_CONSUMER_FETCHED] = { "consumer_fetched", SK_CRASH_NEEDS_CONSUMER,
					"messages are fetched; nothing is done with them" },
	[SK_CRASH_CONSUMER_BEFORE_COMMIT] = { "consumer_before_commit", SK_CRASH_NEEDS_TX_CONSUMER,
					      "inbox, effects and events are written, "
					      "uncommitted" },
	[SK_CRASH_CONSUMER_BEFORE_ACK] = { "consumer_before_ack", SK_CRASH_NEEDS_CONSUMER,
					   "the effects are there; the broker has heard nothing" },
	[SK_CRASH_CONSUMER_ACKNOWLEDGED] = { "consumer_acknowledged", SK_CRASH_NEEDS_CONSUMER,
					     "the messages are acknowledged" },
	[SK_CRASH_LETTER_BEFORE_PUBLISH] = { "letter_before_publish", SK_CRASH_NEEDS_CONSUMER,
					     "a message is given up; its dead letter is not sent" },
	[SK_CRASH_LETTER_BEFORE_TERM] = { "letter_before_term", SK_CRASH_NEEDS_CONSUMER,
					  "its dead letter is kept; the message is still due" },
	[SK_CRASH_LETTER_BURIED] = { "letter_buried", SK_CRASH_NEEDS_CONSUMER,
				     "its dead letter is kept; the message is ended" },
	[SK_CRASH_RELAY_LEADING] = { "relay_leading", SK_CRASH_NEEDS_OUTBOX,
				     "the relay has its lock; nothing is read" },
	[SK_CRASH_RELAY_BEFORE_PUBLISH] = { "relay_before_publish", SK_CRASH_NEEDS_EVENT,
					    "events are read from the outbox; none is published" },
	[SK_CRASH_RELAY_BEFORE_MARK] = { "relay_before_mark", SK_CRASH_NEEDS_EVENT,
					 "they are published and acknowledged; none is marked" },
	[SK_CRASH_RELAY_MARKED] = { "relay_marked", SK_CRASH_NEEDS_EVENT,
				    "they are marked as sent" },
	[SK_CRASH_SWEEP_BEFORE] = { "sweep_before", SK_CRASH_NEEDS_SWEEP,
				    "a sweep's turn has come; it has not begun" },
	[SK_CRASH_SWEEP_AFTER] = { "sweep_after", SK_CRASH_NEEDS_SWEEP, "a sweep has ended" },
	[SK_CRASH_KV_BEFORE_WRITE] = { "kv_before_write", SK_CRASH_NEEDS_CODE,
				       "a change of carts, sessions or caches is to go to Valkey" },
	[SK_CRASH_KV_AFTER_WRITE] = { "kv_after_write", SK_CRASH_NEEDS_CODE,
				      "Valkey has the change; nothing follows from it yet" },
	[SK_CRASH_CACHE_STALE] = { "cache_stale", SK_CRASH_NEEDS_CODE,
				   "a change is committed; the cache still has what was before" },
	[SK_CRASH_NEWS_BEFORE_PUBLISH] = { "news_before_publish", SK_CRASH_NEEDS_CODE,
					   "news of carts wait in memory; none is published" },
	[SK_CRASH_NEWS_BEFORE_DROP] = { "news_before_drop", SK_CRASH_NEEDS_CODE,
					"they are published; they still wait" },
	[SK_CRASH_MAIL_BEFORE_HAND_OVER] = { "mail_before_hand_over", SK_CRASH_NEEDS_CODE,
					     "a mail is claimed; the mail server has not seen it" },
	[SK_CRASH_MAIL_BEFORE_RECORD] = { "mail_before_record", SK_CRASH_NEEDS_CODE,
					  "the mail server has it; that is not written down" },
	[SK_CRASH_CHARGE_BEFORE_CALL] = { "charge_before_call", SK_CRASH_NEEDS_CODE,
					  "a charge is claimed; the provider was not asked" },
	[SK_CRASH_CHARGE_BEFORE_RECORD] = { "charge_before_record", SK_CRASH_NEEDS_CODE,
					    "the provider has the charge; we know of no answer" },
	[SK_CRASH_REFUND_BEFORE_CALL] = { "refund_before_call", SK_CRASH_NEEDS_CODE,
					  "a refund is claimed; the provider was not asked" },
	[SK_CRASH_REFUND_BEFORE_RECORD] = { "refund_before_record", SK_CRASH_NEEDS_CODE,
					    "the provider has the refund; we know of no answer" },
	[SK_CRASH_WEBHOOK_BEFORE_CALL] = { "webhook_before_call", SK_CRASH_NEEDS_CODE,
					   "a webhook is claimed and signed; it was not sent" },
	[SK_CRASH_WEBHOOK_BEFORE_RECORD] = { "webhook_before_record", SK_CRASH_NEEDS_CODE,
					     "its receiver has answered; that is not written "
					     "down" },
	[SK_CRASH_LABEL_MADE] = { "label_made", SK_CRASH_NEEDS_CODE,
				  "a label is drawn; the shipment is not written" },
};

const struct sk_crash_row *sk_crash_row_of(enum sk_crash_point point)
{
	return &ROWS[point];
}

/* A number up to SKIP_MAX, and nothing after it but white space. No number at all is 0. */
static bool parse_skip(const char *text, int *skip)
{
	long number = 0;

	for (; *text >= '0' && *text <= '9' && number <= SKIP_MAX; text++)
		number = number * 10 + (*text - '0');
	*skip = (int)number;
	return number <= SKIP_MAX && text[strspn(text, " \n")] == '\0';
}

bool sk__crash_parse(const char *text, enum sk_crash_point *point, int *skip)
{
	size_t len = strcspn(text, " \n");
	int count = 0;

	if (!parse_skip(text + len + strspn(text + len, " \n"), &count))
		return false;
	for (int i = 0; i < SK_CRASH_COUNT; i++) {
		if (strlen(ROWS[i].name) == len && strncmp(ROWS[i].name, text, len) == 0) {
			*point = (enum sk_crash_point)i;
			*skip = count;
			return true;
		}
	}
	return false;
}

static bool read_order(const char *path, enum sk_crash_point *point, int *skip)
{
	char text[ORDER_MAX_BYTES];
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (file < 0)
		return false;
	len = read(file, text, sizeof(text) - 1);
	(void)close(file);
	if (len <= 0)
		return false;
	text[len] = '\0';
	return sk__crash_parse(text, point, skip);
}

/* Puts the file back with one visit less to let pass. */
static void put_back(const char *claim, const char *path, enum sk_crash_point point, int skip)
{
	FILE *file = fopen(claim, "we");

	if (file == NULL)
		return;
	(void)fprintf(file, "%s %d", ROWS[point].name, skip);
	if (fclose(file) == 0)
		(void)rename(claim, path);
}

bool sk__crash_due(const char *path, enum sk_crash_point point)
{
	char claim[PATH_MAX_BYTES];
	enum sk_crash_point told = SK_CRASH_COUNT;
	int skip = 0;
	int len = snprintf(claim, sizeof(claim), "%s.%ld", path, (long)gettid());

	if (len < 0 || (size_t)len >= sizeof(claim) || !read_order(path, &told, &skip) ||
	    told != point || rename(path, claim) != 0)
		return false;
	if (skip > 0) {
		put_back(claim, path, point, skip - 1);
		return false;
	}
	(void)unlink(claim);
	return true;
}

void sk__crash_visit(enum sk_crash_point point)
{
	const char *path = getenv("SOUK_CRASH_FILE");

	if (path != NULL && sk__crash_due(path, point))
		_exit(SK_CRASH_STATUS);
}
