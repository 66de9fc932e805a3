#include "sk_context.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sk_time.h"
#include "sk_utf8.h"

static const char *const ROLE_NAMES[] = {
	[SK_ROLE_NONE] = "none",
	[SK_ROLE_CUSTOMER] = "customer",
	[SK_ROLE_STAFF] = "staff",
	[SK_ROLE_ADMIN] = "admin",
};

const char *sk_role_name(enum sk_role role)
{
	return ROLE_NAMES[role];
}

enum sk_role sk_role_parse(const char *name)
{
	for (int role = SK_ROLE_CUSTOMER; name != NULL && role <= SK_ROLE_ADMIN; role++)
		if (strcmp(name, ROLE_NAMES[role]) == 0)
			return (enum sk_role)role;
	return SK_ROLE_NONE;
}

static void begin(struct sk_context *context, int64_t timeout_ms)
{
	context->trace = sk_trace_new();
	context->actor = (struct sk_actor) {
		.account_id = "", .email = "", .session_id = "", .address = ""
	};
	context->error = (struct sk_error) { .status = SK_OK };
	context->now_us = sk_time_now_us();
	context->deadline_us = timeout_ms > 0 ? sk_time_monotonic_us() + timeout_ms * 1000 : 0;
}

void sk_context_init(struct sk_context *context, int64_t timeout_ms)
{
	context->arena = sk_arena_open((size_t)SK_ARENA_MAX_BYTES);
	begin(context, timeout_ms);
}

void sk_context_release(struct sk_context *context)
{
	sk_arena_close(&context->arena);
}

void sk_context_reset(struct sk_context *context, int64_t timeout_ms)
{
	sk_arena_reset(context->arena);
	begin(context, timeout_ms);
}

enum sk_status sk_fail(struct sk_context *context, enum sk_status status, const char *code,
		       const char *format, ...)
{
	va_list args;

	if (context->error.status != SK_OK)
		return status;
	context->error.status = status;
	(void)snprintf(context->error.code, sizeof(context->error.code), "%s", code);
	va_start(args, format);
	(void)vsnprintf(context->error.detail, sizeof(context->error.detail), format, args);
	va_end(args);
	sk_utf8_trim(context->error.detail);
	return status;
}

void sk_context_clear_error(struct sk_context *context)
{
	context->error = (struct sk_error) { .status = SK_OK };
}

int64_t sk_context_remaining_ms(const struct sk_context *context, int64_t cap_ms)
{
	int64_t left_ms;

	if (context->deadline_us == 0)
		return cap_ms;
	left_ms = (context->deadline_us - sk_time_monotonic_us()) / 1000;
	if (left_ms < 0)
		return 0;
	return left_ms < cap_ms ? left_ms : cap_ms;
}
