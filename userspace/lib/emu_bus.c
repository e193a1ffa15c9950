// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "emu_bus.h"
#include "fluidnpu_hw.h"

/* Above 4 GiB, so that a lost upper half of an address is found out. */
#define FIRST_ADDR	0x123400000000ull

static int make_room(struct emu_bus *bus)
{
	const size_t room = bus->room ? 2 * bus->room : 32;
	struct emu_region *r;

	if (bus->count < bus->room)
		return 0;
	r = realloc(bus->regions, room * sizeof(*r));
	if (!r)
		return -ENOMEM;
	bus->regions = r;
	bus->room = room;
	return 0;
}

int emu_bus_add(struct emu_bus *bus, void *memory, size_t bytes, uint64_t *addr)
{
	if (make_room(bus))
		return -ENOMEM;
	if (!bus->next_addr)
		bus->next_addr = FIRST_ADDR;
	*addr = bus->next_addr;
	bus->regions[bus->count++] = (struct emu_region){
		.addr = *addr,
		.bytes = bytes,
		.memory = memory,
	};
	/* A hole between regions catches what runs over the end of one. */
	bus->next_addr += bytes + FLUIDNPU_PAGE_BYTES;
	return 0;
}

void *emu_bus_alloc(struct emu_bus *bus, size_t bytes, uint64_t *addr)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	if (emu_bus_add(bus, memory, bytes, addr)) {
		munmap(memory, bytes);
		return NULL;
	}
	return memory;
}

/* Index of the last region that starts at or below @addr, or count. */
static size_t find_region(const struct emu_bus *bus, uint64_t addr)
{
	size_t low = 0, high = bus->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (bus->regions[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low ? low - 1 : bus->count;
}

void emu_bus_free(struct emu_bus *bus, uint64_t addr)
{
	size_t i = find_region(bus, addr);

	if (i == bus->count || bus->regions[i].addr != addr)
		return;
	munmap(bus->regions[i].memory, bus->regions[i].bytes);
	bus->count--;
	memmove(&bus->regions[i], &bus->regions[i + 1],
		(bus->count - i) * sizeof(bus->regions[0]));
}

void emu_bus_free_all(struct emu_bus *bus)
{
	for (size_t i = 0; i < bus->count; i++)
		munmap(bus->regions[i].memory, bus->regions[i].bytes);
	free(bus->regions);
	memset(bus, 0, sizeof(*bus));
}

void *emu_bus_at(const struct emu_bus *bus, uint64_t addr, size_t bytes)
{
	size_t i = find_region(bus, addr);
	const struct emu_region *r;

	if (i == bus->count)
		return NULL;
	r = &bus->regions[i];
	if (addr - r->addr > r->bytes || bytes > r->bytes - (addr - r->addr))
		return NULL;
	return r->memory + (addr - r->addr);
}

/* The leaf entry of @iova; NULL when a table is missing and cannot (@alloc) be made. */
static uint64_t *leaf_entry(struct emu_bus *bus, uint64_t root, uint64_t iova, bool alloc)
{
	uint64_t table = root;

	for (int level = FLUIDNPU_PT_LEVELS - 1; ; level--) {
		unsigned int shift = FLUIDNPU_PAGE_SHIFT + level * FLUIDNPU_PT_BITS;
		uint64_t *entries = emu_bus_at(bus, table, FLUIDNPU_PAGE_BYTES);
		uint64_t *entry = &entries[iova >> shift & (FLUIDNPU_PT_ENTRIES - 1)];

		if (!level)
			return entry;
		if (!(*entry & FLUIDNPU_PTE_VALID)) {
			if (!alloc || !emu_bus_alloc(bus, FLUIDNPU_PAGE_BYTES, &table))
				return NULL;
			*entry = table | FLUIDNPU_PTE_VALID;
		}
		table = *entry & FLUIDNPU_PTE_ADDR;
	}
}

int emu_pt_map(struct emu_bus *bus, uint64_t root, uint64_t iova, uint64_t addr, size_t pages)
{
	for (size_t i = 0; i < pages; i++) {
		uint64_t offset = (uint64_t)i << FLUIDNPU_PAGE_SHIFT;
		uint64_t *entry = leaf_entry(bus, root, iova + offset, true);

		if (!entry)
			return -ENOMEM;
		*entry = (addr + offset) | FLUIDNPU_PTE_VALID | FLUIDNPU_PTE_WRITE;
	}
	return 0;
}

void emu_pt_unmap(struct emu_bus *bus, uint64_t root, uint64_t iova, size_t pages)
{
	for (size_t i = 0; i < pages; i++) {
		uint64_t *entry = leaf_entry(bus, root,
					     iova + ((uint64_t)i << FLUIDNPU_PAGE_SHIFT), false);

		if (entry)
			*entry = 0;
	}
}
