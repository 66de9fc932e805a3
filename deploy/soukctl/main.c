#include "soukctl.h"

#include <stdio.h>
#include <string.h>

#include <curl/curl.h>
#include <nats/nats.h>
#include <sodium.h>

#include "sk_log.h"

static const struct {
	const char *name;
	int (*run)(const struct soukctl_options *options);
	const char *usage, *help;
} COMMANDS[] = {
	{ "secrets", soukctl_secrets,
	  "--dir DIR [--topology F] [--postgres-host H] [--postgres-port P] "
	  "[--valkey-address A] [--nats-address A]",
	  "make the passwords and URLs that are missing; never changes a password" },
	{ "render", soukctl_render, "--topology F --secrets DIR --out DIR [--addresses F]",
	  "write the servers' files: broker users, Valkey users, the gateway's routes, whose "
	  "metrics to scrape" },
	{ "provision", soukctl_provision, "--topology F --secrets DIR [--watch]",
	  "make streams, consumers, functions, roles, schemas; --watch makes again what vanishes" },
	{ "dead", soukctl_dead,
	  "list|show N|replay N|drop N [--all] [--consumer C] [--topology F] [--secrets DIR]",
	  "messages that could not be handled: look at them, send them to the consumer that failed "
	  "again, or drop them" },
	{ "replay", soukctl_replay,
	  "--file CSV [--shop URL] [--email E] [--password P] [--run NAME]",
	  "place a real wholesaler's day of invoices in the shop, and compare the sums" },
};

#define COMMANDS_COUNT ((int)(sizeof(COMMANDS) / sizeof(COMMANDS[0])))

static int print_usage(FILE *out, int exit_status)
{
	fprintf(out, "soukctl: the operators' program of Souk\n\n");
	for (int i = 0; i < COMMANDS_COUNT; i++)
		fprintf(out, "  soukctl %s %s\n      %s\n", COMMANDS[i].name, COMMANDS[i].usage,
			COMMANDS[i].help);
	return exit_status;
}

int main(int argc, char **argv)
{
	sk_log_init("soukctl", SK_LOG_INFO);
	if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		return 1;
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0))
		return print_usage(stdout, 0);
	for (int i = 0; argc > 1 && i < COMMANDS_COUNT; i++)
		if (strcmp(argv[1], COMMANDS[i].name) == 0)
			return COMMANDS[i].run(&(struct soukctl_options) { argc - 2, argv + 2 });
	return print_usage(stderr, 2);
}
