/* SPDX-License-Identifier: MIT */
/*
 * Counts for Prometheus, with names in the manner of Triton's nv_inference_*:
 *
 *	fluidnpu_inference_request_success, _failure{reason=}	samples, by their end
 *	fluidnpu_inference_count, _exec_count			samples run and jobs: divided, the batch
 *	fluidnpu_inference_queue_duration_seconds		from arrival at the daemon to the NPU
 *	fluidnpu_inference_compute_duration_seconds		on the NPU until its exit
 *	fluidnpu_inference_pending_request_count		without a result now
 *	fluidnpu_inference_exit_total{exit=}, _batch_total{size=}, _preemptions_total
 *	fluidnpu_inference_input_total{read=}			inputs, by who reads them
 *	fluidnpu_merges_total					of all models, as the device counts
 *	fluidnpu_daemon_*					clients, and what they were refused
 *
 * Labels are models, exits, sizes and reasons, which are few, and of users the first
 * FNPUD_MAX_USERS; all others are "other".
 */
#ifndef FNPUD_METRICS_H
#define FNPUD_METRICS_H

#include <stdio.h>
#include <sys/types.h>

#include "fluidnpu.h"

#define FNPUD_MAX_USERS		64u
#define FNPUD_BUCKETS		19u

/** enum fnpud_failure - why a sample has no class */
enum fnpud_failure {
	FNPUD_FAILED_DEADLINE,	/* it could not meet it */
	FNPUD_FAILED_TIMEOUT,	/* its job took too long */
	FNPUD_FAILED_DEVICE,	/* the device, or its job on it, failed */
	FNPUD_FAILED_QUOTA,	/* its client had too many */
	FNPUD_FAILED_CANCELLED,	/* its client went away */
	FNPUD_FAILED_OTHER,
	FNPUD_NUM_FAILURES,
};

/** enum fnpud_refusal - why a client did not get what it wanted */
enum fnpud_refusal {
	FNPUD_REFUSED_PERMISSION,
	FNPUD_REFUSED_LIMIT,	/* too many clients */
	FNPUD_REFUSED_QUOTA,
	FNPUD_REFUSED_PROTOCOL,	/* a malformed message */
	FNPUD_REFUSED_OTHER,
	FNPUD_NUM_REFUSALS,
};

/** struct fnpud_histogram - @buckets: of each range; the last is what is longer than all bounds */
struct fnpud_histogram {
	uint64_t buckets[FNPUD_BUCKETS + 1];
	double sum;
};

/**
 * struct fnpud_model_metrics - of a model
 * @name: label; borrowed
 * @num_exits: of @exits that it has
 * @read_in_place, @copied: inputs that the NPU read where the client has them, or the daemon converted
 *	or copied
 * @stats: of its sessions on the NPU, added up, filled before printing; so is @pending
 */
struct fnpud_model_metrics {
	const char *name;
	uint32_t num_exits;
	uint64_t success;
	uint64_t failures[FNPUD_NUM_FAILURES];
	uint64_t exits[FLUIDNPU_MAX_EXITS];
	uint64_t preemptions;
	uint64_t read_in_place;
	uint64_t copied;
	struct fnpud_histogram queue;
	struct fnpud_histogram compute;
	struct fnpu_session_stats stats;
	uint64_t pending;
};

/** struct fnpud_user - samples of a user's processes */
struct fnpud_user {
	uid_t uid;
	uint64_t success;
	uint64_t failure;
};

/**
 * struct fnpud_metrics - of the daemon
 * @users: by the order in which they came; the one behind the last is all others
 * @clients, @connections: now
 * @merges: of the device
 */
struct fnpud_metrics {
	struct fnpud_user users[FNPUD_MAX_USERS + 1];
	uint32_t num_users;
	uint64_t refusals[FNPUD_NUM_REFUSALS];
	uint64_t clients;
	uint64_t connections;
	uint64_t merges;
};

/** fnpud_metrics_failure() - what a status of struct fnpu_result counts as */
enum fnpud_failure fnpud_metrics_failure(int status);

/** fnpud_metrics_user() - where samples of @uid are counted */
struct fnpud_user *fnpud_metrics_user(struct fnpud_metrics *m, uid_t uid);

/** fnpud_histogram_add() - a duration */
void fnpud_histogram_add(struct fnpud_histogram *h, double seconds);

/** fnpud_metrics_print() - everything, in Prometheus' text format 0.0.4 */
void fnpud_metrics_print(FILE *out, const struct fnpud_metrics *m,
			 const struct fnpud_model_metrics *const *models, uint32_t num_models);

#endif /* FNPUD_METRICS_H */
