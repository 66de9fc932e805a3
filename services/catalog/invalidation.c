/* Invalidations ride on a transaction: they run after its commit and not at all after a
 * rollback. Earlier would be wrong, since a reader could fill the cache again with
 * the old row before the new one is committed. */
#include "catalog.h"

/* What the hook needs; it lives in the transaction's arena. */
struct pending_forgetting {
	struct catalog_service *service;
	struct sk_context *context;
	struct catalog_forgetting what;
};

static void run(void *arg)
{
	struct pending_forgetting *pending = arg;

	catalog_cache_forget(pending->service, pending->context, &pending->what);
}

static void after_commit(struct catalog_service *service, struct sk_tx *tx,
			 struct catalog_forgetting what)
{
	struct pending_forgetting *pending = sk_arena_alloc(sk_tx_arena(tx), sizeof(*pending));

	*pending = (struct pending_forgetting) { service, sk_tx_context(tx), what };
	sk_tx_after_commit(tx, run, pending);
}

void catalog_forget_level(struct catalog_service *service, struct sk_tx *tx, const char *id,
			  const char *slug)
{
	after_commit(service, tx, (struct catalog_forgetting) { .id = id, .slug = slug });
}

void catalog_forget_product(struct catalog_service *service, struct sk_tx *tx,
			    const struct catalog_product *product)
{
	after_commit(service, tx,
		     (struct catalog_forgetting) {
			     .id = product->id, .slug = product->slug, .lists = true });
}

void catalog_forget_all(struct catalog_service *service, struct sk_tx *tx)
{
	after_commit(service, tx, (struct catalog_forgetting) { .id = NULL });
}
