/* Configuration: lines of NAME=value go to the environment; what follows an empty line is
 * the file of a secret. */
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "sk_config.h"

static const struct sk_config_field FIELDS[] = {
	{ "FUZZ_TEXT", SK_CONFIG_TEXT, "fallback", 1, 20, 0, "a text" },
	{ "FUZZ_INT", SK_CONFIG_INT, "5", -10, 10, 0, "a number" },
	{ "FUZZ_BOOL", SK_CONFIG_BOOL, "0", 0, 0, 0, "a choice" },
	{ "FUZZ_URL", SK_CONFIG_URL, "", 0, 0, 0, "an address" },
	{ "FUZZ_SECRET", SK_CONFIG_TEXT, "", 0, 0, SK_CONFIG_SECRET, "a secret" },
	{ NULL, SK_CONFIG_TEXT, NULL, 0, 0, 0, NULL },
};

/* The names that an input may set. */
static const char *const NAMES[] = { "FUZZ_TEXT", "FUZZ_INT",	  "FUZZ_BOOL", "FUZZ_URL",
				     "LOG_LEVEL", "HTTP_THREADS", "NATS_URL",  "PUBLIC_URL" };
#define NAMES_COUNT (sizeof(NAMES) / sizeof(NAMES[0]))

/* The rest of the input as a file that is named in the environment. Returns what to close. */
static int give_file(const struct fuzz_input *input)
{
	char path[32];
	int file = memfd_create("fuzz", 0);

	FUZZ_HOLDS(file >= 0);
	FUZZ_HOLDS(write(file, input->at, input->left) == (ssize_t)input->left);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	FUZZ_HOLDS(setenv("FUZZ_SECRET_FILE", path, 1) == 0);
	return file;
}

void fuzz(struct sk_context *context, struct fuzz_input *input)
{
	struct sk_config *config;
	char *line;
	int file;

	for (size_t i = 0; i < NAMES_COUNT; i++)
		FUZZ_HOLDS(unsetenv(NAMES[i]) == 0);
	while (*(line = fuzz_line(context, input)) != '\0') {
		char *value = strchr(line, '=');

		if (value != NULL)
			*value++ = '\0';
		for (size_t i = 0; value != NULL && i < NAMES_COUNT; i++)
			if (strcmp(NAMES[i], line) == 0)
				FUZZ_HOLDS(setenv(line, value, 1) == 0);
	}
	file = give_file(input);
	if (sk_config_open(FIELDS, &config, context) == SK_OK) {
		int64_t number = sk_config_int(config, "FUZZ_INT");
		size_t len = strlen(sk_config_text(config, "FUZZ_TEXT"));

		FUZZ_HOLDS(number >= -10 && number <= 10 && len >= 1 && len <= 20);
		(void)sk_config_bool(config, "FUZZ_BOOL");
		FUZZ_HOLDS(strlen(sk_config_text(config, "FUZZ_SECRET")) <= input->left);
		sk_config_close(&config);
	}
	(void)close(file);
}
