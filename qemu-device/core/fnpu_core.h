/* SPDX-License-Identifier: MIT */
/*
 * The FluidNPU as a library: registers, rings, MMU, the Fluid Batching Engine
 * and exact int8 arithmetic, with no I/O, no threads, no clock and no global
 * state. Hosts are the QEMU PCI device (qemu-device/hw) and the in-process
 * emulator behind libfluidnpu's `emu` back end; both get the same results and the
 * same device times because they run the same code.
 *
 * A host gives the device memory, interrupts and a worker (struct
 * fnpu_host_ops), passes register accesses in, and calls fnpu_dev_advance()
 * when the device time that fnpu_dev_deadline() names has come.
 *
 * Threads: all functions but fnpu_dev_work() must be called under one lock of the
 * host's. fnpu_dev_work() runs without it, on any one thread.
 */
#ifndef FNPU_CORE_H
#define FNPU_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fluidnpu_hw.h"

#define FNPU_NEVER UINT64_MAX

struct fnpu_dev;

/**
 * struct fnpu_config - what a device is made of
 * @geometry: of the NPU; checked by fnpu_dev_new()
 * @clock_hz: device clock
 * @functional: compute results; otherwise only time is modelled and the sample
 *	table says where each sample exits
 */
struct fnpu_config {
	struct fluidnpu_hw_geometry geometry;
	uint32_t clock_hz;
	bool functional;
};

/** fnpu_config_default() - the NPU of the project's documents: 128 x 16 x 64, 800 MHz, k up to 8 */
void fnpu_config_default(struct fnpu_config *config);

/**
 * fnpu_config_check() - NULL, or a sentence that names what is wrong with @config
 */
const char *fnpu_config_check(const struct fnpu_config *config);

/**
 * struct fnpu_host_ops - what a host provides; @host is the pointer given to fnpu_dev_new()
 * @dma_read: copy @bytes from bus address @addr; false on a bus error. Any thread.
 * @dma_write: the other way
 * @interrupt: raise MSI-X @vector. Under the host's lock.
 * @work_start: have fnpu_dev_work() called exactly once, now or on a worker thread
 * @work_wait: return when that call has returned; true if it had not yet, so that
 *	the host, slower than the model, made device time stand still
 * @work_ready: optional; asked when a layer's modelled time has come. False: it still
 *	computes, and the host will call fnpu_dev_advance() when it has finished; device
 *	time stands still until then. Without it, or if true, fnpu_dev_advance() waits.
 */
struct fnpu_host_ops {
	bool (*dma_read)(void *host, uint64_t addr, void *buf, size_t bytes);
	bool (*dma_write)(void *host, uint64_t addr, const void *buf, size_t bytes);
	void (*interrupt)(void *host, unsigned int vector);
	void (*work_start)(void *host);
	bool (*work_wait)(void *host);
	bool (*work_ready)(void *host);
};

/** fnpu_dev_new() - a device after power-on; NULL when out of memory or @config is bad */
struct fnpu_dev *fnpu_dev_new(const struct fnpu_config *config,
			      const struct fnpu_host_ops *ops, void *host);

/** fnpu_dev_free() - waits for the worker first; NULL is fine */
void fnpu_dev_free(struct fnpu_dev *dev);

/**
 * fnpu_dev_read() / fnpu_dev_write() - 32-bit access to BAR 0
 * @offset: in the BAR; what is no register reads as 0 and ignores writes
 * @now: device time, cycles; must not run backwards
 */
uint32_t fnpu_dev_read(struct fnpu_dev *dev, uint32_t offset, uint64_t now);
void fnpu_dev_write(struct fnpu_dev *dev, uint32_t offset, uint32_t value, uint64_t now);

/** fnpu_dev_deadline() - device time at which fnpu_dev_advance() has something to do, or FNPU_NEVER */
uint64_t fnpu_dev_deadline(const struct fnpu_dev *dev);

/**
 * fnpu_dev_advance() - do everything that is due at device time @now
 *
 * Events take effect at their modelled times, in order, however late the call is. Where
 * the worker holds them up (work_ready), the device's clock does not get past them. Nor does it
 * get past more than some thousand in one call, so that a host that is slower than the
 * model does not stay here: the deadline is in the past then, and the host calls again
 * when it has seen to the rest of its work. Register accesses meanwhile happen at the
 * device's time.
 */
void fnpu_dev_advance(struct fnpu_dev *dev, uint64_t now);

/**
 * struct fnpu_faults - faults that the device shows on purpose, for tests of drivers
 *
 * Those that count go down by one each time they strike, and are over at 0.
 *
 * @hang_layer: a group that holds this layer never ends; FNPU_NO_LAYER: none
 * @lose_interrupts: how many of the next interrupts do not arrive
 * @corrupt_descriptors: how many of the next layer descriptors are read with wrong bits
 * @dma_errors: how many of the next DMA accesses fail, rings and page tables included
 * @dram_percent: DRAM takes that much of its usual time; 100 is a healthy one
 */
struct fnpu_faults {
	uint32_t hang_layer;
	uint32_t lose_interrupts;
	uint32_t corrupt_descriptors;
	uint32_t dma_errors;
	uint32_t dram_percent;
};

#define FNPU_NO_LAYER UINT32_MAX

/** fnpu_faults_default() - none */
void fnpu_faults_default(struct fnpu_faults *faults);

/** fnpu_faults_check() - NULL, or a sentence that names what is wrong with @faults */
const char *fnpu_faults_check(const struct fnpu_faults *faults);

/**
 * fnpu_dev_set_faults() - from now on; they survive a reset. Waits for the worker.
 * @faults: pass fnpu_faults_check()
 */
void fnpu_dev_set_faults(struct fnpu_dev *dev, const struct fnpu_faults *faults);

/** fnpu_dev_faults() - what is left of them. Waits for the worker. */
void fnpu_dev_faults(struct fnpu_dev *dev, struct fnpu_faults *faults);

/** fnpu_dev_state_bytes() - size of what fnpu_dev_save() writes; the same for every device */
size_t fnpu_dev_state_bytes(void);

/**
 * fnpu_dev_save() - all that a guest can see or will see of @dev, a layer in mid-run
 * included, for a snapshot or a migration. Waits for the worker.
 * @state: fnpu_dev_state_bytes() bytes
 */
void fnpu_dev_save(struct fnpu_dev *dev, void *state);

/**
 * fnpu_dev_load() - continue in @dev where the device of fnpu_dev_save() was
 *
 * The configurations of both must be the same. The host restores guest memory and the
 * clock; it asks fnpu_dev_deadline() anew afterwards.
 *
 * Returns NULL, or a sentence that says what is wrong with @state; then @dev is reset.
 */
const char *fnpu_dev_load(struct fnpu_dev *dev, const void *state, size_t bytes);

/** fnpu_dev_work() - the computing that ops->work_start() asked for */
void fnpu_dev_work(struct fnpu_dev *dev);

/** fnpu_dev_reset() - power-on state (PCI reset, FLR); as CTRL.RESET */
void fnpu_dev_reset(struct fnpu_dev *dev);

#endif /* FNPU_CORE_H */
