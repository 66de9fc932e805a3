/* One data line of Shopify's product CSV as typed values. Columns are found by the names
 * in the header, in any order; others are ignored.
 *
 * What cannot be used is told as a sentence for the report, in the arena or
 * constant; NULL means that all is well. */
#ifndef CATALOG_ROW_H
#define CATALOG_ROW_H

#include "catalog.h"
#include "sk_csv.h"

#define CATALOG_ROW_COLUMNS    24
#define CATALOG_ROW_IMAGES_MAX 2 /* Image Src and Variant Image */

struct catalog_row {
	struct sk_context *context;
	const char *currency;
	int header_count;			 /* columns; 0: the header has not come yet */
	int column_at[CATALOG_ROW_COLUMNS];	 /* -1: the file has no such column */
	const char *values[CATALOG_ROW_COLUMNS]; /* of the line at hand; "" where empty */
};

struct catalog_row_image {
	struct catalog_image image;
	int64_t position; /* among the product's images */
};

/* Finds the columns. SK_INVALID ("invalid_csv") without Handle, Title or Variant Price. */
SK_MUST_CHECK enum sk_status catalog_row_header(struct catalog_row *row,
						const struct sk_csv_record *header);

/* Takes the next data line. Where it is broken, the columns before the damage are there. */
const char *catalog_row_take(struct catalog_row *row, const struct sk_csv_record *record);

const char *catalog_row_handle(const struct catalog_row *row); /* "" where missing */
bool catalog_row_is_variant(const struct catalog_row *row);

/* The product's own columns and the names of its options, from its first line. */
const char *catalog_row_product(const struct catalog_row *row, struct catalog_product *product,
				const char *option_names[CATALOG_OPTIONS_MAX]);
const char *catalog_row_variant(const struct catalog_row *row,
				const char *const option_names[CATALOG_OPTIONS_MAX],
				struct catalog_variant *variant);
const char *catalog_row_images(const struct catalog_row *row,
			       struct catalog_row_image images[CATALOG_ROW_IMAGES_MAX], int *count);

#endif
