/* soukctl replay: a real day of a wholesaler, placed in the shop through its gateway.
 *
 * Everything goes the way a shop's own programs would go: the catalogue is imported, accounts
 * register and log in, orders are placed with an Idempotency-Key, staff refunds. At the
 * end the shop is asked three times what it sold (orders, payments, analytics), and
 * the three answers have to equal the file's own sum. */
#include "replay.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shop.h"
#include "sk_id.h"
#include "sk_log.h"
#include "sk_money.h"
#include "sk_time.h"
#include "soukctl.h"

#define CURRENCY	"GBP"
#define PASSWORD	"online-retail-2010"
#define ORDER_MAX_BYTES ((size_t)256 * 1024)
#define SETTLE_US	(120 * SK_SECOND_US)
#define POLL_MS		50

/* One run. */
struct replay {
	struct shop shop;
	struct sk_context *context;
	struct replay_data data;
	const char *staff_token;
	const char *run;		    /* distinguishes the keys of this run from another's */
	int64_t sold_before, orders_before; /* what analytics said before we began */
};

/* What the shop says of the orders of this run. */
struct replay_sum {
	const struct replay *replay;
	int64_t count, minor;
};

static void show_progress(const char *what, int done, int total)
{
	fprintf(stderr, "\r%-34s %5d of %d", what, done, total);
	if (done == total)
		fputc('\n', stderr);
	fflush(stderr);
}

static const char *money_text(const struct replay *replay, int64_t minor)
{
	char *text = sk_arena_alloc(replay->context->arena, SK_MONEY_TEXT_BYTES);

	return sk_money_format(sk_money_of(minor, CURRENCY), text);
}

/* ---- the catalogue and its stock ---- */

static enum sk_status import_catalogue(struct replay *replay)
{
	const struct cJSON *report = NULL;
	struct shop_call call = { .method = "POST",
				  .path = "/v1/products/import",
				  .token = replay->staff_token,
				  .content_type = "text/csv" };
	enum sk_status st;

	call.body = replay_catalogue(replay->context, &replay->data, &call.len);
	st = shop_expect(&replay->shop, replay->context, &call, &report);
	if (st == SK_OK)
		fprintf(stderr, "%-34s %5d variants\n", "catalogue imported",
			replay->data.variants_count);
	return st;
}

/* Gives the SKU what the replay will sell, beyond what is there (a second run sold the first's). */
static enum sk_status top_up(struct replay *replay, const struct replay_variant *variant,
			     int64_t available)
{
	const char *path = sk_arena_printf(replay->context->arena, "/v1/stock/%s/adjustments",
					   variant->sku);
	const char *body = sk_arena_printf(replay->context->arena,
					   "{\"delta\":%" PRId64 ",\"reason\":\"replay\"}",
					   variant->sold - available);
	const struct cJSON *answer = NULL;

	return shop_expect(&replay->shop, replay->context,
			   &(struct shop_call) { .method = "POST",
						 .path = path,
						 .token = replay->staff_token,
						 .body = body,
						 .len = strlen(body) },
			   &answer);
}

/* Waits until inventory has heard of the SKU. */
static enum sk_status ensure_stock(struct replay *replay, const struct replay_variant *variant)
{
	int64_t end_us = sk_time_monotonic_us() + SETTLE_US;
	const char *path = sk_arena_printf(replay->context->arena, "/v1/stock/%s", variant->sku);

	for (;;) {
		const struct cJSON *answer = NULL, *available;
		int status = 0;
		enum sk_status st = shop_send(&replay->shop, replay->context,
					      &(struct shop_call) { .method = "GET", .path = path },
					      &status, &answer);

		if (st != SK_OK)
			return st;
		available = cJSON_GetObjectItemCaseSensitive(answer, "available");
		if (status == 200 && cJSON_IsNumber(available))
			return available->valuedouble >= (double)variant->sold
				       ? SK_OK
				       : top_up(replay, variant, (int64_t)available->valuedouble);
		if (sk_time_monotonic_us() > end_us)
			return sk_fail(replay->context, SK_TIMEOUT, "no_stock",
				       "inventory never heard of %s", variant->sku);
		sk_time_sleep_ms(POLL_MS);
	}
}

static enum sk_status ensure_all_stock(struct replay *replay)
{
	int count = replay->data.variants_count;
	enum sk_status st = SK_OK;

	for (int i = 0; i < count && st == SK_OK; i++) {
		if (replay->data.variants[i].sold > 0)
			st = ensure_stock(replay, &replay->data.variants[i]);
		if ((i + 1) % 50 == 0 || i + 1 == count)
			show_progress("stock checked", i + 1, count);
	}
	return st;
}

/* ---- orders ---- */

/* The token of an earlier invoice of the same customer; NULL: not logged in yet. */
static const char *known_token(const struct replay *replay, const char *customer)
{
	for (int i = 0; i < replay->data.invoices_count; i++)
		if (replay->data.invoices[i].token != NULL &&
		    strcmp(replay->data.invoices[i].customer, customer) == 0)
			return replay->data.invoices[i].token;
	return NULL;
}

/* Registers the customer, or finds it registered by an earlier run, and logs in. */
static enum sk_status log_in_customer(struct replay *replay, const char *customer,
				      const char **token)
{
	struct sk_arena *arena = replay->context->arena;
	const char *email = sk_arena_printf(arena, "customer-%s@online-retail.example", customer);
	const char *body = sk_arena_printf(
		arena, "{\"email\":\"%s\",\"password\":\"%s\",\"name\":\"Customer %s\"}", email,
		PASSWORD, customer);
	const struct cJSON *answer = NULL;
	int status = 0;
	enum sk_status st = shop_send(&replay->shop, replay->context,
				      &(struct shop_call) { .method = "POST",
							    .path = "/v1/accounts",
							    .body = body,
							    .len = strlen(body) },
				      &status, &answer);

	if (st == SK_OK && status != 201 && status != 409)
		return sk_fail(replay->context, SK_INVALID, "no_account", "cannot register %s: %d",
			       email, status);
	sk_context_clear_error(replay->context);
	return st == SK_OK ? shop_log_in(&replay->shop, replay->context, email, PASSWORD, token)
			   : st;
}

static void write_address(struct sk_json *json, const struct replay_invoice *invoice)
{
	sk_json_begin_object(json, "shipping_address");
	sk_json_text(json, "name", invoice->customer[0] != '\0' ? invoice->customer : "Guest");
	sk_json_text(json, "line1", "1 Replay Street");
	sk_json_text(json, "city", "Bristol");
	sk_json_text(json, "postal_code", "BS1 1AA");
	sk_json_text(json, "country", invoice->country);
	sk_json_end_object(json);
}

static void write_order(const struct replay *replay, const struct replay_invoice *invoice,
			struct sk_json *json)
{
	sk_json_begin_object(json, NULL);
	sk_json_begin_array(json, "items");
	for (int i = 0; i < invoice->lines_count; i++) {
		sk_json_begin_object(json, NULL);
		sk_json_text(json, "sku", replay->data.variants[invoice->lines[i].variant].sku);
		sk_json_int(json, "quantity", invoice->lines[i].quantity);
		sk_json_end_object(json);
	}
	sk_json_end_array(json);
	write_address(json, invoice);
	if (invoice->customer[0] == '\0')
		sk_json_text(json, "email",
			     sk_arena_printf(replay->context->arena,
					     "guest-%s@online-retail.example", invoice->number));
	sk_json_begin_object(json, "payment");
	sk_json_text(json, "provider", "test");
	sk_json_text(json, "token", "tok_ok");
	sk_json_end_object(json);
	sk_json_money(json, "expected_total", sk_money_of(invoice->total_minor, CURRENCY));
	sk_json_end_object(json);
}

/* Posts the order. The order service may not have heard of a product yet: a 422 is asked
 * again for a while; the key was not used up by it. */
static enum sk_status place_order(struct replay *replay, struct replay_invoice *invoice)
{
	int64_t end_us = sk_time_monotonic_us() + SETTLE_US;
	const struct cJSON *answer = NULL;
	struct sk_json body;
	int status = 0;
	enum sk_status st = SK_OK;

	sk_json_init(&body, replay->context->arena, ORDER_MAX_BYTES);
	write_order(replay, invoice, &body);
	while (st == SK_OK && status != 201 && sk_time_monotonic_us() < end_us) {
		if (status != 0)
			sk_time_sleep_ms(POLL_MS);
		if (status != 0 && status != 422)
			break;
		sk_context_clear_error(replay->context);
		st = shop_send(&replay->shop, replay->context,
			       &(struct shop_call) { .method = "POST",
						     .path = "/v1/orders",
						     .token = invoice->token,
						     .idempotency_key = sk_arena_printf(
							     replay->context->arena, "%s-%s",
							     replay->run, invoice->number),
						     .body = sk_buf_text(&body.buf),
						     .len = body.buf.len },
			       &status, &answer);
	}
	if (st == SK_OK && status != 201)
		return sk_fail(replay->context, SK_INVALID, "no_order",
			       "invoice %s was not accepted: %d", invoice->number, status);
	invoice->order_id = sk_arena_strdup(replay->context->arena, shop_text(answer, "id"));
	return st;
}

static enum sk_status place_orders(struct replay *replay)
{
	int done = 0;
	enum sk_status st = SK_OK;

	for (int i = 0; i < replay->data.invoices_count && st == SK_OK; i++) {
		struct replay_invoice *invoice = &replay->data.invoices[i];

		if (invoice->cancellation || invoice->lines_count == 0)
			continue;
		invoice->token = known_token(replay, invoice->customer);
		if (invoice->customer[0] != '\0' && invoice->token == NULL)
			st = log_in_customer(replay, invoice->customer, &invoice->token);
		if (st == SK_OK)
			st = place_order(replay, invoice);
		if (st == SK_OK)
			show_progress("orders placed", ++done, replay->data.sales);
	}
	return st;
}

static bool is_paid(const char *status)
{
	return strcmp(status, "paid") == 0 || strcmp(status, "shipped") == 0 ||
	       strcmp(status, "delivered") == 0;
}

static enum sk_status await_payment(struct replay *replay, const struct replay_invoice *invoice)
{
	int64_t end_us = sk_time_monotonic_us() + SETTLE_US;
	const char *path = sk_arena_printf(replay->context->arena, "/v1/orders/%s",
					   invoice->order_id);

	for (;;) {
		const struct cJSON *order = NULL;
		enum sk_status st = shop_expect(
			&replay->shop, replay->context,
			&(struct shop_call) {
				.method = "GET", .path = path, .token = replay->staff_token },
			&order);

		if (st != SK_OK || is_paid(shop_text(order, "status")))
			return st;
		if (sk_time_monotonic_us() > end_us)
			return sk_fail(replay->context, SK_TIMEOUT, "not_paid",
				       "order of invoice %s is %s", invoice->number,
				       shop_text(order, "status"));
		sk_time_sleep_ms(POLL_MS);
	}
}

static enum sk_status await_payments(struct replay *replay)
{
	int done = 0;
	enum sk_status st = SK_OK;

	for (int i = 0; i < replay->data.invoices_count && st == SK_OK; i++) {
		if (replay->data.invoices[i].order_id == NULL)
			continue;
		st = await_payment(replay, &replay->data.invoices[i]);
		if (st == SK_OK)
			show_progress("orders paid", ++done, replay->data.sales);
	}
	return st;
}

/* ---- cancellations ---- */

static enum sk_status refund(struct replay *replay, const struct replay_invoice *cancellation,
			     int line, const struct replay_invoice *sale)
{
	struct sk_arena *arena = replay->context->arena;
	const struct replay_line *back = &cancellation->lines[line];
	int64_t minor = replay->data.variants[back->variant].price_minor * back->quantity;
	const char *body = sk_arena_printf(arena,
					   "{\"amount\":{\"amount\":%" PRId64
					   ",\"currency\":\"" CURRENCY "\"},\"reason\":\"%s\"}",
					   minor, cancellation->number);
	const struct cJSON *answer = NULL;

	return shop_expect(
		&replay->shop, replay->context,
		&(struct shop_call) {
			.method = "POST",
			.path = sk_arena_printf(arena, "/v1/orders/%s/refunds", sale->order_id),
			.token = replay->staff_token,
			.idempotency_key = sk_arena_printf(arena, "%s-%s-%d", replay->run,
							   cancellation->number, line),
			.body = body,
			.len = strlen(body) },
		&answer);
}

static enum sk_status replay_cancellations(struct replay *replay)
{
	int lines = 0, matched = 0;
	int64_t refunded_minor = 0;

	for (int i = 0; i < replay->data.invoices_count; i++) {
		const struct replay_invoice *cancellation = &replay->data.invoices[i];

		for (int line = 0; cancellation->cancellation && line < cancellation->lines_count;
		     line++) {
			const struct replay_line *back = &cancellation->lines[line];
			int sale = replay_match(&replay->data, cancellation, line);
			enum sk_status st;

			lines++;
			if (sale < 0)
				continue;
			st = refund(replay, cancellation, line, &replay->data.invoices[sale]);
			if (st != SK_OK)
				return st;
			matched++;
			refunded_minor += replay->data.variants[back->variant].price_minor *
					  back->quantity;
		}
	}
	printf("cancellations: %d, of whose %d lines %d match a sale of this day and were "
	       "refunded: %s\n",
	       replay->data.cancellations, lines, matched, money_text(replay, refunded_minor));
	return SK_OK;
}

/* ---- what the shop says ---- */

static bool is_ours(const struct replay *replay, const char *order_id)
{
	for (int i = 0; i < replay->data.invoices_count; i++)
		if (replay->data.invoices[i].order_id != NULL &&
		    strcmp(replay->data.invoices[i].order_id, order_id) == 0)
			return true;
	return false;
}

static enum sk_status add_order(const struct cJSON *order, void *arg)
{
	struct replay_sum *sum = arg;

	if (is_ours(sum->replay, shop_text(order, "id"))) {
		sum->count++;
		sum->minor += shop_amount(order, "total");
	}
	return SK_OK;
}

static enum sk_status add_payment(const struct cJSON *payment, void *arg)
{
	struct replay_sum *sum = arg;

	if (is_ours(sum->replay, shop_text(payment, "order_id")) &&
	    strcmp(shop_text(payment, "status"), "failed") != 0) {
		sum->count++;
		sum->minor += shop_amount(payment, "amount");
	}
	return SK_OK;
}

/* Analytics' totals in our currency over all its days. */
static enum sk_status analytics_totals(struct replay *replay, int64_t *orders, int64_t *minor)
{
	const struct cJSON *report = NULL, *total;
	enum sk_status st = shop_expect(&replay->shop, replay->context,
					&(struct shop_call) { .method = "GET",
							      .path = "/v1/analytics/sales",
							      .token = replay->staff_token },
					&report);

	*orders = *minor = 0;
	if (st != SK_OK)
		return st;
	cJSON_ArrayForEach(total, cJSON_GetObjectItemCaseSensitive(report, "totals"))
	{
		const cJSON *gross = cJSON_GetObjectItemCaseSensitive(total, "gross");
		const cJSON *count = cJSON_GetObjectItemCaseSensitive(total, "orders");

		if (strcmp(shop_text(gross, "currency"), CURRENCY) != 0)
			continue;
		*minor += shop_amount(total, "gross");
		*orders += cJSON_IsNumber(count) ? (int64_t)count->valuedouble : 0;
	}
	return SK_OK;
}

/* Analytics follows by events: waits until it has counted all of ours. */
static enum sk_status await_analytics(struct replay *replay, struct replay_sum *sum)
{
	int64_t end_us = sk_time_monotonic_us() + SETTLE_US;
	enum sk_status st;

	do {
		st = analytics_totals(replay, &sum->count, &sum->minor);
		sum->count -= replay->orders_before;
		sum->minor -= replay->sold_before;
		if (st != SK_OK || sum->count >= replay->data.sales)
			return st;
		sk_time_sleep_ms(POLL_MS);
	} while (sk_time_monotonic_us() < end_us);
	return st;
}

static bool print_sum(const struct replay *replay, const char *who, const struct replay_sum *sum)
{
	bool equal = sum->count == replay->data.sales && sum->minor == replay->data.sales_minor;

	printf("%-10s %5" PRId64 " orders  %16s%s\n", who, sum->count,
	       money_text(replay, sum->minor), equal ? "" : "   DIFFERS");
	return equal;
}

static enum sk_status report(struct replay *replay)
{
	struct replay_sum file = { replay, replay->data.sales, replay->data.sales_minor };
	struct replay_sum orders = { .replay = replay }, payments = { .replay = replay },
			  analytics = { .replay = replay };
	bool equal;
	enum sk_status st = shop_each(&replay->shop, replay->context, "/v1/orders",
				      replay->staff_token, add_order, &orders);

	if (st == SK_OK)
		st = shop_each(&replay->shop, replay->context, "/v1/payments", replay->staff_token,
			       add_payment, &payments);
	if (st == SK_OK)
		st = await_analytics(replay, &analytics);
	if (st != SK_OK)
		return st;
	equal = print_sum(replay, "file", &file);
	equal &= print_sum(replay, "orders", &orders);
	equal &= print_sum(replay, "payments", &payments);
	equal &= print_sum(replay, "analytics", &analytics);
	if (!equal)
		return sk_fail(replay->context, SK_CONFLICT, "sums_differ", "the sums differ");
	puts("all equal");
	return SK_OK;
}

/* ---- the command ---- */

static enum sk_status replay_all(struct replay *replay, const char *email, const char *password)
{
	enum sk_status st = shop_log_in(&replay->shop, replay->context, email, password,
					&replay->staff_token);

	if (st == SK_OK)
		st = analytics_totals(replay, &replay->orders_before, &replay->sold_before);
	if (st == SK_OK)
		st = import_catalogue(replay);
	if (st == SK_OK)
		st = ensure_all_stock(replay);
	if (st == SK_OK)
		st = place_orders(replay);
	if (st == SK_OK)
		st = await_payments(replay);
	if (st == SK_OK)
		st = replay_cancellations(replay);
	return st == SK_OK ? report(replay) : st;
}

int soukctl_replay(const struct soukctl_options *options)
{
	struct sk_context context;
	struct replay replay = { .context = &context };
	const char *text = NULL;
	size_t len = 0;
	enum sk_status st;

	sk_context_init(&context, 0);
	replay.shop.base_url = soukctl_option(options, "shop", "http://127.0.0.1:8080");
	replay.run = soukctl_option(options, "run", sk_id_make(context.arena));
	st = file_read(&context, soukctl_option(options, "file", ""), &text, &len);
	if (st == SK_OK)
		st = replay_read(&context, text, len, &replay.data);
	if (st == SK_OK)
		st = replay_all(&replay, soukctl_option(options, "email", "admin@souk.localhost"),
				soukctl_option(options, "password", "souk-admin"));
	if (st != SK_OK)
		fprintf(stderr, "\nsoukctl replay: %s\n", context.error.detail);
	sk_context_release(&context);
	return st == SK_OK ? 0 : 1;
}
