#include "sk_condition.h"

#include <stdlib.h>

#include "sk_time.h"

void sk_condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t monotonic;

	if (pthread_condattr_init(&monotonic) != 0 ||
	    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) != 0 ||
	    pthread_cond_init(condition, &monotonic) != 0)
		abort();
	pthread_condattr_destroy(&monotonic);
}

bool sk_condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t until_us)
{
	struct timespec until = { .tv_sec = until_us / SK_SECOND_US,
				  .tv_nsec = until_us % SK_SECOND_US * 1000 };

	return pthread_cond_timedwait(condition, mutex, &until) == 0;
}
