#include <cjson/cJSON.h>
#include <string.h>

#include "sk_id.h"
#include "sk_json.h"

/* 2^53 - 1: from 2^53 on a double may stand for another integer than was written. */
#define EXACT_MAX 9007199254740991.0

static void reject_at(struct sk_field_errors *errors, const char *pointer, const char *detail)
{
	if (errors->count == SK_FIELD_ERRORS_MAX)
		return;
	errors->list[errors->count++] = (struct sk_field_error) { .pointer = pointer,
								  .detail = detail };
}

/* The pointer of a member (RFC 6901: ~ and / are escaped). */
static const char *pointer_of(const struct sk_fields *fields, const char *name)
{
	struct sk_buf pointer;

	sk_buf_init(&pointer, fields->errors->arena, 1024);
	sk_buf_puts(&pointer, fields->pointer);
	sk_buf_putc(&pointer, '/');
	for (; *name != '\0'; name++) {
		if (*name == '~')
			sk_buf_puts(&pointer, "~0");
		else if (*name == '/')
			sk_buf_puts(&pointer, "~1");
		else
			sk_buf_putc(&pointer, *name);
	}
	return sk_buf_text(&pointer);
}

void sk_field_reject(struct sk_fields *fields, const char *name, const char *detail)
{
	reject_at(fields->errors, pointer_of(fields, name), detail);
}

struct sk_fields sk_fields_of(const struct cJSON *root, struct sk_field_errors *errors)
{
	struct sk_fields fields = { .object = root, .pointer = "", .errors = errors };

	if (!cJSON_IsObject(root)) {
		reject_at(errors, "", "must be an object");
		fields.object = NULL;
	}
	return fields;
}

bool sk_field_present(const struct sk_fields *fields, const char *name)
{
	const cJSON *member = cJSON_GetObjectItemCaseSensitive(fields->object, name);

	return member != NULL && !cJSON_IsNull(member);
}

/* The member; NULL where it is absent, which is an error unless it is optional. */
static const cJSON *member_of(struct sk_fields *fields, const char *name, enum sk_field_flags flags)
{
	if (sk_field_present(fields, name))
		return cJSON_GetObjectItemCaseSensitive(fields->object, name);
	if ((flags & SK_FIELD_OPTIONAL) == 0)
		sk_field_reject(fields, name, "is required");
	return NULL;
}

static bool has_control_characters(const char *text)
{
	for (; *text != '\0'; text++)
		if (((unsigned char)*text < ' ' && *text != '\n' && *text != '\t' &&
		     *text != '\r') ||
		    *text == 127)
			return true;
	return false;
}

/* Why a value is no text of min to max bytes; NULL where it is. */
static const char *wrong_text(struct sk_arena *arena, const cJSON *value, size_t min, size_t max)
{
	size_t len;

	if (!cJSON_IsString(value))
		return "must be a string";
	len = strlen(value->valuestring);
	if (len < min && min == 1)
		return "must not be empty";
	if (len < min || len > max)
		return sk_arena_printf(arena, "must have %zu to %zu bytes", min, max);
	if (has_control_characters(value->valuestring))
		return "must not have control characters";
	return NULL;
}

const char *sk_field_text(struct sk_fields *fields, const char *name, size_t min, size_t max,
			  enum sk_field_flags flags)
{
	const cJSON *member = member_of(fields, name, flags);
	const char *why;

	if (member == NULL)
		return NULL;
	why = wrong_text(fields->errors->arena, member, min, max);
	if (why != NULL) {
		sk_field_reject(fields, name, why);
		return NULL;
	}
	return member->valuestring;
}

/* NaN, infinities and fractions are not equal to their integer. */
static bool exact_integer(const cJSON *value, int64_t *number)
{
	if (!cJSON_IsNumber(value) ||
	    !(value->valuedouble >= -EXACT_MAX && value->valuedouble <= EXACT_MAX))
		return false;
	*number = (int64_t)value->valuedouble;
	return (double)*number == value->valuedouble;
}

int64_t sk_field_int(struct sk_fields *fields, const char *name, int64_t min, int64_t max,
		     enum sk_field_flags flags, int64_t fallback)
{
	const cJSON *member = member_of(fields, name, flags);
	int64_t number = 0;

	if (member == NULL)
		return fallback;
	if (!exact_integer(member, &number)) {
		sk_field_reject(fields, name, "must be an integer");
		return fallback;
	}
	if (number < min || number > max) {
		sk_field_reject(fields, name,
				sk_arena_printf(fields->errors->arena, "must be from %lld to %lld",
						(long long)min, (long long)max));
		return fallback;
	}
	return number;
}

bool sk_field_bool(struct sk_fields *fields, const char *name, enum sk_field_flags flags,
		   bool fallback)
{
	const cJSON *member = member_of(fields, name, flags);

	if (member != NULL && !cJSON_IsBool(member))
		sk_field_reject(fields, name, "must be true or false");
	return cJSON_IsBool(member) ? cJSON_IsTrue(member) != 0 : fallback;
}

bool sk_field_money(struct sk_fields *fields, const char *name, enum sk_field_flags flags,
		    struct sk_money *money)
{
	struct sk_fields object;
	const char *currency;
	int64_t amount;

	if (member_of(fields, name, flags) == NULL)
		return false;
	object = sk_field_object(fields, name, flags);
	if (object.object == NULL)
		return false;
	amount = sk_field_int(&object, "amount", 0, SK_MONEY_MAX_MINOR, SK_FIELD_REQUIRED, 0);
	currency = sk_field_text(&object, "currency", 3, 3, SK_FIELD_REQUIRED);
	if (currency != NULL && !sk_currency_valid(currency)) {
		sk_field_reject(&object, "currency", "must be a code of ISO 4217");
		currency = NULL;
	}
	if (currency == NULL)
		return false;
	*money = sk_money_of(amount, currency);
	return true;
}

/* A text that has to pass valid(). */
static const char *checked_text(struct sk_fields *fields, const char *name,
				enum sk_field_flags flags, bool (*valid)(const char *text),
				const char *detail)
{
	const char *text = sk_field_text(fields, name, 1, SK_EMAIL_MAX_BYTES, flags);

	if (text != NULL && !valid(text)) {
		sk_field_reject(fields, name, detail);
		return NULL;
	}
	return text;
}

const char *sk_field_email(struct sk_fields *fields, const char *name, enum sk_field_flags flags)
{
	return checked_text(fields, name, flags, sk_email_valid, "must be an e-mail address");
}

const char *sk_field_sku(struct sk_fields *fields, const char *name, enum sk_field_flags flags)
{
	return checked_text(fields, name, flags, sk_sku_valid,
			    "must be 1 to 64 printable ASCII characters");
}

const char *sk_field_id(struct sk_fields *fields, const char *name, enum sk_field_flags flags)
{
	return checked_text(fields, name, flags, sk_id_valid, "must be a UUID in lower case");
}

struct sk_fields sk_field_object(struct sk_fields *fields, const char *name,
				 enum sk_field_flags flags)
{
	const cJSON *member = member_of(fields, name, flags);
	struct sk_fields object = { .object = member,
				    .pointer = pointer_of(fields, name),
				    .errors = fields->errors };

	if (member != NULL && !cJSON_IsObject(member)) {
		sk_field_reject(fields, name, "must be an object");
		object.object = NULL;
	}
	return object;
}

int sk_field_array(struct sk_fields *fields, const char *name, int min, int max,
		   enum sk_field_flags flags)
{
	const cJSON *member = member_of(fields, name, flags);
	int count;

	if (member == NULL)
		return 0;
	if (!cJSON_IsArray(member)) {
		sk_field_reject(fields, name, "must be an array");
		return 0;
	}
	count = cJSON_GetArraySize(member);
	if (count < min || count > max) {
		sk_field_reject(fields, name,
				sk_arena_printf(fields->errors->arena,
						"must have %d to %d elements", min, max));
		return 0;
	}
	return count;
}

static const cJSON *element_of(const struct sk_fields *fields, const char *name, int index)
{
	return cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(fields->object, name), index);
}

static const char *element_pointer(const struct sk_fields *fields, const char *name, int index)
{
	return sk_arena_printf(fields->errors->arena, "%s/%d", pointer_of(fields, name), index);
}

struct sk_fields sk_field_element(struct sk_fields *fields, const char *name, int index)
{
	struct sk_fields element = { .object = element_of(fields, name, index),
				     .pointer = element_pointer(fields, name, index),
				     .errors = fields->errors };

	if (!cJSON_IsObject(element.object)) {
		reject_at(fields->errors, element.pointer, "must be an object");
		element.object = NULL;
	}
	return element;
}

const char *sk_field_element_text(struct sk_fields *fields, const char *name, int index, size_t min,
				  size_t max)
{
	const cJSON *element = element_of(fields, name, index);
	const char *why = wrong_text(fields->errors->arena, element, min, max);

	if (why != NULL) {
		reject_at(fields->errors, element_pointer(fields, name, index), why);
		return NULL;
	}
	return element->valuestring;
}

enum sk_status sk_fields_finish(const struct sk_fields *fields, struct sk_context *context)
{
	if (fields->errors->count == 0)
		return SK_OK;
	return sk_fail(context, SK_INVALID, "invalid_input", "%d %s wrong; the first: %s %s",
		       fields->errors->count,
		       fields->errors->count == 1 ? "field is" : "fields are",
		       fields->errors->list[0].pointer, fields->errors->list[0].detail);
}
