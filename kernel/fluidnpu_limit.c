// SPDX-License-Identifier: GPL-2.0
/*
 * FluidNPU accel driver: how much memory clients may take.
 *
 * The pages of a buffer stay in memory until it is freed, and the OOM killer
 * would not find them: no process has them in its size. So there is a limit per
 * client and one for all of them, on all devices. Charged are
 *
 * - the pages of a buffer, to the client that created it, until they are freed:
 *   sharing it does not pass the charge on, and it outlives the client's file
 *   as long as somebody else holds the buffer;
 * - page tables, to the client whose address space they make;
 * - FLUIDNPU_MAPPING_BYTES for each buffer in an address space, imported ones
 *   too: what the kernel keeps of it, so that very many small buffers count;
 * - contexts, and jobs from their submission to their release.
 *
 * All of it is also charged to the memory cgroup of whoever asks for it, and
 * an allocation that cannot be had fails instead of waking the OOM killer.
 */
#include <linux/atomic.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/sizes.h>

#include <drm/drm_print.h>

#include "fluidnpu_ctx.h"
#include "fluidnpu_device.h"
#include "fluidnpu_limit.h"

static unsigned int client_memory_mib;
module_param(client_memory_mib, uint, 0644);
MODULE_PARM_DESC(client_memory_mib, "memory that one client may take, MiB (0: half of RAM)");

static unsigned int total_memory_mib;
module_param(total_memory_mib, uint, 0644);
MODULE_PARM_DESC(total_memory_mib,
		 "memory that all clients together may take, MiB (0: three quarters of RAM)");

/* To all clients. */
static atomic64_t fluidnpu_charged_bytes;

static u64 fluidnpu_limit_bytes(unsigned int mib, u32 quarters)
{
	if (mib)
		return (u64)mib * SZ_1M;
	return ((u64)totalram_pages() << PAGE_SHIFT) / 4 * quarters;
}

/**
 * fluidnpu_limit_client - the limit of one client as it is now
 *
 * Return: bytes.
 */
u64 fluidnpu_limit_client(void)
{
	return fluidnpu_limit_bytes(READ_ONCE(client_memory_mib), 2);
}

static u64 fluidnpu_limit_total(void)
{
	return fluidnpu_limit_bytes(READ_ONCE(total_memory_mib), 3);
}

/* All or nothing: an attempt that fails must not make another one fail. */
static bool fluidnpu_limit_add(atomic64_t *sum, u64 bytes, u64 limit)
{
	s64 old = atomic64_read(sum);

	do {
		/* A limit can be lowered below what is charged. */
		if ((u64)old > limit || bytes > limit - (u64)old)
			return false;
	} while (!atomic64_try_cmpxchg(sum, &old, old + bytes));
	return true;
}

/**
 * fluidnpu_limit_charge - before memory is allocated for a client
 * @ffile: client
 * @bytes: how much
 *
 * Return: 0, or -ENOMEM with nothing charged.
 */
int fluidnpu_limit_charge(struct fluidnpu_file *ffile, u64 bytes)
{
	u64 client_limit = fluidnpu_limit_client(), total_limit = fluidnpu_limit_total();

	if (fluidnpu_limit_add(&ffile->charged_bytes, bytes, client_limit)) {
		if (fluidnpu_limit_add(&fluidnpu_charged_bytes, bytes, total_limit))
			return 0;
		atomic64_sub(bytes, &ffile->charged_bytes);
	}
	drm_dbg(&ffile->fdev->drm,
		"%s[%d]: %llu bytes more than its %llu of %llu, or than all clients' %llu of %llu\n",
		ffile->comm, ffile->pid, bytes, (u64)atomic64_read(&ffile->charged_bytes),
		client_limit, (u64)atomic64_read(&fluidnpu_charged_bytes), total_limit);
	return -ENOMEM;
}

/**
 * fluidnpu_limit_uncharge - after memory has been freed
 * @ffile: who was charged
 * @bytes: how much
 */
void fluidnpu_limit_uncharge(struct fluidnpu_file *ffile, u64 bytes)
{
	atomic64_sub(bytes, &ffile->charged_bytes);
	atomic64_sub(bytes, &fluidnpu_charged_bytes);
}
