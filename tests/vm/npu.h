/* SPDX-License-Identifier: MIT */
/*
 * npu.h - the driver's interface for its tests: thin wrappers that return 0 or -errno, and
 * programs built by hand whose results are known.
 */
#ifndef FNPU_TESTS_NPU_H
#define FNPU_TESTS_NPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fluidnpu_drm.h"

/* A buffer object, mapped. */
struct bo {
	int fd;
	uint32_t handle;
	uint64_t size;
	uint64_t iova;
	void *map;
};

/* A context and its event ring. */
struct ctx {
	int fd;
	uint32_t id;
	struct bo ring;
};

int npu_open(void);		/* a file descriptor, or the program ends */
const char *npu_path(void);	/* of the device node */
int npu_ioctl(int fd, unsigned long request, void *arg); /* restarted on EINTR */

int npu_info(int fd, struct drm_fluidnpu_info *info);
int npu_counters(int fd, struct drm_fluidnpu_counters *counters);

int bo_create(int fd, uint64_t size, struct bo *bo); /* zeroed */
int bo_create_flags(int fd, uint64_t size, uint32_t flags, struct bo *bo);
void bo_destroy(struct bo *bo);
int bo_close_handle(struct bo *bo); /* leaves the mapping */
int bo_wait(const struct bo *bo, int64_t timeout_ns);

int prime_export(int fd, uint32_t handle, int *dmabuf);
int prime_import(int fd, int dmabuf, uint32_t *handle);
int foreign_dmabuf(size_t size, void **map); /* of another driver */

int syncobj_create(int fd, uint32_t *handle);
/* Waits for a point, 0: the binary fence. */
int syncobj_wait(int fd, uint32_t handle, uint64_t point, int64_t timeout_ns);
int syncobj_signal(int fd, uint32_t handle);
void syncobj_destroy(int fd, uint32_t handle);

int64_t npu_now_ns(void);		/* CLOCK_MONOTONIC */
int64_t npu_in_seconds(int seconds);	/* from now */

int ctx_create(int fd, uint32_t priority, uint32_t entries, struct ctx *ctx);
void ctx_destroy(struct ctx *ctx);

struct drm_fluidnpu_event_ring *ctx_ring(const struct ctx *ctx);
/* Takes the next event, waiting with poll() for it; false: the wait failed. */
bool ctx_event(struct ctx *ctx, struct drm_fluidnpu_event *event);
/* Takes events up to and with the next JOB event, which is returned. */
bool ctx_job_event(struct ctx *ctx, struct drm_fluidnpu_event *event);
unsigned int ctx_pending(const struct ctx *ctx);

/*
 * The test network: NET_CLASSES classes from NET_INPUTS inputs. Class of an input with
 * its largest value at i: i % NET_CLASSES. It has two exits; the first takes
 * what has any value above 50 or so, the second takes the rest.
 */
#define NET_INPUTS 8
#define NET_CLASSES 4
#define NET_LOGITS (2 * NET_CLASSES)

/* One layer of those that only take device time: about 5 ms at 800 MHz. */
#define SLOW_LAYER_CYCLES 4194176ull

/* Everything that jobs of one client need. */
struct net {
	int fd;
	struct bo program;
	struct bo data; /* per sample: input, state, logits */
	uint32_t program_bytes;
	uint32_t slow_layers;
};

/* @slow_layers layers of about 5 ms each come first. */
int net_create(int fd, uint32_t slow_layers, struct net *net);
void net_destroy(struct net *net);
int8_t *net_input(const struct net *net, unsigned int sample);
int8_t *net_logits(const struct net *net, unsigned int sample);
/* Sample @sample's input: @value at index @hot, 0 elsewhere. */
void net_set_input(const struct net *net, unsigned int sample, unsigned int hot, int8_t value);

#define NET_MAX_SAMPLES 16

/* A job over the first samples of a net, and what it points to. */
struct job {
	struct drm_fluidnpu_job args;
	struct drm_fluidnpu_sample samples[NET_MAX_SAMPLES];
	uint32_t handles[2];
};

/* user_data of sample i is user_data + i + 1. */
void job_init(struct job *job, const struct net *net, unsigned int num_samples, uint64_t user_data);

int submit(const struct ctx *ctx, const struct drm_fluidnpu_job *jobs, uint32_t num_jobs,
	   const struct drm_fluidnpu_sync *syncs, uint32_t num_syncs);
int submit_one(const struct ctx *ctx, const struct job *job);

/* A small file; 0 or -errno. */
int write_file(const char *path, const char *text);
int read_file(const char *path, char *text, size_t size);

#endif
