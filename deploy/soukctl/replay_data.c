#include "replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sk_buf.h"
#include "sk_csv.h"
#include "sk_id.h"
#include "sk_money.h"

#define CATALOGUE_MAX_BYTES ((size_t)8 * 1024 * 1024)
#define CURRENCY	    "GBP"

enum column { INVOICE, STOCK_CODE, DESCRIPTION, QUANTITY, DATE, PRICE, CUSTOMER, COUNTRY, COLUMNS };

static const char *const COLUMN_NAMES[COLUMNS] = { "InvoiceNo",	 "StockCode",	"Description",
						   "Quantity",	 "InvoiceDate", "UnitPrice",
						   "CustomerID", "Country" };

/* The countries of the data set by their names in it. */
static const struct {
	const char *name, *code;
} COUNTRIES[] = {
	{ "United Kingdom", "GB" }, { "France", "FR" },	     { "Australia", "AU" },
	{ "Netherlands", "NL" },    { "Germany", "DE" },     { "Norway", "NO" },
	{ "EIRE", "IE" },	    { "Switzerland", "CH" }, { "Spain", "ES" },
	{ "Poland", "PL" },	    { "Portugal", "PT" },    { "Italy", "IT" },
	{ "Belgium", "BE" },	    { "Lithuania", "LT" },   { "Japan", "JP" },
	{ "Iceland", "IS" },
};

static const char *country_code(const char *name)
{
	for (size_t i = 0; i < sizeof(COUNTRIES) / sizeof(COUNTRIES[0]); i++)
		if (strcmp(COUNTRIES[i].name, name) == 0)
			return COUNTRIES[i].code;
	return "GB";
}

/* Room for one more element in an array of the arena. */
static void *grow(struct sk_arena *arena, void *list, int count, int *capacity, size_t size)
{
	void *larger;

	if (count < *capacity)
		return list;
	*capacity = *capacity > 0 ? *capacity * 2 : 64;
	larger = sk_arena_array(arena, (size_t)*capacity, size);
	if (count > 0)
		memcpy(larger, list, (size_t)count * size);
	return larger;
}

static int variant_of(struct sk_context *context, struct replay_data *data, const char *stock_code,
		      const char *title, int64_t price_minor)
{
	struct replay_variant *variant;

	for (int i = 0; i < data->variants_count; i++) {
		if (data->variants[i].price_minor == price_minor &&
		    strcmp(data->variants[i].stock_code, stock_code) == 0)
			return i;
	}
	data->variants = grow(context->arena, data->variants, data->variants_count,
			      &data->variants_capacity, sizeof(*data->variants));
	variant = &data->variants[data->variants_count];
	variant->stock_code = sk_arena_strdup(context->arena, stock_code);
	variant->title = sk_arena_strdup(context->arena, title[0] != '\0' ? title : stock_code);
	variant->price_minor = price_minor;
	snprintf(variant->sku, sizeof(variant->sku), "%.40s-%lld", stock_code,
		 (long long)price_minor);
	return data->variants_count++;
}

static struct replay_invoice *invoice_of(struct sk_context *context, struct replay_data *data,
					 char *const fields[COLUMNS])
{
	struct replay_invoice *invoice;

	/* The file is ordered by invoice: looking back finds it at once. */
	for (int i = data->invoices_count - 1; i >= 0; i--)
		if (strcmp(data->invoices[i].number, fields[INVOICE]) == 0)
			return &data->invoices[i];
	data->invoices = grow(context->arena, data->invoices, data->invoices_count,
			      &data->invoices_capacity, sizeof(*data->invoices));
	invoice = &data->invoices[data->invoices_count++];
	*invoice = (struct replay_invoice) {
		.number = sk_arena_strdup(context->arena, fields[INVOICE]),
		.customer = sk_arena_strdup(context->arena, fields[CUSTOMER]),
		.country = country_code(fields[COUNTRY]),
		.cancellation = fields[INVOICE][0] == 'C',
	};
	return invoice;
}

/* Adds to the invoice's line of the variant: an order has one line a SKU. */
static void add_line(struct sk_context *context, struct replay_invoice *invoice, int variant,
		     int64_t quantity)
{
	for (int i = 0; i < invoice->lines_count; i++) {
		if (invoice->lines[i].variant == variant) {
			invoice->lines[i].quantity += quantity;
			return;
		}
	}
	invoice->lines = grow(context->arena, invoice->lines, invoice->lines_count,
			      &invoice->lines_capacity, sizeof(*invoice->lines));
	invoice->lines[invoice->lines_count++] = (struct replay_line) { .variant = variant,
									.quantity = quantity };
}

static enum sk_status add_row(struct sk_context *context, struct replay_data *data,
			      char *const fields[COLUMNS])
{
	long long quantity = strtoll(fields[QUANTITY], NULL, 10);
	struct replay_invoice *invoice;
	struct sk_money price;
	int variant;

	if (fields[PRICE][0] == '-' || quantity == 0)
		return SK_OK;
	if (sk_money_parse(fields[PRICE], CURRENCY, &price) != SK_OK)
		return sk_fail(context, SK_INVALID, "invalid_price", "invoice %s: %s is no price",
			       fields[INVOICE], fields[PRICE]);
	if (price.minor == 0)
		return SK_OK;
	invoice = invoice_of(context, data, fields);
	if (invoice->cancellation != (quantity < 0))
		return SK_OK;
	variant = variant_of(context, data, fields[STOCK_CODE], fields[DESCRIPTION], price.minor);
	quantity = quantity < 0 ? -quantity : quantity;
	add_line(context, invoice, variant, quantity);
	invoice->total_minor += price.minor * quantity;
	if (!invoice->cancellation)
		data->variants[variant].sold += quantity;
	return SK_OK;
}

/* The position of each of our columns in the header. */
static enum sk_status read_header(struct sk_context *context, const struct sk_csv_record *row,
				  int positions[COLUMNS])
{
	for (int column = 0; column < COLUMNS; column++) {
		positions[column] = -1;
		for (int i = 0; i < row->count; i++)
			if (strcmp(row->fields[i].text, COLUMN_NAMES[column]) == 0)
				positions[column] = i;
		if (positions[column] < 0)
			return sk_fail(context, SK_INVALID, "missing_column",
				       "the file has no column %s", COLUMN_NAMES[column]);
	}
	return SK_OK;
}

struct reading {
	struct sk_context *context;
	struct replay_data *data;
	int positions[COLUMNS];
	bool has_header;
};

static enum sk_status on_row(const struct sk_csv_record *row, void *arg)
{
	struct reading *reading = arg;
	char *fields[COLUMNS];

	if (row->error != NULL)
		return sk_fail(reading->context, SK_INVALID, "invalid_csv", "line %d: %s",
			       row->line, row->error);
	if (!reading->has_header) {
		reading->has_header = true;
		return read_header(reading->context, row, reading->positions);
	}
	for (int column = 0; column < COLUMNS; column++) {
		if (reading->positions[column] >= row->count)
			return sk_fail(reading->context, SK_INVALID, "invalid_csv",
				       "line %d has too few columns", row->line);
		fields[column] = sk_arena_strdup(reading->context->arena,
						 row->fields[reading->positions[column]].text);
	}
	return add_row(reading->context, reading->data, fields);
}

enum sk_status replay_read(struct sk_context *context, const char *text, size_t len,
			   struct replay_data *data)
{
	struct reading reading = { .context = context, .data = data };
	enum sk_status st;

	memset(data, 0, sizeof(*data));
	st = sk_csv_feed(sk_csv_open(context->arena, on_row, &reading), text, len, true);
	for (int i = 0; i < data->invoices_count; i++) {
		const struct replay_invoice *invoice = &data->invoices[i];

		if (invoice->lines_count == 0)
			continue;
		data->cancellations += invoice->cancellation;
		data->sales += !invoice->cancellation;
		data->sales_minor += invoice->cancellation ? 0 : invoice->total_minor;
	}
	return st;
}

/* A CSV field in quotes, its quotes doubled; other than ASCII is left out, since
 * the data set's bytes are Latin-1. */
static void put_quoted(struct sk_buf *csv, const char *text)
{
	sk_buf_putc(csv, '"');
	for (; *text != '\0'; text++) {
		if (*text == '"')
			sk_buf_putc(csv, '"');
		if ((unsigned char)*text >= ' ' && (unsigned char)*text < 127)
			sk_buf_putc(csv, *text);
	}
	sk_buf_putc(csv, '"');
}

static void put_variant(struct sk_buf *csv, const struct replay_variant *variant, bool first)
{
	char price[SK_MONEY_TEXT_BYTES];

	sk_money_format(sk_money_of(variant->price_minor, CURRENCY), price);
	price[strcspn(price, " ")] = '\0';
	sk_buf_printf(csv, "online-retail-%s,", variant->stock_code);
	put_quoted(csv, first ? variant->title : "");
	sk_buf_printf(csv, ",%s,%s,%s,%s,%s,%lld,%s\n", first ? "Online Retail" : "",
		      first ? "true" : "", first ? "Price" : "", price, variant->sku,
		      (long long)variant->sold, price);
}

const char *replay_catalogue(struct sk_context *context, const struct replay_data *data,
			     size_t *len)
{
	bool *done = sk_arena_array(context->arena, (size_t)data->variants_count + 1,
				    sizeof(*done));
	struct sk_buf csv;

	sk_buf_init(&csv, context->arena, CATALOGUE_MAX_BYTES);
	sk_buf_puts(&csv, "Handle,Title,Vendor,Published,Option1 Name,Option1 Value,Variant SKU,"
			  "Variant Inventory Qty,Variant Price\n");
	for (int i = 0; i < data->variants_count; i++) {
		/* The product's other prices follow its first one. */
		for (int j = i; j < data->variants_count && !done[i]; j++) {
			if (strcmp(data->variants[j].stock_code, data->variants[i].stock_code) != 0)
				continue;
			put_variant(&csv, &data->variants[j], i == j);
			done[j] = j != i;
		}
		done[i] = true;
	}
	*len = csv.len;
	return sk_buf_text(&csv);
}

int replay_match(const struct replay_data *data, const struct replay_invoice *cancellation,
		 int line)
{
	const struct replay_variant *back = &data->variants[cancellation->lines[line].variant];

	for (int i = 0; i < data->invoices_count; i++) {
		const struct replay_invoice *sale = &data->invoices[i];

		if (sale->cancellation || strcmp(sale->customer, cancellation->customer) != 0 ||
		    sale->customer[0] == '\0')
			continue;
		for (int j = 0; j < sale->lines_count; j++) {
			if (strcmp(data->variants[sale->lines[j].variant].stock_code,
				   back->stock_code) == 0 &&
			    sale->lines[j].quantity >= cancellation->lines[line].quantity)
				return i;
		}
	}
	return -1;
}
