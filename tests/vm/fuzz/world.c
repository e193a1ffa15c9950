// SPDX-License-Identifier: MIT
/* The random numbers and the pool of live objects of fuzz_uapi. */
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <errno.h>

#include "fuzz.h"

struct stats *fuzz_stats;
struct net fuzz_template;
int fuzz_udmabuf = -1;
bool fuzz_verbose;

uint64_t rng_next(struct rng *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

uint32_t rng_below(struct rng *rng, uint32_t limit)
{
	return limit ? (rng_next(rng) >> 32) * limit >> 32 : 0;
}

bool rng_chance(struct rng *rng, uint32_t percent)
{
	return rng_below(rng, 100) < percent;
}

uint64_t rng_odd_value(struct rng *rng)
{
	static const uint64_t values[] = {
		0, 1, 2, 3, 8, 15, 16, 17, 31, 32, 63, 64, 65, 255, 1023, 1024, 4095, 4096, 4097,
		65535, 65536, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffff,
		0x8000000000, 0x7fffffffffffffff, 0x8000000000000000, 0xffff888000000000,
		0xfffffffffffff000, 0xfffffffffffffff8, 0xffffffffffffffff,
	};

	switch (rng_below(rng, 4)) {
	case 0:
		return rng_next(rng);
	case 1:
		return 1ull << rng_below(rng, 64);
	default:
		return values[rng_below(rng, sizeof(values) / sizeof(values[0]))];
	}
}

int fuzz_note(long ret)
{
	int error = ret < 0 ? errno : 0;

	__atomic_add_fetch(&fuzz_stats->errors[error < MAX_ERRNO ? error : MAX_ERRNO - 1], 1,
			   __ATOMIC_RELAXED);
	return -error;
}

int fuzz_ioctl(int fd, unsigned long request, void *arg)
{
	return fuzz_note(ioctl(fd, request, arg));
}

static _Thread_local sigjmp_buf fault_exit;
static _Thread_local volatile sig_atomic_t may_fault;

static void on_fault(int sig)
{
	if (may_fault)
		siglongjmp(fault_exit, 1);
	signal(sig, SIG_DFL);
}

void fuzz_try(void (*run)(void *), void *arg)
{
	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	if (!sigsetjmp(fault_exit, 1)) {
		may_fault = 1;
		run(arg);
	}
	may_fault = 0;
}

void world_init(struct world *world)
{
	memset(world, 0, sizeof(*world));
	for (unsigned int i = 0; i < MAX_CLIENTS; i++)
		world->clients[i].fd = -1;
	for (unsigned int i = 0; i < MAX_FILES; i++)
		world->files[i] = -1;
	for (unsigned int i = 0; i < MAX_RINGS; i++)
		pthread_mutex_init(&world->rings[i].lock, NULL);
}

int world_client(struct fuzz *f)
{
	unsigned int start = rng_below(&f->rng, MAX_CLIENTS);

	for (unsigned int i = 0; i < MAX_CLIENTS; i++) {
		unsigned int k = (start + i) % MAX_CLIENTS;

		if (f->world->clients[k].fd >= 0)
			return k;
	}
	return -1;
}

int world_fd(struct fuzz *f, int client)
{
	return client < 0 ? -1 : f->world->clients[client].fd;
}

struct fuzz_bo *world_bo(struct fuzz *f, int client)
{
	unsigned int start = rng_below(&f->rng, MAX_BOS);

	for (unsigned int i = 0; i < MAX_BOS; i++) {
		struct fuzz_bo *bo = &f->world->bos[(start + i) % MAX_BOS];

		if (bo->used && (client < 0 || bo->client == client))
			return bo;
	}
	return NULL;
}

struct fuzz_ctx *world_ctx(struct fuzz *f)
{
	unsigned int start = rng_below(&f->rng, MAX_CTXS);

	for (unsigned int i = 0; i < MAX_CTXS; i++) {
		struct fuzz_ctx *ctx = &f->world->ctxs[(start + i) % MAX_CTXS];

		if (ctx->used)
			return ctx;
	}
	return NULL;
}

struct fuzz_syncobj *world_syncobj(struct fuzz *f, int client)
{
	unsigned int start = rng_below(&f->rng, MAX_SYNCOBJS);

	for (unsigned int i = 0; i < MAX_SYNCOBJS; i++) {
		struct fuzz_syncobj *sync = &f->world->syncobjs[(start + i) % MAX_SYNCOBJS];

		if (sync->used && (client < 0 || sync->client == client))
			return sync;
	}
	return NULL;
}

int *world_file(struct fuzz *f)
{
	unsigned int start = rng_below(&f->rng, MAX_FILES);

	for (unsigned int i = 0; i < MAX_FILES; i++) {
		int *file = &f->world->files[(start + i) % MAX_FILES];

		if (*file >= 0)
			return file;
	}
	return NULL;
}

bool world_keep_file(struct fuzz *f, int fd)
{
	if (fd < 0)
		return false;
	for (unsigned int i = 0; i < MAX_FILES; i++) {
		int empty = -1;

		if (__atomic_compare_exchange_n(&f->world->files[i], &empty, fd, false,
						__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return true;
	}
	close(fd);
	return false;
}

/* Its handles and ids mean nothing any more; what is mapped stays mapped. */
void world_forget_client(struct world *world, int client)
{
	for (unsigned int i = 0; i < MAX_BOS; i++) {
		if (world->bos[i].client == client)
			world->bos[i].used = false;
	}
	for (unsigned int i = 0; i < MAX_CTXS; i++) {
		if (world->ctxs[i].client == client)
			world->ctxs[i].used = false;
	}
	for (unsigned int i = 0; i < MAX_SYNCOBJS; i++) {
		if (world->syncobjs[i].client == client)
			world->syncobjs[i].used = false;
	}
}

void world_close_in_any_order(struct fuzz *f)
{
	for (unsigned int i = 0; i < 200; i++) {
		switch (rng_below(&f->rng, 6)) {
		case 0:
			op_client_close(f);
			break;
		case 1:
			op_ring_exit(f);
			break;
		case 2:
			op_bo_close(f);
			break;
		case 3:
			op_ctx_destroy(f);
			break;
		case 4:
			op_unmap(f);
			break;
		default:
			op_file_close(f);
		}
	}
}
