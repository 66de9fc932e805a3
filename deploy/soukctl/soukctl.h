/* soukctl: the operators' program. Each command is a row in main.c and a file of its own. */
#ifndef SOUKCTL_H
#define SOUKCTL_H

#include <stdbool.h>

#include "sk_context.h"

/* --name value pairs of the command line. */
struct soukctl_options {
	int argc;
	char **argv; /* after the command's name */
};

/* The value of --name, or fallback. */
const char *soukctl_option(const struct soukctl_options *options, const char *name,
			   const char *fallback);
/* Whether --name is given (with or without a value). */
bool soukctl_flag(const struct soukctl_options *options, const char *name);

/* The commands; each returns the exit status. */
int soukctl_secrets(const struct soukctl_options *options);
int soukctl_render(const struct soukctl_options *options);
int soukctl_provision(const struct soukctl_options *options);
int soukctl_dead(const struct soukctl_options *options);
int soukctl_replay(const struct soukctl_options *options);

/* ---- what the commands share ---- */

struct cJSON;

/* The topology: what every service says of itself (`<service> --describe`), as
 * {"services": [...]}. Lives in the context's arena. */
SK_MUST_CHECK enum sk_status topology_load(struct sk_context *context, const char *path,
					   const struct cJSON **topology);

/* Members: "" and an empty array where absent. */
const char *topology_text(const struct cJSON *object, const char *name);
const struct cJSON *topology_list(const struct cJSON *object, const char *name);
bool topology_flag(const struct cJSON *object, const char *name);
int topology_int(const struct cJSON *object, const char *name);

/* Dead letters lie in one stream, and go back by another to the service that failed. */
#define DEAD_STREAM   "dead"
#define REPLAY_STREAM "replay"
bool topology_has_consumers(const struct cJSON *service);
/* The durable consumer of the stream "replay" by which letters come back: "order-replay". */
const char *topology_replay_consumer(struct sk_arena *arena, const struct cJSON *service);

/* A whole file in the arena. */
SK_MUST_CHECK enum sk_status file_read(struct sk_context *context, const char *path,
				       const char **text, size_t *len);
/* Replaces the file in one step (a new one, renamed over it). */
SK_MUST_CHECK enum sk_status file_write(struct sk_context *context, const char *path,
					const char *text, unsigned mode);

/* The secret <dir>/<owner>/<name>, without its line end. */
SK_MUST_CHECK enum sk_status secret_read(struct sk_context *context, const char *dir,
					 const char *owner, const char *name, const char **value);

/* One pass over the servers. */
struct provisioning {
	struct sk_context *context;
	const struct cJSON *topology;
	const char *secrets;
	bool watching; /* only what vanished is made again; nothing that is there is touched */
	int changes;   /* what was made or changed */
};

/* The provisioning of one server from the topology. Idempotent. */
SK_MUST_CHECK enum sk_status provision_broker(struct provisioning *pass);
SK_MUST_CHECK enum sk_status provision_valkey(struct provisioning *pass);
SK_MUST_CHECK enum sk_status provision_postgres(struct provisioning *pass);

/* What a service's user of Valkey may do, as arguments of ACL SETUSER after its name. Also
 * the lines of users.acl. */
const char *valkey_rights(struct sk_context *context, const struct cJSON *service,
			  const char *password);

#endif
