// SPDX-License-Identifier: MIT
/*
 * What goes into a simulation and how figures come out: workloads, exit profiles, histograms,
 * estimates.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../tools/sim/exits.h"
#include "../../tools/sim/histogram.h"
#include "../../tools/sim/result.h"
#include "../../tools/sim/workload.h"
#include "lib_model.h"

#define RATE_HZ		1000.0
#define MANY		200000

static struct fnpu_error error;

/* ---- workloads ---- */

static struct workload open_workload(const char *text, uint64_t seed)
{
	struct workload_options options;
	struct workload w = { 0 };

	if (workload_parse(text, &options, &error) ||
	    workload_open(&w, &options, RATE_HZ, seed, &error))
		fail_msg("%s: %s", text, error.text);
	return w;
}

struct moments {
	double rate;
	double variation;	/* squared coefficient of variation of the intervals */
	double dispersion;	/* variance / mean of arrivals per 0.1 s */
};

static struct moments measure(const char *text)
{
	struct workload w = open_workload(text, 5);
	double last = 0, sum = 0, square = 0, bins = 0, bin_square = 0, count = 0, end = 0.1;
	struct moments m;

	for (int i = 0; i < MANY; i++) {
		const struct arrival a = workload_next(&w);
		const double interval = a.seconds - last;

		assert_true(interval >= 0);
		assert_true(a.stream < WORKLOAD_MAX_STREAMS);
		for (; a.seconds >= end; end += 0.1) {
			bins++;
			bin_square += count * count;
			count = 0;
		}
		count++;
		last = a.seconds;
		sum += interval;
		square += interval * interval;
	}
	m.rate = MANY / sum;
	m.variation = square / MANY / (sum / MANY * sum / MANY) - 1;
	m.dispersion = (bin_square / bins - pow(MANY / bins, 2)) / (MANY / bins);
	workload_close(&w);
	return m;
}

static void poisson_arrivals_are_independent_and_at_the_rate(void **state)
{
	const struct moments m = measure("poisson");

	(void)state;
	assert_true(fabs(m.rate / RATE_HZ - 1) < 0.01);
	assert_true(fabs(m.variation - 1) < 0.03);
	assert_true(fabs(m.dispersion - 1) < 0.1);
}

static void bursts_keep_the_mean_rate(void **state)
{
	const struct moments m = measure("bursty");
	const struct moments flat = measure("bursty:factor=1");

	(void)state;
	assert_true(fabs(m.rate / RATE_HZ - 1) < 0.15);	/* of some 300 bursts */
	assert_true(m.dispersion > 20);
	assert_true(fabs(flat.dispersion - 1) < 0.1);
}

static void a_camera_sends_a_frame_per_period(void **state)
{
	struct workload w = open_workload("cameras:n=8,jitter=0.1", 3);
	double last[8] = { 0 };
	int frames[8] = { 0 };

	(void)state;
	for (int i = 0; i < 8000; i++) {
		const struct arrival a = workload_next(&w);

		assert_true(a.stream < 8);
		if (frames[a.stream]++)
			assert_true(fabs(a.seconds - last[a.stream] - 8 / RATE_HZ) <=
				    0.2 * 8 / RATE_HZ + 1e-9);
		last[a.stream] = a.seconds;
	}
	for (int c = 0; c < 8; c++)
		assert_true(abs(frames[c] - 1000) <= 1);
	workload_close(&w);
}

static void a_seed_gives_the_same_arrivals_and_another_one_others(void **state)
{
	struct workload a = open_workload("bursty", 1), b = open_workload("bursty", 1);
	struct workload c = open_workload("bursty", 2);
	int same = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		const double t = workload_next(&a).seconds;

		assert_true(t == workload_next(&b).seconds);
		same += t == workload_next(&c).seconds;
	}
	assert_true(same < 3);
	workload_close(&a);
	workload_close(&b);
	workload_close(&c);
}

static const char *write_file(const char *text)
{
	const char *path = lib_temp_path("intervals.txt");
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	return path;
}

static void a_file_is_replayed_scaled_to_the_rate_and_starts_over(void **state)
{
	struct workload w = open_workload(write_file("# camera 7\n100 2\n300\n\n200, 1\n"), 1);
	static const double steps[] = { 0.5, 1.5, 1.0 };
	static const uint8_t exits[] = { 2, WORKLOAD_NO_EXIT, 1 };
	double now = 0;

	(void)state;
	for (int i = 0; i < 9; i++) {
		const struct arrival a = workload_next(&w);

		now += steps[i % 3] / RATE_HZ;
		assert_true(fabs(a.seconds - now) < 1e-12);
		assert_int_equal(a.exit, exits[i % 3]);
	}
	workload_close(&w);
}

static void refuses_file(const char *text, const char *word)
{
	struct workload_options options;
	struct workload w;

	assert_int_equal(workload_parse(write_file(text), &options, &error), 0);
	assert_true(workload_open(&w, &options, 0, 1, &error) < 0);
	if (!strstr(error.text, word))
		fail_msg("'%s' does not say '%s'", error.text, word);
}

static void files_that_make_no_sense_are_refused(void **state)
{
	(void)state;
	refuses_file("", "empty");
	refuses_file("# nothing\n\n", "empty");
	refuses_file("100\n-3\n", "backwards");
	refuses_file("100\nabc\n", "abc");
	refuses_file("nan\n", "nan");
	refuses_file("1e999\n", "1e999");
	refuses_file("0\n0\n", "at once");
	refuses_file("4e9\n", "hour");
	refuses_file("1 2 3\n", "at most");
	refuses_file("1 99\n", "exit");
}

static void workloads_that_make_no_sense_are_refused(void **state)
{
	static const char *const texts[] = {
		"poison", "bursty:factor=0.5", "bursty:burst=-1", "bursty:burst", "bursty:x=1",
		"cameras:n=0", "cameras:n=1.5", "cameras:jitter=nan", "", "poisson:streams=1e9",
	};
	struct workload_options options;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		error.text[0] = '\0';
		assert_int_equal(workload_parse(texts[i], &options, &error), -EINVAL);
		assert_true(strlen(error.text) > 10);
	}
}

/* ---- exits ---- */

static void count_exits(const char *text, double correlation, double *share)
{
	static struct exit_source source;
	struct exit_profile profile;
	struct rng streams;

	assert_int_equal(exits_open(&profile, text, 4, &error), 0);
	exit_source_open(&source, &profile, correlation, 3);
	rng_seed(&streams, 1, 99);
	memset(share, 0, 4 * sizeof(*share));
	for (int i = 0; i < MANY; i++)
		share[exit_source_next(&source, rng_below(&streams, 4096)).exit] += 1.0 / MANY;
	exits_close(&profile);
}

static void samples_leave_in_the_shares_of_the_profile(void **state)
{
	static const double easy[] = { 0.66, 0.25, 0.06, 0.03 };
	double share[4];

	(void)state;
	for (int correlated = 0; correlated < 2; correlated++) {
		count_exits("easy", 0.7 * correlated, share);
		for (int e = 0; e < 4; e++)
			assert_true(fabs(share[e] - easy[e]) < (correlated ? 0.02 : 0.005));
	}
}

static void samples_of_a_stream_resemble_each_other(void **state)
{
	static struct exit_source source;
	struct exit_profile profile;
	double shares[2] = { 0 };

	(void)state;
	assert_int_equal(exits_open(&profile, "mid", 4, &error), 0);
	for (int correlated = 0; correlated < 2; correlated++) {
		exit_source_open(&source, &profile, correlated ? 0.8 : 0, 1);
		for (uint32_t s = 0; s < 1000; s++)	/* do two of one stream leave together? */
			shares[correlated] += exit_source_next(&source, s).exit ==
					      exit_source_next(&source, s).exit;
	}
	exits_close(&profile);
	assert_true(shares[0] < 330);	/* 0.265 by the profile's shares */
	assert_true(shares[1] > 500);
}

static void measured_samples_bring_their_own_outcome(void **state)
{
	static struct exit_source source;
	struct exit_profile profile;
	int left[2] = { 0 }, right = 0;

	(void)state;
	assert_int_equal(exits_open(&profile, write_file("# a comment that goes on for longer than any line of numbers would, to see that\n0 1 1\n1 0 1\n1 0 0\n0 1 0\n"), 2,
				    &error), 0);
	exit_source_open(&source, &profile, 0, 1);
	for (int i = 0; i < 40000; i++) {
		const struct measured_sample s = exit_source_next(&source, 0);

		left[s.exit]++;
		right += s.right >> s.exit & 1;
		assert_int_equal(s.right & 1, s.exit == 0);
	}
	assert_true(abs(left[0] - 20000) < 500);
	assert_true(abs(right - 30000) < 500);
	exits_close(&profile);
}

static void profiles_that_make_no_sense_are_refused(void **state)
{
	static const char *const texts[] = {
		"hardest", "0.5,0.5", "0.5,0.5,0.5,0.5", "-1,1,0.5,0.5", "", "0.25,0.25,0.25,x",
		"nowhere.exits",
	};
	struct exit_profile profile;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		error.text[0] = '\0';
		assert_true(exits_open(&profile, texts[i], 4, &error) < 0);
		assert_true(strlen(error.text) > 10);
	}
	assert_true(exits_open(&profile, write_file("3 1 1 1\n"), 3, &error) < 0);
	assert_true(exits_open(&profile, write_file("1 1 1\n"), 3, &error) < 0);
	assert_true(exits_open(&profile, write_file("1 1 1 2\n"), 3, &error) < 0);
	assert_true(exits_open(&profile, write_file("# none\n"), 3, &error) < 0);
}

static void a_misjudged_profile_goes_over_into_its_reverse(void **state)
{
	struct exit_profile profile;
	double share[4];

	(void)state;
	assert_int_equal(exits_open(&profile, "easy", 4, &error), 0);
	exits_misjudged(&profile, 0, share);
	assert_true(share[0] == 0.66 && share[3] == 0.03);
	exits_misjudged(&profile, 1, share);
	assert_true(share[0] == 0.03 && share[3] == 0.66);
	exits_close(&profile);
}

/* ---- figures ---- */

static int by_size(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void percentiles_are_within_the_bucket_width(void **state)
{
	static struct histogram h;
	static uint64_t values[MANY];
	static const double percents[] = { 0, 1, 50, 95, 99, 99.9, 100 };
	struct rng rng;
	double sum = 0;

	(void)state;
	rng_seed(&rng, 1, 1);
	for (int i = 0; i < MANY; i++) {
		values[i] = (uint64_t)exp(rng_uniform(&rng) * 40);
		histogram_add(&h, values[i]);
		sum += (double)values[i];
	}
	qsort(values, MANY, sizeof(values[0]), by_size);
	for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		const uint64_t rank = (uint64_t)ceil(percents[i] / 100 * MANY);
		const double exact = (double)values[rank ? rank - 1 : 0];
		const double found = (double)histogram_percentile(&h, percents[i]);

		assert_true(found >= exact);
		assert_true(found <= exact * (1 + 1.0 / (1 << HISTOGRAM_BITS)));
	}
	assert_true(fabs(histogram_mean(&h) * MANY / sum - 1) < 1e-12);
	assert_int_equal(h.max, values[MANY - 1]);
}

static void extreme_values_have_a_bucket(void **state)
{
	static struct histogram h;

	(void)state;
	assert_int_equal(histogram_percentile(&h, 50), 0);
	histogram_add(&h, 0);
	histogram_add(&h, UINT64_MAX);
	assert_int_equal(histogram_percentile(&h, 50), 0);
	assert_true(histogram_percentile(&h, 100) == UINT64_MAX);
}

static void the_interval_is_students(void **state)
{
	const double values[] = { 1, 2, 3, 4, 5 };
	const struct estimate e = estimate_of(values, 5), one = estimate_of(values, 1);

	(void)state;
	assert_true(fabs(e.mean - 3) < 1e-12);
	assert_true(fabs(e.half - 2.776 * sqrt(2.5 / 5)) < 1e-9);
	assert_true(one.mean == 1 && one.half == 0);
}

static void a_result_survives_json(void **state)
{
	const struct sim_result r = {
		.requests = 1e9 + 1, .violations = 1.0 / 3, .accuracy = -1, .exits = { 0.1, 0.9 },
	};
	cJSON *object = cJSON_CreateObject();
	struct sim_result back;
	char *text;

	(void)state;
	result_add_json(object, &r, FLUIDNPU_MAX_EXITS);
	text = cJSON_PrintUnformatted(object);
	cJSON_Delete(object);
	object = cJSON_Parse(text);
	cJSON_free(text);
	assert_int_equal(result_from_json(object, &back), 0);
	assert_memory_equal(&r, &back, sizeof(r));
	cJSON_DeleteItemFromObjectCaseSensitive(object, "late");
	assert_int_equal(result_from_json(object, &back), -1);
	cJSON_Delete(object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(poisson_arrivals_are_independent_and_at_the_rate),
		cmocka_unit_test(bursts_keep_the_mean_rate),
		cmocka_unit_test(a_camera_sends_a_frame_per_period),
		cmocka_unit_test(a_seed_gives_the_same_arrivals_and_another_one_others),
		cmocka_unit_test(a_file_is_replayed_scaled_to_the_rate_and_starts_over),
		cmocka_unit_test(files_that_make_no_sense_are_refused),
		cmocka_unit_test(workloads_that_make_no_sense_are_refused),
		cmocka_unit_test(samples_leave_in_the_shares_of_the_profile),
		cmocka_unit_test(samples_of_a_stream_resemble_each_other),
		cmocka_unit_test(measured_samples_bring_their_own_outcome),
		cmocka_unit_test(profiles_that_make_no_sense_are_refused),
		cmocka_unit_test(a_misjudged_profile_goes_over_into_its_reverse),
		cmocka_unit_test(percentiles_are_within_the_bucket_width),
		cmocka_unit_test(extreme_values_have_a_bucket),
		cmocka_unit_test(the_interval_is_students),
		cmocka_unit_test(a_result_survives_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
