/* SPDX-License-Identifier: MIT */
/*
 * The kernel's interface without the library: one job of four samples, by io_uring.
 *
 *	bare MODEL.fnpu < IMAGES
 *
 * IMAGES are four int8 inputs of the model. What is used here is all in fluidnpu_drm.h, and in
 * fnpu_file.h for where the program is in the model's file. Errors end the program; a real one would also
 * recover from a job that fails (its JOB event has the error).
 */
#include <errno.h>
#include <fcntl.h>
#include <fluidnpu_drm.h>
#include <fnpu_file.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SAMPLES		4u
#define RING_ENTRIES	64u	/* of events; a power of two */
#define ROUND_UP(x)	(((size_t)(x) + 63) & ~(size_t)63)

struct bo {
	struct drm_fluidnpu_bo_create args;
	void *map;
};

static void die(const char *what)
{
	fprintf(stderr, "bare: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Memory that the CPU and the NPU share: it has a handle for the kernel and an address for the NPU. */
static struct bo make_bo(int npu, size_t bytes)
{
	struct bo bo = { .args.size = bytes };

	if (ioctl(npu, DRM_IOCTL_FLUIDNPU_BO_CREATE, &bo.args))
		die("BO_CREATE");
	bo.map = mmap(NULL, bo.args.size, PROT_READ | PROT_WRITE, MAP_SHARED, npu,
		      (off_t)bo.args.mmap_offset);
	if (bo.map == MAP_FAILED)
		die("mmap");
	return bo;
}

/* The program in the model's file is loaded as it is. */
static const struct fluidnpu_hw_program *find_program(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	const char *file;

	if (fd < 0 || fstat(fd, &st))
		die(path);
	file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (file == MAP_FAILED)
		die(path);

	const struct fnpu_file_header *header = (const void *)file;
	const struct fnpu_file_section *sections = (const void *)(header + 1);

	if ((size_t)st.st_size < sizeof(*header) ||
	    memcmp(header->magic, FNPU_FILE_MAGIC, sizeof(header->magic)) ||
	    header->file_bytes != (uint64_t)st.st_size) {
		fprintf(stderr, "bare: %s is no .fnpu file, or not all of one\n", path);
		exit(1);
	}
	for (uint32_t i = 0; i < header->num_sections; i++)
		if (sections[i].type == FNPU_SECTION_PROGRAM)
			return (const void *)(file + sections[i].offset);
	fprintf(stderr, "bare: %s has no program\n", path);
	exit(1);
}

/* Events come into a ring in shared memory: no system call to look whether there are some. */
static void print_events(struct bo *ring_bo)
{
	struct drm_fluidnpu_event_ring *ring = ring_bo->map;
	const struct drm_fluidnpu_event *events = (const void *)(ring + 1);
	uint32_t consumer = ring->consumer;

	while (consumer != __atomic_load_n(&ring->producer, __ATOMIC_ACQUIRE)) {
		const struct drm_fluidnpu_event *e = &events[consumer++ % RING_ENTRIES];
		float confidence;

		memcpy(&confidence, &e->confidence, sizeof(confidence));
		if (e->type == DRM_FLUIDNPU_EVENT_EXIT)
			printf("sample %llu: class %u (%.1f %%), left at exit %u\n",
			       (unsigned long long)e->user_data, e->class_index,
			       100 * (double)confidence, e->exit_index);
		else if (e->type == DRM_FLUIDNPU_EVENT_JOB)
			printf("job %llu: %s, %llu cycles\n", (unsigned long long)e->user_data,
			       e->error ? strerror(-e->error) : "done",
			       (unsigned long long)(e->time - e->started));
	}
	__atomic_store_n(&ring->consumer, consumer, __ATOMIC_RELEASE);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: bare MODEL.fnpu < IMAGES\n");
		return 2;
	}

	const struct fluidnpu_hw_program *p = find_program(argv[1]);
	const size_t input = ROUND_UP(p->input_bytes), state = ROUND_UP(p->state_bytes);
	int npu = open("/dev/fluidnpu", O_RDWR | O_CLOEXEC);

	if (npu < 0)
		die("/dev/fluidnpu");

	struct bo program = make_bo(npu, p->total_bytes);
	struct bo inputs = make_bo(npu, SAMPLES * input);
	struct bo states = make_bo(npu, SAMPLES * state);
	struct bo events = make_bo(npu, DRM_FLUIDNPU_EVENT_RING_BYTES(RING_ENTRIES));

	memcpy(program.map, p, p->total_bytes);
	for (unsigned int i = 0; i < SAMPLES; i++)
		if (fread((char *)inputs.map + i * input, p->input_bytes, 1, stdin) != 1) {
			fprintf(stderr, "bare: the standard input has no %u inputs of %u bytes\n",
				SAMPLES, p->input_bytes);
			return 1;
		}

	/* a context: a queue of jobs and the ring of their events */
	struct drm_fluidnpu_ctx_create ctx = {
		.priority = DRM_FLUIDNPU_PRIORITY_NORMAL,
		.event_handle = events.args.handle,
		.event_entries = RING_ENTRIES,
	};

	if (ioctl(npu, DRM_IOCTL_FLUIDNPU_CTX_CREATE, &ctx))
		die("CTX_CREATE");

	/* a job: samples that start together; who leaves when is the device's decision */
	struct drm_fluidnpu_sample samples[SAMPLES];
	uint32_t handles[] = { program.args.handle, inputs.args.handle, states.args.handle };

	for (unsigned int i = 0; i < SAMPLES; i++)
		samples[i] = (struct drm_fluidnpu_sample){
			.user_data = i,
			.input_iova = inputs.args.iova + i * input,
			.state_iova = states.args.iova + i * state,
		};

	struct drm_fluidnpu_uring_submit submit = {
		.ctx_id = ctx.ctx_id,
		.job = {
			.program_iova = program.args.iova,
			.program_bytes = p->total_bytes,
			.samples = { .array = (uintptr_t)samples, .count = SAMPLES,
				     .stride = sizeof(samples[0]) },
			.bos = { .array = (uintptr_t)handles, .count = 3,
				 .stride = sizeof(handles[0]) },
			.user_data = 42,
		},
	};

	/* the job is in the second half of a large submission entry: nothing is copied from memory */
	struct io_uring ring;
	int ret = io_uring_queue_init(8, &ring, IORING_SETUP_SQE128);

	if (ret) {
		errno = -ret;
		die("io_uring");
	}

	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	struct io_uring_cqe *cqe;

	if (!sqe)
		die("the ring is full");
	memset(sqe, 0, 2 * sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = npu;
	sqe->cmd_op = FLUIDNPU_URING_SUBMIT;
	memcpy(sqe->cmd, &submit, sizeof(submit));

	/* one system call submits and waits; the completion comes with the end of the job */
	ret = io_uring_submit_and_wait(&ring, 1);
	if (ret >= 0)
		ret = io_uring_peek_cqe(&ring, &cqe);
	if (ret >= 0)
		ret = cqe->res;
	print_events(&events);
	if (ret < 0) {
		errno = -ret;
		die("the job");
	}
	io_uring_queue_exit(&ring);
	return 0;
}
