// SPDX-License-Identifier: MIT
/*
 * The MMU: every access of a job goes through its address space's page table.
 *
 * Tables are guest memory and may change at any time; an entry is read once and
 * what was read is what is checked and used. The TLB caches leaf entries until the
 * driver flushes (FLUIDNPU_AS_CMD_FLUSH), as hardware does: a driver that
 * forgets to flush sees stale translations here, too.
 */
#include <string.h>

#include "fnpu_internal.h"

/* The one way to bus memory. Any thread. */
bool fnpu_dma_read(struct fnpu_dev *dev, uint64_t addr, void *buf, size_t bytes)
{
	return !fnpu_fault_strikes(&dev->faults.dma_errors) &&
	       dev->ops->dma_read(dev->host, addr, buf, bytes);
}

bool fnpu_dma_write(struct fnpu_dev *dev, uint64_t addr, const void *buf, size_t bytes)
{
	return !fnpu_fault_strikes(&dev->faults.dma_errors) &&
	       dev->ops->dma_write(dev->host, addr, buf, bytes);
}

void fnpu_tlb_flush(struct fnpu_dev *dev, unsigned int as)
{
	for (unsigned int i = 0; i < FNPU_TLB_ENTRIES; i++)
		if (dev->tlb[i].tag && (dev->tlb[i].tag - 1) >> 32 == as)
			dev->tlb[i].tag = 0;
}

static bool walk(struct fnpu_dev *dev, unsigned int as, uint64_t iova, uint64_t *leaf,
		 struct fnpu_fault *fault)
{
	uint64_t table = dev->s.as[as].root & FLUIDNPU_PTE_ADDR;

	for (int level = FLUIDNPU_PT_LEVELS - 1; level >= 0; level--) {
		unsigned int shift = FLUIDNPU_PAGE_SHIFT + level * FLUIDNPU_PT_BITS;
		uint64_t index = iova >> shift & (FLUIDNPU_PT_ENTRIES - 1);
		uint64_t pte;

		if (!fnpu_dma_read(dev, table + index * sizeof(pte), &pte, sizeof(pte))) {
			fault->status = FLUIDNPU_ERR_DMA;
			return false;
		}
		if (!(pte & FLUIDNPU_PTE_VALID))
			return false;
		*leaf = pte;
		table = pte & FLUIDNPU_PTE_ADDR;
	}
	return true;
}

static bool translate(struct fnpu_dev *dev, unsigned int as, uint64_t iova, bool write,
		      uint64_t *addr, struct fnpu_fault *fault)
{
	uint64_t vpn = iova >> FLUIDNPU_PAGE_SHIFT;
	uint64_t tag = ((uint64_t)as << 32 | vpn) + 1;
	struct fnpu_tlb_entry *e = &dev->tlb[(vpn ^ as * 37) % FNPU_TLB_ENTRIES];

	*fault = (struct fnpu_fault){ FLUIDNPU_ERR_MMU_FAULT, write, iova };
	if (as >= dev->config.geometry.num_as || !dev->s.as[as].enabled ||
	    iova >> FLUIDNPU_VA_BITS)
		return false;
	if (e->tag != tag) {
		uint64_t pte;

		if (!walk(dev, as, iova, &pte, fault))
			return false;
		e->tag = tag;
		e->page = pte & FLUIDNPU_PTE_ADDR;
		e->write = pte & FLUIDNPU_PTE_WRITE;
	}
	if (write && !e->write)
		return false;
	*addr = e->page | (iova & (FLUIDNPU_PAGE_BYTES - 1));
	fault->status = FLUIDNPU_OK;
	return true;
}

/* Splits an access at page boundaries; exactly one of @to and @from is set. */
static bool access_vm(struct fnpu_dev *dev, unsigned int as, uint64_t iova, uint8_t *to,
		      const uint8_t *from, size_t bytes, struct fnpu_fault *fault)
{
	while (bytes) {
		size_t chunk = FLUIDNPU_PAGE_BYTES - (iova & (FLUIDNPU_PAGE_BYTES - 1));
		uint64_t addr;
		bool ok;

		if (chunk > bytes)
			chunk = bytes;
		if (!translate(dev, as, iova, from, &addr, fault))
			return false;
		if (from)
			ok = fnpu_dma_write(dev, addr, from, chunk);
		else
			ok = fnpu_dma_read(dev, addr, to, chunk);
		if (!ok) {
			*fault = (struct fnpu_fault){ FLUIDNPU_ERR_DMA, from, iova };
			return false;
		}
		iova += chunk;
		bytes -= chunk;
		if (from)
			from += chunk;
		else
			to += chunk;
	}
	return true;
}

bool fnpu_vm_read(struct fnpu_dev *dev, unsigned int as, uint64_t iova, void *buf, size_t bytes,
		  struct fnpu_fault *fault)
{
	return access_vm(dev, as, iova, buf, NULL, bytes, fault);
}

bool fnpu_vm_write(struct fnpu_dev *dev, unsigned int as, uint64_t iova, const void *buf,
		   size_t bytes, struct fnpu_fault *fault)
{
	return access_vm(dev, as, iova, NULL, buf, bytes, fault);
}
