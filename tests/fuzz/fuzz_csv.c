/* CSV: a line that chooses, then the file. "products" reads it as Shopify's, "invoices" as
 * soukctl's replay does; any other line gives the sizes of the pieces that the file is fed in:
 * however it is cut, the records are the same. */
#include "fuzz.h"

#include "deploy/soukctl/replay.h"
#include "services/catalog/shopify.h"
#include "sk_csv.h"

static enum sk_status on_record(const struct sk_csv_record *record, void *arg)
{
	uint64_t *digest = arg;

	*digest = *digest * 31 + (uint64_t)record->line;
	*digest = *digest * 31 + (uint64_t)(record->error != NULL);
	for (int i = 0; i < record->count; i++) {
		const struct sk_csv_field *field = &record->fields[i];

		FUZZ_HOLDS(field->text[field->len] == '\0' && strlen(field->text) == field->len);
		for (size_t at = 0; at < field->len; at++)
			*digest = *digest * 31 + (unsigned char)field->text[at];
		*digest = *digest * 31 + 256;
	}
	return SK_OK;
}

/* A digest of the records, fed in pieces whose sizes come from the line; "" feeds it whole. */
static uint64_t digest_of(struct sk_context *context, const char *text, size_t len,
			  const char *sizes)
{
	uint64_t digest = 7;
	struct sk_csv *csv = sk_csv_open(context->arena, on_record, &digest);
	size_t at = 0;

	for (size_t i = 0; sizes[0] != '\0' && at < len; i++) {
		size_t piece = (unsigned char)sizes[i % strlen(sizes)];

		piece = piece < len - at ? piece : len - at;
		FUZZ_HOLDS(sk_csv_feed(csv, fuzz_copy(context, text + at, piece), piece, false) ==
			   SK_OK);
		at += piece;
	}
	FUZZ_HOLDS(sk_csv_feed(csv, text + at, len - at, true) == SK_OK);
	return digest;
}

static void read_products(struct sk_context *context, const char *text, size_t len)
{
	struct catalog_import import;

	if (catalog_shopify_read(context, text, len, "GBP", &import) != SK_OK)
		return;
	for (int i = 0; i < import.products_count; i++)
		FUZZ_HOLDS(import.products[i]->rejected != NULL ||
			   import.products[i]->product.variants_count > 0);
}

static void read_invoices(struct sk_context *context, const char *text, size_t len)
{
	struct replay_data replay;
	size_t written;

	if (replay_read(context, text, len, &replay) == SK_OK)
		FUZZ_HOLDS(replay_catalogue(context, &replay, &written) != NULL);
}

void fuzz(struct sk_context *context, struct fuzz_input *input)
{
	const char *what = fuzz_line(context, input);
	const char *text = fuzz_rest(context, input);

	if (strcmp(what, "products") == 0)
		read_products(context, text, input->left);
	else if (strcmp(what, "invoices") == 0)
		read_invoices(context, text, input->left);
	else
		FUZZ_HOLDS(digest_of(context, text, input->left, what) ==
			   digest_of(context, text, input->left, ""));
}
