/* soukctl dead: what could not be handled, and what becomes of it.
 *
 * A letter goes to the consumer that failed, never to its subject again: the other consumers of the
 * subject have had it. It is deleted only after the stream "replay" has it and the audit log was
 * told, so that a death in between loses nothing: the command is given again, the broker and the
 * consumer's inbox know the copy, and the audit log its entry. */
#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "letter.h"
#include "sk_json.h"
#include "sk_message.h"
#include "soukctl.h"

#define JSON_MAX_BYTES ((size_t)4 * 1024 * 1024)
#define HEX_LINE_BYTES 32

/* One run of the command. */
struct dead {
	struct sk_context *context; /* lives as long as the command; letters have their own */
	natsConnection *nats;
	const struct cJSON *topology; /* NULL: not needed */
	const char *consumer;	      /* "": any */
	int done, failed;
};

/* What is done with one letter. */
typedef enum sk_status letter_fn(struct dead *dead, struct sk_context *context,
				 const struct letter *letter);

/* What came from outside must not command the terminal. */
static const char *plain(struct sk_arena *arena, const char *text)
{
	char *copy = sk_arena_strdup(arena, text);

	for (char *at = copy; *at != '\0'; at++)
		if (iscntrl((unsigned char)*at))
			*at = '?';
	return copy;
}

/* ---- list ---- */

static enum sk_status print_row(struct dead *dead, struct sk_context *context,
				const struct letter *letter)
{
	static const char *const columns[] = { "souk-stream", "souk-consumer", "ce-type", "ce-id",
					       "souk-attempts" };
	static const int widths[] = { 13, 26, 34, 36, 8 };

	(void)dead;
	printf("%-8llu  %-20.19s", (unsigned long long)letter->sequence, letter->time);
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		printf("  %-*s", widths[i],
		       plain(context->arena, letter_header(letter, columns[i])));
	printf("  %s\n", plain(context->arena, letter_header(letter, "souk-error")));
	return SK_OK;
}

/* ---- show ---- */

static void print_hex(const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		printf("%02x%s", bytes[i],
		       (i + 1) % HEX_LINE_BYTES == 0 || i + 1 == len ? "\n" : " ");
}

static void print_json(struct sk_context *context, const ProtobufCMessage *message)
{
	struct sk_json json;
	cJSON *tree;
	char *text;

	sk_json_init(&json, context->arena, JSON_MAX_BYTES);
	sk_message_to_json(&json, NULL, message);
	tree = cJSON_Parse(sk_buf_text(&json.buf));
	text = cJSON_Print(tree);
	printf("%s\n", text != NULL ? text : sk_buf_text(&json.buf));
	free(text);
	cJSON_Delete(tree);
}

static enum sk_status print_letter(struct dead *dead, struct sk_context *context,
				   const struct letter *letter)
{
	const struct sk_message_type *type = sk_message_type_find(letter_header(letter, "ce-type"));
	ProtobufCMessage *message = NULL;

	(void)dead;
	printf("letter %llu, buried %s\n", (unsigned long long)letter->sequence, letter->time);
	for (int i = 0; i < letter->headers_count; i++)
		printf("%s: %s\n", plain(context->arena, letter->headers[i].name),
		       plain(context->arena, letter->headers[i].value));
	printf("\n");
	if (type != NULL && sk_message_unpack(context, type->descriptor, letter->data, letter->len,
					      &message) == SK_OK) {
		print_json(context, message);
		return SK_OK;
	}
	printf("%zu bytes, %s:\n", letter->len,
	       type == NULL ? "of a type that is not known here" : context->error.detail);
	print_hex(letter->data, letter->len);
	return SK_OK;
}

/* ---- replay and drop ---- */

/* The service that has the consumer; NULL: none has. */
static const char *service_of(const struct cJSON *topology, const struct letter *letter)
{
	const struct cJSON *service, *row;

	cJSON_ArrayForEach(service, topology_list(topology, "services"))
	{
		cJSON_ArrayForEach(row, topology_list(service, "consumers"))
		{
			if (strcmp(topology_text(row, "name"),
				   letter_header(letter, "souk-consumer")) == 0 &&
			    strcmp(topology_text(row, "stream"),
				   letter_header(letter, "souk-stream")) == 0)
				return topology_text(service, "name");
		}
	}
	return NULL;
}

static enum sk_status replay(struct dead *dead, struct sk_context *context,
			     const struct letter *letter)
{
	const char *service = service_of(dead->topology, letter);
	enum sk_status st;

	if (service == NULL)
		return sk_fail(context, SK_INVALID, "no_consumer",
			       "no service has the consumer \"%s\" of stream \"%s\"",
			       letter_header(letter, "souk-consumer"),
			       letter_header(letter, "souk-stream"));
	st = letter_replay(context, dead->nats, letter, service);
	if (st == SK_OK)
		st = letter_audit(context, dead->nats, letter, "dead_letter.replayed");
	return st == SK_OK ? letter_delete(context, dead->nats, letter) : st;
}

static enum sk_status drop(struct dead *dead, struct sk_context *context,
			   const struct letter *letter)
{
	enum sk_status st = letter_audit(context, dead->nats, letter, "dead_letter.dropped");

	return st == SK_OK ? letter_delete(context, dead->nats, letter) : st;
}

/* ---- the command ---- */

static const struct verb {
	const char *name, *past; /* past: said with the count at the end; NULL: nothing is */
	letter_fn *run;
	bool takes_all, needs_topology;
} VERBS[] = {
	{ "list", NULL, print_row, true, false },
	{ "show", NULL, print_letter, false, false },
	{ "replay", "replayed", replay, true, true },
	{ "drop", "dropped", drop, true, false },
};

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < sizeof(VERBS) / sizeof(VERBS[0]); i++)
		if (strcmp(VERBS[i].name, name) == 0)
			return &VERBS[i];
	return NULL;
}

/* Does it to one letter. A letter that fails is said so, and the others go on. */
static void apply(struct dead *dead, const struct verb *verb, struct sk_context *context,
		  const struct letter *letter)
{
	if (verb->run(dead, context, letter) == SK_OK) {
		dead->done++;
		return;
	}
	dead->failed++;
	fprintf(stderr, "soukctl dead: letter %llu: %s\n", (unsigned long long)letter->sequence,
		context->error.detail);
}

/* Up to the one that was the last at the beginning: those that are replayed may come back. */
static enum sk_status each_letter(struct dead *dead, const struct verb *verb)
{
	uint64_t from = 1, last = 0;
	struct sk_context context;
	enum sk_status st = letter_last(dead->context, dead->nats, &last);

	sk_context_init(&context, 0);
	while (st == SK_OK && from <= last) {
		struct letter letter;

		sk_context_reset(&context, 0);
		st = letter_next(&context, dead->nats, from, dead->consumer, &letter);
		if (st == SK_NOT_FOUND || (st == SK_OK && letter.sequence > last)) {
			st = SK_OK;
			break;
		}
		if (st != SK_OK) {
			st = sk_fail(dead->context, st, "no_letter", "%s", context.error.detail);
			break;
		}
		apply(dead, verb, &context, &letter);
		from = letter.sequence + 1;
	}
	sk_context_release(&context);
	return st;
}

static enum sk_status one_letter(struct dead *dead, const struct verb *verb, const char *number)
{
	char *end = NULL;
	uint64_t wanted = strtoull(number, &end, 10);
	struct letter letter;
	enum sk_status st;

	if (!isdigit((unsigned char)number[0]) || *end != '\0' || wanted == 0)
		return sk_fail(dead->context, SK_INVALID, "no_number",
			       "\"%s\" is no letter's number", number);
	st = letter_get(dead->context, dead->nats, wanted, &letter);
	if (st == SK_NOT_FOUND) {
		sk_context_clear_error(dead->context);
		return sk_fail(dead->context, st, "no_letter", "there is no letter %s", number);
	}
	if (st == SK_OK)
		apply(dead, verb, dead->context, &letter);
	return st;
}

static enum sk_status run(struct dead *dead, const struct verb *verb, const char *number,
			  const struct soukctl_options *options)
{
	enum sk_status st = SK_OK;

	if (verb->needs_topology)
		st = topology_load(dead->context,
				   soukctl_option(options, "topology", "build/topology.json"),
				   &dead->topology);
	if (st == SK_OK)
		st = broker_connect(dead->context, soukctl_option(options, "secrets", "secrets"),
				    &dead->nats);
	if (st != SK_OK)
		return st;
	if (number != NULL)
		return one_letter(dead, verb, number);
	if (verb->run == print_row)
		printf("%-8s  %-20s  %-13s  %-26s  %-34s  %-36s  %-8s  %s\n", "number", "buried",
		       "stream", "consumer", "type", "id", "attempts", "error");
	return each_letter(dead, verb);
}

static int usage(void)
{
	fprintf(stderr, "usage: soukctl dead list [--consumer C]\n"
			"       soukctl dead show N\n"
			"       soukctl dead replay|drop N\n"
			"       soukctl dead replay|drop --all [--consumer C]\n");
	return 2;
}

int soukctl_dead(const struct soukctl_options *options)
{
	const struct verb *verb = options->argc > 0 ? find_verb(options->argv[0]) : NULL;
	const char *number = options->argc > 1 && options->argv[1][0] != '-' ? options->argv[1]
									     : NULL;
	bool all = verb != NULL && (verb->run == print_row || soukctl_flag(options, "all"));
	struct sk_context context;
	struct dead dead = { .context = &context,
			     .consumer = soukctl_option(options, "consumer", "") };
	enum sk_status st;

	/* Exactly one of them: all, or one. */
	if (verb == NULL || all == (number != NULL) || (all && !verb->takes_all))
		return usage();
	sk_context_init(&context, 0);
	st = run(&dead, verb, number, options);
	if (st != SK_OK)
		fprintf(stderr, "soukctl dead: %s\n", context.error.detail);
	if (st == SK_OK && verb->past != NULL)
		printf("%s: %d letters\n", verb->past, dead.done);
	natsConnection_Destroy(dead.nats);
	sk_context_release(&context);
	return st == SK_OK && dead.failed == 0 ? 0 : 1;
}
