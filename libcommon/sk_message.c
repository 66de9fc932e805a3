#include "sk_message.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "sk_id.h"
#include "sk_json.h"
#include "sk_money.h"
#include "sk_utf8.h"

#define DEFAULT_MAX_BYTES  1024
#define DEFAULT_MAX_COUNT  64
#define UNPACK_EXTRA_BYTES 4096 /* the smallest message has a struct, too */

/* ---- types ---- */

const struct sk_message_type *sk_message_type_find(const char *name)
{
	for (size_t i = 0; i < SK_MESSAGE_TYPES_COUNT; i++)
		if (strcmp(SK_MESSAGE_TYPES[i].name, name) == 0)
			return &SK_MESSAGE_TYPES[i];
	return NULL;
}

const struct sk_message_type *sk_message_type_of(const ProtobufCMessageDescriptor *descriptor)
{
	for (size_t i = 0; i < SK_MESSAGE_TYPES_COUNT; i++)
		if (SK_MESSAGE_TYPES[i].descriptor == descriptor)
			return &SK_MESSAGE_TYPES[i];
	return NULL;
}

/* ---- rules ---- */

/* What is being checked, for the error's words. */
struct check {
	struct sk_context *context;
	const ProtobufCMessageDescriptor *message;
	const ProtobufCFieldDescriptor *field;
	const struct sk_field_rules *rules;
};

static const struct sk_field_rules NO_RULES = { .field = "" };

static enum sk_status refuse(const struct check *check, const char *why)
{
	return sk_fail(check->context, SK_INVALID, "invalid_message", "%s.%s %s",
		       check->message->name, check->field->name, why);
}

static const struct sk_field_rules *rules_of(const struct sk_message_type *type, const char *field)
{
	for (size_t i = 0; type != NULL && i < type->rules_count; i++)
		if (strcmp(type->rules[i].field, field) == 0)
			return &type->rules[i];
	return &NO_RULES;
}

static enum sk_status check_text(const struct check *check, const char *text)
{
	const struct sk_field_rules *rules = check->rules;
	size_t max = rules->max_bytes > 0 ? rules->max_bytes : DEFAULT_MAX_BYTES;

	if (text == NULL || text[0] == '\0')
		return rules->required ? refuse(check, "is empty") : SK_OK;
	if (strlen(text) > max)
		return refuse(check, "is too long");
	if (!sk_utf8_valid(text, strlen(text)))
		return refuse(check, "is no UTF-8");
	if (rules->uuid && !sk_id_valid(text))
		return refuse(check, "is no UUID");
	if (rules->sku && !sk_sku_valid(text))
		return refuse(check, "is no SKU");
	if (rules->currency && !sk_currency_valid(text))
		return refuse(check, "is no currency");
	if (rules->email && !sk_email_valid(text))
		return refuse(check, "is no e-mail address");
	return SK_OK;
}

static enum sk_status check_number(const struct check *check, int64_t value)
{
	if (check->rules->has_range && (value < check->rules->min || value > check->rules->max))
		return refuse(check, "is out of range");
	if (check->rules->required && value == 0)
		return refuse(check, "is 0");
	return SK_OK;
}

static enum sk_status check_bytes(const struct check *check, const ProtobufCBinaryData *bytes)
{
	size_t max = check->rules->max_bytes > 0 ? check->rules->max_bytes : DEFAULT_MAX_BYTES;

	if (bytes->len > max)
		return refuse(check, "is too long");
	return check->rules->required && bytes->len == 0 ? refuse(check, "is empty") : SK_OK;
}

static enum sk_status check_enum(const struct check *check, int value)
{
	/* protobuf-c lets values pass that the schema does not have. */
	if (protobuf_c_enum_descriptor_get_value(check->field->descriptor, value) == NULL)
		return refuse(check, "has a value that is not known");
	return check_number(check, value);
}

static enum sk_status check_message(struct sk_context *context, const ProtobufCMessage *message);

/* One value of a field, at its place in memory. */
static enum sk_status check_value(const struct check *check,
				  const void *value) /* NOLINT(misc-no-recursion) */
{
	switch (check->field->type) {
	case PROTOBUF_C_TYPE_STRING:
		return check_text(check, *(const char *const *)value);
	case PROTOBUF_C_TYPE_BYTES:
		return check_bytes(check, value);
	case PROTOBUF_C_TYPE_ENUM:
		return check_enum(check, *(const int *)value);
	case PROTOBUF_C_TYPE_MESSAGE:
		if (*(const ProtobufCMessage *const *)value == NULL)
			return check->rules->required ? refuse(check, "is missing") : SK_OK;
		return check_message(check->context, *(const ProtobufCMessage *const *)value);
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		return check_number(check, *(const int32_t *)value);
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return check_number(check, *(const uint32_t *)value);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return check_number(check, *(const int64_t *)value);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		if (*(const uint64_t *)value > INT64_MAX)
			return refuse(check, "is out of range");
		return check_number(check, (int64_t) * (const uint64_t *)value);
	case PROTOBUF_C_TYPE_BOOL:
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_DOUBLE:
		return SK_OK;
	}
	return SK_OK;
}

/* The size of one element of a repeated field. */
static size_t element_size(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return sizeof(int64_t);
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_ENUM:
		return sizeof(int32_t);
	}
	return sizeof(int32_t);
}

/* The elements of a repeated field. */
static const char *elements_of(const ProtobufCMessage *message,
			       const ProtobufCFieldDescriptor *field, size_t *count)
{
	const char *base = (const char *)message;

	*count = *(const size_t *)(const void *)(base + field->quantifier_offset);
	return *(const char *const *)(const void *)(base + field->offset);
}

static enum sk_status
check_repeated(const struct check *check,
	       const ProtobufCMessage *message) /* NOLINT(misc-no-recursion) */
{
	size_t count,
		max = check->rules->max_count > 0 ? check->rules->max_count : DEFAULT_MAX_COUNT;
	const char *elements = elements_of(message, check->field, &count);

	if (count > max)
		return refuse(check, "has too many elements");
	if (count == 0 && check->rules->required)
		return refuse(check, "is empty");
	for (size_t i = 0; i < count; i++) {
		enum sk_status st = check_value(check,
						elements + i * element_size(check->field->type));

		if (st != SK_OK)
			return st;
	}
	return SK_OK;
}

/* Recursion is as deep as the schema, which has no recursive type (generate.py refuses them). */
static enum sk_status check_message(struct sk_context *context,
				    const ProtobufCMessage *message) /* NOLINT(misc-no-recursion) */
{
	const struct sk_message_type *type = sk_message_type_of(message->descriptor);
	enum sk_status st = SK_OK;

	for (unsigned i = 0; st == SK_OK && i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
		struct check check = { context, message->descriptor, field,
				       rules_of(type, field->name) };

		st = field->label == PROTOBUF_C_LABEL_REPEATED
			     ? check_repeated(&check, message)
			     : check_value(&check, (const char *)message + field->offset);
	}
	return st;
}

enum sk_status sk_message_check(struct sk_context *context, const ProtobufCMessage *message)
{
	return check_message(context, message);
}

/* ---- unpack and pack ---- */

/* An allocator over the arena that gives out a bounded amount and frees nothing. */
struct bounded {
	struct sk_arena *arena;
	size_t left;
};

static void *bounded_alloc(void *data, size_t size)
{
	struct bounded *bounded = data;

	if (size > bounded->left)
		return NULL;
	bounded->left -= size;
	return sk_arena_try_alloc(bounded->arena, size);
}

static void bounded_free(void *data, void *pointer)
{
	(void)data;
	(void)pointer;
}

/* protobuf-c keeps a string's bytes but not its length, so that a NUL inside would cut
 * the string in silence: what is then left packs into fewer bytes than came. Unknown
 * fields are kept and count on both sides; only a sender that wrote a default value
 * or a field twice packs smaller, too, and none of ours does. */
static bool lost_bytes(const ProtobufCMessage *message, size_t len)
{
	return protobuf_c_message_get_packed_size(message) < len;
}

enum sk_status sk_message_unpack(struct sk_context *context,
				 const ProtobufCMessageDescriptor *descriptor, const void *data,
				 size_t len, ProtobufCMessage **out)
{
	struct bounded bounded = { context->arena, len * SK_UNPACK_FACTOR + UNPACK_EXTRA_BYTES };
	ProtobufCAllocator allocator = { bounded_alloc, bounded_free, &bounded };

	if (len > (size_t)SK_MESSAGE_MAX_BYTES)
		return sk_fail(context, SK_TOO_LARGE, "message_too_large", "a message of %zu bytes",
			       len);
	*out = protobuf_c_message_unpack(descriptor, &allocator, len, data);
	if (*out == NULL)
		return sk_fail(context, SK_INVALID, "invalid_message", "the bytes are no %s",
			       descriptor->name);
	if (lost_bytes(*out, len))
		return sk_fail(context, SK_INVALID, "invalid_message",
			       "%s has a NUL in a string or a field twice", descriptor->name);
	return check_message(context, *out);
}

enum sk_status sk_message_pack(struct sk_context *context, const ProtobufCMessage *message,
			       const void **data, size_t *len)
{
	unsigned char *bytes;
	enum sk_status st = check_message(context, message);

	if (st != SK_OK)
		return st;
	*len = protobuf_c_message_get_packed_size(message);
	if (*len > (size_t)SK_MESSAGE_MAX_BYTES)
		return sk_fail(context, SK_TOO_LARGE, "message_too_large",
			       "%s would have %zu bytes", message->descriptor->name, *len);
	bytes = sk_arena_alloc(context->arena, *len + 1);
	protobuf_c_message_pack(message, bytes);
	*data = bytes;
	return SK_OK;
}

/* ---- JSON ---- */

static void write_bytes(struct sk_json *json, const char *key, const ProtobufCBinaryData *bytes)
{
	size_t size = sodium_base64_ENCODED_LEN(bytes->len, sodium_base64_VARIANT_ORIGINAL);
	char *text = sk_arena_alloc(json->buf.arena, size);

	sodium_bin2base64(text, size, bytes->data, bytes->len, sodium_base64_VARIANT_ORIGINAL);
	sk_json_text(json, key, text);
}

static void write_value(struct sk_json *json, const char *key,
			const ProtobufCFieldDescriptor *field, /* NOLINT(misc-no-recursion) */
			const void *value)
{
	const ProtobufCEnumValue *name;

	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
		sk_json_text(json, key, *(const char *const *)value);
		break;
	case PROTOBUF_C_TYPE_BYTES:
		write_bytes(json, key, value);
		break;
	case PROTOBUF_C_TYPE_ENUM:
		name = protobuf_c_enum_descriptor_get_value(field->descriptor, *(const int *)value);
		sk_json_text(json, key, name != NULL ? name->name : NULL);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		if (*(const ProtobufCMessage *const *)value == NULL)
			sk_json_null(json, key);
		else
			sk_message_to_json(json, key, *(const ProtobufCMessage *const *)value);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		sk_json_bool(json, key, *(const protobuf_c_boolean *)value != 0);
		break;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		sk_json_int(json, key, *(const int32_t *)value);
		break;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		sk_json_int(json, key, *(const uint32_t *)value);
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		sk_json_int(json, key, *(const int64_t *)value);
		break;
	case PROTOBUF_C_TYPE_FLOAT: /* the schema has none: money is never a fraction */
	case PROTOBUF_C_TYPE_DOUBLE:
		sk_json_null(json, key);
		break;
	}
}

void sk_message_to_json(struct sk_json *json, const char *key,
			const ProtobufCMessage *message) /* NOLINT(misc-no-recursion) */
{
	sk_json_begin_object(json, key);
	for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
		const char *elements;
		size_t count;

		if (field->label != PROTOBUF_C_LABEL_REPEATED) {
			write_value(json, field->name, field,
				    (const char *)message + field->offset);
			continue;
		}
		elements = elements_of(message, field, &count);
		sk_json_begin_array(json, field->name);
		for (size_t at = 0; at < count; at++)
			write_value(json, NULL, field, elements + at * element_size(field->type));
		sk_json_end_array(json);
	}
	sk_json_end_object(json);
}
