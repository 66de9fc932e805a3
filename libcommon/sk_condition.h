/* Condition variables that wait until a moment of the monotonic clock, so that stepping the
 * wall clock neither wakes nor holds anybody. */
#ifndef SK_CONDITION_H
#define SK_CONDITION_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Aborts when it cannot be made. pthread_cond_destroy ends it. */
void sk_condition_init(pthread_cond_t *condition);

/* Waits for a signal until until_us (sk_time_monotonic_us). False: that moment has come. As with
 * every condition variable the caller holds mutex, and looks at its state again. */
bool sk_condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t until_us);

#endif
