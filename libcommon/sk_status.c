#include "sk_status.h"

const char *sk_status_name(enum sk_status status)
{
	switch (status) {
	case SK_OK:
		return "ok";
	case SK_DUPLICATE:
		return "duplicate";
	case SK_MALFORMED:
		return "malformed";
	case SK_INVALID:
		return "invalid";
	case SK_UNAUTHENTICATED:
		return "unauthenticated";
	case SK_FORBIDDEN:
		return "forbidden";
	case SK_NOT_FOUND:
		return "not_found";
	case SK_CONFLICT:
		return "conflict";
	case SK_PRECONDITION:
		return "precondition_failed";
	case SK_TOO_LARGE:
		return "too_large";
	case SK_TOO_MANY:
		return "too_many";
	case SK_UNAVAILABLE:
		return "unavailable";
	case SK_TIMEOUT:
		return "timeout";
	case SK_NO_MEMORY:
		return "no_memory";
	case SK_INTERNAL:
		return "internal";
	}
	return "internal";
}
