#include "sk_audit.h"

#include "sk_outbox.h"
#include "souk/audit/v1/events.pb-c.h"

/* protobuf-c's strings are not const; a copy in the arena is cheaper than a doubtful cast. */
static char *copy(struct sk_tx *tx, const char *text)
{
	return sk_arena_strdup(sk_tx_arena(tx), text != NULL ? text : "");
}

enum sk_status sk_audit_action(struct sk_tx *tx, const char *action, const char *entity,
			       const char *entity_id, const char *detail)
{
	const struct sk_actor *actor = &sk_tx_context(tx)->actor;
	Souk__Audit__V1__UserAction event;
	const char *who = actor->account_id[0] != '\0' ? actor->account_id : "anonymous";

	souk__audit__v1__user_action__init(&event);
	event.account_id = copy(tx, actor->account_id);
	event.version = 1;
	event.action = copy(tx, action);
	event.entity = copy(tx, entity);
	event.entity_id = copy(tx, entity_id);
	event.role = copy(tx, sk_role_name(actor->role));
	event.address = copy(tx, actor->address);
	event.detail = copy(tx, detail);
	return sk_outbox_add(
		tx, &(struct sk_event) {
			    .subject = sk_arena_printf(sk_tx_arena(tx),
						       SK_AUDIT_STREAM ".user_actions.%s", who),
			    .body = &event.base,
		    });
}
