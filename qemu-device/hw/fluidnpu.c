/*
 * FluidNPU PCI device
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Glue between QEMU and the NPU core (core/fnpu_core.h): a BAR with the
 * core's registers, MSI-X, DMA, a timer on the virtual clock and a worker thread.
 *
 * Time: the core says when its next event is due, in device cycles; a timer on
 * QEMU_CLOCK_VIRTUAL fires then. The computing of a layer runs on the worker
 * meanwhile, without the big QEMU lock. When the event is due and the worker is not
 * done (a late event, counted): with -icount the timer waits for it, virtual time
 * stands still, and the guest sees exactly the modelled time. Otherwise only the
 * device's own clock stands still, and the worker schedules a bottom half when it is
 * done: no guest waits for a group just because it ends.
 *
 * What does wait, under the BQL, so that the whole VM does:
 *
 *  until the worker looks at the group's cancel flag    QCTRL's ABORT and DISABLE,
 *      CTRL.RESET, FLR and bus reset, D3hot, surprise removal
 *  until the group is computed                          AS_CMD, a change of the
 *      memory map, stop, snapshot, reading and setting a fault
 *
 * The worker looks at the flag all along a layer, between pieces of its work. A group is
 * at most 16 samples, each of 2^33 multiplications and 2^29 elements of vector layers
 * (core/exec.h): on one core of a PC that is a second or two for each sample. Only a
 * guest that is out for it sees those; a group of an ordinary network takes milliseconds.
 *
 * Locks: the core is only entered under the BQL, the worker's fnpu_dev_work()
 * excepted. Because the BQL's owner may wait for the worker, the worker must never
 * wait for the BQL: it reaches nothing but RAM (fluidnpu_dma()).
 *
 * Snapshots and migration: the state is the core's (fnpu_dev_save()), a layer in
 * mid-run included. RAM is saved before devices are, so a VM that is stopped
 * has no worker that writes to it: stopping waits for the worker, and as long as it
 * lasts nothing that is due is done (fluidnpu_vm_state()).
 *
 * Faults to inject and the device's sudden removal are properties that can be set at
 * any time, with -device as with qom-set; `-device fluidnpu,help` explains all.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/host-utils.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qemu/rcu.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "exec/memory.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci_device.h"
#include "hw/pci/pcie.h"
#include "hw/qdev-properties.h"
#include "migration/qemu-file-types.h"
#include "migration/vmstate.h"
#include "qom/object.h"
#include "system/cpu-timers.h"
#include "system/runstate.h"
#include "trace.h"

#include "fnpu_core.h"

#define TYPE_FLUIDNPU "fluidnpu"
OBJECT_DECLARE_SIMPLE_TYPE(FluidNPUState, FLUIDNPU)

struct FluidNPUState {
    PCIDevice parent_obj;

    MemoryRegion regs;
    MemoryRegion gone[2];   /* over the BARs once the device is @removed */
    QEMUTimer *timer;
    QEMUBH *bh;
    MemoryListener listener;
    VMChangeStateEntry *vm_state;
    struct fnpu_config config;
    struct fnpu_faults faults;  /* while there is no @dev, which has them then */
    struct fnpu_dev *dev;       /* NULL unless realized */
    bool removed;           /* written under the BQL, read by the worker, too */

    QemuThread worker;
    QemuMutex mutex;        /* protects the fields below */
    QemuCond cond;
    bool work_pending;
    bool work_busy;
    bool work_awaited;      /* the core wants to hear when it is done */
    bool worker_stop;
};

/* Device time of the virtual clock, in cycles. */
static uint64_t fluidnpu_now(FluidNPUState *s)
{
    return muldiv64(qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL), s->config.clock_hz,
                    NANOSECONDS_PER_SECOND);
}

static void fluidnpu_rearm(FluidNPUState *s)
{
    uint64_t deadline = fnpu_dev_deadline(s->dev);
    int64_t ns;

    /* what the virtual clock cannot reach, as a damaged snapshot may say, is never */
    if (deadline == FNPU_NEVER ||
        deadline / s->config.clock_hz >= INT64_MAX / NANOSECONDS_PER_SECOND) {
        timer_del(s->timer);
        return;
    }
    /* rounded up: when the timer fires, fluidnpu_now() has reached the deadline */
    ns = muldiv64_round_up(deadline, NANOSECONDS_PER_SECOND, s->config.clock_hz);
    /*
     * Never in the past: the main loop would fire it again and again before it lets go of
     * the BQL, which fnpu_dev_advance() returned early for.
     */
    timer_mod(s->timer, MAX(ns, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + 1));
}

/* The timer has fired, the worker has finished what was due, or the VM goes on. */
static void fluidnpu_due(void *opaque)
{
    FluidNPUState *s = opaque;

    if (!runstate_is_live(runstate_get())) {
        return;             /* see fluidnpu_vm_state() */
    }
    fnpu_dev_advance(s->dev, fluidnpu_now(s));
    fluidnpu_rearm(s);
}

static uint64_t fluidnpu_mmio_read(void *opaque, hwaddr addr, unsigned size)
{
    FluidNPUState *s = opaque;
    uint32_t value = fnpu_dev_read(s->dev, addr, fluidnpu_now(s));

    trace_fluidnpu_read(addr, value);
    fluidnpu_rearm(s);
    return value;
}

static void fluidnpu_mmio_write(void *opaque, hwaddr addr, uint64_t value,
                                unsigned size)
{
    FluidNPUState *s = opaque;

    trace_fluidnpu_write(addr, value);
    fnpu_dev_write(s->dev, addr, value, fluidnpu_now(s));
    fluidnpu_rearm(s);
}

static const MemoryRegionOps fluidnpu_mmio_ops = {
    .read = fluidnpu_mmio_read,
    .write = fluidnpu_mmio_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 4, .max_access_size = 4 },
    .impl = { .min_access_size = 4, .max_access_size = 4 },
};

static uint64_t fluidnpu_gone_read(void *opaque, hwaddr addr, unsigned size)
{
    return UINT64_MAX;
}

static void fluidnpu_gone_write(void *opaque, hwaddr addr, uint64_t value,
                                unsigned size)
{
}

/* What a bus without a device answers. */
static const MemoryRegionOps fluidnpu_gone_ops = {
    .read = fluidnpu_gone_read,
    .write = fluidnpu_gone_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
};

/*
 * Copies what of @bytes at @addr is in one piece of RAM; returns how much, 0: none.
 *
 * A MemoryRegionCache looks the address up once and then holds on to what it has found,
 * so that it is still RAM when it is accessed. It does not look behind a vIOMMU.
 */
static hwaddr fluidnpu_dma_piece(AddressSpace *as, uint64_t addr, void *buf,
                                 hwaddr bytes, bool is_write)
{
    MemoryRegionCache ram;
    hwaddr len = address_space_cache_init(&ram, as, addr, bytes, is_write);

    if (!ram.ptr) {
        len = 0;
    } else if (is_write) {
        address_space_write_cached(&ram, 0, buf, len);
        address_space_cache_invalidate(&ram, 0, len);
    } else {
        address_space_read_cached(&ram, 0, buf, len);
    }
    address_space_cache_destroy(&ram);
    return len;
}

/*
 * DMA to and from RAM. Anything else (MMIO of other devices, writes to ROM, whatever a
 * vIOMMU translates) is a bus error: reaching it could take the BQL.
 */
static bool fluidnpu_dma(FluidNPUState *s, uint64_t addr, void *buf,
                         size_t bytes, bool is_write)
{
    AddressSpace *as = pci_get_address_space(PCI_DEVICE(s));
    uint8_t *p = buf;

    if (qatomic_read(&s->removed)) {
        return false;
    }
    RCU_READ_LOCK_GUARD();
    while (bytes) {
        hwaddr len = fluidnpu_dma_piece(as, addr, p, bytes, is_write);

        if (!len) {
            trace_fluidnpu_dma_error(addr, is_write);
            return false;
        }
        addr += len;
        p += len;
        bytes -= len;
    }
    return true;
}

static bool fluidnpu_dma_read(void *host, uint64_t addr, void *buf, size_t bytes)
{
    return fluidnpu_dma(host, addr, buf, bytes, false);
}

static bool fluidnpu_dma_write(void *host, uint64_t addr, const void *buf,
                               size_t bytes)
{
    return fluidnpu_dma(host, addr, (void *)buf, bytes, true);
}

static void fluidnpu_interrupt(void *host, unsigned vector)
{
    PCIDevice *pdev = PCI_DEVICE(host);

    trace_fluidnpu_interrupt(vector);
    if (msix_enabled(pdev)) {
        msix_notify(pdev, vector);
    }
}

static bool fluidnpu_work_wait(void *host)
{
    FluidNPUState *s = host;
    bool late;

    qemu_mutex_lock(&s->mutex);
    late = s->work_busy;
    while (s->work_busy) {
        qemu_cond_wait(&s->cond, &s->mutex);
    }
    qemu_mutex_unlock(&s->mutex);
    return late;
}

static void fluidnpu_work_start(void *host)
{
    FluidNPUState *s = host;

    trace_fluidnpu_work_start();
    qemu_mutex_lock(&s->mutex);
    s->work_pending = true;
    s->work_busy = true;
    qemu_cond_broadcast(&s->cond);
    qemu_mutex_unlock(&s->mutex);
    if (!runstate_is_live(runstate_get())) {
        fluidnpu_work_wait(s);  /* a monitor's access; see fluidnpu_vm_state() */
    }
}

static bool fluidnpu_work_ready(void *host)
{
    FluidNPUState *s = host;
    bool busy;

    if (icount_enabled()) {
        return true;        /* wait: virtual time does */
    }
    qemu_mutex_lock(&s->mutex);
    busy = s->work_busy;
    s->work_awaited = busy;
    qemu_mutex_unlock(&s->mutex);
    if (busy) {
        trace_fluidnpu_late();
    }
    return !busy;
}

static const struct fnpu_host_ops fluidnpu_host_ops = {
    .dma_read = fluidnpu_dma_read,
    .dma_write = fluidnpu_dma_write,
    .interrupt = fluidnpu_interrupt,
    .work_start = fluidnpu_work_start,
    .work_wait = fluidnpu_work_wait,
    .work_ready = fluidnpu_work_ready,
};

static void *fluidnpu_worker(void *opaque)
{
    FluidNPUState *s = opaque;

    rcu_register_thread();
    qemu_mutex_lock(&s->mutex);
    while (!s->worker_stop) {
        if (!s->work_pending) {
            qemu_cond_wait(&s->cond, &s->mutex);
            continue;
        }
        s->work_pending = false;
        qemu_mutex_unlock(&s->mutex);
        fnpu_dev_work(s->dev);
        trace_fluidnpu_work_done();
        qemu_mutex_lock(&s->mutex);
        s->work_busy = false;
        if (s->work_awaited) {
            s->work_awaited = false;
            qemu_bh_schedule(s->bh);
        }
        qemu_cond_broadcast(&s->cond);
    }
    qemu_mutex_unlock(&s->mutex);
    rcu_unregister_thread();
    return NULL;
}

/*
 * The memory map is about to change (under the BQL). A group sees one map, however slow
 * this host computes it, so the worker finishes first.
 */
static void fluidnpu_memory_begin(MemoryListener *listener)
{
    FluidNPUState *s = container_of(listener, FluidNPUState, listener);

    fluidnpu_work_wait(s);
}

/*
 * Between stop and continue the memory belongs to whoever saves it: the worker has
 * finished, and what falls due in between is done when the VM goes on.
 */
static void fluidnpu_vm_state(void *opaque, bool running, RunState state)
{
    if (running) {
        fluidnpu_due(opaque);
    } else {
        fluidnpu_work_wait(opaque);
    }
}

static void fluidnpu_reset(DeviceState *qdev)
{
    FluidNPUState *s = FLUIDNPU(qdev);

    fnpu_dev_reset(s->dev);
    fluidnpu_rearm(s);
}

static uint32_t fluidnpu_read_config(PCIDevice *pdev, uint32_t addr, int len)
{
    if (FLUIDNPU(pdev)->removed) {
        return UINT32_MAX;
    }
    return pci_default_read_config(pdev, addr, len);
}

static bool fluidnpu_has_power(PCIDevice *pdev)
{
    return !(pci_get_word(pdev->config + pdev->pm_cap + PCI_PM_CTRL) &
             PCI_PM_CTRL_STATE_MASK);
}

/*
 * In D3hot the device does nothing, and cannot be reached to be told to. It comes back
 * as after a reset (No_Soft_Reset is clear), so it forgets what it did when it goes.
 */
static void fluidnpu_follow_power(PCIDevice *pdev, bool had_power)
{
    FluidNPUState *s = FLUIDNPU(pdev);
    bool has_power = fluidnpu_has_power(pdev);

    if (had_power == has_power) {
        return;
    }
    trace_fluidnpu_power(has_power);
    if (has_power) {
        pci_device_reset(pdev);
    } else {
        fnpu_dev_reset(s->dev);
        fluidnpu_rearm(s);
    }
}

static void fluidnpu_write_config(PCIDevice *pdev, uint32_t addr, uint32_t val,
                                  int len)
{
    bool had_power = fluidnpu_has_power(pdev);

    if (FLUIDNPU(pdev)->removed) {
        return;
    }
    pci_default_write_config(pdev, addr, val, len);
    pcie_cap_flr_write_config(pdev, addr, val, len);
    fluidnpu_follow_power(pdev, had_power);
}

/* D0 and D3hot; nothing wakes the device but its driver. */
static bool fluidnpu_init_power(PCIDevice *pdev, Error **errp)
{
    int pos = pci_pm_init(pdev, 0, errp);

    if (pos < 0) {
        return false;
    }
    pci_set_word(pdev->config + pos + PCI_PM_PMC, PCI_PM_CAP_VER_1_2);
    pci_set_word(pdev->wmask + pos + PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK);
    return true;
}

/* Lays a region that answers as an empty slot does over @bar, disabled for now. */
static void fluidnpu_init_gone(FluidNPUState *s, MemoryRegion *gone,
                               MemoryRegion *bar)
{
    memory_region_init_io(gone, OBJECT(s), &fluidnpu_gone_ops, s,
                          "fluidnpu-gone", memory_region_size(bar));
    memory_region_set_enabled(gone, false);
    memory_region_add_subregion_overlap(bar, 0, gone, 1);
}

/* A subregion holds a reference to its owner, which would never go. */
static void fluidnpu_exit_gone(FluidNPUState *s)
{
    memory_region_del_subregion(&s->regs, &s->gone[0]);
    memory_region_del_subregion(&PCI_DEVICE(s)->msix_exclusive_bar,
                                &s->gone[1]);
}

/* The slot is as empty as @removed says. */
static void fluidnpu_follow_removed(FluidNPUState *s)
{
    if (s->removed) {
        fnpu_dev_reset(s->dev);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(s->gone); i++) {
        memory_region_set_enabled(&s->gone[i], s->removed);
    }
    fluidnpu_rearm(s);
}

/* The device is pulled out of its slot with everything that it was doing. */
static void fluidnpu_vanish(FluidNPUState *s)
{
    trace_fluidnpu_vanish();
    qatomic_set(&s->removed, true);     /* fails what the worker still does */
    fluidnpu_follow_removed(s);
}

static void fluidnpu_realize(PCIDevice *pdev, Error **errp)
{
    FluidNPUState *s = FLUIDNPU(pdev);
    const char *reason = fnpu_config_check(&s->config);

    if (reason) {
        error_setg(errp, "fluidnpu: %s", reason);
        return;
    }

    memory_region_init_io(&s->regs, OBJECT(s), &fluidnpu_mmio_ops, s,
                          "fluidnpu-regs", FLUIDNPU_BAR_REGS_BYTES);
    pci_register_bar(pdev, FLUIDNPU_BAR_REGS,
                     PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_TYPE_64, &s->regs);
    if (msix_init_exclusive_bar(pdev, FLUIDNPU_NUM_VECTORS, FLUIDNPU_BAR_MSIX,
                                errp)) {
        return;
    }
    for (unsigned i = 0; i < FLUIDNPU_NUM_VECTORS; i++) {
        msix_vector_use(pdev, i);
    }
    if (pcie_endpoint_cap_init(pdev, 0x80) < 0) {
        error_setg(errp, "fluidnpu: no room for the PCI Express capability");
        msix_uninit_exclusive_bar(pdev);
        return;
    }
    pcie_cap_flr_init(pdev);
    if (!fluidnpu_init_power(pdev, errp)) {
        pcie_cap_exit(pdev);
        msix_uninit_exclusive_bar(pdev);
        return;
    }

    fluidnpu_init_gone(s, &s->gone[0], &s->regs);
    fluidnpu_init_gone(s, &s->gone[1], &pdev->msix_exclusive_bar);

    s->dev = fnpu_dev_new(&s->config, &fluidnpu_host_ops, s);
    if (!s->dev) {
        error_setg(errp, "fluidnpu: out of memory");
        fluidnpu_exit_gone(s);
        pcie_cap_exit(pdev);
        msix_uninit_exclusive_bar(pdev);
        return;
    }
    fnpu_dev_set_faults(s->dev, &s->faults);
    s->timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, fluidnpu_due, s);
    s->bh = qemu_bh_new_guarded(fluidnpu_due, s,
                                &DEVICE(pdev)->mem_reentrancy_guard);
    qemu_mutex_init(&s->mutex);
    qemu_cond_init(&s->cond);
    s->worker_stop = false;
    qemu_thread_create(&s->worker, "fluidnpu", fluidnpu_worker, s,
                       QEMU_THREAD_JOINABLE);
    s->listener = (MemoryListener) {
        .name = "fluidnpu",
        .begin = fluidnpu_memory_begin,
    };
    memory_listener_register(&s->listener, pci_get_address_space(pdev));
    s->vm_state = qdev_add_vm_change_state_handler(DEVICE(pdev),
                                                   fluidnpu_vm_state, s);
    if (s->removed) {
        fluidnpu_vanish(s);
    }
}

static void fluidnpu_exit(PCIDevice *pdev)
{
    FluidNPUState *s = FLUIDNPU(pdev);

    qemu_del_vm_change_state_handler(s->vm_state);
    memory_listener_unregister(&s->listener);
    fnpu_dev_reset(s->dev);         /* waits for the worker */
    qemu_mutex_lock(&s->mutex);
    s->worker_stop = true;
    qemu_cond_broadcast(&s->cond);
    qemu_mutex_unlock(&s->mutex);
    qemu_thread_join(&s->worker);
    g_clear_pointer(&s->bh, qemu_bh_delete);
    g_clear_pointer(&s->timer, timer_free);
    fnpu_dev_faults(s->dev, &s->faults);
    g_clear_pointer(&s->dev, fnpu_dev_free);
    qemu_cond_destroy(&s->cond);
    qemu_mutex_destroy(&s->mutex);
    fluidnpu_exit_gone(s);
    pcie_cap_exit(pdev);
    msix_uninit_exclusive_bar(pdev);
}

/* --- properties ----------------------------------------------------------- */

/*
 * The geometry's defaults are the core's (fluidnpu_instance_init()), so the
 * properties have none of their own.
 */
#define FLUIDNPU_GEOMETRY(name, field)                                      \
    DEFINE_PROP_UNSIGNED_NODEFAULT(name, FluidNPUState,                     \
                                   config.geometry.field,                   \
                                   qdev_prop_uint32, uint32_t)

static const Property fluidnpu_properties[] = {
    FLUIDNPU_GEOMETRY("tile-rows", tile_rows),
    FLUIDNPU_GEOMETRY("tile-depth", tile_depth),
    FLUIDNPU_GEOMETRY("tile-cols", tile_cols),
    FLUIDNPU_GEOMETRY("acc-tiles", acc_tiles),
    FLUIDNPU_GEOMETRY("max-stack", max_stack),
    FLUIDNPU_GEOMETRY("max-batch", max_batch),
    FLUIDNPU_GEOMETRY("act-sram-bytes", act_sram_bytes),
    FLUIDNPU_GEOMETRY("weight-sram-bytes", weight_sram_bytes),
    FLUIDNPU_GEOMETRY("dram-bytes-per-kcycle", dram_bytes_per_kcycle),
    FLUIDNPU_GEOMETRY("vector-lanes", vector_lanes),
    FLUIDNPU_GEOMETRY("layer-overhead-cycles", layer_overhead_cycles),
    FLUIDNPU_GEOMETRY("num-queues", num_queues),
    FLUIDNPU_GEOMETRY("num-as", num_as),
    FLUIDNPU_GEOMETRY("stack-depth", stack_depth),
    DEFINE_PROP_UNSIGNED_NODEFAULT("clock-hz", FluidNPUState, config.clock_hz,
                                   qdev_prop_uint32, uint32_t),
    DEFINE_PROP_BOOL("functional", FluidNPUState, config.functional, true),
};

/* What `-device fluidnpu,help` says of them; they are fixed once the device is there. */
static const struct {
    const char *name;
    const char *description;
} fluidnpu_descriptions[] = {
    { "tile-rows", "T_R: activation rows of a tile" },
    { "tile-depth", "T_P: multipliers per PE" },
    { "tile-cols", "T_C: number of PEs" },
    { "acc-tiles", "A: accumulator buffer in tiles of T_R x T_C" },
    { "max-stack", "largest stacking factor k, a power of two; 1: PEs do not stack" },
    { "max-batch", "largest live batch, 1 to 16" },
    { "act-sram-bytes", "activation SRAM" },
    { "weight-sram-bytes", "weight SRAM" },
    { "dram-bytes-per-kcycle", "DRAM bandwidth, bytes per 1,024 cycles" },
    { "vector-lanes", "elements that the vector unit handles per cycle" },
    { "layer-overhead-cycles", "fixed cost of a layer" },
    { "num-queues", "submission queues, 1 to 8" },
    { "num-as", "address spaces, 1 to 64" },
    { "stack-depth", "preempted batches that a queue can hold, 0 to 8; 0: no INJECT" },
    { "clock-hz", "device clock" },
    { "functional", "compute; off: only model time, samples say where they exit" },
};

/* Faults to inject. They can be set and read at any time, qom-set and qom-get do. */
static const struct FluidNPUFault {
    const char *name;
    size_t offset;          /* in struct fnpu_faults */
    const char *description;
} fluidnpu_faults[] = {
    { "fault-hang-layer", offsetof(struct fnpu_faults, hang_layer),
      "a group that holds this layer never ends (4294967295: none)" },
    { "fault-lose-interrupts", offsetof(struct fnpu_faults, lose_interrupts),
      "so many of the next interrupts do not arrive" },
    { "fault-corrupt-descriptors",
      offsetof(struct fnpu_faults, corrupt_descriptors),
      "so many of the next layer descriptors are read with wrong bits" },
    { "fault-dma-errors", offsetof(struct fnpu_faults, dma_errors),
      "so many of the next DMA accesses fail" },
    { "fault-dram-percent", offsetof(struct fnpu_faults, dram_percent),
      "DRAM takes so much of its usual time (100: healthy)" },
};

static void fluidnpu_fault_values(FluidNPUState *s, struct fnpu_faults *faults)
{
    if (s->dev) {
        fnpu_dev_faults(s->dev, faults);
    } else {
        *faults = s->faults;
    }
}

static uint32_t *fluidnpu_fault_value(struct fnpu_faults *faults,
                                      const struct FluidNPUFault *fault)
{
    return (uint32_t *)((char *)faults + fault->offset);
}

static void fluidnpu_get_fault(Object *obj, Visitor *v, const char *name,
                               void *opaque, Error **errp)
{
    struct fnpu_faults faults;

    fluidnpu_fault_values(FLUIDNPU(obj), &faults);
    visit_type_uint32(v, name, fluidnpu_fault_value(&faults, opaque), errp);
}

static void fluidnpu_set_fault(Object *obj, Visitor *v, const char *name,
                               void *opaque, Error **errp)
{
    FluidNPUState *s = FLUIDNPU(obj);
    struct fnpu_faults faults;
    const char *reason;

    fluidnpu_fault_values(s, &faults);
    if (!visit_type_uint32(v, name, fluidnpu_fault_value(&faults, opaque),
                           errp)) {
        return;
    }
    reason = fnpu_faults_check(&faults);
    if (reason) {
        error_setg(errp, "fluidnpu: %s", reason);
    } else if (s->dev) {
        fnpu_dev_set_faults(s->dev, &faults);
    } else {
        s->faults = faults;
    }
}

static bool fluidnpu_get_removed(Object *obj, Error **errp)
{
    return FLUIDNPU(obj)->removed;
}

static void fluidnpu_set_removed(Object *obj, bool value, Error **errp)
{
    FluidNPUState *s = FLUIDNPU(obj);

    if (s->removed && !value) {
        error_setg(errp, "fluidnpu: what was pulled out stays out; "
                   "device_del it and plug in another");
    } else if (value && s->dev) {
        fluidnpu_vanish(s);
    } else {
        s->removed = value;
    }
}

static void fluidnpu_class_properties(ObjectClass *klass)
{
    device_class_set_props(DEVICE_CLASS(klass), fluidnpu_properties);
    for (unsigned i = 0; i < ARRAY_SIZE(fluidnpu_descriptions); i++) {
        object_class_property_set_description(klass,
            fluidnpu_descriptions[i].name, fluidnpu_descriptions[i].description);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(fluidnpu_faults); i++) {
        const struct FluidNPUFault *fault = &fluidnpu_faults[i];

        object_class_property_add(klass, fault->name, "uint32",
                                  fluidnpu_get_fault, fluidnpu_set_fault, NULL,
                                  (void *)fault);
        object_class_property_set_description(klass, fault->name,
                                              fault->description);
    }
    object_class_property_add_bool(klass, "surprise-removal",
                                   fluidnpu_get_removed, fluidnpu_set_removed);
    object_class_property_set_description(klass, "surprise-removal",
        "on: the device is gone, without a word to the guest; for good");
}

static void fluidnpu_instance_init(Object *obj)
{
    FluidNPUState *s = FLUIDNPU(obj);

    fnpu_config_default(&s->config);
    fnpu_faults_default(&s->faults);
}

/* --- snapshots and migration ---------------------------------------------- */

static int fluidnpu_put_core(QEMUFile *f, void *opaque, size_t size,
                             const VMStateField *field, JSONWriter *desc)
{
    FluidNPUState *s = opaque;
    const size_t bytes = fnpu_dev_state_bytes();
    g_autofree uint8_t *state = g_malloc(bytes);

    fnpu_dev_save(s->dev, state);
    qemu_put_buffer(f, state, bytes);
    trace_fluidnpu_save(fnpu_dev_deadline(s->dev));
    return 0;
}

static int fluidnpu_get_core(QEMUFile *f, void *opaque, size_t size,
                             const VMStateField *field)
{
    FluidNPUState *s = opaque;
    const size_t bytes = fnpu_dev_state_bytes();
    g_autofree uint8_t *state = g_malloc(bytes);
    const char *reason;

    if (qemu_get_buffer(f, state, bytes) != bytes) {
        return -EIO;
    }
    reason = fnpu_dev_load(s->dev, state, bytes);
    if (reason) {
        error_report("fluidnpu: %s", reason);
        return -EINVAL;
    }
    trace_fluidnpu_load(fnpu_dev_deadline(s->dev));
    return 0;
}

static const VMStateInfo fluidnpu_core_info = {
    .name = "fluidnpu-core",
    .put = fluidnpu_put_core,
    .get = fluidnpu_get_core,
};

static int fluidnpu_post_load(void *opaque, int version_id)
{
    fluidnpu_follow_removed(opaque);
    return 0;
}

static const VMStateDescription fluidnpu_vmstate = {
    .name = TYPE_FLUIDNPU,
    .version_id = 1,
    .minimum_version_id = 1,
    .post_load = fluidnpu_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_PCI_DEVICE(parent_obj, FluidNPUState),
        VMSTATE_MSIX(parent_obj, FluidNPUState),
        VMSTATE_BOOL(removed, FluidNPUState),
        {
            .name = "core",
            .info = &fluidnpu_core_info,
            .flags = VMS_SINGLE,
        },
        VMSTATE_END_OF_LIST()
    },
};

static void fluidnpu_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(klass);

    pc->realize = fluidnpu_realize;
    pc->exit = fluidnpu_exit;
    pc->config_read = fluidnpu_read_config;
    pc->config_write = fluidnpu_write_config;
    pc->vendor_id = FLUIDNPU_PCI_VENDOR_ID;
    pc->device_id = FLUIDNPU_PCI_DEVICE_ID;
    pc->class_id = FLUIDNPU_PCI_CLASS;
    pc->revision = FLUIDNPU_HW_VERSION_MAJOR;
    dc->desc = "FluidNPU: batching NPU with early exits";
    dc->vmsd = &fluidnpu_vmstate;
    device_class_set_legacy_reset(dc, fluidnpu_reset);
    fluidnpu_class_properties(klass);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo fluidnpu_type = {
    .name = TYPE_FLUIDNPU,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(FluidNPUState),
    .instance_init = fluidnpu_instance_init,
    .class_init = fluidnpu_class_init,
    .interfaces = (InterfaceInfo[]) {
        { INTERFACE_PCIE_DEVICE },
        { }
    },
};

static void fluidnpu_register_types(void)
{
    type_register_static(&fluidnpu_type);
}

type_init(fluidnpu_register_types)
