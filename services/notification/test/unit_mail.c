#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../notification.h"

static int open_arena(void **state)
{
	*state = sk_arena_open(SK_ARENA_MAX_BYTES);
	return 0;
}

static int close_arena(void **state)
{
	struct sk_arena *arena = *state;

	sk_arena_close(&arena);
	return 0;
}

static struct notification_mail mail_of(const char *subject, const char *body)
{
	return (struct notification_mail) {
		.id = "0190a0b0-0000-7000-8000-000000000001",
		.kind = "welcome",
		.shop = "Souk",
		.from = "shop@souk.localhost",
		.to = "jo@example.com",
		.subject = subject,
		.body = body,
		.at_us = 1763889300 * SK_SECOND_US,
	};
}

static const char *written(void **state, const struct notification_mail *mail)
{
	return notification_mail_write(*state, mail);
}

/* The text behind the headers. */
static const char *body_of(const char *message)
{
	const char *end = strstr(message, "\r\n\r\n");

	assert_non_null(end);
	return end + 4;
}

static void a_plain_mail_is_sent_as_it_is(void **state)
{
	struct notification_mail mail = mail_of("Hello", "one\ntwo\n");
	const char *message = written(state, &mail);

	assert_non_null(strstr(message, "From: \"Souk\" <shop@souk.localhost>\r\n"));
	assert_non_null(strstr(message, "To: <jo@example.com>\r\n"));
	assert_non_null(strstr(message, "Subject: Hello\r\n"));
	assert_non_null(strstr(message, "Date: Sun, 23 Nov 2025 09:15:00 +0000\r\n"));
	assert_non_null(strstr(
		message, "Message-ID: <0190a0b0-0000-7000-8000-000000000001@souk.localhost>\r\n"));
	assert_non_null(strstr(message, "Content-Transfer-Encoding: 7bit\r\n"));
	assert_string_equal(body_of(message), "one\r\ntwo\r\n");
}

static void a_mail_that_is_written_again_is_the_same(void **state)
{
	struct notification_mail mail = mail_of("Hello", "x\n");

	assert_string_equal(written(state, &mail), written(state, &mail));
}

static void data_cannot_start_a_header(void **state)
{
	struct notification_mail mail = mail_of("Hi\r\nBcc: all@example.com\r\n\r\nx", "x\n");
	const char *message;

	mail.shop = "Souk\r\nBcc: all@example.com";
	mail.to = "jo@example.com>\r\nBcc: <all@example.com";
	mail.from = "shop@souk.localhost\r\nBcc: all@example.com";
	message = written(state, &mail);
	assert_null(strstr(message, "\nBcc"));
	assert_string_equal(body_of(message), "x\r\n");
}

static void a_name_is_quoted(void **state)
{
	struct notification_mail mail = mail_of("Hi", "x\n");

	mail.shop = "The \"Best\\Shop\"";
	assert_non_null(strstr(written(state, &mail), "From: \"The \\\"Best\\\\Shop\\\"\" <"));
}

static void other_letters_in_headers_are_encoded_words(void **state)
{
	struct notification_mail mail = mail_of("Gr\xC3\xBC\xC3\x9F"
						"e",
						"x\n");

	mail.shop = "M\xC3\xBCller";
	assert_non_null(strstr(written(state, &mail), "Subject: =?UTF-8?B?R3LDvMOfZQ==?=\r\n"));
	assert_non_null(strstr(written(state, &mail), "From: =?UTF-8?B?TcO8bGxlcg==?= <"));
	mail.subject = "=?UTF-8?Q?fake?=";
	assert_null(strstr(written(state, &mail), "Subject: =?UTF-8?Q?"));
}

static void a_long_subject_is_folded_and_no_character_is_cut(void **state)
{
	char subject[241] = { 0 };
	struct notification_mail mail = mail_of(subject, "x\n");
	const char *at;

	for (size_t i = 0; i + 3 < sizeof(subject); i += 3)
		memcpy(subject + i, "\xE2\x82\xAC", 3);
	at = strstr(written(state, &mail), "Subject: ") + strlen("Subject: ");
	for (size_t words = 0; words < 6; words++) {
		size_t len = strcspn(at, "\r");

		assert_true(len <= 76);
		if (at[len + 2] != ' ')
			return;
		at += len + 3;
	}
	fail_msg("the subject has no end");
}

static void other_letters_in_the_text_are_quoted_printable(void **state)
{
	struct notification_mail mail = mail_of("Hi", "caf\xC3\xA9 = 1 \nx\t\n");
	const char *message = written(state, &mail);

	assert_non_null(strstr(message, "Content-Transfer-Encoding: quoted-printable\r\n"));
	assert_string_equal(body_of(message), "caf=C3=A9 =3D 1=20\r\nx=09\r\n");
}

static void no_line_of_quoted_printable_is_too_long(void **state)
{
	char body[600];
	struct notification_mail mail = mail_of("Hi", body);
	const char *at;

	memset(body, 'a', sizeof(body));
	memcpy(body + 200, "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9", 8);
	body[sizeof(body) - 1] = '\0';
	at = body_of(written(state, &mail));
	while (*at != '\0') {
		size_t len = strcspn(at, "\r");

		assert_true(len <= 76);
		at += len + (at[len] == '\0' ? 0 : 2);
	}
}

static void a_line_that_servers_would_refuse_is_encoded(void **state)
{
	char body[1200];
	struct notification_mail mail = mail_of("Hi", body);

	memset(body, 'a', sizeof(body));
	body[sizeof(body) - 1] = '\0';
	assert_non_null(strstr(written(state, &mail), "quoted-printable"));
	body[998] = '\0';
	assert_non_null(strstr(written(state, &mail), "7bit"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_mail_is_sent_as_it_is),
		cmocka_unit_test(a_mail_that_is_written_again_is_the_same),
		cmocka_unit_test(data_cannot_start_a_header),
		cmocka_unit_test(a_name_is_quoted),
		cmocka_unit_test(other_letters_in_headers_are_encoded_words),
		cmocka_unit_test(a_long_subject_is_folded_and_no_character_is_cut),
		cmocka_unit_test(other_letters_in_the_text_are_quoted_printable),
		cmocka_unit_test(no_line_of_quoted_printable_is_too_long),
		cmocka_unit_test(a_line_that_servers_would_refuse_is_encoded),
	};

	return cmocka_run_group_tests(tests, open_arena, close_arena);
}
