/* Messages: protobuf-c behind one door.
 *
 * sk_message_unpack is the only place that unpacks bytes from outside: size
 * first, then into the arena under a cap (protobuf-c 1.4.1 turns 20 KiB into
 * 1 MiB), then the rules. The schema has no recursive type (a test walks the
 * descriptors), because protobuf-c recurses without a bound.
 *
 * The rules of a field stand in the .proto beside it, as the option
 * (souk.options.v1.rules); proto/generate.py turns them into the table behind
 * sk_message_type_find. What holds for every message: valid UTF-8, no NUL inside a
 * string, enum values that we know, the bounds of the rules. */
#ifndef SK_MESSAGE_H
#define SK_MESSAGE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "sk_context.h"
#include "sk_json.h"

struct sk_field_rules {
	const char *field; /* name in the .proto */
	bool required;	   /* not empty, not 0, present */
	bool uuid, sku, currency, email;
	bool has_range;
	int64_t min, max;   /* of an integer */
	uint32_t max_bytes; /* of a string or bytes; 0: 1024 */
	uint32_t max_count; /* of a repeated field; 0: 64 */
};

struct sk_message_type {
	const char *name; /* "souk.orders.v1.OrderCreated": the ce-type */
	const ProtobufCMessageDescriptor *descriptor;
	const struct sk_field_rules *rules;
	size_t rules_count;
	const char *entity_field; /* the field that is the subject's last token: "order_id" */
};

/* Generated into build/proto/souk_types.c: every message of every domain. */
extern const struct sk_message_type SK_MESSAGE_TYPES[];
extern const size_t SK_MESSAGE_TYPES_COUNT;

/* NULL where no such type is known. */
const struct sk_message_type *sk_message_type_find(const char *name);
const struct sk_message_type *sk_message_type_of(const ProtobufCMessageDescriptor *descriptor);

/* Unpacks and checks. The message lives as long as the arena. SK_INVALID
 * ("invalid_message") naming the field, SK_TOO_LARGE. */
SK_MUST_CHECK enum sk_status sk_message_unpack(struct sk_context *context,
					       const ProtobufCMessageDescriptor *descriptor,
					       const void *data, size_t len,
					       ProtobufCMessage **out);

/* The rules alone, for messages of our own making, before they are packed. */
SK_MUST_CHECK enum sk_status sk_message_check(struct sk_context *context,
					      const ProtobufCMessage *message);

/* Packs into the arena after sk_message_check. */
SK_MUST_CHECK enum sk_status sk_message_pack(struct sk_context *context,
					     const ProtobufCMessage *message, const void **data,
					     size_t *len);

/* The message as a JSON object: names as in the .proto, enums by name, bytes as base64. */
void sk_message_to_json(struct sk_json *json, const char *key, const ProtobufCMessage *message);

#endif
