#include "session.h"

#include <stdlib.h>
#include <string.h>

#define TOKEN_CHARACTERS 43 /* 32 bytes as base64 without padding; sk_token_make */

const char *session_email_digest(struct sk_arena *arena, const char *email)
{
	char *lower = sk_arena_strdup(arena, email);

	for (char *c = lower; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return sk_token_hash(arena, lower);
}

const char *session_code_text(struct sk_arena *arena, uint32_t number)
{
	return sk_arena_printf(arena, "%0*u", SESSION_CODE_DIGITS, number % 1000000);
}

const char *session_code_digest(struct sk_arena *arena, const char *account_id, const char *code)
{
	/* Six digits cannot be hidden by any hash; this keeps them from a reader's glance,
	 * and a code from serving another account. The limits on tries protect it. */
	return sk_token_hash(arena, sk_arena_printf(arena, "%s:%s", account_id, code));
}

bool session_code_valid(const char *code)
{
	return strlen(code) == SESSION_CODE_DIGITS &&
	       strspn(code, "0123456789") == SESSION_CODE_DIGITS;
}

bool session_token_valid(const char *text)
{
	static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				       "0123456789-_";

	return text != NULL && strlen(text) == TOKEN_CHARACTERS &&
	       strspn(text, ALPHABET) == TOKEN_CHARACTERS;
}

const char *session_user_agent(struct sk_arena *arena, const char *header)
{
	size_t len = header == NULL ? 0 : strnlen(header, SESSION_USER_AGENT_MAX_BYTES);
	char *text = sk_arena_memdup(arena, header == NULL ? "" : header, len);

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		/* Headers are Latin-1 by old custom; what is not ASCII has no certain meaning. */
		if (c < 0x20 || c > 0x7e)
			text[i] = '?';
	}
	return text;
}

bool session_outlives_change(const struct session_record *session, int64_t version,
			     const char *event_id)
{
	return session->credential_version >= version || strcmp(session->kept_by, event_id) == 0;
}

void session_act_as(struct sk_actor *actor, const struct session_account *account)
{
	actor->account_id = account->id;
	actor->email = account->email;
	actor->role = account->role;
}

int64_t session_expires_at_us(const struct session_record *session)
{
	return (session->last_seen_s + SK_SESSION_TTL_S) * SK_SECOND_US;
}

static int by_id_descending(const void *a, const void *b)
{
	const struct session_record *first = a, *second = b;

	return strcmp(second->id, first->id);
}

static int by_use_descending(const void *a, const void *b)
{
	const struct session_record *first = a, *second = b;

	if (first->last_seen_s != second->last_seen_s)
		return first->last_seen_s < second->last_seen_s ? 1 : -1;
	return by_id_descending(a, b);
}

bool session_records_page(struct session_records *records, const char *after, int limit)
{
	size_t first = 0, rest;

	if (records->count > 1)
		qsort(records->list, records->count, sizeof(*records->list), by_id_descending);
	while (after != NULL && first < records->count &&
	       strcmp(records->list[first].id, after) >= 0)
		first++;
	rest = records->count - first;
	if (first > 0)
		records->list += first;
	records->count = rest < (size_t)limit ? rest : (size_t)limit;
	return rest > records->count;
}

size_t session_records_surplus(struct session_records *records, size_t max)
{
	if (records->count <= max)
		return 0;
	qsort(records->list, records->count, sizeof(*records->list), by_use_descending);
	return records->count - max;
}
