/* SPDX-License-Identifier: MIT */
/*
 * The emulator's memory system: a bus with an address space of its own, and
 * the page tables through which the NPU sees buffers.
 *
 * Bus addresses are numbers, not pointers: an access is looked up among the regions
 * on the bus and refused when it is not wholly inside one. What the NPU is
 * told, it can therefore get wrong only as real hardware could.
 */
#ifndef FNPU_EMU_BUS_H
#define FNPU_EMU_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct emu_region {
	uint64_t addr;
	size_t bytes;
	uint8_t *memory;
};

/** struct emu_bus - @regions are sorted by address; all zero is an empty bus */
struct emu_bus {
	struct emu_region *regions;
	size_t count;
	size_t room;
	uint64_t next_addr;
};

/**
 * emu_bus_alloc() - zeroed memory on the bus
 * @bytes: whole pages
 * @addr: out
 * Returns it, or NULL when out of memory.
 */
void *emu_bus_alloc(struct emu_bus *bus, size_t bytes, uint64_t *addr);

/**
 * emu_bus_add() - put @memory of mmap(2) on the bus, which owns it from then on
 * @bytes: whole pages
 * @addr: out
 * Returns 0 or -ENOMEM, and the caller keeps it.
 */
int emu_bus_add(struct emu_bus *bus, void *memory, size_t bytes, uint64_t *addr);

/** emu_bus_free() - take the region at @addr from the bus; its addresses are not used again */
void emu_bus_free(struct emu_bus *bus, uint64_t addr);

/** emu_bus_free_all() - the bus is empty again */
void emu_bus_free_all(struct emu_bus *bus);

/** emu_bus_at() - the @bytes at @addr, or NULL when they are not all in one region */
void *emu_bus_at(const struct emu_bus *bus, uint64_t addr, size_t bytes);

/**
 * emu_pt_map() - make @pages pages at bus address @addr appear at @iova, writable
 * @root: bus address of the root table
 * Returns 0 or -ENOMEM; what was mapped until then stays.
 */
int emu_pt_map(struct emu_bus *bus, uint64_t root, uint64_t iova, uint64_t addr, size_t pages);

/** emu_pt_unmap() - clear the entries of @pages pages at @iova */
void emu_pt_unmap(struct emu_bus *bus, uint64_t root, uint64_t iova, size_t pages);

#endif /* FNPU_EMU_BUS_H */
