/* soukctl provision: everything that services bind to and have no right to make.
 *
 * With --watch it goes on: what vanishes (a broker's store that was deleted, a Valkey that
 * was emptied with its functions) is made again within about a second. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "sk_log.h"
#include "sk_time.h"
#include "soukctl.h"

#define WATCH_INTERVAL_S 1

struct step {
	const char *name;
	enum sk_status (*run)(struct provisioning *pass);
	bool watched; /* schemas do not vanish by themselves */
};

static const struct step STEPS[] = {
	{ "postgres", provision_postgres, false },
	{ "valkey", provision_valkey, true },
	{ "nats", provision_broker, true },
};

#define STEPS_COUNT ((int)(sizeof(STEPS) / sizeof(STEPS[0])))

/* Runs the steps; a server that is down does not keep the others from being looked at. */
static enum sk_status run_steps(struct provisioning *pass)
{
	enum sk_status first = SK_OK;

	for (int i = 0; i < STEPS_COUNT; i++) {
		struct sk_context context;
		enum sk_status st;

		if (pass->watching && !STEPS[i].watched)
			continue;
		sk_context_init(&context, 0);
		pass->context = &context;
		st = STEPS[i].run(pass);
		if (st != SK_OK && (!pass->watching || st != SK_UNAVAILABLE))
			fprintf(stderr, "soukctl provision: %s\n", context.error.detail);
		first = first == SK_OK ? st : first;
		sk_context_release(&context);
	}
	return first;
}

static int watch(struct provisioning *pass)
{
	const struct timespec interval = { .tv_sec = WATCH_INTERVAL_S };
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	pass->watching = true;
	while (sigtimedwait(&signals, NULL, &interval) < 0)
		sk_ignore(run_steps(pass), "a server that is down is looked at again in a second");
	return 0;
}

int soukctl_provision(const struct soukctl_options *options)
{
	struct provisioning pass = { .secrets = soukctl_option(options, "secrets", "secrets") };
	struct sk_context context;
	int exit_status = 1;
	enum sk_status st;

	sk_context_init(&context, 0);
	st = topology_load(&context, soukctl_option(options, "topology", "build/topology.json"),
			   &pass.topology);
	if (st != SK_OK) {
		fprintf(stderr, "soukctl provision: %s\n", context.error.detail);
	} else if (run_steps(&pass) == SK_OK) {
		printf("provisioned: %d changes\n", pass.changes);
		fflush(stdout);
		exit_status = soukctl_flag(options, "watch") ? watch(&pass) : 0;
	}
	sk_context_release(&context);
	return exit_status;
}
