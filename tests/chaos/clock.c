/* Another time for the programs that preload this: the offset in microseconds is the first eight
 * bytes of the file that SOUK_TEST_CLOCK names, and whoever writes there steps their clocks.
 *
 * Only the wall clock moves. Waits until a moment of the wall clock are moved along, so that
 * they last as long as they were meant to. libfaketime was tried for this: with it the services took
 * all of the processor, and no trial ended. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS	      1000000000
#define A_WALL_CLOCKS_SECONDS 1000000000 /* what runs since the start of the machine is far less */

int souk_clock_gettime(clockid_t clock, struct timespec *now) __asm__("clock_gettime");
int souk_gettimeofday(struct timeval *now, void *zone) __asm__("gettimeofday");
time_t souk_time(time_t *now) __asm__("time");
int souk_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
			const struct timespec *until) __asm__("pthread_cond_timedwait");

typedef int clock_function(clockid_t clock, struct timespec *now);

static const volatile int64_t *offset_us;
static clock_function *true_clock;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("SOUK_TEST_CLOCK");
	int file = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *page = file >= 0 ? mmap(NULL, sizeof(*offset_us), PROT_READ, MAP_SHARED, file, 0)
			       : MAP_FAILED;

	if (file >= 0)
		close(file);
	if (page != MAP_FAILED)
		offset_us = page;
}

static void move(struct timespec *at, int64_t by_us)
{
	int64_t ns = at->tv_nsec + by_us % 1000000 * 1000 + SECOND_NS;

	at->tv_sec += by_us / 1000000 + ns / SECOND_NS - 1;
	at->tv_nsec = ns % SECOND_NS;
}

int souk_clock_gettime(clockid_t clock, struct timespec *now)
{
	int failed;

	if (true_clock == NULL)
		*(void **)&true_clock = dlsym(RTLD_NEXT, "clock_gettime");
	failed = true_clock(clock, now);
	if (failed == 0 && offset_us != NULL &&
	    (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		move(now, *offset_us);
	return failed;
}

int souk_gettimeofday(struct timeval *now, void *zone)
{
	struct timespec at;

	(void)zone;
	if (souk_clock_gettime(CLOCK_REALTIME, &at) != 0)
		return -1;
	*now = (struct timeval) { .tv_sec = at.tv_sec, .tv_usec = at.tv_nsec / 1000 };
	return 0;
}

time_t souk_time(time_t *now)
{
	struct timespec at;

	if (souk_clock_gettime(CLOCK_REALTIME, &at) != 0)
		return -1;
	if (now != NULL)
		*now = at.tv_sec;
	return at.tv_sec;
}

int souk_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
			const struct timespec *until)
{
	struct timespec at = *until;

	if (at.tv_sec < A_WALL_CLOCKS_SECONDS)
		return pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &at);
	move(&at, offset_us != NULL ? -*offset_us : 0);
	return pthread_cond_clockwait(condition, mutex, CLOCK_REALTIME, &at);
}
