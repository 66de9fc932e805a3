#include "sk_metrics.h"

#include <assert.h>
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum kind { COUNTER, GAUGE, HISTOGRAM };

/* Upper bounds of the buckets in microseconds; the last bucket is +Inf. */
static const int64_t BOUNDS_US[] = { 500,    1000,   2500,   5000,    10000,   25000,	50000,
				     100000, 250000, 500000, 1000000, 2500000, 10000000 };
#define BOUNDS ((int)(sizeof(BOUNDS_US) / sizeof(BOUNDS_US[0])))

struct sk_metric {
	struct sk_metric *next;
	char *labels;
	atomic_llong value; /* histogram: count */
	atomic_llong sum_us;
	atomic_llong *buckets; /* histogram: BOUNDS + 1 */
};

struct family {
	struct family *next;
	enum kind kind;
	char *name, *help;
	struct sk_metric *series;
};

struct sk_metrics {
	pthread_mutex_t mutex; /* guards the lists; values are atomic */
	struct family *families;
};

static char *copy(const char *text)
{
	char *out = strdup(text);

	if (out == NULL)
		abort();
	return out;
}

struct sk_metrics *sk_metrics_open(void)
{
	struct sk_metrics *metrics = calloc(1, sizeof(*metrics));

	if (metrics == NULL)
		abort();
	pthread_mutex_init(&metrics->mutex, NULL);
	return metrics;
}

static void free_series(struct sk_metric *series)
{
	while (series != NULL) {
		struct sk_metric *next = series->next;

		free(series->buckets);
		free(series->labels);
		free(series);
		series = next;
	}
}

void sk_metrics_close(struct sk_metrics **metrics_in)
{
	struct sk_metrics *metrics = *metrics_in;

	if (metrics == NULL)
		return;
	*metrics_in = NULL;
	while (metrics->families != NULL) {
		struct family *family = metrics->families;

		metrics->families = family->next;
		free_series(family->series);
		free(family->name);
		free(family->help);
		free(family);
	}
	pthread_mutex_destroy(&metrics->mutex);
	free(metrics);
}

/* Caller holds metrics->mutex. */
static struct family *find_family(struct sk_metrics *metrics, enum kind kind, const char *name,
				  const char *help)
{
	struct family **at = &metrics->families;

	while (*at != NULL && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	if (*at == NULL) {
		*at = calloc(1, sizeof(**at));
		if (*at == NULL)
			abort();
		(*at)->kind = kind;
		(*at)->name = copy(name);
		(*at)->help = copy(help);
	}
	assert((*at)->kind == kind);
	return *at;
}

static struct sk_metric *find_series(struct sk_metrics *metrics, enum kind kind, const char *name,
				     const char *help, const char *labels)
{
	struct sk_metric **at;

	pthread_mutex_lock(&metrics->mutex);
	at = &find_family(metrics, kind, name, help)->series;
	while (*at != NULL && strcmp((*at)->labels, labels) != 0)
		at = &(*at)->next;
	if (*at == NULL) {
		*at = calloc(1, sizeof(**at));
		if (*at == NULL)
			abort();
		(*at)->labels = copy(labels);
		if (kind == HISTOGRAM) {
			(*at)->buckets = calloc((size_t)BOUNDS + 1, sizeof(*(*at)->buckets));
			if ((*at)->buckets == NULL)
				abort();
		}
	}
	pthread_mutex_unlock(&metrics->mutex);
	return *at;
}

struct sk_metric *sk_metrics_counter(struct sk_metrics *metrics, const char *name, const char *help,
				     const char *labels)
{
	return find_series(metrics, COUNTER, name, help, labels);
}

struct sk_metric *sk_metrics_gauge(struct sk_metrics *metrics, const char *name, const char *help,
				   const char *labels)
{
	return find_series(metrics, GAUGE, name, help, labels);
}

struct sk_metric *sk_metrics_histogram(struct sk_metrics *metrics, const char *name,
				       const char *help, const char *labels)
{
	return find_series(metrics, HISTOGRAM, name, help, labels);
}

void sk_metric_add(struct sk_metric *metric, int64_t n)
{
	atomic_fetch_add_explicit(&metric->value, n, memory_order_relaxed);
}

void sk_metric_set(struct sk_metric *metric, int64_t value)
{
	atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

void sk_metric_observe_us(struct sk_metric *metric, int64_t us)
{
	int bucket = 0;

	while (bucket < BOUNDS && us > BOUNDS_US[bucket])
		bucket++;
	atomic_fetch_add_explicit(&metric->buckets[bucket], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&metric->sum_us, us, memory_order_relaxed);
	sk_metric_add(metric, 1);
}

int64_t sk_metric_value(const struct sk_metric *metric)
{
	return atomic_load_explicit(&metric->value, memory_order_relaxed);
}

/* The name, its labels where it has any, and the space before the value. */
static void write_name(struct sk_buf *out, const char *name, const char *suffix, const char *labels)
{
	if (labels[0] == '\0')
		sk_buf_printf(out, "%s%s ", name, suffix);
	else
		sk_buf_printf(out, "%s%s{%s} ", name, suffix, labels);
}

static void write_histogram(const struct family *family, const struct sk_metric *series,
			    struct sk_buf *out)
{
	const char *comma = series->labels[0] != '\0' ? "," : "";
	long long total = 0;

	for (int i = 0; i <= BOUNDS; i++) {
		total += atomic_load_explicit(&series->buckets[i], memory_order_relaxed);
		if (i < BOUNDS)
			sk_buf_printf(out, "%s_bucket{%s%sle=\"%g\"} %lld\n", family->name,
				      series->labels, comma, (double)BOUNDS_US[i] / 1e6, total);
		else
			sk_buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %lld\n", family->name,
				      series->labels, comma, total);
	}
	write_name(out, family->name, "_sum", series->labels);
	sk_buf_printf(out, "%.6f\n",
		      (double)atomic_load_explicit(&series->sum_us, memory_order_relaxed) / 1e6);
	write_name(out, family->name, "_count", series->labels);
	sk_buf_printf(out, "%lld\n", total);
}

static void write_family(const struct family *family, struct sk_buf *out)
{
	static const char *const types[] = { "counter", "gauge", "histogram" };

	sk_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name,
		      types[family->kind]);
	for (const struct sk_metric *series = family->series; series != NULL;
	     series = series->next) {
		if (family->kind == HISTOGRAM) {
			write_histogram(family, series, out);
			continue;
		}
		write_name(out, family->name, "", series->labels);
		sk_buf_printf(out, "%lld\n", (long long)sk_metric_value(series));
	}
}

static long count_folder(const char *path)
{
	DIR *folder = opendir(path);
	long count = 0;

	if (folder == NULL)
		return 0;
	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count - 2; /* . and .. */
}

/* The second number of /proc/self/statm, in pages. */
static long resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	char line[128] = "";
	const char *resident;

	if (file == NULL)
		return 0;
	resident = fgets(line, sizeof(line), file) != NULL ? strchr(line, ' ') : NULL;
	(void)fclose(file);
	return resident == NULL ? 0 : strtol(resident, NULL, 10) * sysconf(_SC_PAGESIZE);
}

static double seconds(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void write_process(struct sk_buf *out)
{
	struct rusage usage = { 0 };

	getrusage(RUSAGE_SELF, &usage);
	sk_buf_printf(
		out,
		"# HELP process_resident_memory_bytes resident memory\n"
		"# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes %ld\n"
		"# HELP process_cpu_seconds_total user and system time\n"
		"# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %.3f\n"
		"# HELP process_open_fds open files\n"
		"# TYPE process_open_fds gauge\nprocess_open_fds %ld\n"
		"# HELP process_threads threads\n"
		"# TYPE process_threads gauge\nprocess_threads %ld\n",
		resident_bytes(), seconds(usage.ru_utime) + seconds(usage.ru_stime),
		count_folder("/proc/self/fd"), count_folder("/proc/self/task"));
}

void sk_metrics_write(struct sk_metrics *metrics, struct sk_buf *out)
{
	pthread_mutex_lock(&metrics->mutex);
	for (const struct family *family = metrics->families; family != NULL; family = family->next)
		write_family(family, out);
	pthread_mutex_unlock(&metrics->mutex);
	write_process(out);
}
