/* JSON, in and out.
 *
 * In: cJSON parses, after a scan of our own that bounds the depth and refuses
 * what cJSON lets pass: invalid UTF-8, \u0000, duplicate keys, numbers that are
 * none, anything after the value (sk_json_parse.c). Decoders read fields through struct sk_fields, which
 * collects every wrong field with its JSON pointer instead of stopping at the
 * first; unknown fields are ignored.
 *
 * Out: a writer that appends to a bounded buffer; errors latch (sk_buf). */
#ifndef SK_JSON_H
#define SK_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "sk_buf.h"
#include "sk_context.h"
#include "sk_money.h"

/* ---- in ---- */

struct cJSON;

/* Parses len bytes. The tree is freed with the context's arena. SK_MALFORMED
 * ("malformed_json") with a sentence where it cannot. */
SK_MUST_CHECK enum sk_status sk_json_parse(struct sk_context *context, const char *text, size_t len,
					   const struct cJSON **out);

struct sk_field_error {
	const char *pointer; /* "/items/0/quantity" */
	const char *detail;
};

/* The wrong fields of one body. */
struct sk_field_errors {
	struct sk_arena *arena;
	struct sk_field_error list[SK_FIELD_ERRORS_MAX];
	int count;
};

/* An object that is being decoded: a cursor into the tree, and where its errors go. */
struct sk_fields {
	const struct cJSON *object; /* NULL: absent; every required field is then reported */
	const char *pointer;	    /* of the object itself: "" or "/items/0" */
	struct sk_field_errors *errors;
};

/* The fields of a whole body; reports "" when it is not an object. */
struct sk_fields sk_fields_of(const struct cJSON *root, struct sk_field_errors *errors);

enum sk_field_flags {
	SK_FIELD_REQUIRED = 0,
	SK_FIELD_OPTIONAL = 1, /* absent and null are fine and give NULL, fallback or 0 */
};

/* A string of min to max bytes, in the tree's memory (lives as the arena). NULL
 * where absent or wrong. Control characters other than CR, LF and tab are refused. */
const char *sk_field_text(struct sk_fields *fields, const char *name, size_t min, size_t max,
			  enum sk_field_flags flags);

/* An integer in [min, max]; fractions, strings and what is beyond 2^53 - 1 are wrong. */
int64_t sk_field_int(struct sk_fields *fields, const char *name, int64_t min, int64_t max,
		     enum sk_field_flags flags, int64_t fallback);
bool sk_field_bool(struct sk_fields *fields, const char *name, enum sk_field_flags flags,
		   bool fallback);
/* {"amount": 0..SK_MONEY_MAX_MINOR, "currency": "GBP"}. Returns whether it is there. */
bool sk_field_money(struct sk_fields *fields, const char *name, enum sk_field_flags flags,
		    struct sk_money *money);
const char *sk_field_email(struct sk_fields *fields, const char *name, enum sk_field_flags flags);
const char *sk_field_sku(struct sk_fields *fields, const char *name, enum sk_field_flags flags);
const char *sk_field_id(struct sk_fields *fields, const char *name, enum sk_field_flags flags);

/* Whether the field is there and not null. */
bool sk_field_present(const struct sk_fields *fields, const char *name);

struct sk_fields sk_field_object(struct sk_fields *fields, const char *name,
				 enum sk_field_flags flags);
/* The number of elements of an array; outside [min, max] is reported and gives 0. */
int sk_field_array(struct sk_fields *fields, const char *name, int min, int max,
		   enum sk_field_flags flags);
/* Element index of an array that sk_field_array accepted: as object, or as text. */
struct sk_fields sk_field_element(struct sk_fields *fields, const char *name, int index);
const char *sk_field_element_text(struct sk_fields *fields, const char *name, int index, size_t min,
				  size_t max);

/* Adds an error of the caller's own rules: sk_field_reject(&f, "country", "unknown country"). */
void sk_field_reject(struct sk_fields *fields, const char *name, const char *detail);

/* SK_OK, or SK_INVALID ("invalid_input") when any field was wrong. */
SK_MUST_CHECK enum sk_status sk_fields_finish(const struct sk_fields *fields,
					      struct sk_context *context);

/* ---- out ---- */

struct sk_json {
	struct sk_buf buf;
	bool need_comma;
};

/* key is NULL inside an array and at the top. A NULL text is written as null. */
void sk_json_init(struct sk_json *json, struct sk_arena *arena, size_t max_bytes);
void sk_json_begin_object(struct sk_json *json, const char *key);
void sk_json_end_object(struct sk_json *json);
void sk_json_begin_array(struct sk_json *json, const char *key);
void sk_json_end_array(struct sk_json *json);
void sk_json_text(struct sk_json *json, const char *key, const char *text);
void sk_json_int(struct sk_json *json, const char *key, int64_t value);
void sk_json_bool(struct sk_json *json, const char *key, bool value);
void sk_json_null(struct sk_json *json, const char *key);
void sk_json_money(struct sk_json *json, const char *key, struct sk_money money);
void sk_json_time(struct sk_json *json, const char *key, int64_t time_us); /* 0 is null */
void sk_json_raw(struct sk_json *json, const char *key,
		 const char *text); /* valid JSON already; NULL is null */
/* A list answer: sk_json_begin_list; elements; sk_json_end_list with the cursor or NULL. */
void sk_json_begin_list(struct sk_json *json);
void sk_json_end_list(struct sk_json *json, const char *next_cursor);

#endif
