/* What the fuzz targets share. A target is one file fuzz_<name>.c with one function,
 * fuzz(), which takes bytes that anybody may have made and does with them what the service does.
 *
 * Inputs are readable where the decoder's are: many begin with a line that chooses ("POST
 * /v1/orders", a message's type). A line that chooses nothing chooses by its bytes, so that no
 * input is in vain. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sk_context.h"

/* What holds for every input; breaking it is a finding. */
#define FUZZ_HOLDS(condition)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			(void)fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__,    \
				      #condition);                                                 \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* Bytes that are left to take. */
struct fuzz_input {
	const char *at;
	size_t left;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The target itself. */
void fuzz(struct sk_context *context, struct fuzz_input *input);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { size > 0 ? (const char *)data : "", size };
	struct sk_context context;

	sk_context_init(&context, 0);
	fuzz(&context, &input);
	sk_context_release(&context);
	return 0;
}

static void fuzz_free(void *memory)
{
	free(memory);
}

/* A copy with memory of its own, so that ASan sees the byte behind it; ends in NUL. */
static inline char *fuzz_copy(struct sk_context *context, const char *bytes, size_t len)
{
	char *copy = malloc(len + 1);

	if (copy == NULL)
		abort();
	memcpy(copy, bytes, len);
	copy[len] = '\0';
	sk_arena_defer(context->arena, fuzz_free, copy);
	return copy;
}

/* The next line without its end, as a C string. */
static inline char *fuzz_line(struct sk_context *context, struct fuzz_input *input)
{
	const char *end = input->left > 0 ? memchr(input->at, '\n', input->left) : NULL;
	size_t len = end != NULL ? (size_t)(end - input->at) : input->left;
	char *line = fuzz_copy(context, input->at, len);

	len += end != NULL;
	input->at += len;
	input->left -= len;
	return line;
}

/* What is left, as a C string of input->left bytes. */
static inline char *fuzz_rest(struct sk_context *context, const struct fuzz_input *input)
{
	return fuzz_copy(context, input->at, input->left);
}

/* Some index below count for a line that names none. */
static inline size_t fuzz_index(const char *line, size_t count)
{
	size_t sum = 0;

	while (*line != '\0')
		sum = sum * 31 + (unsigned char)*line++;
	return sum % count;
}

#endif
