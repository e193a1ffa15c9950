/* SPDX-License-Identifier: MIT */
/* What fluidnpud is told on its command line. */
#ifndef FNPUD_OPTIONS_H
#define FNPUD_OPTIONS_H

#include "admission.h"
#include "who.h"

#define FNPUD_MAX_MODELS	16u
#define FNPUD_MAX_WHO		32u	/* times that --allow and --weight may be given */
#define FNPUD_MAX_WEIGHT	100u

/** struct fnpud_weight - samples per round of the clients that @who names */
struct fnpud_weight {
	struct fnpud_who who;
	uint32_t weight;
};

/**
 * struct fnpud_options - the command line
 * @models: paths of the networks to serve
 * @backend, @device: as fnpu_device_open() takes them
 * @socket: where clients connect
 * @group: that may, besides the daemon's own user; NULL: the daemon's own
 * @metrics: port or path of the metrics, or NULL
 * @policy, @submission, @batch, @slo_ns: as struct fnpu_session_options has them
 * @allow: who may connect; none of them: everybody whom the socket lets in
 * @max_clients: processes at a time
 * @quota: of a process
 * @drain_seconds: for what is admitted when the daemon shall end
 */
struct fnpud_options {
	const char *models[FNPUD_MAX_MODELS];
	uint32_t num_models;
	const char *backend;
	const char *device;
	const char *socket;
	const char *group;
	const char *metrics;
	const char *policy;
	const char *submission;
	uint32_t batch;
	uint64_t slo_ns;
	struct fnpud_who allow[FNPUD_MAX_WHO];
	uint32_t num_allow;
	struct fnpud_weight weights[FNPUD_MAX_WHO];
	uint32_t num_weights;
	uint32_t max_clients;
	struct fnpud_quota quota;
	uint32_t drain_seconds;
};

/** fnpud_parse_options() - ends the program on wrong usage, --help and --version */
void fnpud_parse_options(struct fnpud_options *o, int argc, char **argv);

/** fnpud_is_allowed() - by @o, to the process that connected as @identity */
bool fnpud_is_allowed(const struct fnpud_options *o, const struct fnpud_identity *identity);

/** fnpud_weight_of() - the first that fits, or 1 */
uint32_t fnpud_weight_of(const struct fnpud_options *o, const struct fnpud_identity *identity);

#endif /* FNPUD_OPTIONS_H */
