// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: files in sysfs, in the directory of the PCI device.
 *
 * npu_index is for the udev rule. The other npu_* files are named and mean what they do
 * in ivpu, so that the same tools can read them. counters/ has a file for each
 * counter of the device, queueN/ the same for queue N: see enum fluidnpu_counter.
 *
 * Reading does not wake a device that sleeps.
 */
#include <linux/device.h>
#include <linux/math64.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include <linux/units.h>

#include "fluidnpu_device.h"
#include "fluidnpu_perf.h"
#include "fluidnpu_sysfs.h"

#define FLUIDNPU_COUNTER_EXIT(n) \
	[FLUIDNPU_CNT_EXITS + (n)] = "exits_" #n
#define FLUIDNPU_COUNTER_BATCH(n) \
	[FLUIDNPU_CNT_BATCH + (n) - 1] = "batch_" #n

static const char * const fluidnpu_counter_names[] = {
	[FLUIDNPU_CNT_BUSY_CYCLES] = "busy_cycles",
	[FLUIDNPU_CNT_STALL_CYCLES] = "stall_cycles",
	[FLUIDNPU_CNT_USEFUL_MACS] = "useful_macs",
	[FLUIDNPU_CNT_OFFERED_MACS] = "offered_macs",
	[FLUIDNPU_CNT_DRAM_READ_BYTES] = "dram_read_bytes",
	[FLUIDNPU_CNT_DRAM_WRITE_BYTES] = "dram_write_bytes",
	[FLUIDNPU_CNT_WEIGHT_BYTES] = "weight_bytes",
	[FLUIDNPU_CNT_JOBS] = "jobs",
	[FLUIDNPU_CNT_JOB_ERRORS] = "job_errors",
	[FLUIDNPU_CNT_SAMPLES] = "samples",
	[FLUIDNPU_CNT_LAYERS] = "layers",
	[FLUIDNPU_CNT_PREEMPTIONS] = "preemptions",
	[FLUIDNPU_CNT_MMU_FAULTS] = "mmu_faults",
	[FLUIDNPU_CNT_INTERRUPTS] = "interrupts",
	[FLUIDNPU_CNT_LATE_EVENTS] = "late_events",
	[FLUIDNPU_CNT_IDLE_CYCLES] = "idle_cycles",
	FLUIDNPU_COUNTER_EXIT(0), FLUIDNPU_COUNTER_EXIT(1),
	FLUIDNPU_COUNTER_EXIT(2), FLUIDNPU_COUNTER_EXIT(3),
	FLUIDNPU_COUNTER_EXIT(4), FLUIDNPU_COUNTER_EXIT(5),
	FLUIDNPU_COUNTER_EXIT(6), FLUIDNPU_COUNTER_EXIT(7),
	FLUIDNPU_COUNTER_BATCH(1), FLUIDNPU_COUNTER_BATCH(2),
	FLUIDNPU_COUNTER_BATCH(3), FLUIDNPU_COUNTER_BATCH(4),
	FLUIDNPU_COUNTER_BATCH(5), FLUIDNPU_COUNTER_BATCH(6),
	FLUIDNPU_COUNTER_BATCH(7), FLUIDNPU_COUNTER_BATCH(8),
	FLUIDNPU_COUNTER_BATCH(9), FLUIDNPU_COUNTER_BATCH(10),
	FLUIDNPU_COUNTER_BATCH(11), FLUIDNPU_COUNTER_BATCH(12),
	FLUIDNPU_COUNTER_BATCH(13), FLUIDNPU_COUNTER_BATCH(14),
	FLUIDNPU_COUNTER_BATCH(15), FLUIDNPU_COUNTER_BATCH(16),
	[FLUIDNPU_CNT_INJECTS] = "injects",
	[FLUIDNPU_CNT_MERGES] = "merges",
	[FLUIDNPU_CNT_YIELDS] = "yields",
	[FLUIDNPU_CNT_WEIGHT_USED_BYTES] = "weight_used_bytes",
};

static_assert(ARRAY_SIZE(fluidnpu_counter_names) == FLUIDNPU_CNT_NUM);
static_assert(FLUIDNPU_MAX_EXITS == 8 && FLUIDNPU_MAX_BATCH == 16);

/**
 * struct fluidnpu_sysfs_counter - file of a counter
 * @attr: attribute
 * @queue: index or FLUIDNPU_PERF_ALL
 * @index: enum fluidnpu_counter
 */
struct fluidnpu_sysfs_counter {
	struct device_attribute attr;
	int queue;
	u32 index;
};

/**
 * struct fluidnpu_sysfs_counters - directory of counters
 * @group: the directory
 * @name: of it
 * @attrs: of the files, NULL at the end
 * @counters: the files
 */
struct fluidnpu_sysfs_counters {
	struct attribute_group group;
	char name[16];
	struct attribute *attrs[FLUIDNPU_CNT_NUM + 1];
	struct fluidnpu_sysfs_counter counters[FLUIDNPU_CNT_NUM];
};

static ssize_t npu_index_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct fluidnpu_device *fdev = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%d\n", fdev->index);
}
static DEVICE_ATTR_RO(npu_index);

static ssize_t npu_busy_time_us_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct fluidnpu_device *fdev = dev_get_drvdata(dev);
	u64 cycles;
	int ret;

	ret = fluidnpu_perf_counter(fdev, FLUIDNPU_PERF_ALL, FLUIDNPU_CNT_BUSY_CYCLES, &cycles);
	if (ret)
		return ret;
	return sysfs_emit(buf, "%llu\n", mul_u64_u32_div(cycles, USEC_PER_SEC, fdev->clock_hz));
}
static DEVICE_ATTR_RO(npu_busy_time_us);

static ssize_t npu_current_frequency_mhz_show(struct device *dev, struct device_attribute *attr,
					      char *buf)
{
	struct fluidnpu_device *fdev = dev_get_drvdata(dev);

	/* It has one frequency, and none when it sleeps. */
	return sysfs_emit(buf, "%lu\n", READ_ONCE(fdev->off) ? 0 : fdev->clock_hz / HZ_PER_MHZ);
}
static DEVICE_ATTR_RO(npu_current_frequency_mhz);

static ssize_t npu_max_frequency_mhz_show(struct device *dev, struct device_attribute *attr,
					  char *buf)
{
	struct fluidnpu_device *fdev = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%lu\n", fdev->clock_hz / HZ_PER_MHZ);
}
static DEVICE_ATTR_RO(npu_max_frequency_mhz);

/* Bytes of all buffers. */
static ssize_t npu_memory_utilization_show(struct device *dev, struct device_attribute *attr,
					   char *buf)
{
	struct fluidnpu_device *fdev = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%lld\n", atomic64_read(&fdev->memory_bytes));
}
static DEVICE_ATTR_RO(npu_memory_utilization);

static struct attribute *fluidnpu_sysfs_attrs[] = {
	&dev_attr_npu_index.attr,
	&dev_attr_npu_busy_time_us.attr,
	&dev_attr_npu_current_frequency_mhz.attr,
	&dev_attr_npu_max_frequency_mhz.attr,
	&dev_attr_npu_memory_utilization.attr,
	NULL,
};

static const struct attribute_group fluidnpu_sysfs_group = {
	.attrs = fluidnpu_sysfs_attrs,
};

static ssize_t fluidnpu_sysfs_counter_show(struct device *dev, struct device_attribute *attr,
					   char *buf)
{
	struct fluidnpu_sysfs_counter *counter =
		container_of(attr, struct fluidnpu_sysfs_counter, attr);
	u64 value;
	int ret;

	ret = fluidnpu_perf_counter(dev_get_drvdata(dev), counter->queue, counter->index, &value);
	if (ret)
		return ret;
	return sysfs_emit(buf, "%llu\n", value);
}

static int fluidnpu_sysfs_add_counters(struct fluidnpu_device *fdev, int queue)
{
	struct fluidnpu_sysfs_counters *dir;
	u32 i;

	/* Freed after the group, which goes first. */
	dir = devm_kzalloc(fdev->drm.dev, sizeof(*dir), GFP_KERNEL);
	if (!dir)
		return -ENOMEM;

	for (i = 0; i < FLUIDNPU_CNT_NUM; i++) {
		struct fluidnpu_sysfs_counter *counter = &dir->counters[i];

		sysfs_attr_init(&counter->attr.attr);
		counter->attr.attr.name = fluidnpu_counter_names[i];
		counter->attr.attr.mode = 0444;
		counter->attr.show = fluidnpu_sysfs_counter_show;
		counter->queue = queue;
		counter->index = i;
		dir->attrs[i] = &counter->attr.attr;
	}

	if (queue < 0)
		strscpy(dir->name, "counters");
	else
		snprintf(dir->name, sizeof(dir->name), "queue%d", queue);
	dir->group.name = dir->name;
	dir->group.attrs = dir->attrs;
	return devm_device_add_group(fdev->drm.dev, &dir->group);
}

/**
 * fluidnpu_sysfs_init - make the files
 * @fdev: not yet registered, so that whoever sees the node finds the files
 *
 * They go with the driver's binding.
 *
 * Return: 0 or a negative errno.
 */
int fluidnpu_sysfs_init(struct fluidnpu_device *fdev)
{
	int queue, ret;

	ret = devm_device_add_group(fdev->drm.dev, &fluidnpu_sysfs_group);
	for (queue = FLUIDNPU_PERF_ALL; !ret && queue < (int)fdev->num_queues; queue++)
		ret = fluidnpu_sysfs_add_counters(fdev, queue);
	return ret;
}
