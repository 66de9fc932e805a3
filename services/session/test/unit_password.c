/* Passwords: argon2id with the least parameters that libsodium takes. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../session.h"

static const struct session_hashing CHEAP = { .operations = 1, .memory_kib = 8, .at_once = 1 };
static const struct session_hashing DEARER = { .operations = 2, .memory_kib = 16, .at_once = 1 };

struct fixture {
	struct sk_context context;
	struct session_hasher *hasher;
};

static struct fixture FIXTURE;

static int open_hasher(void **state)
{
	*state = &FIXTURE;
	sk_context_init(&FIXTURE.context, 0);
	return session_hasher_open(&CHEAP, &FIXTURE.hasher, &FIXTURE.context) == SK_OK ? 0 : -1;
}

static int close_hasher(void **state)
{
	struct fixture *fixture = *state;

	session_hasher_close(&fixture->hasher);
	sk_context_release(&fixture->context);
	return 0;
}

static const char *hash_of(struct fixture *fixture, const char *password)
{
	const char *hash = NULL;

	assert_int_equal(session_password_hash(fixture->hasher, &fixture->context, password, &hash),
			 SK_OK);
	return hash;
}

static bool verified(struct fixture *fixture, const char *hash, const char *password)
{
	bool right = true;

	assert_int_equal(
		session_password_verify(fixture->hasher, &fixture->context, hash, password, &right),
		SK_OK);
	return right;
}

static void a_password_is_kept_as_argon2id(void **state)
{
	const char *hash = hash_of(*state, "correct horse");

	assert_memory_equal(hash, "$argon2id$", 10);
	assert_null(strstr(hash, "correct"));
}

static void the_right_password_is_right_and_no_other(void **state)
{
	const char *hash = hash_of(*state, "correct horse");

	assert_true(verified(*state, hash, "correct horse"));
	assert_false(verified(*state, hash, "correct hors"));
	assert_false(verified(*state, hash, ""));
}

static void the_same_password_has_two_hashes(void **state)
{
	assert_string_not_equal(hash_of(*state, "correct horse"), hash_of(*state, "correct horse"));
}

static void nobody_has_no_right_password(void **state)
{
	assert_false(verified(*state, NULL, "correct horse"));
	assert_false(verified(*state, NULL, ""));
}

static void a_hash_of_other_parameters_is_outdated(void **state)
{
	struct fixture *fixture = *state;
	struct session_hasher *dearer;
	const char *hash = hash_of(fixture, "correct horse");

	assert_int_equal(session_hasher_open(&DEARER, &dearer, &fixture->context), SK_OK);
	assert_false(session_password_outdated(fixture->hasher, hash));
	assert_true(session_password_outdated(dearer, hash));
	session_hasher_close(&dearer);
}

static void who_has_no_time_left_is_told_that_it_is_busy(void **state)
{
	struct fixture *fixture = *state;
	struct session_hasher *none;
	struct session_hashing nobody_at_once = { .operations = 1, .memory_kib = 8, .at_once = 0 };
	const char *hash;

	assert_int_equal(session_hasher_open(&nobody_at_once, &none, &fixture->context), SK_OK);
	sk_context_reset(&fixture->context, 20);
	assert_int_equal(session_password_hash(none, &fixture->context, "correct horse", &hash),
			 SK_UNAVAILABLE);
	assert_string_equal(fixture->context.error.code, "busy");
	session_hasher_close(&none);
}

struct worker {
	pthread_t thread;
	struct session_hasher *hasher;
	const char *hash;
	bool right;
};

static void *verify_often(void *arg)
{
	struct worker *worker = arg;
	struct sk_context context;

	sk_context_init(&context, 0);
	worker->right = true;
	for (int i = 0; i < 20 && worker->right; i++)
		if (session_password_verify(worker->hasher, &context, worker->hash, "correct horse",
					    &worker->right) != SK_OK)
			worker->right = false;
	sk_context_release(&context);
	return NULL;
}

static void many_at_once_take_turns_and_all_come_through(void **state)
{
	struct fixture *fixture = *state;
	struct worker workers[4];
	const char *hash = hash_of(fixture, "correct horse");

	for (size_t i = 0; i < 4; i++) {
		workers[i] = (struct worker) { .hasher = fixture->hasher, .hash = hash };
		assert_int_equal(
			pthread_create(&workers[i].thread, NULL, verify_often, &workers[i]), 0);
	}
	for (size_t i = 0; i < 4; i++) {
		pthread_join(workers[i].thread, NULL);
		assert_true(workers[i].right);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_hasher, close_hasher)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_password_is_kept_as_argon2id),
		TEST(the_right_password_is_right_and_no_other),
		TEST(the_same_password_has_two_hashes),
		TEST(nobody_has_no_right_password),
		TEST(a_hash_of_other_parameters_is_outdated),
		TEST(who_has_no_time_left_is_told_that_it_is_busy),
		TEST(many_at_once_take_turns_and_all_come_through),
	};

	return cmocka_run_group_tests_name("session passwords", tests, NULL, NULL);
}
