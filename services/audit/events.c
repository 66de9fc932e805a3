/* Every event becomes an entry. The inbox (and the unique id) make it once.
 *
 * A product (catalog.product.*) is a state and no event: its stream keeps the last message of
 * each, so of changes that follow each other while we are away only the last has an entry. What
 * staff did (product.updated, product.imported) comes as a user action, and none of those is lost. */
#include <string.h>

#include "audit.h"
#include "souk/audit/v1/events.pb-c.h"

/* A string field of any message, "" where it has none: the domains call the same
 * things by the same names (account_id). */
static const char *text_field(const ProtobufCMessage *body, const char *name)
{
	const ProtobufCFieldDescriptor *field;
	const char *const *value;

	if (body == NULL)
		return "";
	field = protobuf_c_message_descriptor_get_field_by_name(body->descriptor, name);
	if (field == NULL || field->type != PROTOBUF_C_TYPE_STRING ||
	    field->label == PROTOBUF_C_LABEL_REPEATED)
		return "";
	value = (const void *)((const char *)body + field->offset);
	return *value != NULL ? *value : "";
}

static struct audit_entry entry_of(const struct sk_message *message)
{
	const struct sk_delivery *delivery = message->delivery;
	struct sk_arena *arena = message->context->arena;
	bool secret = audit_type_is_secret(delivery->type);

	return (struct audit_entry) {
		.id = delivery->id,
		.at_us = delivery->time_us,
		.subject = delivery->subject,
		.type = delivery->type,
		.source = delivery->source,
		.account_id = text_field(message->body, "account_id"),
		.role = "",
		.address = "",
		.action = audit_action_of(arena, delivery->subject),
		.entity = audit_entity_of(arena, delivery->subject),
		.entity_id = audit_entity_id_of(delivery->subject),
		.detail = "",
		.trace_id = message->context->trace.trace_id,
		.data = secret ? "" : delivery->data,
		.len = secret ? 0 : delivery->len,
	};
}

static enum sk_status on_event(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	struct audit_entry entry = entry_of(message);

	(void)app;
	if (audit_type_is_noise(entry.type))
		return SK_OK;
	/* Nobody may publish on another's subject, but a request may name one as its reply subject, and
	 * the broker's answer is no word of the subject's owner. */
	if (!audit_type_fits(entry.type, entry.subject))
		return sk_fail(message->context, SK_INVALID, "foreign_event",
			       "the type '%s' does not belong on %s", entry.type, entry.subject);
	return audit_append(tx, &entry);
}

static enum sk_status on_user_action(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Audit__V1__UserAction *action = (const void *)message->body;
	struct audit_entry entry = entry_of(message);

	(void)app;
	entry.role = action->role;
	entry.address = action->address;
	entry.action = action->action;
	entry.entity = action->entity;
	entry.entity_id = action->entity_id;
	entry.detail = action->detail;
	return audit_append(tx, &entry);
}

static const struct sk_handler ON_ANY_EVENT[] = { { NULL, on_event }, { NULL, NULL } };

static const struct sk_handler ON_USER_ACTION[] = {
	{ &souk__audit__v1__user_action__descriptor, on_user_action },
	{ NULL, NULL },
};

/* carts.* is left out: those may be lost with Valkey, and a log of record must not
 * depend on what may be lost. */
const struct sk_consumer AUDIT_CONSUMERS[] = {
	{ "audit-actions", "audit", "audit.user_actions.*", ON_USER_ACTION },
	{ "audit-sessions", "sessions", "sessions.>", ON_ANY_EVENT },
	{ "audit-catalog", "catalog", "catalog.>", ON_ANY_EVENT },
	{ "audit-orders", "orders", "orders.>", ON_ANY_EVENT },
	{ "audit-inventory", "inventory", "inventory.>", ON_ANY_EVENT },
	{ "audit-payments", "payments", "payments.>", ON_ANY_EVENT },
	{ "audit-shipments", "shipments", "shipments.>", ON_ANY_EVENT },
	{ "audit-notifications", "notifications", "notifications.>", ON_ANY_EVENT },
	{ NULL, NULL, NULL, NULL },
};
