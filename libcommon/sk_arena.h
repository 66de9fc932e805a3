/* An arena: the memory of one request or one message, freed whole.
 *
 * Handlers allocate and never free, so they cannot leak. What needs more than
 * its memory back (a PGresult, a reply of hiredis) registers a release with
 * sk_arena_defer; releases run last in, first out.
 *
 * Two kinds of out-of-memory, told apart by name (after h2o): sk_arena_alloc
 * and its kin abort the process when malloc fails, which on a machine with
 * overcommit means a bug; sk_arena_try_alloc returns NULL at the arena's own
 * limit and is for what grows with input from outside (decoders).
 *
 * Not thread-safe: an arena belongs to the thread that handles the call. */
#ifndef SK_ARENA_H
#define SK_ARENA_H

#include <stddef.h>

#include "sk_status.h"

struct sk_arena;

/* A new arena that gives out at most limit_bytes through sk_arena_try_alloc.
 * The caller owns it. Aborts when malloc fails. */
struct sk_arena *sk_arena_open(size_t limit_bytes);

/* Runs the deferred releases, frees everything and nulls *arena. NULL is fine. */
void sk_arena_close(struct sk_arena **arena);

/* As close followed by open, keeping the first block: for loops over messages. */
void sk_arena_reset(struct sk_arena *arena);

/* Zeroed memory aligned for any type, valid until the arena is closed or reset. */
void *sk_arena_alloc(struct sk_arena *arena, size_t size);

/* The same, but NULL once the arena's limit is reached. */
void *sk_arena_try_alloc(struct sk_arena *arena, size_t size);

/* A zeroed array; aborts when count * size overflows. */
void *sk_arena_array(struct sk_arena *arena, size_t count, size_t size);

/* Copies. sk_arena_strdup(NULL) is NULL; the copies end in NUL. */
char *sk_arena_strdup(struct sk_arena *arena, const char *text);
char *sk_arena_memdup(struct sk_arena *arena, const void *data, size_t len);

/* A formatted string of any length. Never NULL. */
char *sk_arena_printf(struct sk_arena *arena, const char *format, ...) SK_PRINTF(2, 3);

/* Calls release(object) when the arena is closed or reset. */
void sk_arena_defer(struct sk_arena *arena, void (*release)(void *object), void *object);

/* Bytes given out so far, for tests and metrics. */
size_t sk_arena_used(const struct sk_arena *arena);

#endif
