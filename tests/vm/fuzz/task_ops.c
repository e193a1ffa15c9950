// SPDX-License-Identifier: MIT
/* Operations of fuzz_uapi: memory, processes, signals, and the files that describe. */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

void op_map(struct fuzz *f)
{
	struct fuzz_bo *bo = world_bo(f, -1);
	uint64_t offset = bo ? bo->offset : 0, bytes = bo ? bo->size : 4096;
	int prot = rng_chance(&f->rng, 80) ? PROT_READ | PROT_WRITE : (int)rng_below(&f->rng, 8);
	int flags = rng_chance(&f->rng, 90) ? MAP_SHARED : MAP_PRIVATE;
	void *map;

	if (rng_chance(&f->rng, 10))
		offset = rng_odd_value(&f->rng) & ~4095ull;
	if (rng_chance(&f->rng, 10))
		bytes = rng_odd_value(&f->rng);
	map = mmap(NULL, bytes, prot, flags, world_fd(f, bo ? bo->client : -1), (off_t)offset);
	fuzz_note(map == MAP_FAILED ? -1 : 0);
	if (map == MAP_FAILED)
		return;
	if (bo && !bo->map && bytes == bo->size) {
		bo->map_bytes = bytes;
		bo->map = map;
	} else {
		munmap(map, bytes);
	}
}

void op_unmap(struct fuzz *f)
{
	struct fuzz_bo *bo = world_bo(f, -1);
	void *map;

	if (!bo)
		return;
	map = __atomic_exchange_n(&bo->map, NULL, __ATOMIC_ACQ_REL);
	if (!map)
		return;
	switch (rng_below(&f->rng, 4)) {
	case 0:
		fuzz_note(madvise(map, bo->map_bytes, rng_below(&f->rng, 26)));
		break;
	case 1:
		fuzz_note(mprotect(map, bo->map_bytes, rng_below(&f->rng, 8)));
		break;
	case 2: /* a hole in the middle, if there is one */
		fuzz_note(munmap((uint8_t *)map + 4096, 4096));
		break;
	}
	munmap(map, bo->map_bytes);
}

struct scribble {
	struct fuzz *f;
	void *map;
	size_t size;
};

static void scribble_over(void *arg)
{
	struct scribble *s = arg;
	unsigned int words = 1 + rng_below(&s->f->rng, 16);
	uint64_t *to = s->map;

	while (words--)
		to[rng_below(&s->f->rng, s->size / 8)] = rng_odd_value(&s->f->rng);
}

/*
 * Not the sizes: a layer of a thousand million multiplications is allowed, and the device
 * model computes it while the guest stands still.
 */
static void break_program(void *arg)
{
	struct scribble *s = arg;
	struct fluidnpu_hw_program *program = s->map;
	const struct fluidnpu_hw_program *good = fuzz_template.program.map;
	struct fluidnpu_hw_layer *layer = (void *)((uint8_t *)s->map + good->layers_off);
	uint64_t value = rng_odd_value(&s->f->rng);

	layer += rng_below(&s->f->rng, good->num_layers);
	switch (rng_below(&s->f->rng, 5)) {
	case 0:
		((uint32_t *)program)[rng_below(&s->f->rng, sizeof(*program) / 4)] = value;
		break;
	case 1:
		((uint8_t *)layer)[rng_below(&s->f->rng, 4)] = value;
		break;
	case 2:
		(&layer->in_off)[rng_below(&s->f->rng, 3)] = value;
		break;
	case 3:
		(&layer->weights_off)[rng_below(&s->f->rng, 4)] = value;
		break;
	default:
		layer->out_c = value % 64;
	}
}

static void repair_program(void *map)
{
	memcpy(map, fuzz_template.program.map, 4096);
}

/* Programs, samples and event rings change while jobs run. */
void op_scribble(struct fuzz *f)
{
	struct scribble s = { .f = f };
	struct fuzz_bo *bo = world_bo(f, -1);
	struct fuzz_ctx *ctx = world_ctx(f);
	int client = world_client(f);

	if (client < 0)
		return;
	switch (rng_below(&f->rng, 5)) {
	case 0:
		s.map = ctx ? ctx->ring : NULL;
		s.size = rng_chance(&f->rng, 50) ? 16 : 4096;
		break;
	case 1:
		s.map = f->world->clients[client].net.program.map;
		fuzz_try(break_program, &s);
		return;
	case 2: /* and right again */
		fuzz_try(repair_program, f->world->clients[client].net.program.map);
		return;
	case 3:
		s.map = f->world->clients[client].net.data.map;
		s.size = f->world->clients[client].net.data.size;
		break;
	default:
		s.map = bo ? bo->map : NULL;
		s.size = bo ? bo->map_bytes : 0;
	}
	if (s.map && s.size >= 8)
		fuzz_try(scribble_over, &s);
}

static void consume(void *arg)
{
	struct drm_fluidnpu_event_ring *ring = arg;

	__atomic_store_n(&ring->consumer, __atomic_load_n(&ring->producer, __ATOMIC_ACQUIRE),
			 __ATOMIC_RELEASE);
}

void op_consume(struct fuzz *f)
{
	for (unsigned int i = 0; i < MAX_CTXS; i++) {
		struct fuzz_ctx *ctx = &f->world->ctxs[i];

		if (ctx->used && ctx->ring)
			fuzz_try(consume, ctx->ring);
	}
}

void op_poll(struct fuzz *f)
{
	struct pollfd pfd = {
		.fd = world_fd(f, world_client(f)), .events = rng_below(&f->rng, 64),
	};

	fuzz_note(poll(&pfd, 1, rng_below(&f->rng, 2)));
	if (rng_chance(&f->rng, 10))
		fuzz_note(read(pfd.fd, f->args->garbage, sizeof(f->args->garbage)));
}

/* A child with all files and mappings; it does a little and dies, one way or another. */
void op_fork(struct fuzz *f)
{
	unsigned int steps = rng_below(&f->rng, 20);
	pid_t child = fork();
	int status;

	fuzz_note(child);
	if (child < 0)
		return;
	if (child) {
		if (rng_chance(&f->rng, 30))
			kill(child, SIGKILL);
		while (waitpid(child, &status, 0) < 0)
			;
		return;
	}
	while (steps--) {
		switch (rng_below(&f->rng, 6)) {
		case 0:
			op_submit(f);
			break;
		case 1:
			op_bo_create(f);
			break;
		case 2:
			op_scribble(f);
			break;
		case 3:
			op_client_close(f);
			break;
		case 4:
			op_unmap(f);
			break;
		default:
			op_sync_use(f);
		}
	}
	if (rng_chance(&f->rng, 50))
		raise(SIGKILL);
	_exit(0);
}

/* A signal that comes a little later, into some call that waits. */
void op_signal(struct fuzz *f)
{
	struct itimerval timer = { .it_value.tv_usec = 1 + rng_below(&f->rng, 5000) };

	setitimer(ITIMER_REAL, &timer, NULL);
}

static void read_one(struct fuzz *f, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return;
	fuzz_note(read(fd, f->args->garbage, sizeof(f->args->garbage)));
	close(fd);
}

static void read_some_of(struct fuzz *f, const char *dir)
{
	DIR *entries = opendir(dir);
	struct dirent *entry;
	char path[512];

	if (!entries)
		return;
	while ((entry = readdir(entries))) {
		if (entry->d_type != DT_REG || !rng_chance(&f->rng, 20))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		read_one(f, path);
	}
	closedir(entries);
}

void op_read_files(struct fuzz *f)
{
	char path[64];

	switch (rng_below(&f->rng, 6)) {
	case 0: /* as root only */
		read_some_of(f, "/sys/kernel/debug/accel/0");
		break;
	case 1:
		read_one(f, "/sys/kernel/debug/dma_buf/bufinfo");
		break;
	case 2:
		read_some_of(f, "/sys/class/accel/accel0/device");
		break;
	default:
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", world_fd(f, world_client(f)));
		read_one(f, path);
	}
}
