/* The small decoders, each of the whole input: times, amounts, UTF-8, ids, traces, addresses. */
#include "fuzz.h"

#include "libcommon/sk_kv_internal.h"
#include "libcommon/sk_live_internal.h"
#include "services/cart/cart.h"
#include "services/catalog/catalog.h"
#include "services/notification/notification.h"
#include "sk_crash.h"
#include "sk_id.h"
#include "sk_money.h"
#include "sk_time.h"
#include "sk_utf8.h"

static void times(const char *text)
{
	char written[SK_RFC3339_BYTES];
	int64_t time_us = 0, again_us = 0;

	if (!sk_time_parse(text, &time_us))
		return;
	FUZZ_HOLDS(sk_time_parse(sk_time_format(time_us, written), &again_us));
	FUZZ_HOLDS(time_us == again_us);
}

static void amounts(const char *text)
{
	static const char *const currencies[] = { "GBP", "JPY", "KWD" };
	char written[SK_MONEY_TEXT_BYTES];
	struct sk_money money, again;

	for (size_t i = 0; i < 3; i++) {
		if (sk_money_parse(text, currencies[i], &money) != SK_OK)
			continue;
		FUZZ_HOLDS(money.minor >= 0 && money.minor <= SK_MONEY_MAX_MINOR);
		sk_money_format(money, written);
		*strchr(written, ' ') = '\0';
		FUZZ_HOLDS(sk_money_parse(written, currencies[i], &again) == SK_OK);
		FUZZ_HOLDS(again.minor == money.minor);
	}
	FUZZ_HOLDS(!sk_currency_valid(text) || sk_currency_digits(text) >= 0);
}

static void characters(struct sk_context *context, const struct fuzz_input *input)
{
	char *text = fuzz_rest(context, input);

	if (!sk_utf8_valid(text, input->left) || strlen(text) != input->left)
		return;
	for (size_t cut = input->left; cut > 0 && cut + 4 > input->left; cut--) {
		char *shorter = fuzz_copy(context, text, cut);

		sk_utf8_trim(shorter);
		FUZZ_HOLDS(sk_utf8_valid(shorter, strlen(shorter)));
	}
}

static void names(struct sk_context *context, const char *text)
{
	const char *token = sk_subject_token(context->arena, text);

	FUZZ_HOLDS(token[0] != '\0' && strpbrk(token, ". *>") == NULL);
	FUZZ_HOLDS(sk_id_valid(sk_id_derive(context->arena, text)));
	FUZZ_HOLDS(!sk_id_valid(text) || strlen(text) + 1 == SK_ID_BYTES);
	FUZZ_HOLDS(!sk_sku_valid(text) || strlen(text) <= SK_SKU_MAX_BYTES);
	FUZZ_HOLDS(!sk_email_valid(text) || strlen(text) <= SK_EMAIL_MAX_BYTES);
	FUZZ_HOLDS(strlen(sk_token_hash(context->arena, text)) == 64);
	FUZZ_HOLDS(catalog_slug_valid(catalog_slug_make(context->arena, text)));
}

static void traces(const char *text)
{
	char written[SK_TRACEPARENT_BYTES];
	struct sk_trace trace = sk_trace_continue(text);
	struct sk_trace again = sk_trace_continue(sk_trace_format(&trace, written));

	FUZZ_HOLDS(strcmp(trace.trace_id, again.trace_id) == 0);
}

static void cursors(struct sk_context *context, const char *text)
{
	struct catalog_cursor cursor;

	for (int sort = CATALOG_NEWEST; sort <= CATALOG_DEAREST; sort++) {
		if (!catalog_cursor_decode(context->arena, (enum catalog_sort)sort, text, &cursor))
			continue;
		FUZZ_HOLDS(sk_id_valid(cursor.id));
		FUZZ_HOLDS(strcmp(catalog_cursor_encode(context->arena, (enum catalog_sort)sort,
							&cursor),
				  text) == 0);
	}
}

void fuzz(struct sk_context *context, struct fuzz_input *input)
{
	const char *text = fuzz_rest(context, input);
	struct sk__kv_url url;
	struct cart_line line;
	enum sk_crash_point point;
	const char **tags;
	int64_t number;
	int skip;

	times(text);
	amounts(text);
	characters(context, input);
	names(context, text);
	traces(text);
	cursors(context, text);
	(void)sk__kv_url_parse(text, &url);
	FUZZ_HOLDS(!sk__live_parse_id(text, &number) || number >= 0);
	(void)cart_line_parse(text, &line);
	(void)sk__crash_parse(text, &point, &skip);
	FUZZ_HOLDS(catalog_tags_split(context->arena, text, &tags) <= CATALOG_TAGS_MAX);
	(void)catalog_url_valid(text);
	(void)catalog_if_match(text, 1);
	(void)sk_role_parse(text);
	if (notification_target_check(context, text) != SK_OK)
		sk_context_clear_error(context);
}
