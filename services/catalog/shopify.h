/* Shopify's product CSV, read into products: the pure half of the import, and its report.
 *
 * A line is a variant, an extra image, or both; the product's own columns stand on
 * its first line. Columns are found by their names, in any order, and others are
 * ignored. Each data line ends as imported or rejected with a sentence. What is
 * decided here without the database:
 *
 * - Lines belong together by their Handle, wherever they stand in the file.
 * - A product without a Title on its first line is rejected with all its lines.
 * - A line with anything of a variant but no Variant Price is rejected alone.
 * - A SKU or a set of options that a line before had is rejected.
 * - Status (newer exports) goes before Published; neither means active.
 * - An import of a product replaces its variants; but a rejected line must not take
 *   one off sale, so while one of the product's lines is rejected, the variants that
 *   the file does not name are kept. */
#ifndef CATALOG_SHOPIFY_H
#define CATALOG_SHOPIFY_H

#include "catalog.h"

#define CATALOG_REPORT_LINES_MAX 10000

struct catalog_import_line {
	int line;	      /* in the file, from 1 */
	const char *handle;   /* "" where it could not be read */
	const char *sku;      /* NULL where the line is no variant */
	bool sku_made;	      /* the file has none */
	const char *rejected; /* NULL, or why */
	int next;	      /* the next line of the same product, -1: none */
};

/* The arrays of the product's variants and images each have a parallel one here. */
struct catalog_import_product {
	struct catalog_product product; /* without id and version */
	const char *rejected;		/* the whole product, or NULL */
	int first_line, last_line;	/* indexes of lines; chained by next */
	const char *option_names[CATALOG_OPTIONS_MAX];
	int *variant_lines; /* index of the line of each variant */
	int64_t *image_positions;
	bool keeps_others;
};

struct catalog_import {
	struct catalog_import_line *lines;
	int lines_count;
	struct catalog_import_product **products;
	int products_count;
};

/* Reads a whole file. Everything is the context's arena's. SK_INVALID ("invalid_csv")
 * where there is no header line with Handle, Title and Variant Price. */
SK_MUST_CHECK enum sk_status catalog_shopify_read(struct sk_context *context, const char *text,
						  size_t len, const char *currency,
						  struct catalog_import *import);

/* For whoever rejects lines later: notes why … */
void catalog_import_reject(struct catalog_import_line *line, struct catalog_import_product *of,
			   const char *why);
/* … then takes the variants whose lines were rejected out of the product, and where none is
 * left rejects the product with all its lines. */
void catalog_import_settle(struct catalog_import *import, struct catalog_import_product *product);

/* ---- import.c: what was read becomes what is sold ---- */

struct catalog_report {
	int created, updated, unchanged; /* products */
	int variants, errors;		 /* lines */
};

/* Writes the products of the file, publishes those that changed, and notes in the lines
 * what only the database can say. A file that is imported again changes nothing. */
SK_MUST_CHECK enum sk_status catalog_import_apply(struct catalog_service *service, struct sk_tx *tx,
						  struct catalog_import *import,
						  struct catalog_report *report);
void catalog_report_write(struct sk_json *json, const struct catalog_import *import,
			  const struct catalog_report *report);

#endif
