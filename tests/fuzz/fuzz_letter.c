/* Dead letters as soukctl reads them: the input is the broker's answer. */
#include "fuzz.h"

#include <cjson/cJSON.h>

#include "deploy/soukctl/broker.h"
#include "deploy/soukctl/letter.h"

enum sk_status __wrap_broker_call(struct sk_context *context, natsConnection *nats,
				  const char *subject, const cJSON *body, const cJSON **answer);

static struct fuzz_input said; /* by the broker */

static void free_tree(void *tree)
{
	cJSON_Delete(tree);
}

/* As broker_call makes a tree of an answer. */
enum sk_status __wrap_broker_call(struct sk_context *context, natsConnection *nats,
				  const char *subject, const cJSON *body, const cJSON **answer)
{
	cJSON *tree = cJSON_ParseWithLength(said.at, said.left);

	(void)nats;
	(void)subject;
	(void)body;
	if (tree == NULL)
		return sk_fail(context, SK_INTERNAL, "broker_answer", "no JSON");
	sk_arena_defer(context->arena, free_tree, tree);
	*answer = tree;
	return SK_OK;
}

void fuzz(struct sk_context *context, struct fuzz_input *input)
{
	struct letter letter;
	uint64_t number;

	said = (struct fuzz_input) { fuzz_rest(context, input), input->left };
	if (letter_get(context, NULL, 1, &letter) == SK_OK) {
		FUZZ_HOLDS(letter.headers_count <= LETTER_HEADERS_MAX && letter.time != NULL);
		FUZZ_HOLDS(((const char *)letter.data)[letter.len] == '\0');
		for (int i = 0; i < letter.headers_count; i++)
			FUZZ_HOLDS(strpbrk(letter.headers[i].value, "\r\n") == NULL);
		(void)letter_header(&letter, "ce-id");
	}
	sk_context_clear_error(context);
	(void)letter_last(context, NULL, &number);
}
