/* A service is a declaration; the library runs it.
 *
 *     int main(int argc, char **argv)
 *     {
 *             struct order_service order = { 0 };
 *             return sk_service_main(argc, argv, &ORDER_SERVICE, &order);
 *     }
 *
 * sk_service_main reads the configuration, opens the stores and the bus, calls open,
 * starts sweeps, relay, consumers and HTTP in that order, waits for SIGTERM or
 * SIGINT, and stops them in the reverse order: no new connection, requests answered, batches
 * committed and acknowledged and the others given back, outbox relayed, connections closed.
 *
 * `<service> --describe` prints the declaration as JSON (name, routes, consumers,
 * streams, subjects, keys, migrations, functions, configuration). That is the one
 * declaration from which `soukctl provision` makes streams, consumers, broker
 * users, Valkey users and functions, database roles and schemas, and the gateway
 * its routes. `<service> --help` prints the configuration.
 *
 * To add a service: a folder under services/ with main.c, a proto file, its name
 * in the Makefile's SERVICES. See services/README.md. */
#ifndef SK_SERVICE_H
#define SK_SERVICE_H

#include "sk_auth.h"
#include "sk_client.h"
#include "sk_config.h"
#include "sk_consumer.h"
#include "sk_crash.h"
#include "sk_http.h"
#include "sk_id.h"
#include "sk_kv.h"
#include "sk_live.h"
#include "sk_log.h"
#include "sk_metrics.h"
#include "sk_outbox.h"
#include "sk_sweep.h"
#include "sk_time.h"

/* Everything a service can use, open before its own open() is called and closed
 * after its close(). Parts the service does not need are NULL. */
struct sk_parts {
	const struct sk_config *config;
	struct sk_metrics *metrics;
	struct sk_pg *pg;
	struct sk_kv *kv;    /* VALKEY_URL: sessions, carts, limits, locks */
	struct sk_kv *cache; /* VALKEY_CACHE_URL: caches; the same server by default */
	struct sk_bus *bus;
	struct sk_ratelimiter *ratelimiter;
	struct sk_live *live;	  /* where a row has SK_LIVE */
	struct sk_sweeps *sweeps; /* set after open(): for sk_sweep_wake in handlers */
	/* What /readyz asks besides the stores: the schema is there, the service is not
	 * draining. May be NULL (tests). */
	enum sk_status (*ready)(struct sk_parts *parts, struct sk_context *context);
	void *ready_state;
	const char *
		self_url; /* http://<HTTP_LISTEN> of this process, for the built-in test provider and carrier */
};

/* A migration or a Valkey function library, embedded at build. */
struct sk_file {
	const char *name; /* "001_orders.sql" */
	const char *text;
};

struct sk_service {
	const char *name; /* "order": role and schema souk_order, broker and Valkey user "order" */
	const char *summary; /* one sentence */
	int port;	     /* default of HTTP_LISTEN: 127.0.0.1:<port> */
	int live_port;	     /* default of LIVE_LISTEN; 0 where no row has SK_LIVE */
	bool uses_pg, uses_kv;

	const struct sk_config_field *config; /* NULL: none of its own */
	const struct sk_route *routes;
	const struct sk_consumer *consumers;
	const struct sk_sweep *sweeps;
	const struct sk_stream *streams; /* ends with a NULL name */
	/* Subjects beyond its own streams, NULL-ended. Every service with PostgreSQL may
	 * publish audit.user_actions.* (sk_audit.h) without saying so. */
	const char *const *publishes;
	const char *const *watches; /* subjects for sk_bus_watch, NULL-ended */
	const char *const *replays; /* streams for sk_bus_replay, NULL-ended */
	const char *const *keys;    /* Valkey key patterns it owns, NULL-ended: "cart:*" */
	const struct sk_file
		*migrations; /* generated: <NAME>_MIGRATIONS; ends with a NULL name; NULL: none */
	const struct sk_file *functions; /* generated: <NAME>_FUNCTIONS; likewise */
	const char *grants;		 /* table rights: NULL is SELECT, INSERT, UPDATE, DELETE on
						 * all; audit says "SELECT, INSERT" for its own tables */

	/* Keeps the pointer to parts, which lives until after close(). A failure ends the start. */
	enum sk_status (*open)(struct sk_parts *parts, void *app, struct sk_context *context);
	void (*close)(void *app); /* NULL: nothing to do */
};

/* Returns the exit status: 0 after a clean stop, 1 after a failure, 2 for a wrong
 * configuration or command line. app is the service's own object, passed to all
 * its functions; it lives until the return. */
int sk_service_main(int argc, char **argv, const struct sk_service *service, void *app);

#endif
