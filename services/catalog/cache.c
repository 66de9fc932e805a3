/* The read-through cache: ready answers with their entity tags in Valkey.
 *
 * One loader a key: who misses takes lock:catalog:<key>; the others look again with
 * back-off for WAIT_MS and then read PostgreSQL themselves, so a loader that died
 * costs half a second and no answer.
 *
 * Never older than the last change: an invalidation deletes the entry and its lock
 * together, after the commit, and catalog_fill (functions/catalog.lua) stores
 * only while the loader's lock is still its own. Without that a loader could read the
 * old row, be overtaken by the invalidation, and then store the old row for an hour.
 *
 * Lists are not deleted one by one: an entry names the generation it was read in, and is
 * a miss in any other. A changed product begins a new generation of the lists; a changed
 * stock level does not, so a list may show a level up to LIST_TTL_S old.
 *
 * An invalidation can be lost: Valkey cannot be reached, or the process dies between
 * the commit and the deletion. So each process begins owing one, and owes one after
 * each failure; the sweep pays by a new generation of everything as soon as Valkey
 * answers. The price is a cold cache after an outage.
 *
 * Valkey down: every read goes to PostgreSQL. PostgreSQL down: what is cached is served. */
#include "catalog.h"

#include <string.h>

#define PRODUCT_TTL_S	 3600
#define LIST_TTL_S	 60
#define GENERATION_TTL	 "7200" /* seconds; longer than any entry of the generation lives */
#define LOCK_TTL_MS	 "10000"
#define WAIT_MS		 500 /* for another's load */
#define WAIT_STEP_MAX_MS 40
#define ENTRY_MAX_BYTES	 ((size_t)1024 * 1024) /* larger answers are not worth the memory */

#define PRODUCT_GENERATION "product:generation"
#define LIST_GENERATION	   "products:generation"

enum found { HIT, MISS, LOADING, DOWN };

struct lookup {
	enum found found;
	const char *generation; /* of now; "" where there is none */
	const char *lock;	/* the lock's key */
};

struct catalog_question catalog_question_product(struct sk_arena *arena, const char *key)
{
	const char *kind = sk_id_valid(key) ? "" : "slug:";

	return (struct catalog_question) {
		.key = sk_arena_printf(arena, "product:%s%s", kind, key),
		.generation_key = PRODUCT_GENERATION,
		.ttl_s = PRODUCT_TTL_S,
	};
}

struct catalog_question catalog_question_list(struct sk_arena *arena, const char *words)
{
	return (struct catalog_question) {
		.key = sk_arena_printf(arena, "products:%s", sk_token_hash(arena, words)),
		.generation_key = LIST_GENERATION,
		.ttl_s = LIST_TTL_S,
	};
}

static struct sk_kv *cache_of(const struct catalog_service *service)
{
	return service->parts->cache;
}

/* An entry is "<generation>\n<tag>\n<json>". False where it is of another generation. */
static bool open_entry(const char *entry, const char *generation, struct sk_arena *arena,
		       struct catalog_answer *answer)
{
	size_t len = strlen(generation);
	const char *tag = entry + len + 1, *end;

	if (strncmp(entry, generation, len) != 0 || entry[len] != '\n')
		return false;
	end = strchr(tag, '\n');
	if (!end)
		return false;
	*answer = (struct catalog_answer) {
		.tag = sk_arena_memdup(arena, tag, (size_t)(end - tag)),
		.json = end + 1,
		.len = strlen(end + 1),
	};
	return true;
}

static struct lookup look_up(struct catalog_service *service, struct sk_context *context,
			     const struct catalog_question *question, struct catalog_answer *answer)
{
	struct lookup lookup = {
		.found = DOWN,
		.generation = "",
		.lock = sk_arena_printf(context->arena, "lock:catalog:%s", question->key),
	};
	struct sk_kv_reply reply;
	enum sk_status status = sk_kv_run(
		cache_of(service), context,
		SK_KV("MGET", question->generation_key, question->key, lookup.lock), &reply);

	if (status != SK_OK || reply.kind != SK_KV_LIST || reply.count != 3) {
		sk_context_clear_error(context);
		return lookup;
	}
	if (reply.items[0].kind == SK_KV_TEXT)
		lookup.generation = reply.items[0].text;
	lookup.found = reply.items[2].kind == SK_KV_TEXT ? LOADING : MISS;
	if (reply.items[1].kind == SK_KV_TEXT &&
	    open_entry(reply.items[1].text, lookup.generation, context->arena, answer))
		lookup.found = HIT;
	return lookup;
}

/* A command that changes something. */
static enum sk_status write_kv(struct sk_kv *kv, struct sk_context *context,
			       struct sk_kv_command command, struct sk_kv_reply *reply)
{
	enum sk_status st;

	sk_crash_here(SK_CRASH_KV_BEFORE_WRITE);
	st = sk_kv_run(kv, context, command, reply);
	sk_crash_here(SK_CRASH_KV_AFTER_WRITE);
	return st;
}

/* True where token now holds the lock. */
static bool take_lock(struct catalog_service *service, struct sk_context *context, const char *lock,
		      const char *token)
{
	struct sk_kv_reply reply;
	enum sk_status status = write_kv(cache_of(service), context,
					 SK_KV("SET", lock, token, "NX", "PX", LOCK_TTL_MS),
					 &reply);

	if (status == SK_OK)
		return reply.kind == SK_KV_TEXT;
	sk_context_clear_error(context);
	return false;
}

/* Looks again until the other's answer is there, its lock is gone, or the time is up. */
static struct lookup await_other(struct catalog_service *service, struct sk_context *context,
				 const struct catalog_question *question,
				 struct catalog_answer *answer)
{
	int64_t until_us = sk_time_monotonic_us() +
			   sk_context_remaining_ms(context, WAIT_MS) * (SK_SECOND_US / 1000);
	struct lookup lookup;
	int attempt = 0;

	do {
		sk_time_sleep_ms(1 + sk_time_backoff_ms(attempt++, 4, WAIT_STEP_MAX_MS));
		lookup = look_up(service, context, question, answer);
	} while (lookup.found == LOADING && sk_time_monotonic_us() < until_us);
	return lookup;
}

/* Stores the answer (NULL: there is none) and lets the lock go. */
static void fill(struct catalog_service *service, struct sk_context *context,
		 const struct catalog_question *question, const struct lookup *lookup,
		 const struct catalog_answer *answer)
{
	struct sk_arena *arena = context->arena;
	/* The lock's token is the trace's span: two loads never share it. */
	const char *token = context->trace.span_id;
	enum sk_status status;

	if (answer && answer->len <= ENTRY_MAX_BYTES)
		status = write_kv(cache_of(service), context,
				  SK_KV("FCALL", "catalog_fill", "2", question->key, lookup->lock,
					token,
					sk_arena_printf(arena, "%s\n%s\n%s", lookup->generation,
							answer->tag, answer->json),
					sk_kv_number(arena, (int64_t)question->ttl_s * 1000)),
				  NULL);
	else
		status = write_kv(cache_of(service), context,
				  SK_KV("FCALL", "catalog_release", "1", lookup->lock, token),
				  NULL);
	/* A server that lost its functions still has the lock, and readers would wait for it. */
	if (status != SK_OK)
		sk_ignore(write_kv(cache_of(service), context, SK_KV("DEL", lookup->lock), NULL),
			  "a lock that cannot be released ends by itself");
}

enum sk_status catalog_cache_read(struct catalog_service *service, struct sk_context *context,
				  const struct catalog_question *question,
				  struct catalog_answer *answer)
{
	struct lookup lookup = look_up(service, context, question, answer);
	bool loader = lookup.found == MISS &&
		      take_lock(service, context, lookup.lock, context->trace.span_id);
	enum sk_status status;

	if (!loader && (lookup.found == MISS || lookup.found == LOADING))
		lookup = await_other(service, context, question, answer);
	if (lookup.found == HIT)
		return SK_OK;
	status = question->load(service, context, question->arg, answer);
	if (loader) {
		struct sk_error error = context->error;

		fill(service, context, question, &lookup, status == SK_OK ? answer : NULL);
		context->error = error; /* what the load said, not what the cache did */
	}
	return status;
}

/* ---- invalidation ---- */

static enum sk_status new_generation(struct catalog_service *service, struct sk_context *context,
				     bool products)
{
	const char *name = sk_id_make(context->arena);
	const struct sk_kv_command commands[] = {
		SK_KV("SET", LIST_GENERATION, name, "EX", GENERATION_TTL),
		SK_KV("SET", PRODUCT_GENERATION, name, "EX", GENERATION_TTL),
	};

	return sk_kv_pipeline(cache_of(service), context, commands, products ? 2 : 1, NULL);
}

static enum sk_status delete_product(struct catalog_service *service, struct sk_context *context,
				     const char *id, const char *slug)
{
	struct sk_arena *arena = context->arena;
	const char *by_id = catalog_question_product(arena, id).key;
	const char *by_slug = catalog_question_product(arena, slug).key;

	return write_kv(cache_of(service), context,
			SK_KV("DEL", by_id, by_slug,
			      sk_arena_printf(arena, "lock:catalog:%s", by_id),
			      sk_arena_printf(arena, "lock:catalog:%s", by_slug)),
			NULL);
}

void catalog_cache_forget(struct catalog_service *service, struct sk_context *context,
			  const struct catalog_forgetting *what)
{
	enum sk_status status = SK_OK;

	sk_crash_here(SK_CRASH_CACHE_STALE);
	if (what->id)
		status = delete_product(service, context, what->id, what->slug);
	if (status == SK_OK && (what->lists || !what->id))
		status = new_generation(service, context, !what->id);
	if (status != SK_OK) {
		atomic_store(&service->cache_owed, true);
		sk_context_clear_error(context);
	}
}

enum sk_status catalog_cache_settle(struct sk_context *context, void *app, bool *again)
{
	struct catalog_service *service = app;
	enum sk_status status;

	(void)again;
	if (!atomic_exchange(&service->cache_owed, false))
		return SK_OK;
	status = new_generation(service, context, true);
	if (status != SK_OK)
		atomic_store(&service->cache_owed, true);
	return status;
}
