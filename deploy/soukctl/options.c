#include <string.h>

#include "soukctl.h"

/* The place of --name among the arguments, -1 where it is not. */
static int find_option(const struct soukctl_options *options, const char *name)
{
	for (int i = 0; i < options->argc; i++)
		if (strncmp(options->argv[i], "--", 2) == 0 &&
		    strcmp(options->argv[i] + 2, name) == 0)
			return i;
	return -1;
}

const char *soukctl_option(const struct soukctl_options *options, const char *name,
			   const char *fallback)
{
	int at = find_option(options, name);

	return at >= 0 && at + 1 < options->argc ? options->argv[at + 1] : fallback;
}

bool soukctl_flag(const struct soukctl_options *options, const char *name)
{
	return find_option(options, name) >= 0;
}
