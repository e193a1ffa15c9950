// SPDX-License-Identifier: MIT
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "exits.h"
#include "params.h"

#define RNG_EXITS	2	/* stream of the generator */
#define MAX_SAMPLES	(1u << 24)
#define LINE_BYTES	256

static const struct {
	const char *name;
	const char *shares;
} named[] = {
	{ "easy", "0.66,0.25,0.06,0.03" },
	{ "mid", "0.35,0.25,0.2,0.2" },
	{ "hard", "0.03,0.11,0.4,0.46" },
};

/* ---- shares ---- */

static int parse_shares(struct exit_profile *p, const char *name, const char *text,
			struct fnpu_error *error)
{
	uint32_t count = 0;
	double sum = 0;

	while (*text) {
		const size_t len = strcspn(text, ",");
		char number[LINE_BYTES];
		double v;

		snprintf(number, sizeof(number), "%.*s", (int)len, text);
		if (len >= sizeof(number) || !parse_double(number, &v) || v < 0 || v > 1)
			return fnpu_fail(error, -EINVAL,
					 "exit profile: '%.40s' is no share of the samples from 0 to 1",
					 number);
		if (count < FLUIDNPU_MAX_EXITS)
			p->share[count] = v;
		count++;
		sum += v;
		text += len + (text[len] == ',');
	}
	if (count != p->num_exits)
		return fnpu_fail(error, -EINVAL,
				 "exit profile '%.100s' is for %u exits, the network has %u", name,
				 count, p->num_exits);
	if (fabs(sum - 1) > 1e-6)
		return fnpu_fail(error, -EINVAL,
				 "exit profile '%.100s': the shares add up to %g, not to 1", name, sum);
	return 0;
}

/* ---- a measured profile: "EXIT RIGHT0 RIGHT1 ..." per sample ---- */

static int parse_sample(const char *line, uint32_t num_exits, struct measured_sample *s)
{
	char *end;
	unsigned long v = strtoul(line, &end, 10);

	if (end == line || v >= num_exits)
		return -EINVAL;
	*s = (struct measured_sample){ .exit = (uint8_t)v };
	for (uint32_t e = 0; e < num_exits; e++) {
		const char *text = end;

		v = strtoul(text, &end, 10);
		if (end == text || v > 1)
			return -EINVAL;
		s->right |= (uint8_t)(v << e);
	}
	return end[strspn(end, " \r\n")] ? -EINVAL : 0;
}

static int read_samples(struct exit_profile *p, FILE *file, const char *path,
			struct fnpu_error *error)
{
	unsigned int number = 0;
	uint32_t room = 0;
	char line[LINE_BYTES];

	while (fgets(line, sizeof(line), file)) {
		number++;
		if (line[0] == '#')
			continue;
		if (p->num_samples == room) {
			struct measured_sample *more;

			room = 2 * room + 1024;
			more = room > MAX_SAMPLES ? NULL :
			       realloc(p->samples, room * sizeof(*more));
			if (!more)
				return fnpu_fail(error, -ENOMEM, "%s has too many samples", path);
			p->samples = more;
		}
		if (parse_sample(line, p->num_exits, &p->samples[p->num_samples]))
			return fnpu_fail(error, -EINVAL,
					 "%s:%u: not 'EXIT RIGHT0 RIGHT1 ...' of a sample of a network with %u exits (exit-profile writes such files)",
					 path, number, p->num_exits);
		p->num_samples++;
	}
	if (ferror(file))
		return fnpu_fail(error, -EIO, "cannot read %s", path);
	return p->num_samples ? 0 : fnpu_fail(error, -EINVAL, "%s is empty: it has no sample", path);
}

static int by_exit(const void *a, const void *b)
{
	const struct measured_sample *x = a, *y = b;

	return x->exit != y->exit ? x->exit - y->exit : x->right - y->right;
}

static int read_file(struct exit_profile *p, const char *path, struct fnpu_error *error)
{
	FILE *file = fopen(path, "re");
	int ret;

	if (!file)
		return fnpu_fail(error, -errno, "cannot open the exit profile %s: %s", path,
				 strerror(errno));
	ret = read_samples(p, file, path, error);
	fclose(file);
	if (ret)
		return ret;
	qsort(p->samples, p->num_samples, sizeof(p->samples[0]), by_exit);
	for (uint32_t i = 0; i < p->num_samples; i++)
		p->share[p->samples[i].exit] += 1.0 / p->num_samples;
	return 0;
}

/* ---- a profile ---- */

int exits_open(struct exit_profile *p, const char *text, uint32_t num_exits,
	       struct fnpu_error *error)
{
	int ret;

	*p = (struct exit_profile){ .num_exits = num_exits };
	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
		if (!strcmp(named[i].name, text))
			return parse_shares(p, text, named[i].shares, error);
	if (text[0] && strspn(text, "0123456789.,eE+-") == strlen(text))
		return parse_shares(p, text, text, error);
	if (!strpbrk(text, "./"))
		return fnpu_fail(error, -EINVAL,
				 "no exit profile '%.100s': it is easy, mid, hard, shares as 0.5,0.3,0.2, or a file (with a '/' or '.' in its name)",
				 text);
	ret = read_file(p, text, error);
	if (ret)
		exits_close(p);
	return ret;
}

void exits_close(struct exit_profile *p)
{
	free(p->samples);
	p->samples = NULL;
}

void exits_misjudged(const struct exit_profile *p, double error, double *share)
{
	for (uint32_t e = 0; e < p->num_exits; e++)
		share[e] = (1 - error) * p->share[e] + error * p->share[p->num_exits - 1 - e];
}

/* ---- samples ---- */

void exit_source_open(struct exit_source *s, const struct exit_profile *profile,
		      double correlation, uint64_t seed)
{
	s->profile = profile;
	s->correlation = correlation;
	rng_seed(&s->rng, seed, RNG_EXITS);
	for (uint32_t i = 0; correlation > 0 && i < WORKLOAD_MAX_STREAMS; i++)
		s->stream_mean[i] = rng_normal(&s->rng);
}

/* Uniform in [0, 1) over all streams. */
static double difficulty(struct exit_source *s, uint32_t stream)
{
	double z, u;

	if (s->correlation <= 0)
		return rng_uniform(&s->rng);
	z = sqrt(s->correlation) * s->stream_mean[stream] +
	    sqrt(1 - s->correlation) * rng_normal(&s->rng);
	u = 0.5 * erfc(-z * M_SQRT1_2);
	return u < 1 ? u : nextafter(1, 0);
}

struct measured_sample exit_source_next(struct exit_source *s, uint32_t stream)
{
	const struct exit_profile *p = s->profile;
	const double u = difficulty(s, stream);
	struct measured_sample sample = { 0 };
	double sum = 0;

	if (p->samples)
		return p->samples[(uint32_t)(u * p->num_samples)];
	for (; sample.exit < p->num_exits - 1; sample.exit++) {
		sum += p->share[sample.exit];
		if (u < sum)
			break;
	}
	return sample;
}
