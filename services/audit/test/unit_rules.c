#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../audit.h"

static struct audit_entry entry_with(int64_t seq, const struct audit_entry *previous)
{
	struct audit_entry entry = {
		.seq = seq,
		.at_us = 1700000000000000,
		.id = "id",
		.subject = "orders.created.7",
		.type = "souk.orders.v1.OrderCreated",
		.source = "souk/order",
		.account_id = "",
		.role = "",
		.address = "",
		.action = "orders.created",
		.entity = "order",
		.entity_id = "7",
		.detail = "",
		.trace_id = "t",
		.data = "bytes",
		.len = 5,
	};

	if (previous != NULL)
		memcpy(entry.prev_hash, previous->hash, AUDIT_HASH_BYTES);
	audit_hash(&entry, entry.hash);
	return entry;
}

static void a_chain_of_untouched_entries_is_whole(void **state)
{
	struct audit_entry first = entry_with(1, NULL), second = entry_with(2, &first);

	(void)state;
	assert_null(audit_check(NULL, &first));
	assert_null(audit_check(&first, &second));
}

static void a_changed_field_is_seen(void **state)
{
	struct audit_entry first = entry_with(1, NULL);

	(void)state;
	first.detail = "changed";
	assert_non_null(audit_check(NULL, &first));
	first = entry_with(1, NULL);
	first.at_us++;
	assert_non_null(audit_check(NULL, &first));
	first = entry_with(1, NULL);
	first.data = "bytez";
	assert_non_null(audit_check(NULL, &first));
}

static void a_removed_entry_is_seen(void **state)
{
	struct audit_entry first = entry_with(1, NULL), second = entry_with(2, &first),
			   third = entry_with(3, &second);

	(void)state;
	assert_non_null(audit_check(&first, &third));
	assert_non_null(audit_check(NULL, &second));
}

static void text_cannot_move_from_one_field_to_the_next(void **state)
{
	struct audit_entry one = entry_with(1, NULL), other = one;

	(void)state;
	one.entity = "ab";
	one.entity_id = "c";
	other.entity = "a";
	other.entity_id = "bc";
	audit_hash(&one, one.hash);
	audit_hash(&other, other.hash);
	assert_memory_not_equal(one.hash, other.hash, AUDIT_HASH_BYTES);
}

static void subjects_name_action_entity_and_id(void **state)
{
	struct sk_arena *arena = sk_arena_open(SK_ARENA_MAX_BYTES);

	(void)state;
	assert_string_equal(audit_action_of(arena, "orders.created.7"), "orders.created");
	assert_string_equal(audit_entity_of(arena, "orders.created.7"), "order");
	assert_string_equal(audit_entity_of(arena, "inventory.reserved.7"), "inventory");
	assert_string_equal(audit_entity_id_of("orders.created.7"), "7");
	assert_string_equal(audit_entity_id_of("odd"), "");
	sk_arena_close(&arena);
}

static void secrets_are_known_by_their_type(void **state)
{
	(void)state;
	assert_true(audit_type_is_secret("souk.sessions.v1.OtpRequested"));
	assert_false(audit_type_is_secret("souk.orders.v1.OrderCreated"));
	assert_true(audit_type_is_noise("souk.inventory.v1.StockLevel"));
}

static void a_type_belongs_on_its_own_domains_subjects(void **state)
{
	(void)state;
	assert_true(audit_type_fits("souk.orders.v1.OrderCreated", "orders.created.7"));
	assert_false(audit_type_fits("souk.orders.v1.OrderCreated", "payments.confirmed.7"));
	assert_false(audit_type_fits("souk.orders2.v1.OrderCreated", "orders.created.7"));
	assert_false(audit_type_fits("souk.orders", "orders.created.7"));
	assert_false(audit_type_fits("", "orders.created.7"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chain_of_untouched_entries_is_whole),
		cmocka_unit_test(a_changed_field_is_seen),
		cmocka_unit_test(a_removed_entry_is_seen),
		cmocka_unit_test(text_cannot_move_from_one_field_to_the_next),
		cmocka_unit_test(subjects_name_action_entity_and_id),
		cmocka_unit_test(secrets_are_known_by_their_type),
		cmocka_unit_test(a_type_belongs_on_its_own_domains_subjects),
	};

	return cmocka_run_group_tests_name("audit rules", tests, NULL, NULL);
}
