/* Dead letters: a message that cannot be handled goes to dead.<stream>.<consumer> with its own
 * headers and, in headers souk-*, where it came from and why it failed. `soukctl dead replay` puts
 * a copy into the stream "replay"; there it comes to the consumer that failed and to no other.
 *
 * The message is terminated only after the stream "dead" has acknowledged the letter, so a death in
 * between buries it twice at worst, and then the letter's Nats-Msg-Id drops the second one. That
 * id names the delivery that failed and not only the message: a letter that was replayed and
 * failed again within the stream's window must not be taken for the first one. */
#include "sk_bus_internal.h"
#include "sk_crash.h"

#include <stdlib.h>
#include <string.h>

static void copy_headers(natsMsg *from, natsMsg *to)
{
	const char **keys = NULL;
	int count = 0;

	if (natsMsgHeader_Keys(from, &keys, &count) != NATS_OK)
		return;
	for (int i = 0; i < count; i++) {
		const char *value = sk__bus_header(from, keys[i]);

		if (value != NULL && strcmp(keys[i], "Nats-Msg-Id") != 0)
			sk_ignore(natsMsgHeader_Set(to, keys[i], value) == NATS_OK ? SK_OK
										   : SK_NO_MEMORY,
				  "a dead letter without one header is better than none");
	}
	free(keys);
}

/* Names this failure; the same for a second attempt to bury it. */
static const char *letter_id(const struct sk_delivery *delivery, struct sk_arena *arena)
{
	return sk_arena_printf(arena, "dead-%s-%llu-%s-%s-%llu", delivery->stream,
			       (unsigned long long)delivery->sequence, delivery->consumer,
			       delivery->id, (unsigned long long)delivery->replayed);
}

static natsStatus describe_death(natsMsg *letter, const struct sk_delivery *delivery,
				 const struct sk_error *error, struct sk_arena *arena)
{
	const struct {
		const char *name, *value;
	} headers[] = {
		{ "Nats-Msg-Id", letter_id(delivery, arena) },
		{ "souk-stream", delivery->stream },
		{ "souk-consumer", delivery->consumer },
		{ "souk-subject", delivery->subject },
		{ "souk-sequence",
		  sk_arena_printf(arena, "%llu", (unsigned long long)delivery->sequence) },
		{ "souk-attempts",
		  sk_arena_printf(arena, "%d", delivery->buried_after + delivery->deliveries) },
		{ "souk-error-status", sk_status_name(error->status) },
		{ "souk-error-code", error->code },
		{ "souk-error", error->detail },
	};
	natsStatus status = NATS_OK;

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]) && status == NATS_OK; i++)
		status = natsMsgHeader_Set(letter, headers[i].name, headers[i].value);
	return status;
}

enum sk_status sk_bus_bury(struct sk_bus *bus, struct sk_context *context,
			   const struct sk_delivery *delivery, const struct sk_error *error)
{
	const char *subject = sk_arena_printf(context->arena, "dead.%s.%s", delivery->stream,
					      delivery->consumer);
	natsMsg *letter = NULL, *ack = NULL;
	enum sk_status st = SK_OK;

	if (natsMsg_Create(&letter, subject, NULL, delivery->data, (int)delivery->len) != NATS_OK)
		return sk_fail(context, SK_NO_MEMORY, "no_memory", "cannot make the dead letter");
	copy_headers(delivery->raw, letter);
	if (describe_death(letter, delivery, error, context->arena) != NATS_OK)
		st = sk_fail(context, SK_NO_MEMORY, "no_memory", "cannot describe the dead letter");
	sk_crash_here(SK_CRASH_LETTER_BEFORE_PUBLISH);
	if (st == SK_OK)
		st = sk__bus_request(bus, context, letter, bus->publish_timeout_ms, &ack);
	if (st == SK_OK)
		st = sk__bus_check_ack(context, ack);
	natsMsg_Destroy(ack);
	natsMsg_Destroy(letter);
	sk_crash_here(SK_CRASH_LETTER_BEFORE_TERM);
	/* Only now may the broker forget it here. */
	if (st == SK_OK)
		st = sk__bus_answer(bus, delivery, "+TERM");
	sk_crash_here(SK_CRASH_LETTER_BURIED);
	return st;
}

enum sk_status sk_bus_unbury(struct sk_context *context, struct sk_delivery *delivery)
{
	const char *subject = sk__bus_header(delivery->raw, "souk-subject");
	const char *stream = sk__bus_header(delivery->raw, "souk-stream");
	const char *consumer = sk__bus_header(delivery->raw, "souk-consumer");
	const char *sequence = sk__bus_header(delivery->raw, "souk-sequence");
	const char *attempts = sk__bus_header(delivery->raw, "souk-attempts");

	if (subject == NULL || stream == NULL || consumer == NULL || sequence == NULL)
		return sk_fail(context, SK_MALFORMED, "no_letter",
			       "a message of the stream replay is no dead letter");
	delivery->replayed = delivery->sequence;
	delivery->subject = subject;
	delivery->stream = stream;
	delivery->consumer = consumer;
	delivery->sequence = strtoull(sequence, NULL, 10);
	delivery->buried_after = attempts != NULL ? (int)strtol(attempts, NULL, 10) : 0;
	return SK_OK;
}
