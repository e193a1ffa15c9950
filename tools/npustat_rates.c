// SPDX-License-Identifier: MIT
/*
 * npustat: figures of a reading, and of what happened between two.
 *
 * Rates are per second of the clock on the wall. That of the device is no measure of
 * a short interval: it stands still while the device sleeps, and for an emulated one while its
 * host computes what is late, and makes up for it later.
 */
#include <errno.h>
#include <stdlib.h>

#include "npustat.h"

#define NS_PER_S	1e9

double npustat_ratio(double a, double b)
{
	return b > 0 ? a / b : 0;
}

uint64_t npustat_sum(const uint64_t *values, size_t count)
{
	uint64_t total = 0;

	for (size_t i = 0; i < count; i++)
		total += values[i];
	return total;
}

double npustat_busy(const struct npustat_reading *r)
{
	return npustat_ratio((double)r->counters.values[FLUIDNPU_CNT_BUSY_CYCLES],
			     (double)r->counters.time);
}

double npustat_utilisation(const struct npustat_reading *r)
{
	return npustat_ratio((double)r->counters.values[FLUIDNPU_CNT_USEFUL_MACS],
			     (double)r->counters.values[FLUIDNPU_CNT_OFFERED_MACS]);
}

double npustat_dram_bandwidth(const struct fnpu_device_info *info)
{
	return (double)info->geometry.dram_bytes_per_kcycle / 1024 * info->clock_hz;
}

static uint64_t since(uint64_t before, uint64_t now)
{
	return now > before ? now - before : 0;
}

static double share(double a, double b)
{
	const double ratio = npustat_ratio(a, b);

	return ratio < 1 ? ratio : 1;
}

static void fill_shares(double *shares, const uint64_t *values, size_t count)
{
	const double total = (double)npustat_sum(values, count);

	for (size_t i = 0; i < count; i++)
		shares[i] = npustat_ratio((double)values[i], total);
}

static void fill_figures(struct npustat_rates *rates, const uint64_t *values,
			 const struct fnpu_device_info *info, double seconds)
{
	const uint64_t *batch = &values[FLUIDNPU_CNT_BATCH];
	double samples = 0;

	for (unsigned int i = 0; i < FLUIDNPU_CNT_NUM; i++)
		rates->per_second[i] = npustat_ratio((double)values[i], seconds);
	rates->busy = share((double)values[FLUIDNPU_CNT_BUSY_CYCLES], seconds * info->clock_hz);
	rates->utilisation = share((double)values[FLUIDNPU_CNT_USEFUL_MACS],
				   (double)values[FLUIDNPU_CNT_OFFERED_MACS]);
	rates->stalled = share((double)values[FLUIDNPU_CNT_STALL_CYCLES],
			       (double)values[FLUIDNPU_CNT_BUSY_CYCLES]);
	rates->dram = share((double)values[FLUIDNPU_CNT_DRAM_READ_BYTES] +
			    (double)values[FLUIDNPU_CNT_DRAM_WRITE_BYTES],
			    npustat_dram_bandwidth(info) * seconds);
	for (unsigned int b = 0; b < FLUIDNPU_MAX_BATCH; b++)
		samples += (double)batch[b] * (b + 1);
	rates->live_batch = npustat_ratio(samples, (double)npustat_sum(batch, FLUIDNPU_MAX_BATCH));
	fill_shares(rates->batch, batch, FLUIDNPU_MAX_BATCH);
	fill_shares(rates->exits, &values[FLUIDNPU_CNT_EXITS], FLUIDNPU_MAX_EXITS);
}

static uint64_t busy_before(const struct npu_clients *clients, uint64_t client_id)
{
	for (size_t i = 0; i < clients->count; i++)
		if (clients->items[i].client_id == client_id)
			return clients->items[i].busy_ns;
	return 0;	/* it has come since */
}

static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int by_pid(const void *a, const void *b)
{
	const struct npu_client *x = ((const struct npustat_client_rate *)a)->client;
	const struct npu_client *y = ((const struct npustat_client_rate *)b)->client;

	return x->pid != y->pid ? compare(x->pid, y->pid) : compare(x->client_id, y->client_id);
}

static int by_busy(const void *a, const void *b)
{
	const double x = ((const struct npustat_client_rate *)a)->busy;
	const double y = ((const struct npustat_client_rate *)b)->busy;

	return x != y ? (x < y) - (x > y) : by_pid(a, b);
}

static int by_memory(const void *a, const void *b)
{
	const struct npu_client *x = ((const struct npustat_client_rate *)a)->client;
	const struct npu_client *y = ((const struct npustat_client_rate *)b)->client;

	return x->memory_bytes != y->memory_bytes ? compare(y->memory_bytes, x->memory_bytes) :
						    by_pid(a, b);
}

int npustat_rates(struct npustat_rates *rates, const struct npustat_reading *before,
		  const struct npustat_reading *now, enum npustat_sort sort)
{
	static int (*const orders[])(const void *, const void *) = {
		[NPUSTAT_BY_BUSY] = by_busy,
		[NPUSTAT_BY_MEMORY] = by_memory,
		[NPUSTAT_BY_PID] = by_pid,
	};
	uint64_t values[FLUIDNPU_CNT_NUM];
	double seconds;

	*rates = (struct npustat_rates){ .num_clients = now->clients.count };
	if (rates->num_clients) {
		rates->clients = calloc(rates->num_clients, sizeof(*rates->clients));
		if (!rates->clients)
			return -ENOMEM;
	}
	seconds = (double)since(before->taken_ns, now->taken_ns) / NS_PER_S;
	for (unsigned int i = 0; i < FLUIDNPU_CNT_NUM; i++)
		values[i] = since(before->counters.values[i], now->counters.values[i]);
	fill_figures(rates, values, now->info, seconds);
	for (size_t i = 0; i < rates->num_clients; i++) {
		const struct npu_client *c = &now->clients.items[i];

		rates->clients[i].client = c;
		rates->clients[i].busy = share((double)since(busy_before(&before->clients,
									  c->client_id),
							     c->busy_ns), seconds * NS_PER_S);
	}
	if (rates->num_clients)
		qsort(rates->clients, rates->num_clients, sizeof(*rates->clients), orders[sort]);
	return 0;
}

void npustat_rates_free(struct npustat_rates *rates)
{
	free(rates->clients);
	*rates = (struct npustat_rates){ 0 };
}
