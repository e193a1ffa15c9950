// SPDX-License-Identifier: MIT
/*
 * Faults on purpose. A driver's error paths are only as good as their tests, and real
 * devices fail too rarely to test with: this one fails when it is told to.
 *
 * Faults are the host's: no guest sees or changes them, and no reset ends them. Each
 * strikes where the healthy device does the same thing, so that whatever comes after it
 * is the device's ordinary behaviour:
 *
 *	dma_errors		an access to bus memory fails (mmu.c)
 *	lose_interrupts		an interrupt is not raised; completions count it as sent (queue.c)
 *	corrupt_descriptors	a layer descriptor arrives with every bit wrong (group.c)
 *	hang_layer		a group's modelled end is never (group.c)
 *	dram_percent		the time model computes with less bandwidth (group.c)
 */
#include "fnpu_internal.h"

#define MIN_DRAM_PERCENT	100
#define MAX_DRAM_PERCENT	100000

void fnpu_faults_default(struct fnpu_faults *faults)
{
	*faults = (struct fnpu_faults){
		.hang_layer = FNPU_NO_LAYER,
		.dram_percent = 100,
	};
}

const char *fnpu_faults_check(const struct fnpu_faults *faults)
{
	if (faults->dram_percent < MIN_DRAM_PERCENT || faults->dram_percent > MAX_DRAM_PERCENT)
		return "dram_percent must be 100..100000";
	return NULL;
}

void fnpu_dev_set_faults(struct fnpu_dev *dev, const struct fnpu_faults *faults)
{
	uint64_t rate = dev->config.geometry.dram_bytes_per_kcycle;

	fnpu_engine_quiesce(dev);
	dev->faults = *faults;
	dev->pricing = dev->config.geometry;
	rate = rate * 100 / faults->dram_percent;
	dev->pricing.dram_bytes_per_kcycle = rate ? rate : 1;
}

void fnpu_dev_faults(struct fnpu_dev *dev, struct fnpu_faults *faults)
{
	fnpu_engine_quiesce(dev);	/* the worker counts dma_errors down */
	*faults = dev->faults;
}

/* Is there one left of what @count counts? Then it strikes now. Any thread. */
bool fnpu_fault_strikes(uint32_t *count)
{
	uint32_t left = __atomic_load_n(count, __ATOMIC_RELAXED);

	while (left)
		if (__atomic_compare_exchange_n(count, &left, left - 1, false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			return true;
	return false;
}

/* A descriptor has been read; perhaps not as it is in memory. */
void fnpu_fault_corrupt(struct fnpu_dev *dev, struct fluidnpu_hw_layer *layer)
{
	uint8_t *bytes = (uint8_t *)layer;

	if (!fnpu_fault_strikes(&dev->faults.corrupt_descriptors))
		return;
	for (size_t i = 0; i < sizeof(*layer); i++)
		bytes[i] = ~bytes[i];
}

/* Does the group of @count layers from @first on never end? */
bool fnpu_fault_hangs(const struct fnpu_dev *dev, uint32_t first, uint32_t count)
{
	return dev->faults.hang_layer >= first && dev->faults.hang_layer - first < count;
}
