/* Prometheus metrics (text exposition format 0.0.4): counters, gauges and
 * histograms, declared once with their sentence. Updates are atomic adds;
 * registering takes a lock. Label values must come from a small fixed set
 * (route patterns, consumer names), never from input. */
#ifndef SK_METRICS_H
#define SK_METRICS_H

#include <stdint.h>

#include "sk_buf.h"

struct sk_metrics;
struct sk_metric; /* one time series */

struct sk_metrics *sk_metrics_open(void);
void sk_metrics_close(struct sk_metrics **metrics);

/* The series of a family with these labels ("route=\"/v1/orders\",status=\"2xx\"",
 * or ""), made at first use. Lives as long as metrics. Thread-safe. */
struct sk_metric *sk_metrics_counter(struct sk_metrics *metrics, const char *name, const char *help,
				     const char *labels);
struct sk_metric *sk_metrics_gauge(struct sk_metrics *metrics, const char *name, const char *help,
				   const char *labels);
/* Buckets for durations in seconds, 0.0005 to 10. */
struct sk_metric *sk_metrics_histogram(struct sk_metrics *metrics, const char *name,
				       const char *help, const char *labels);

void sk_metric_add(struct sk_metric *metric, int64_t n);	 /* counter, gauge */
void sk_metric_set(struct sk_metric *metric, int64_t value);	 /* gauge */
void sk_metric_observe_us(struct sk_metric *metric, int64_t us); /* histogram */
int64_t sk_metric_value(const struct sk_metric *metric);	 /* histogram: count */

/* Everything in exposition format, process_* (resident memory, CPU, threads, open files) included. */
void sk_metrics_write(struct sk_metrics *metrics, struct sk_buf *out);

#endif
