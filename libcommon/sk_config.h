/* Configuration: environment variables, declared as tables, checked at start.
 *
 * A variable NAME may also be given as NAME_FILE, the path of a file that holds
 * its value (the way of Docker and Kubernetes secrets); one trailing newline is
 * dropped. Everything is read once, at start; a wrong or missing value is one
 * line that names the variable, and exit status 2.
 *
 * libcommon declares what every service takes (SK_CONFIG_COMMON in sk_config.c:
 * HTTP_LISTEN, POSTGRES_URL, VALKEY_URL, VALKEY_CACHE_URL, NATS_URL, LOG_LEVEL …);
 * a service declares its own, prefixed with its name (ORDER_PAYMENT_TIMEOUT_S). */
#ifndef SK_CONFIG_H
#define SK_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "sk_context.h"

enum sk_config_type { SK_CONFIG_TEXT, SK_CONFIG_INT, SK_CONFIG_BOOL, SK_CONFIG_URL };

enum sk_config_flags {
	SK_CONFIG_REQUIRED = 1, /* no fallback: absent or empty is an error */
	SK_CONFIG_SECRET = 2,	/* never printed */
};

/* A row; a table ends with a row whose name is NULL. */
struct sk_config_field {
	const char *name;
	enum sk_config_type type;
	const char *fallback; /* NULL with SK_CONFIG_REQUIRED */
	int64_t min, max;     /* of an INT, or of the length of a TEXT where max is not 0 */
	unsigned flags;
	const char *help; /* a sentence with the unit: "seconds until ..." */
};

struct sk_config;

/* Reads and checks every row of the common table and of fields (NULL: none).
 * On failure the error in context names the variable and what it should be. */
SK_MUST_CHECK enum sk_status sk_config_open(const struct sk_config_field *fields,
					    struct sk_config **out, struct sk_context *context);
void sk_config_close(struct sk_config **config);

/* Values. A name that no table declares is a bug and aborts. The text lives as
 * long as the configuration; "" where empty. */
const char *sk_config_text(const struct sk_config *config, const char *name);
int64_t sk_config_int(const struct sk_config *config, const char *name);
bool sk_config_bool(const struct sk_config *config, const char *name);

/* The tables as a help text. */
void sk_config_print_help(const struct sk_config_field *fields, FILE *out);

#endif
