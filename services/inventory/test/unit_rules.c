#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../inventory.h"

/* ---- the table ---- */

/* The whole table, as it is documented and written by hand: the action, and what is answered
 * where nothing else happens. */
static const char *const EXPECTED[INVENTORY_STATES][INVENTORY_EVENTS] = {
	/* created, paid, payment failed, cancelled, recalled, time is up */
	[INVENTORY_NONE] = { "decide", "wait", "wait", "entomb", "entomb", "ignore" },
	[INVENTORY_RESERVED] = { "say reserved", "sell", "release", "release", "release",
				 "expire" },
	[INVENTORY_REJECTED] = { "say rejected", "say rejected", "say released", "say released",
				 "say released", "ignore" },
	[INVENTORY_RELEASED] = { "say released", "say released", "say released", "say released",
				 "say released", "ignore" },
	[INVENTORY_SOLD] = { "say reserved", "say sold", "refuse", "ignore", "return", "ignore" },
	[INVENTORY_EXPIRED] = { "decide", "take", "close", "close", "close", "ignore" },
	[INVENTORY_CANCELLED_EARLY] = { "say released", "say released", "say released",
					"say released", "say released", "ignore" },
};

static const char *decision(struct inventory_step step)
{
	static const char *const ACTIONS[INVENTORY_ACTIONS] = {
		[INVENTORY_REFUSE] = "refuse",	 [INVENTORY_WAIT] = "wait",
		[INVENTORY_DECIDE] = "decide",	 [INVENTORY_SELL] = "sell",
		[INVENTORY_TAKE] = "take",	 [INVENTORY_RELEASE] = "release",
		[INVENTORY_RETURN] = "return",	 [INVENTORY_EXPIRE] = "expire",
		[INVENTORY_CLOSE] = "close",	 [INVENTORY_ENTOMB] = "entomb",
		[INVENTORY_ANSWER] = "say what", [INVENTORY_IGNORE] = "ignore",
	};
	static const char *const ANSWERS[] = {
		[INVENTORY_SAY_NOTHING] = "say nothing",
		[INVENTORY_SAY_RESERVED] = "say reserved",
		[INVENTORY_SAY_REJECTED] = "say rejected",
		[INVENTORY_SAY_SOLD] = "say sold",
		[INVENTORY_SAY_RELEASED] = "say released",
		[INVENTORY_SAY_EXPIRED] = "say expired",
	};

	return step.action == INVENTORY_ANSWER ? ANSWERS[step.answer] : ACTIONS[step.action];
}

static void every_event_in_every_state_is_decided_as_documented(void **state)
{
	(void)state;
	for (int from = 0; from < INVENTORY_STATES; from++) {
		for (int event = 0; event < INVENTORY_EVENTS; event++) {
			struct inventory_step step = inventory_next((enum inventory_state)from,
								    (enum inventory_event)event);

			assert_string_equal(decision(step), EXPECTED[from][event]);
			if (step.action != INVENTORY_ANSWER)
				assert_int_equal(step.answer, INVENTORY_SAY_NOTHING);
		}
	}
}

static void what_was_missed_by_more_than_a_minute_was_missed_by_us(void **state)
{
	(void)state;
	assert_false(inventory_missed(0));
	assert_false(inventory_missed(60 * 1000));
	assert_true(inventory_missed(60 * 1000 + 1));
}

static void every_state_keeps_its_name(void **state)
{
	(void)state;
	for (int i = 0; i < INVENTORY_STATES; i++)
		assert_int_equal(
			inventory_state_parse(inventory_state_name((enum inventory_state)i)), i);
}

/* ---- allocation ---- */

static void lines_are_sorted_and_each_sku_stands_once(void **state)
{
	struct inventory_line lines[] = { { .sku = "b", .quantity = 1 },
					  { .sku = "B", .quantity = 2 },
					  { .sku = "a", .quantity = 3 },
					  { .sku = "b", .quantity = 4 } };
	struct inventory_reservation order = { .lines = lines, .count = 4 };

	(void)state;
	inventory_sort(&order);
	assert_int_equal(order.count, 3);
	assert_string_equal(lines[0].sku, "B");
	assert_string_equal(lines[1].sku, "a");
	assert_string_equal(lines[2].sku, "b");
	assert_int_equal(lines[2].quantity, 5);
}

static void the_last_piece_can_be_reserved_and_no_piece_more(void **state)
{
	struct inventory_level stock[] = { { .sku = "A", .on_hand = 5, .reserved = 4 } };
	const struct inventory_levels levels = { stock, 1 };
	struct inventory_line line = { .sku = "A", .quantity = 1 };
	struct inventory_reservation order = { .lines = &line, .count = 1 };

	(void)state;
	assert_true(inventory_allocate(&order, &levels));
	stock[0].reserved = 5;
	assert_false(inventory_allocate(&order, &levels));
	assert_true(line.is_short);
	assert_int_equal(line.available, 0);
}

static void one_short_line_rejects_the_order_and_is_the_one_named(void **state)
{
	struct inventory_level stock[] = { { .sku = "A", .on_hand = 9 },
					   { .sku = "B", .on_hand = 2 } };
	const struct inventory_levels levels = { stock, 2 };
	struct inventory_line lines[] = { { .sku = "A", .quantity = 9 },
					  { .sku = "B", .quantity = 3 },
					  { .sku = "C", .quantity = 1 } };
	struct inventory_reservation order = { .lines = lines, .count = 3 };

	(void)state;
	assert_false(inventory_allocate(&order, &levels));
	assert_false(lines[0].is_short);
	assert_true(lines[1].is_short);
	assert_int_equal(lines[1].available, 2);
	assert_true(lines[2].is_short); /* unknown to us: there is none */
	assert_int_equal(lines[2].available, 0);
}

/* ---- arithmetic ---- */

static void apply(struct inventory_level *level, enum inventory_action action, int64_t quantity)
{
	struct inventory_change change = inventory_change_of(action);

	level->on_hand += change.on_hand_sign * quantity;
	level->reserved += change.reserved_sign * quantity;
}

static void whatever_becomes_of_an_order_the_stock_adds_up(void **state)
{
	struct inventory_level level = { .sku = "A", .on_hand = 10 };

	(void)state;
	apply(&level, INVENTORY_DECIDE, 3);
	assert_int_equal(inventory_available(&level), 7);
	apply(&level, INVENTORY_RELEASE, 3);
	assert_int_equal(inventory_available(&level), 10);
	apply(&level, INVENTORY_DECIDE, 3);
	apply(&level, INVENTORY_SELL, 3);
	assert_int_equal(level.on_hand, 7);
	assert_int_equal(level.reserved, 0);
	apply(&level, INVENTORY_RETURN, 3);
	assert_int_equal(level.on_hand, 10);
	assert_int_equal(level.reserved, 0);
	apply(&level, INVENTORY_DECIDE, 3);
	apply(&level, INVENTORY_EXPIRE, 3);
	assert_int_equal(inventory_available(&level), 10);
	apply(&level, INVENTORY_TAKE, 3);
	assert_int_equal(level.on_hand, 7);
	assert_int_equal(level.reserved, 0);
}

static void the_ledger_has_what_changes_on_hand_and_nothing_else(void **state)
{
	(void)state;
	for (int action = 0; action < INVENTORY_ACTIONS; action++) {
		struct inventory_change change = inventory_change_of((enum inventory_action)action);

		assert_int_equal(change.movement != NULL, change.on_hand_sign != 0);
	}
}

static void on_hand_stays_within_its_bounds_and_above_what_is_reserved(void **state)
{
	const struct inventory_level level = { .sku = "A", .on_hand = 10, .reserved = 4 };
	struct sk_context context;

	(void)state;
	sk_context_init(&context, 0);
	assert_int_equal(inventory_check_delta(&context, &level, -6), SK_OK);
	assert_int_equal(inventory_check_delta(&context, &level, -7), SK_CONFLICT);
	assert_string_equal(context.error.code, "stock_reserved");
	sk_context_clear_error(&context);
	assert_int_equal(inventory_check_delta(&context, &level, -11), SK_CONFLICT);
	sk_context_clear_error(&context);
	assert_int_equal(inventory_check_delta(&context, &level, INVENTORY_QUANTITY_MAX),
			 SK_INVALID);
	assert_string_equal(context.error.code, "stock_out_of_range");
	assert_int_equal(inventory_check_delta(&context, &level, INT64_MAX), SK_INVALID);
	sk_context_release(&context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_event_in_every_state_is_decided_as_documented),
		cmocka_unit_test(what_was_missed_by_more_than_a_minute_was_missed_by_us),
		cmocka_unit_test(every_state_keeps_its_name),
		cmocka_unit_test(lines_are_sorted_and_each_sku_stands_once),
		cmocka_unit_test(the_last_piece_can_be_reserved_and_no_piece_more),
		cmocka_unit_test(one_short_line_rejects_the_order_and_is_the_one_named),
		cmocka_unit_test(whatever_becomes_of_an_order_the_stock_adds_up),
		cmocka_unit_test(the_ledger_has_what_changes_on_hand_and_nothing_else),
		cmocka_unit_test(on_hand_stays_within_its_bounds_and_above_what_is_reserved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
