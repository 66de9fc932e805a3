#include "sk_arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sk_limits.h"

#define ARENA_MAGIC 0x6172656eu
#define BLOCK_BYTES ((size_t)SK_ARENA_BLOCK_BYTES)
#define ALIGNMENT   _Alignof(max_align_t)

struct block {
	struct block *next;
	size_t size, used; /* of the bytes that follow the header */
	max_align_t bytes[];
};

struct release {
	struct release *next;
	void (*fn)(void *object);
	void *object;
};

struct sk_arena {
	unsigned magic;
	size_t limit, used;
	struct block *blocks; /* the newest first; the last is the one kept by a reset */
	struct release *releases;
};

static struct block *new_block(size_t size)
{
	struct block *block = malloc(sizeof(*block) + size);

	if (block == NULL) {
		(void)fputs("out of memory\n", stderr);
		abort();
	}
	block->next = NULL;
	block->size = size;
	block->used = 0;
	return block;
}

struct sk_arena *sk_arena_open(size_t limit_bytes)
{
	struct sk_arena *arena = calloc(1, sizeof(*arena));

	if (arena == NULL)
		abort();
	arena->magic = ARENA_MAGIC;
	arena->limit = limit_bytes;
	arena->blocks = new_block(BLOCK_BYTES);
	return arena;
}

static void run_releases(struct sk_arena *arena)
{
	while (arena->releases != NULL) {
		struct release *release = arena->releases;

		arena->releases = release->next;
		release->fn(release->object);
	}
}

void sk_arena_reset(struct sk_arena *arena)
{
	assert(arena->magic == ARENA_MAGIC);
	run_releases(arena);
	while (arena->blocks->next != NULL) {
		struct block *block = arena->blocks;

		arena->blocks = block->next;
		free(block);
	}
	arena->blocks->used = 0;
	arena->used = 0;
}

void sk_arena_close(struct sk_arena **arena)
{
	if (*arena == NULL)
		return;
	sk_arena_reset(*arena);
	free((*arena)->blocks);
	(*arena)->magic = 0;
	free(*arena);
	*arena = NULL;
}

void *sk_arena_alloc(struct sk_arena *arena, size_t size)
{
	size_t rounded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	struct block *block = arena->blocks;
	void *memory;

	assert(arena->magic == ARENA_MAGIC && rounded >= size);
	if (block->size - block->used < rounded) {
		block = new_block(rounded > BLOCK_BYTES ? rounded : BLOCK_BYTES);
		block->next = arena->blocks;
		arena->blocks = block;
	}
	memory = (char *)block->bytes + block->used;
	block->used += rounded;
	arena->used += rounded;
	return memset(memory, 0, rounded);
}

void *sk_arena_try_alloc(struct sk_arena *arena, size_t size)
{
	if (arena->used >= arena->limit || size > arena->limit - arena->used)
		return NULL;
	return sk_arena_alloc(arena, size);
}

void *sk_arena_array(struct sk_arena *arena, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		abort();
	return sk_arena_alloc(arena, bytes);
}

char *sk_arena_memdup(struct sk_arena *arena, const void *data, size_t len)
{
	char *copy = sk_arena_alloc(arena, len + 1);

	if (len > 0)
		memcpy(copy, data, len);
	return copy;
}

char *sk_arena_strdup(struct sk_arena *arena, const char *text)
{
	return text == NULL ? NULL : sk_arena_memdup(arena, text, strlen(text));
}

char *sk_arena_printf(struct sk_arena *arena, const char *format, ...)
{
	va_list args, again;
	int len;
	char *text;

	va_start(args, format);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, args);
	assert(len >= 0);
	text = sk_arena_alloc(arena, (size_t)len + 1);
	(void)vsnprintf(text, (size_t)len + 1, format, again);
	va_end(again);
	va_end(args);
	return text;
}

void sk_arena_defer(struct sk_arena *arena, void (*fn)(void *object), void *object)
{
	struct release *release = sk_arena_alloc(arena, sizeof(*release));

	release->fn = fn;
	release->object = object;
	release->next = arena->releases;
	arena->releases = release;
}

size_t sk_arena_used(const struct sk_arena *arena)
{
	return arena->used;
}
