/* Templates: the language, the ones that are built in, and every event written about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../notification.h"
#include "souk/orders/v1/events.pb-c.h"
#include "souk/payments/v1/events.pb-c.h"
#include "souk/sessions/v1/events.pb-c.h"

static const char *const NAMES[] = { "name", "code", NULL };

static int open_context(void **state)
{
	static struct sk_context context;

	sk_context_init(&context, 0);
	*state = &context;
	return 0;
}

static int close_context(void **state)
{
	sk_context_release(*state);
	return 0;
}

/* ---- the language ---- */

static void a_template_has_a_subject_and_a_text(void **state)
{
	const struct sk_file file = { "x.txt", "Subject: Hello {{name}}\n\nYour {{code}}.\n" };
	struct notification_template parsed;

	assert_int_equal(notification_template_parse(*state, &file, NAMES, &parsed), SK_OK);
	assert_int_equal(parsed.subject_len, strlen("Hello {{name}}"));
	assert_memory_equal(parsed.subject, "Hello {{name}}", parsed.subject_len);
	assert_string_equal(parsed.body, "Your {{code}}.\n");
}

static void a_wrong_template_is_refused(void **state)
{
	static const char *const WRONG[] = {
		"Hello {{name}}\n\nx\n",
		"Subject: Hello\nx\n",
		"Subject: Hello",
		"",
		"Subject: {{nam}}\n\nx\n",
		"Subject: Hello\n\n{{ name }}\n",
		"Subject: Hello\n\n{{name\n",
		"Subject: Hello\n\n{{}}\n",
		"Subject: Hello\n\n{{a_name_that_is_longer_than_any_that_we_have}}\n",
	};

	for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
		const struct sk_file file = { "x.txt", WRONG[i] };
		struct notification_template parsed;

		assert_int_equal(notification_template_parse(*state, &file, NAMES, &parsed),
				 SK_INVALID);
		sk_context_clear_error(*state);
	}
}

static void placeholders_are_filled_in_once(void **state)
{
	static const struct notification_value VALUES[] = { { "name", "{{code}}" },
							    { "code", "42" } };
	const char *text = NULL;

	assert_int_equal(notification_template_render(*state, "{{name}} {{code}}{{code}}!", VALUES,
						      2, &text),
			 SK_OK);
	assert_string_equal(text, "{{code}} 4242!");
	assert_int_equal(notification_template_render(*state, "nothing", VALUES, 2, &text), SK_OK);
	assert_string_equal(text, "nothing");
}

static void a_placeholder_without_a_value_is_an_error(void **state)
{
	const char *text = NULL;

	assert_int_equal(notification_template_render(*state, "{{name}}", NULL, 0, &text),
			 SK_INTERNAL);
	sk_context_clear_error(*state);
}

/* ---- the built-in ones ---- */

static void every_kind_has_a_template(void **state)
{
	struct notification_template templates[NOTIFICATION_KINDS];

	assert_int_equal(notification_templates_load(*state, NOTIFICATION_TEMPLATES, templates),
			 SK_OK);
}

static void a_missing_template_is_an_error(void **state)
{
	struct notification_template templates[NOTIFICATION_KINDS];

	assert_int_equal(notification_templates_load(*state, NOTIFICATION_TEMPLATES + 1, templates),
			 SK_INVALID);
	sk_context_clear_error(*state);
}

static void no_subject_gives_a_secret_away(void **state)
{
	struct notification_template templates[NOTIFICATION_KINDS];

	assert_int_equal(notification_templates_load(*state, NOTIFICATION_TEMPLATES, templates),
			 SK_OK);
	for (int i = 0; i < NOTIFICATION_KINDS; i++) {
		assert_null(memmem(templates[i].subject, templates[i].subject_len, "{{code}}", 8));
		assert_null(memmem(templates[i].subject, templates[i].subject_len, "{{token}}", 9));
	}
	assert_true(notification_kind_is_secret("one_time_code"));
	assert_true(notification_kind_is_secret("password_reset"));
	assert_true(notification_kind_is_secret("never heard of"));
	assert_false(notification_kind_is_secret("order_confirmation"));
}

/* ---- every event ---- */

static char ID[] = "0190a0b0-0000-7000-8000-000000000001";
static char REFUND_ID[] = "0190a0b0-0000-7000-8000-000000000002";
static char EVENT_ID[] = "0190a0b0-0000-7000-8000-000000000003";
static char EMAIL[] = "jo@example.com";
static char NUMBER[] = "SO-1001";
static char CURRENCY[] = "GBP";
static char NAME[] = "Jo\nSmith";
static char SKU[] = "MUG-1";
static char TITLE[] = "Blue\r\nMug";
static char WORD[] = "word";
static char COUNTRY[] = "GB";
static char EMPTY[] = "";

static Souk__Orders__V1__Line LINE = {
	.base = PROTOBUF_C_MESSAGE_INIT(&souk__orders__v1__line__descriptor),
	.sku = SKU,
	.title = TITLE,
	.quantity = 2,
	.unit_price_minor = 999,
	.line_total_minor = 1998,
	.product_id = ID,
};

static Souk__Orders__V1__Address ADDRESS = {
	.base = PROTOBUF_C_MESSAGE_INIT(&souk__orders__v1__address__descriptor),
	.name = NAME,
	.line1 = WORD,
	.line2 = EMPTY,
	.city = WORD,
	.postal_code = WORD,
	.country = COUNTRY,
};

/* Sets every string of a message that has none of its own. */
static void fill_strings(ProtobufCMessage *message)
{
	static const struct {
		const char *field;
		char *text;
	} TEXTS[] = {
		{ "order_id", ID },	    { "account_id", ID },
		{ "refund_id", REFUND_ID }, { "email", EMAIL },
		{ "number", NUMBER },	    { "currency", CURRENCY },
		{ "name", NAME },	    { "reason", WORD },
		{ "carrier", WORD },	    { "tracking_number", WORD },
		{ "code", WORD },	    { "token", WORD },
	};

	for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
		const ProtobufCFieldDescriptor *field =
			protobuf_c_message_descriptor_get_field_by_name(message->descriptor,
									TEXTS[i].field);

		if (field != NULL)
			*(char **)(void *)((char *)message + field->offset) = TEXTS[i].text;
	}
}

static void *make_event(struct sk_arena *arena, const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *message = sk_arena_alloc(arena, type->sizeof_message);

	protobuf_c_message_init(type, message);
	fill_strings(message);
	return message;
}

static const ProtobufCMessage *make_created(struct sk_arena *arena)
{
	Souk__Orders__V1__OrderCreated *created = make_event(
		arena, &souk__orders__v1__order_created__descriptor);

	created->n_lines = 1;
	created->lines = sk_arena_array(arena, 1, sizeof(*created->lines));
	created->lines[0] = &LINE;
	created->shipping_address = &ADDRESS;
	created->subtotal_minor = 1998;
	created->shipping_minor = 499;
	created->total_minor = 2497;
	return &created->base;
}

/* The draft of an event, its template filled in: the subject, a newline, the text. */
static const char *written(struct sk_context *context, const ProtobufCMessage *event,
			   struct notification_draft *draft)
{
	struct notification_template templates[NOTIFICATION_KINDS];
	const struct notification_template *template;
	struct notification_value values[NOTIFICATION_PLACEHOLDERS_MAX + 2] = {
		{ "shop", "Souk" }, { "shop_url", "http://shop" }
	};
	const char *text = NULL;

	assert_true(notification_draft_of(context->arena, event, EVENT_ID, draft));
	assert_int_equal(notification_templates_load(context, NOTIFICATION_TEMPLATES, templates),
			 SK_OK);
	template = &templates[draft->kind];
	memcpy(values + 2, draft->values, draft->values_count * sizeof(values[0]));
	text = sk_arena_printf(context->arena, "%.*s\n%s", (int)template->subject_len,
			       template->subject, template->body);
	assert_int_equal(
		notification_template_render(context, text, values, draft->values_count + 2, &text),
		SK_OK);
	return text;
}

static void every_event_gives_what_its_template_names(void **state)
{
	static const struct {
		const ProtobufCMessageDescriptor *type;
		enum notification_kind kind;
	} CASES[] = {
		{ &souk__sessions__v1__account_registered__descriptor, NOTIFICATION_WELCOME },
		{ &souk__sessions__v1__otp_requested__descriptor, NOTIFICATION_ONE_TIME_CODE },
		{ &souk__sessions__v1__password_reset_requested__descriptor,
		  NOTIFICATION_PASSWORD_RESET },
		{ &souk__sessions__v1__password_changed__descriptor,
		  NOTIFICATION_PASSWORD_CHANGED },
		{ &souk__orders__v1__order_rejected__descriptor, NOTIFICATION_ORDER_REJECTED },
		{ &souk__orders__v1__order_payment_failed__descriptor,
		  NOTIFICATION_PAYMENT_FAILED },
		{ &souk__orders__v1__order_cancelled__descriptor, NOTIFICATION_ORDER_CANCELLED },
		{ &souk__orders__v1__order_shipped__descriptor, NOTIFICATION_ORDER_SHIPPED },
		{ &souk__orders__v1__order_delivered__descriptor, NOTIFICATION_ORDER_DELIVERED },
		{ &souk__orders__v1__order_refunded__descriptor, NOTIFICATION_ORDER_REFUNDED },
	};
	struct sk_context *context = *state;

	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct notification_draft draft;
		const char *text = written(context, make_event(context->arena, CASES[i].type),
					   &draft);

		assert_int_equal(draft.kind, CASES[i].kind);
		assert_string_equal(draft.recipient, EMAIL);
		assert_null(strstr(text, "{{"));
	}
}

static void the_confirmation_lists_what_was_ordered(void **state)
{
	struct sk_context *context = *state;
	struct notification_draft draft;
	const char *text = written(context, make_created(context->arena), &draft);

	assert_int_equal(draft.kind, NOTIFICATION_ORDER_CONFIRMATION);
	assert_non_null(strstr(text, "Your order SO-1001"));
	assert_non_null(strstr(text, "2 x Blue  Mug (MUG-1): 19.98 GBP"));
	assert_non_null(strstr(text, "Shipping: 4.99 GBP"));
	assert_non_null(strstr(text, "Total:    24.97 GBP"));
	assert_non_null(strstr(text, "Jo Smith\nword\nword word\nGB\n"));
}

static void the_code_and_the_link_are_in_their_mails(void **state)
{
	struct sk_context *context = *state;
	struct notification_draft draft;

	assert_non_null(strstr(
		written(context,
			make_event(context->arena, &souk__sessions__v1__otp_requested__descriptor),
			&draft),
		"code is word"));
	assert_non_null(strstr(
		written(context,
			make_event(context->arena,
				   &souk__sessions__v1__password_reset_requested__descriptor),
			&draft),
		"http://shop/reset?token=word"));
}

static void one_mail_of_a_kind_is_about_one_thing(void **state)
{
	struct sk_context *context = *state;
	struct sk_arena *arena = context->arena;
	struct notification_draft draft;

	assert_true(notification_draft_of(arena, make_created(arena), EVENT_ID, &draft));
	assert_string_equal(draft.entity_id, ID);
	assert_true(notification_draft_of(
		arena, make_event(arena, &souk__orders__v1__order_refunded__descriptor), EVENT_ID,
		&draft));
	assert_string_equal(draft.entity_id, REFUND_ID);
	assert_string_equal(draft.order_id, ID);
	assert_true(notification_draft_of(
		arena, make_event(arena, &souk__sessions__v1__otp_requested__descriptor), EVENT_ID,
		&draft));
	assert_string_equal(draft.entity_id, EVENT_ID);
	assert_string_equal(draft.order_id, "");
}

static void other_events_are_not_written_about(void **state)
{
	struct sk_context *context = *state;
	struct notification_draft draft;

	assert_false(notification_draft_of(
		context->arena,
		make_event(context->arena, &souk__payments__v1__payment_confirmed__descriptor),
		EVENT_ID, &draft));
	assert_false(notification_draft_of(
		context->arena,
		make_event(context->arena, &souk__orders__v1__order_paid__descriptor), EVENT_ID,
		&draft));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_template_has_a_subject_and_a_text),
		cmocka_unit_test(a_wrong_template_is_refused),
		cmocka_unit_test(placeholders_are_filled_in_once),
		cmocka_unit_test(a_placeholder_without_a_value_is_an_error),
		cmocka_unit_test(every_kind_has_a_template),
		cmocka_unit_test(a_missing_template_is_an_error),
		cmocka_unit_test(no_subject_gives_a_secret_away),
		cmocka_unit_test(every_event_gives_what_its_template_names),
		cmocka_unit_test(the_confirmation_lists_what_was_ordered),
		cmocka_unit_test(the_code_and_the_link_are_in_their_mails),
		cmocka_unit_test(one_mail_of_a_kind_is_about_one_thing),
		cmocka_unit_test(other_events_are_not_written_about),
	};

	return cmocka_run_group_tests(tests, open_context, close_context);
}
