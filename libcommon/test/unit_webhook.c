/* Signatures of Standard Webhooks 1.0; the vector is that of its reference libraries. */
#include "unit.h"

#include <sodium.h>

#include "../sk_time.h"
#include "../sk_webhook.h"

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define SENT_S ((int64_t)1614265330)

static struct sk_context context;

static int set_up(void **state)
{
	(void)state;
	sk_context_init(&context, 0);
	context.now_us = SENT_S * SK_SECOND_US;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	sk_context_release(&context);
	return 0;
}

static struct sk_webhook example(void)
{
	return (struct sk_webhook) { .id = "msg_p5jXN8AQM9LWM0D4loKWxJek",
				     .timestamp = "1614265330",
				     .signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
				     .body = "{\"test\": 2432232314}",
				     .len = 20 };
}

static void the_example_is_signed_as_everybody_does(void **state)
{
	struct sk_webhook webhook = example();

	(void)state;
	webhook.signature = webhook.timestamp = NULL;
	assert_int_equal(sk_webhook_sign(&context, SECRET, &webhook), SK_OK);
	assert_string_equal(webhook.signature, example().signature);
	assert_string_equal(webhook.timestamp, "1614265330");
	assert_int_equal(sk_webhook_verify(&context, SECRET, &webhook), SK_OK);
}

static void one_of_several_signatures_suffices(void **state)
{
	struct sk_webhook webhook = example();

	(void)state;
	webhook.signature = "v1,AAAA v1a,x v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
	assert_int_equal(sk_webhook_verify(&context, SECRET, &webhook), SK_OK);
}

static void a_wrong_signature_is_refused(void **state)
{
	static const char *const signatures[] = {
		"",
		" ",
		"v1,",
		"g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OF=",
		"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE",
		"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=x",
		"v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(signatures); i++) {
		struct sk_webhook webhook = example();

		webhook.signature = signatures[i];
		assert_int_equal(sk_webhook_verify(&context, SECRET, &webhook), SK_UNAUTHENTICATED);
		assert_string_equal(context.error.code, "invalid_signature");
	}
}

static void whatever_is_signed_cannot_be_changed(void **state)
{
	struct sk_webhook webhooks[6];

	(void)state;
	for (size_t i = 0; i < COUNT(webhooks); i++)
		webhooks[i] = example();
	webhooks[0].id = "msg_p5jXN8AQM9LWM0D4loKWxJeK";
	webhooks[1].timestamp = "1614265331";
	webhooks[2].body = "{\"test\": 2432232315}";
	webhooks[3].len = 19;
	webhooks[4].id = NULL;
	webhooks[5].signature = NULL;
	for (size_t i = 0; i < COUNT(webhooks); i++)
		assert_int_equal(sk_webhook_verify(&context, SECRET, &webhooks[i]),
				 SK_UNAUTHENTICATED);
}

static void an_old_webhook_is_refused(void **state)
{
	static const struct {
		int64_t now_s;
		enum sk_status status;
	} cases[] = {
		{ SENT_S + SK_WEBHOOK_TOLERANCE_S, SK_OK },
		{ SENT_S - SK_WEBHOOK_TOLERANCE_S, SK_OK },
		{ SENT_S + SK_WEBHOOK_TOLERANCE_S + 1, SK_UNAUTHENTICATED },
		{ SENT_S - SK_WEBHOOK_TOLERANCE_S - 1, SK_UNAUTHENTICATED },
	};
	struct sk_webhook webhook = example();

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		context.now_us = cases[i].now_s * SK_SECOND_US;
		assert_int_equal(sk_webhook_verify(&context, SECRET, &webhook), cases[i].status);
	}
	webhook.timestamp = "soon";
	assert_int_equal(sk_webhook_verify(&context, SECRET, &webhook), SK_UNAUTHENTICATED);
}

static void nothing_is_signed_with_a_key_that_everybody_knows(void **state)
{
	static const char *const secrets[] = { "", "whsec_", "whsec_not base64!", "whsec_MfKQ9" };

	(void)state;
	for (size_t i = 0; i < COUNT(secrets); i++) {
		struct sk_webhook webhook = example();

		assert_int_equal(sk_webhook_verify(&context, secrets[i], &webhook),
				 SK_UNAUTHENTICATED);
		assert_int_equal(sk_webhook_sign(&context, secrets[i], &webhook), SK_INTERNAL);
	}
}

static void a_secret_may_be_plain_bytes(void **state)
{
	struct sk_webhook webhook = example();

	(void)state;
	assert_int_equal(sk_webhook_sign(&context, "a plain secret", &webhook), SK_OK);
	assert_int_equal(sk_webhook_verify(&context, "a plain secret", &webhook), SK_OK);
	assert_int_equal(sk_webhook_verify(&context, "a plain secreT", &webhook),
			 SK_UNAUTHENTICATED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_example_is_signed_as_everybody_does, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(one_of_several_signatures_suffices, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_wrong_signature_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(whatever_is_signed_cannot_be_changed, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(an_old_webhook_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_is_signed_with_a_key_that_everybody_knows,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_secret_may_be_plain_bytes, set_up, tear_down),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
