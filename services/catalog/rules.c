/* The catalogue's rules: pure functions of their arguments. */
#include "catalog.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define HASH_CHARS   8 /* of a SHA-256, where a name had to be cut: 4 billion names */
#define DIGEST_CHARS 20

static const char *const STATUS_NAMES[] = {
	[CATALOG_DRAFT] = "draft",
	[CATALOG_ACTIVE] = "active",
	[CATALOG_ARCHIVED] = "archived",
	[CATALOG_DELETED] = "deleted",
};

static const char *const SORT_NAMES[] = {
	[CATALOG_NEWEST] = "newest",
	[CATALOG_BY_TITLE] = "title",
	[CATALOG_CHEAPEST] = "price",
	[CATALOG_DEAREST] = "-price",
};

const char *catalog_status_name(enum catalog_status status)
{
	return STATUS_NAMES[status];
}

bool catalog_status_parse(const char *text, enum catalog_status *status)
{
	for (int i = CATALOG_DRAFT; text && i < CATALOG_DELETED; i++)
		if (strcmp(text, STATUS_NAMES[i]) == 0) {
			*status = (enum catalog_status)i;
			return true;
		}
	return false;
}

bool catalog_sort_parse(const char *text, enum catalog_sort *sort)
{
	*sort = CATALOG_NEWEST;
	for (int i = CATALOG_NEWEST; text && i <= CATALOG_DEAREST; i++)
		if (strcmp(text, SORT_NAMES[i]) == 0) {
			*sort = (enum catalog_sort)i;
			return true;
		}
	return text == NULL;
}

const char *catalog_sort_name(enum catalog_sort sort)
{
	return SORT_NAMES[sort];
}

/* ---- slugs and SKUs ---- */

/* ASCII only: the locale must not decide what an address is. */
static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool catalog_slug_valid(const char *slug)
{
	size_t len = strlen(slug);

	if (len == 0 || len > CATALOG_SLUG_MAX_BYTES || sk_id_valid(slug))
		return false;
	for (size_t i = 0; i < len; i++) {
		bool inner_hyphen = slug[i] == '-' && i > 0 && i + 1 < len && slug[i - 1] != '-';

		if (!inner_hyphen && (!is_word(slug[i]) || (slug[i] >= 'A' && slug[i] <= 'Z')))
			return false;
	}
	return true;
}

/* Appends the words of text joined by hyphens. Returns whether a letter beyond ASCII was dropped. */
static bool put_words(struct sk_buf *out, const char *text, int (*fold)(int c))
{
	bool dropped = false, gap = out->len > 0;

	for (; *text; text++) {
		dropped = dropped || (unsigned char)*text >= 0x80;
		if (is_word(*text)) {
			if (gap && out->len > 0)
				sk_buf_putc(out, '-');
			sk_buf_putc(out, (char)fold((unsigned char)*text));
		}
		gap = !is_word(*text);
	}
	return dropped;
}

/* words, cut so that "-<hash of text>" fits into max bytes behind them. */
static const char *with_hash(struct sk_arena *arena, const char *words, const char *text,
			     size_t max)
{
	size_t len = strnlen(words, max - HASH_CHARS - 1);

	while (len > 0 && words[len - 1] == '-')
		len--;
	return sk_arena_printf(arena, "%.*s%s%.*s", (int)len, words, len > 0 ? "-" : "p-",
			       HASH_CHARS, sk_token_hash(arena, text));
}

const char *catalog_slug_make(struct sk_arena *arena, const char *text)
{
	struct sk_buf words;
	bool dropped;

	sk_buf_init(&words, arena, strlen(text) + 2);
	dropped = put_words(&words, text, tolower);
	if (!dropped && catalog_slug_valid(sk_buf_text(&words)))
		return sk_buf_text(&words);
	return with_hash(arena, sk_buf_text(&words), text, CATALOG_SLUG_MAX_BYTES);
}

/* All that makes the variant itself, without two variants giving the same text. */
static const char *variant_identity(struct sk_arena *arena, const char *slug,
				    const struct catalog_variant *variant)
{
	const char *identity = slug;

	for (int i = 0; i < variant->options_count; i++)
		identity = sk_arena_printf(arena, "%s\n%s\t%s", identity, variant->options[i].name,
					   variant->options[i].value);
	return identity;
}

const char *catalog_sku_make(struct sk_arena *arena, const char *slug,
			     const struct catalog_variant *variant, bool second_choice)
{
	struct sk_buf words;
	bool dropped;
	const char *identity = variant_identity(arena, slug, variant);
	const char *hashed;

	sk_buf_init(&words, arena, strlen(identity) + 2);
	dropped = put_words(&words, slug, toupper);
	for (int i = 0; i < variant->options_count; i++)
		dropped = put_words(&words, variant->options[i].value, toupper) || dropped;
	if (!second_choice && !dropped && sk_sku_valid(sk_buf_text(&words)))
		return sk_buf_text(&words);
	hashed = with_hash(arena, sk_buf_text(&words), identity, SK_SKU_MAX_BYTES);
	sk_buf_init(&words, arena, SK_SKU_MAX_BYTES + 2);
	put_words(&words, hashed, toupper);
	return sk_buf_text(&words);
}

const char *catalog_variant_title(struct sk_arena *arena, const struct catalog_variant *variant)
{
	const char *title = variant->options_count > 0 ? variant->options[0].value : "";

	for (int i = 1; i < variant->options_count; i++)
		title = sk_arena_printf(arena, "%s / %s", title, variant->options[i].value);
	return title;
}

bool catalog_same_options(const struct catalog_variant *a, const struct catalog_variant *b)
{
	if (a->options_count != b->options_count)
		return false;
	for (int i = 0; i < a->options_count; i++)
		if (strcmp(a->options[i].name, b->options[i].name) != 0 ||
		    strcmp(a->options[i].value, b->options[i].value) != 0)
			return false;
	return true;
}

/* ---- tags ---- */

static bool has_tag(const char *const *tags, int count, const char *tag)
{
	for (int i = 0; i < count; i++)
		if (strcmp(tags[i], tag) == 0)
			return true;
	return false;
}

int catalog_tags_split(struct sk_arena *arena, const char *text, const char ***tags)
{
	const char **list = sk_arena_array(arena, CATALOG_TAGS_MAX, sizeof(*list));
	int count = 0;

	*tags = list;
	while (*text && count < CATALOG_TAGS_MAX) {
		size_t len = strcspn(text, ","), from = 0, to = len;
		const char *tag;

		while (from < to && isspace((unsigned char)text[from]))
			from++;
		while (to > from && isspace((unsigned char)text[to - 1]))
			to--;
		tag = sk_arena_memdup(arena, text + from, to - from);
		if (to > from && to - from <= CATALOG_TITLE_MAX_BYTES && !has_tag(list, count, tag))
			list[count++] = tag;
		text += len + (text[len] == ',');
	}
	return count;
}

/* ---- cursors and entity tags ---- */

const char *catalog_cursor_encode(struct sk_arena *arena, enum catalog_sort sort,
				  const struct catalog_cursor *cursor)
{
	return sk_arena_printf(arena, "%s\n%s\n%s", catalog_sort_name(sort), cursor->id,
			       cursor->key);
}

static bool is_number(const char *text)
{
	size_t len = strspn(text, "0123456789");

	return len > 0 && len < 17 && text[len] == '\0';
}

bool catalog_cursor_decode(struct sk_arena *arena, enum catalog_sort sort, const char *text,
			   struct catalog_cursor *cursor)
{
	const char *name = catalog_sort_name(sort);
	size_t len = strlen(name);
	const char *id, *key;

	if (strncmp(text, name, len) != 0 || text[len] != '\n' ||
	    strlen(text + len + 1) < SK_ID_BYTES || text[len + SK_ID_BYTES] != '\n')
		return false;
	id = sk_arena_memdup(arena, text + len + 1, SK_ID_BYTES - 1);
	key = text + len + 1 + SK_ID_BYTES;
	if (!sk_id_valid(id))
		return false;
	if ((sort == CATALOG_CHEAPEST || sort == CATALOG_DEAREST) && !is_number(key))
		return false;
	*cursor = (struct catalog_cursor) { .key = key, .id = id };
	return true;
}

const char *catalog_product_tag(struct sk_arena *arena, const struct catalog_product *product,
				const char *json)
{
	return sk_arena_printf(arena, "%lld-%.*s", (long long)product->version, DIGEST_CHARS,
			       sk_token_hash(arena, json));
}

bool catalog_if_match(const char *if_match, int64_t version)
{
	if (!if_match)
		return true;
	for (const char *at = if_match; *at;) {
		at += strspn(at, " \t,");
		if (*at == '*')
			return true;
		if (*at == '"') {
			char *end;
			long long tagged = strtoll(at + 1, &end, 10);

			if (*end == '-' && tagged == version)
				return true;
			at++;
			at += strcspn(at, "\"");
			at += *at == '"';
		} else {
			at += strcspn(at, ","); /* a weak tag never matches */
		}
	}
	return false;
}

/* ---- products ---- */

static bool same_variant(const struct catalog_variant *a, const struct catalog_variant *b)
{
	return strcmp(a->sku, b->sku) == 0 && strcmp(a->title, b->title) == 0 &&
	       strcmp(a->barcode, b->barcode) == 0 && catalog_same_options(a, b) &&
	       a->price.minor == b->price.minor &&
	       strcmp(a->price.currency, b->price.currency) == 0 &&
	       a->compare_at_minor == b->compare_at_minor && a->weight_grams == b->weight_grams &&
	       a->initial_quantity == b->initial_quantity;
}

static bool same_lists(const struct catalog_product *a, const struct catalog_product *b)
{
	if (a->tags_count != b->tags_count || a->images_count != b->images_count ||
	    a->variants_count != b->variants_count)
		return false;
	for (int i = 0; i < a->tags_count; i++)
		if (strcmp(a->tags[i], b->tags[i]) != 0)
			return false;
	for (int i = 0; i < a->images_count; i++)
		if (strcmp(a->images[i].src, b->images[i].src) != 0 ||
		    strcmp(a->images[i].alt, b->images[i].alt) != 0)
			return false;
	for (int i = 0; i < a->variants_count; i++)
		if (!same_variant(&a->variants[i], &b->variants[i]))
			return false;
	return true;
}

bool catalog_product_same(const struct catalog_product *a, const struct catalog_product *b)
{
	return a->status == b->status && strcmp(a->slug, b->slug) == 0 &&
	       strcmp(a->title, b->title) == 0 && strcmp(a->vendor, b->vendor) == 0 &&
	       strcmp(a->category, b->category) == 0 &&
	       strcmp(a->description_html, b->description_html) == 0 && same_lists(a, b);
}

int64_t catalog_lowest_price(const struct catalog_product *product)
{
	int64_t lowest = product->variants_count > 0 ? product->variants[0].price.minor : 0;

	for (int i = 1; i < product->variants_count; i++)
		if (product->variants[i].price.minor < lowest)
			lowest = product->variants[i].price.minor;
	return lowest;
}

struct catalog_variant *catalog_find_sku(const struct catalog_product *product, const char *sku)
{
	for (int i = 0; i < product->variants_count; i++)
		if (product->variants[i].sku && strcmp(product->variants[i].sku, sku) == 0)
			return &product->variants[i];
	return NULL;
}

bool catalog_url_valid(const char *url)
{
	const char *host = NULL;

	if (strncmp(url, "https://", 8) == 0)
		host = url + 8;
	else if (strncmp(url, "http://", 7) == 0)
		host = url + 7;
	if (!host || !is_word(*host) || strlen(url) > CATALOG_URL_MAX_BYTES)
		return false;
	for (const char *c = url; *c; c++)
		if ((unsigned char)*c <= ' ' || strchr("\"<>\\^`{|}\x7f", *c))
			return false;
	return true;
}

/* The length of the UTF-8 sequence at text by RFC 3629, 0 where it is none. */
static size_t sequence_len(const unsigned char *text, size_t len)
{
	static const struct {
		unsigned char first, last; /* of the leading byte */
		unsigned char low, high;   /* of the second: no overlong forms, no surrogates */
		unsigned char len;
	} FORMS[] = {
		{ 0xC2, 0xDF, 0x80, 0xBF, 2 }, { 0xE0, 0xE0, 0xA0, 0xBF, 3 },
		{ 0xE1, 0xEC, 0x80, 0xBF, 3 }, { 0xED, 0xED, 0x80, 0x9F, 3 },
		{ 0xEE, 0xEF, 0x80, 0xBF, 3 }, { 0xF0, 0xF0, 0x90, 0xBF, 4 },
		{ 0xF1, 0xF3, 0x80, 0xBF, 4 }, { 0xF4, 0xF4, 0x80, 0x8F, 4 },
	};

	if (text[0] < 0x80)
		return 1;
	for (size_t i = 0; i < sizeof(FORMS) / sizeof(*FORMS); i++) {
		if (text[0] < FORMS[i].first || text[0] > FORMS[i].last)
			continue;
		if (len < FORMS[i].len || text[1] < FORMS[i].low || text[1] > FORMS[i].high)
			return 0;
		for (size_t k = 2; k < FORMS[i].len; k++)
			if ((text[k] & 0xC0) != 0x80)
				return 0;
		return FORMS[i].len;
	}
	return 0;
}

bool catalog_utf8_valid(const char *text, size_t len)
{
	const unsigned char *bytes = (const unsigned char *)text;

	for (size_t at = 0; at < len;) {
		size_t step = sequence_len(bytes + at, len - at);

		if (step == 0)
			return false;
		at += step;
	}
	return true;
}
