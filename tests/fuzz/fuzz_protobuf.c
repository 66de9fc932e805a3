/* Messages of every type: a line with the type, then the bytes. What unpacks is valid, packs,
 * and unpacks again to the same bytes. */
#include "fuzz.h"

#include "sk_message.h"

static const struct sk_message_type *type_of(const char *name)
{
	const struct sk_message_type *type = sk_message_type_find(name);

	return type != NULL ? type : &SK_MESSAGE_TYPES[fuzz_index(name, SK_MESSAGE_TYPES_COUNT)];
}

void fuzz(struct sk_context *context, struct fuzz_input *input)
{
	const struct sk_message_type *type = type_of(fuzz_line(context, input));
	ProtobufCMessage *message, *again;
	const void *packed, *repacked;
	size_t len, relen;
	struct sk_json json;

	if (sk_message_unpack(context, type->descriptor, fuzz_rest(context, input), input->left,
			      &message) != SK_OK)
		return;
	FUZZ_HOLDS(sk_message_pack(context, message, &packed, &len) == SK_OK);
	FUZZ_HOLDS(sk_message_unpack(context, type->descriptor, packed, len, &again) == SK_OK);
	FUZZ_HOLDS(sk_message_pack(context, again, &repacked, &relen) == SK_OK);
	FUZZ_HOLDS(relen == len && memcmp(packed, repacked, len) == 0);
	sk_json_init(&json, context->arena, (size_t)SK_REPLY_MAX_BYTES);
	sk_message_to_json(&json, NULL, message);
}
