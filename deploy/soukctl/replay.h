/* The replay of a day of a real wholesaler's invoices (the UCI "Online Retail" data
 * set's columns: InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice,
 * CustomerID, Country). */
#ifndef REPLAY_H
#define REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "sk_context.h"

/* A stock code at one unit price: a variant of a product. */
struct replay_variant {
	char sku[SK_SKU_MAX_BYTES + 1]; /* "85123A-255" */
	const char *stock_code;
	const char *title;
	int64_t price_minor;
	int64_t sold; /* over all sale invoices */
};

struct replay_line {
	int variant; /* index */
	int64_t quantity;
};

struct replay_invoice {
	const char *number;	   /* "536365" */
	const char *customer;	   /* "17850"; "" is a guest */
	const char *country;	   /* ISO 3166-1 alpha-2 */
	bool cancellation;	   /* its number starts with C */
	struct replay_line *lines; /* one a variant; quantities above zero */
	int lines_count, lines_capacity;
	int64_t total_minor;

	/* What became of it in the shop. */
	const char *token; /* of the customer's session; NULL: a guest */
	const char *order_id;
};

struct replay_data {
	struct replay_variant *variants;
	int variants_count, variants_capacity;
	struct replay_invoice *invoices;
	int invoices_count, invoices_capacity;
	int sales, cancellations; /* invoices of each kind that have lines */
	int64_t sales_minor;
};

/* Reads the file's text. Everything lives in the context's arena. Lines with a
 * price or a quantity of zero are stock adjustments and are left out. */
SK_MUST_CHECK enum sk_status replay_read(struct sk_context *context, const char *text, size_t len,
					 struct replay_data *data);

/* The invoices' products as Shopify CSV for POST /v1/products/import. */
const char *replay_catalogue(struct sk_context *context, const struct replay_data *data,
			     size_t *len);

/* The sale that a cancellation's line gives back: the same customer, the same
 * stock code, at least as many pieces. -1: none in this file. */
int replay_match(const struct replay_data *data, const struct replay_invoice *cancellation,
		 int line);

#endif
