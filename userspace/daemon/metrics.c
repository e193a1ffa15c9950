// SPDX-License-Identifier: MIT
#include <errno.h>
#include <inttypes.h>

#include "metrics.h"

static const double bounds[FNPUD_BUCKETS] = {	/* seconds */
	10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3,
	25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1, 2.5, 5, 10,
};

static const char *const failure_names[FNPUD_NUM_FAILURES] = {
	[FNPUD_FAILED_DEADLINE] = "deadline",
	[FNPUD_FAILED_TIMEOUT] = "timeout",
	[FNPUD_FAILED_DEVICE] = "device",
	[FNPUD_FAILED_QUOTA] = "quota",
	[FNPUD_FAILED_CANCELLED] = "cancelled",
	[FNPUD_FAILED_OTHER] = "other",
};

static const char *const refusal_names[FNPUD_NUM_REFUSALS] = {
	[FNPUD_REFUSED_PERMISSION] = "permission",
	[FNPUD_REFUSED_LIMIT] = "limit",
	[FNPUD_REFUSED_QUOTA] = "quota",
	[FNPUD_REFUSED_PROTOCOL] = "protocol",
	[FNPUD_REFUSED_OTHER] = "other",
};

enum fnpud_failure fnpud_metrics_failure(int status)
{
	switch (status) {
	case -ETIMEDOUT:
		return FNPUD_FAILED_DEADLINE;
	case -ETIME:
		return FNPUD_FAILED_TIMEOUT;
	case -EIO:
	case -ENODEV:
	case -EPROTO:
		return FNPUD_FAILED_DEVICE;
	case -EDQUOT:
		return FNPUD_FAILED_QUOTA;
	case -ECANCELED:
		return FNPUD_FAILED_CANCELLED;
	default:
		return FNPUD_FAILED_OTHER;
	}
}

struct fnpud_user *fnpud_metrics_user(struct fnpud_metrics *m, uid_t uid)
{
	for (uint32_t i = 0; i < m->num_users; i++)
		if (m->users[i].uid == uid)
			return &m->users[i];
	if (m->num_users == FNPUD_MAX_USERS)
		return &m->users[FNPUD_MAX_USERS];
	m->users[m->num_users].uid = uid;
	return &m->users[m->num_users++];
}

void fnpud_histogram_add(struct fnpud_histogram *h, double seconds)
{
	uint32_t i = 0;

	while (i < FNPUD_BUCKETS && seconds > bounds[i])
		i++;
	h->buckets[i]++;
	h->sum += seconds;
}

/* ---- text ---- */

static void print_head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value: backslash, quote and line feed are escaped. */
static void print_label(FILE *out, const char *name, const char *value)
{
	fprintf(out, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", out);
		else if (*value == '"' || *value == '\\')
			fprintf(out, "\\%c", *value);
		else
			fputc(*value, out);
	}
	fputc('"', out);
}

static void print_series(FILE *out, const char *name, const struct fnpud_model_metrics *m,
			 const char *label, const char *value, uint64_t count)
{
	fprintf(out, "%s{", name);
	print_label(out, "model", m->name);
	if (label) {
		fputc(',', out);
		print_label(out, label, value);
	}
	fprintf(out, "} %" PRIu64 "\n", count);
}

static void print_numbered(FILE *out, const char *name, const struct fnpud_model_metrics *m,
			   const char *label, uint32_t number, uint64_t count)
{
	char value[16];

	snprintf(value, sizeof(value), "%" PRIu32, number);
	print_series(out, name, m, label, value, count);
}

static void print_histogram(FILE *out, const char *name, const struct fnpud_model_metrics *m,
			    const struct fnpud_histogram *h)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i <= FNPUD_BUCKETS; i++) {
		count += h->buckets[i];
		fprintf(out, "%s_bucket{", name);
		print_label(out, "model", m->name);
		if (i < FNPUD_BUCKETS)
			fprintf(out, ",le=\"%g\"} %" PRIu64 "\n", bounds[i], count);
		else
			fprintf(out, ",le=\"+Inf\"} %" PRIu64 "\n", count);
	}
	fprintf(out, "%s_sum{", name);
	print_label(out, "model", m->name);
	fprintf(out, "} %.9g\n%s_count{", h->sum, name);
	print_label(out, "model", m->name);
	fprintf(out, "} %" PRIu64 "\n", count);
}

/** struct series - a metric with one or more numbers per model; @print prints those of one model */
struct series {
	const char *name;
	const char *type;
	const char *help;
	void (*print)(FILE *out, const char *name, const struct fnpud_model_metrics *m);
};

static void print_success(FILE *out, const char *name, const struct fnpud_model_metrics *m)
{
	print_series(out, name, m, NULL, "", m->success);
}

static void print_failures(FILE *out, const char *name, const struct fnpud_model_metrics *m)
{
	for (int i = 0; i < FNPUD_NUM_FAILURES; i++)
		print_series(out, name, m, "reason", failure_names[i], m->failures[i]);
}

static void print_exec_count(FILE *out, const char *name, const struct fnpud_model_metrics *m)
{
	print_series(out, name, m, NULL, "", m->stats.jobs);
}

static void print_count(FILE *out, const char *name, const struct fnpud_model_metrics *m)
{
	print_series(out, name, m, NULL, "", m->stats.job_samples);
}

static void print_queue(FILE *out, const char *name, const struct fnpud_model_metrics *m)
{
	print_histogram(out, name, m, &m->queue);
}

static void print_compute(FILE *out, const char *name, const struct fnpud_model_metrics *m)
{
	print_histogram(out, name, m, &m->compute);
}

static void print_pending(FILE *out, const char *name, const struct fnpud_model_metrics *m)
{
	print_series(out, name, m, NULL, "", m->pending);
}

static void print_exits(FILE *out, const char *name, const struct fnpud_model_metrics *m)
{
	for (uint32_t i = 0; i < m->num_exits; i++)
		print_numbered(out, name, m, "exit", i, m->exits[i]);
}

static void print_batches(FILE *out, const char *name, const struct fnpud_model_metrics *m)
{
	for (uint32_t i = 0; i < FLUIDNPU_MAX_BATCH; i++)
		print_numbered(out, name, m, "size", i + 1, m->stats.batches[i]);
}

static void print_preemptions(FILE *out, const char *name, const struct fnpud_model_metrics *m)
{
	print_series(out, name, m, NULL, "", m->preemptions);
}

static void print_inputs(FILE *out, const char *name, const struct fnpud_model_metrics *m)
{
	print_series(out, name, m, "read", "in_place", m->read_in_place);
	print_series(out, name, m, "read", "copied", m->copied);
}

static const struct series series[] = {
	{ "fluidnpu_inference_request_success", "counter", "Samples that were classified",
	  print_success },
	{ "fluidnpu_inference_request_failure", "counter", "Samples that were not, by reason",
	  print_failures },
	{ "fluidnpu_inference_count", "counter", "Samples sent to the NPU, again when preempted",
	  print_count },
	{ "fluidnpu_inference_exec_count", "counter", "Batches sent to the NPU", print_exec_count },
	{ "fluidnpu_inference_queue_duration_seconds", "histogram",
	  "From a sample's arrival at the daemon until the NPU started its batch", print_queue },
	{ "fluidnpu_inference_compute_duration_seconds", "histogram",
	  "From the start of a sample's batch on the NPU until it left", print_compute },
	{ "fluidnpu_inference_pending_request_count", "gauge", "Samples that wait or run",
	  print_pending },
	{ "fluidnpu_inference_exit_total", "counter", "Samples that left at an exit", print_exits },
	{ "fluidnpu_inference_batch_total", "counter", "Batches by their number of samples",
	  print_batches },
	{ "fluidnpu_inference_preemptions_total", "counter", "Times that a sample was stopped",
	  print_preemptions },
	{ "fluidnpu_inference_input_total", "counter",
	  "Inputs that the NPU read where the client has them, or that the daemon copied for it",
	  print_inputs },
};

static void print_users(FILE *out, const struct fnpud_metrics *m)
{
	const char *const name = "fluidnpu_daemon_user_requests_total";
	const struct fnpud_user *other = &m->users[FNPUD_MAX_USERS];

	print_head(out, name, "counter", "Samples by user and outcome");
	for (uint32_t i = 0; i < m->num_users; i++)
		fprintf(out, "%s{uid=\"%u\",outcome=\"success\"} %" PRIu64 "\n"
			"%s{uid=\"%u\",outcome=\"failure\"} %" PRIu64 "\n",
			name, m->users[i].uid, m->users[i].success,
			name, m->users[i].uid, m->users[i].failure);
	fprintf(out, "%s{uid=\"other\",outcome=\"success\"} %" PRIu64 "\n"
		"%s{uid=\"other\",outcome=\"failure\"} %" PRIu64 "\n",
		name, other->success, name, other->failure);
}

static void print_single(FILE *out, const char *name, const char *type, const char *help,
			 uint64_t value)
{
	print_head(out, name, type, help);
	fprintf(out, "%s %" PRIu64 "\n", name, value);
}

void fnpud_metrics_print(FILE *out, const struct fnpud_metrics *m,
			 const struct fnpud_model_metrics *const *models, uint32_t num_models)
{
	const char *const refused = "fluidnpu_daemon_refused_total";

	for (size_t i = 0; i < sizeof(series) / sizeof(series[0]); i++) {
		print_head(out, series[i].name, series[i].type, series[i].help);
		for (uint32_t j = 0; j < num_models; j++)
			series[i].print(out, series[i].name, models[j]);
	}
	print_single(out, "fluidnpu_merges_total", "counter",
		     "Batches that caught up with another on the NPU", m->merges);
	print_single(out, "fluidnpu_daemon_clients", "gauge", "Processes connected", m->clients);
	print_single(out, "fluidnpu_daemon_connections", "gauge", "Connections", m->connections);
	print_head(out, refused, "counter", "What clients were refused, by reason");
	for (int i = 0; i < FNPUD_NUM_REFUSALS; i++)
		fprintf(out, "%s{reason=\"%s\"} %" PRIu64 "\n", refused, refusal_names[i],
			m->refusals[i]);
	print_users(out, m);
}
