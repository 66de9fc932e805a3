/* User actions for the audit log: who did what to what, from where. Written to the
 * outbox in the transaction of the action itself. */
#ifndef SK_AUDIT_H
#define SK_AUDIT_H

#include "sk_pg.h"

#define SK_AUDIT_STREAM "audit" /* of every outbox one, whether or not its service says so */

/* Adds souk.audit.v1.UserAction to audit.user_actions.<account id> with the actor,
 * address and trace of the transaction's context. entity_id and detail may be NULL.
 * detail is a short sentence without secrets. action is "<noun>.<verb>": "session.opened". */
SK_MUST_CHECK enum sk_status sk_audit_action(struct sk_tx *tx, const char *action,
					     const char *entity, const char *entity_id,
					     const char *detail);

#endif
