// SPDX-License-Identifier: MIT
/*
 * Registers, reset and configuration: the outside of the device.
 */
#include <stdlib.h>
#include <string.h>

#include "fnpu_internal.h"
#include "kernels.h"

#define GEOMETRY_END (FLUIDNPU_REG_GEOMETRY + sizeof(struct fluidnpu_hw_geometry))
#define COUNTERS_BYTES (FLUIDNPU_CNT_NUM * 8)
#define QUEUE_STRIDE (FLUIDNPU_REG_QUEUE(1) - FLUIDNPU_REG_QUEUE(0))
#define QUEUE_COUNTERS_STRIDE (FLUIDNPU_REG_QUEUE_COUNTERS(1) - FLUIDNPU_REG_QUEUE_COUNTERS(0))

void fnpu_config_default(struct fnpu_config *config)
{
	*config = (struct fnpu_config){
		.geometry = {
			.tile_rows = 128,
			.tile_depth = 16,
			.tile_cols = 64,
			.acc_tiles = 1,
			.max_stack = 8,
			.max_batch = 16,
			.act_sram_bytes = 2u << 20,
			.weight_sram_bytes = 256u << 10,
			.dram_bytes_per_kcycle = 16 * 1024,	/* 12.8 GB/s at 800 MHz */
			.vector_lanes = 64,
			.layer_overhead_cycles = 256,
			.num_queues = 4,
			.num_as = FLUIDNPU_MAX_AS,
			.stack_depth = 1,
		},
		.clock_hz = 800000000,
		.functional = true,
	};
}

static bool power_of_two(uint32_t v)
{
	return v && !(v & (v - 1));
}

const char *fnpu_config_check(const struct fnpu_config *config)
{
	const struct fluidnpu_hw_geometry *g = &config->geometry;

	if (!power_of_two(g->max_stack) || g->max_stack > 128)
		return "max_stack must be a power of two up to 128";
	if (!g->tile_rows || g->tile_rows > 65536 || g->tile_rows % g->max_stack)
		return "tile_rows must be 1..65536 and divisible by max_stack";
	if (!g->tile_cols || g->tile_cols > 65536 || g->tile_cols % g->max_stack)
		return "tile_cols must be 1..65536 and divisible by max_stack";
	if (!g->tile_depth || g->tile_depth > 65536)
		return "tile_depth must be 1..65536";
	if (!g->acc_tiles || g->acc_tiles > 65536)
		return "acc_tiles must be 1..65536";
	if (!g->max_batch || g->max_batch > FLUIDNPU_MAX_BATCH)
		return "max_batch must be 1..16";
	if (!g->dram_bytes_per_kcycle)
		return "dram_bytes_per_kcycle must not be 0";
	if (!g->vector_lanes)
		return "vector_lanes must not be 0";
	if (!g->num_queues || g->num_queues > FLUIDNPU_MAX_QUEUES)
		return "num_queues must be 1..8";
	if (!g->num_as || g->num_as > FLUIDNPU_MAX_AS)
		return "num_as must be 1..64";
	if (g->stack_depth > FLUIDNPU_MAX_STACK_DEPTH)
		return "stack_depth must be 0..8";
	if (config->clock_hz < 1000000)
		return "clock_hz must be at least 1000000";
	return NULL;
}

struct fnpu_dev *fnpu_dev_new(const struct fnpu_config *config,
			      const struct fnpu_host_ops *ops, void *host)
{
	struct fnpu_faults none;
	struct fnpu_dev *dev;

	if (fnpu_config_check(config))
		return NULL;
	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return NULL;
	dev->config = *config;
	dev->ops = ops;
	dev->host = host;
	dev->kernels = fnpu_kernels_all()[0];
	fnpu_faults_default(&none);
	fnpu_dev_set_faults(dev, &none);
	fnpu_dev_reset(dev);
	return dev;
}

void fnpu_dev_free(struct fnpu_dev *dev)
{
	if (!dev)
		return;
	fnpu_dev_reset(dev);
	free(dev);
}

void fnpu_dev_reset(struct fnpu_dev *dev)
{
	const uint64_t time = dev->s.time;

	fnpu_engine_stop(dev);
	fnpu_scratch_free(&dev->scratch);
	memset(dev->tlb, 0, sizeof(dev->tlb));
	memset(&dev->s, 0, sizeof(dev->s));
	dev->s.time = time; /* the clock runs on */
	dev->s.cq.irq_deadline = FNPU_NEVER;
	dev->s.running = -1;
	dev->s.group_end = FNPU_NEVER;
}

/* Ring memory cannot be reached, or the driver lost its way: nothing more starts until reset. */
void fnpu_dev_fatal(struct fnpu_dev *dev)
{
	if (dev->s.fatal)
		return;
	dev->s.fatal = true;
	fnpu_interrupt(dev, FLUIDNPU_VECTOR_ERROR);
}

/* Adds @n to what a queue has caused, and to the sum of all; neither wraps. */
void fnpu_count(struct fnpu_dev *dev, unsigned int queue, unsigned int counter, uint64_t n)
{
	uint64_t *own = &dev->s.queues[queue].counters[counter];
	uint64_t *sum = &dev->s.counters[counter];

	if (__builtin_add_overflow(*own, n, own))
		*own = UINT64_MAX;
	if (__builtin_add_overflow(*sum, n, sum))
		*sum = UINT64_MAX;
}

static uint32_t read_64(struct fnpu_dev *dev, uint64_t value, uint32_t offset)
{
	if (offset & 4)
		return dev->s.latched_hi;
	dev->s.latched_hi = value >> 32;
	return (uint32_t)value;
}

static uint32_t queue_read(const struct fnpu_dev *dev, unsigned int index, uint32_t reg)
{
	const struct fnpu_queue *q = &dev->s.queues[index];

	switch (reg) {
	case FLUIDNPU_QREG_BASE_LO:
		return q->base_lo;
	case FLUIDNPU_QREG_BASE_HI:
		return q->base_hi;
	case FLUIDNPU_QREG_ENTRIES:
		return q->entries_reg;
	case FLUIDNPU_QREG_PRIORITY:
		return q->priority;
	case FLUIDNPU_QREG_STATUS:
		return (q->enabled ? FLUIDNPU_QSTATUS_ENABLED : 0) |
		       (q->num_batches ? FLUIDNPU_QSTATUS_RUNNING : 0) |
		       (q->halted ? FLUIDNPU_QSTATUS_HALTED : 0);
	case FLUIDNPU_QREG_HEAD:
		return q->head;
	default:
		return 0;
	}
}

/* @offset: in a block of counters; what is behind the last one reads as 0 */
static uint32_t counter_read(struct fnpu_dev *dev, const uint64_t *counters, uint32_t offset)
{
	return offset < COUNTERS_BYTES ? read_64(dev, counters[offset / 8], offset) : 0;
}

uint32_t fnpu_dev_read(struct fnpu_dev *dev, uint32_t offset, uint64_t now)
{
	const uint32_t queues = dev->config.geometry.num_queues;

	fnpu_dev_advance(dev, now);

	if (offset >= FLUIDNPU_REG_GEOMETRY && offset < GEOMETRY_END) {
		uint32_t word;

		memcpy(&word, (const char *)&dev->config.geometry +
		       ((offset - FLUIDNPU_REG_GEOMETRY) & ~3u), sizeof(word));
		return word;
	}
	if (offset >= FLUIDNPU_REG_COUNTERS && offset < FLUIDNPU_REG_QUEUE_COUNTERS(0))
		return counter_read(dev, dev->s.counters, offset - FLUIDNPU_REG_COUNTERS);
	if (offset >= FLUIDNPU_REG_QUEUE_COUNTERS(0) &&
	    offset < FLUIDNPU_REG_QUEUE_COUNTERS(queues)) {
		offset -= FLUIDNPU_REG_QUEUE_COUNTERS(0);
		return counter_read(dev, dev->s.queues[offset / QUEUE_COUNTERS_STRIDE].counters,
				    offset % QUEUE_COUNTERS_STRIDE);
	}
	if (offset >= FLUIDNPU_REG_QUEUE(0) && offset < FLUIDNPU_REG_QUEUE(queues))
		return queue_read(dev, (offset - FLUIDNPU_REG_QUEUE(0)) / QUEUE_STRIDE,
				  (offset - FLUIDNPU_REG_QUEUE(0)) % QUEUE_STRIDE);

	switch (offset) {
	case FLUIDNPU_REG_MAGIC:
		return FLUIDNPU_MAGIC;
	case FLUIDNPU_REG_VERSION:
		return FLUIDNPU_HW_VERSION_MAJOR << 16 | FLUIDNPU_HW_VERSION_MINOR;
	case FLUIDNPU_REG_CTRL:
		return dev->s.enabled ? FLUIDNPU_CTRL_ENABLE : 0;
	case FLUIDNPU_REG_STATUS:
		return FLUIDNPU_STATUS_READY | (dev->s.fatal ? FLUIDNPU_STATUS_FATAL : 0);
	case FLUIDNPU_REG_CLOCK_HZ:
		return dev->config.clock_hz;
	case FLUIDNPU_REG_FEATURES:
		return dev->config.functional ? FLUIDNPU_FEATURE_FUNCTIONAL : 0;
	case FLUIDNPU_REG_TIME_LO:
	case FLUIDNPU_REG_TIME_HI:
		return read_64(dev, dev->s.time, offset - FLUIDNPU_REG_TIME_LO);
	case FLUIDNPU_REG_AS_SELECT:
		return dev->s.as_select;
	case FLUIDNPU_REG_AS_ROOT_LO:
		return dev->s.as_root_lo;
	case FLUIDNPU_REG_AS_ROOT_HI:
		return dev->s.as_root_hi;
	case FLUIDNPU_REG_CQ_BASE_LO:
		return dev->s.cq.base_lo;
	case FLUIDNPU_REG_CQ_BASE_HI:
		return dev->s.cq.base_hi;
	case FLUIDNPU_REG_CQ_ENTRIES:
		return dev->s.cq.entries;
	case FLUIDNPU_REG_CQ_COALESCE_COUNT:
		return dev->s.cq.coalesce_count;
	case FLUIDNPU_REG_CQ_COALESCE_CYCLES:
		return dev->s.cq.coalesce_cycles;
	default:
		return 0;
	}
}

static void as_command(struct fnpu_dev *dev, uint32_t command)
{
	struct fnpu_as *as = &dev->s.as[dev->s.as_select];

	/* When the write is done, no access with an old translation is under way. */
	fnpu_engine_quiesce(dev);
	switch (command) {
	case FLUIDNPU_AS_CMD_ENABLE:
		as->root = (uint64_t)dev->s.as_root_hi << 32 | dev->s.as_root_lo;
		as->enabled = true;
		break;
	case FLUIDNPU_AS_CMD_DISABLE:
		as->enabled = false;
		break;
	case FLUIDNPU_AS_CMD_FLUSH:
		break;
	default:
		return;
	}
	fnpu_tlb_flush(dev, dev->s.as_select);
}

static void queue_control(struct fnpu_dev *dev, unsigned int index, uint32_t value)
{
	struct fnpu_queue *q = &dev->s.queues[index];

	if (value & FLUIDNPU_QCTRL_ABORT)
		fnpu_engine_abort(dev, index);
	if (value & (FLUIDNPU_QCTRL_DISABLE | FLUIDNPU_QCTRL_ENABLE)) {
		fnpu_engine_drop(dev, index);
		q->enabled = false;
		q->halted = false;
	}
	if ((value & FLUIDNPU_QCTRL_ENABLE) && !fnpu_queue_enable(dev, index))
		fnpu_dev_fatal(dev);
	if (value & FLUIDNPU_QCTRL_RESUME)
		q->halted = false;
}

static void queue_write(struct fnpu_dev *dev, unsigned int index, uint32_t reg, uint32_t value)
{
	struct fnpu_queue *q = &dev->s.queues[index];

	switch (reg) {
	case FLUIDNPU_QREG_BASE_LO:
		q->base_lo = value;
		break;
	case FLUIDNPU_QREG_BASE_HI:
		q->base_hi = value;
		break;
	case FLUIDNPU_QREG_ENTRIES:
		q->entries_reg = value;
		break;
	case FLUIDNPU_QREG_PRIORITY:
		q->priority = value;
		break;
	case FLUIDNPU_QREG_CTRL:
		queue_control(dev, index, value);
		break;
	}
}

static void register_write(struct fnpu_dev *dev, uint32_t offset, uint32_t value)
{
	switch (offset) {
	case FLUIDNPU_REG_CTRL:
		if (value & FLUIDNPU_CTRL_RESET)
			fnpu_dev_reset(dev);
		dev->s.enabled = value & FLUIDNPU_CTRL_ENABLE;
		break;
	case FLUIDNPU_REG_AS_SELECT:
		if (value < dev->config.geometry.num_as)
			dev->s.as_select = value;
		break;
	case FLUIDNPU_REG_AS_ROOT_LO:
		dev->s.as_root_lo = value;
		break;
	case FLUIDNPU_REG_AS_ROOT_HI:
		dev->s.as_root_hi = value;
		break;
	case FLUIDNPU_REG_AS_CMD:
		as_command(dev, value);
		break;
	case FLUIDNPU_REG_CQ_BASE_LO:
		dev->s.cq.base_lo = value;
		break;
	case FLUIDNPU_REG_CQ_BASE_HI:
		dev->s.cq.base_hi = value;
		break;
	case FLUIDNPU_REG_CQ_ENTRIES:
		if (!fnpu_cq_enable(dev, value))
			fnpu_dev_fatal(dev);
		break;
	case FLUIDNPU_REG_CQ_COALESCE_COUNT:
		dev->s.cq.coalesce_count = value;
		break;
	case FLUIDNPU_REG_CQ_COALESCE_CYCLES:
		dev->s.cq.coalesce_cycles = value;
		break;
	case FLUIDNPU_REG_DOORBELL_CQ:
		/* like a queue's, ignored while the ring is off: it may come around a reset */
		if (value < dev->s.cq.entries)
			dev->s.cq.head = value;
		else if (dev->s.cq.entries)
			fnpu_dev_fatal(dev);
		break;
	}
}

void fnpu_dev_write(struct fnpu_dev *dev, uint32_t offset, uint32_t value, uint64_t now)
{
	const uint32_t queues = dev->config.geometry.num_queues;

	fnpu_dev_advance(dev, now);
	if (offset >= FLUIDNPU_REG_QUEUE(0) && offset < FLUIDNPU_REG_QUEUE(queues))
		queue_write(dev, (offset - FLUIDNPU_REG_QUEUE(0)) / QUEUE_STRIDE,
			    (offset - FLUIDNPU_REG_QUEUE(0)) % QUEUE_STRIDE, value);
	else if (offset >= FLUIDNPU_REG_DOORBELL(0) && offset < FLUIDNPU_REG_DOORBELL(queues))
		fnpu_queue_doorbell(dev, (offset - FLUIDNPU_REG_DOORBELL(0)) / 4, value);
	else
		register_write(dev, offset, value);
	fnpu_engine_schedule(dev);
}

static uint64_t next_event(const struct fnpu_dev *dev)
{
	return dev->s.group_end < dev->s.cq.irq_deadline ? dev->s.group_end : dev->s.cq.irq_deadline;
}

uint64_t fnpu_dev_deadline(const struct fnpu_dev *dev)
{
	return dev->late ? FNPU_NEVER : next_event(dev);
}

/* Time passes, in which queues without work are idle, and the NPU is if all are. */
static void move_clock(struct fnpu_dev *dev, uint64_t to)
{
	const uint64_t cycles = to - dev->s.time;
	bool idle = true;

	for (unsigned int i = 0; i < dev->config.geometry.num_queues; i++) {
		struct fnpu_queue *q = &dev->s.queues[i];

		if (q->enabled && (q->num_batches || q->ending || q->head != q->tail))
			idle = false;
		else
			q->counters[FLUIDNPU_CNT_IDLE_CYCLES] += cycles;
	}
	if (idle)
		dev->s.counters[FLUIDNPU_CNT_IDLE_CYCLES] += cycles;
	dev->s.time = to;
}

void fnpu_dev_advance(struct fnpu_dev *dev, uint64_t now)
{
	unsigned int events = 0;
	uint64_t event;

	while ((event = next_event(dev)) <= now) {
		if (events++ == FNPU_MAX_EVENTS) {	/* the rest in the next call */
			dev->s.counters[FLUIDNPU_CNT_LATE_EVENTS]++;
			return;
		}
		if (event > dev->s.time)
			move_clock(dev, event);
		fnpu_cq_advance(dev);
		if (fnpu_engine_held_up(dev))
			return;
		fnpu_engine_advance(dev);
	}
	if (now > dev->s.time)
		move_clock(dev, now);
}

void fnpu_dev_work(struct fnpu_dev *dev)
{
	fnpu_work_run(dev, &dev->s.work);
}
