// SPDX-License-Identifier: MIT
/*
 * Trace-driven mode: an NPU that computes nothing (functional=off) lets every sample leave where
 * its request says, and takes the time that it would take if the network had decided so.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fluidnpu.h"
#include "lib_model.h"

#define NUM_SAMPLES	48	/* three full batches */

/* What makes the network decide for exit 0 and exit 1 (lib_model.h). */
static const int8_t inputs[LIB_MODEL_EXITS][LIB_MODEL_INPUTS] = {
	{ 0, 100, 0, 0 },
	{ 1, 0, 0, 0 },
};

struct npu {
	struct fnpu_device *device;
	struct fnpu_session *session;
};

static struct fnpu_error error;

static struct npu open_npu(const char *properties, const struct fnpu_model *model)
{
	struct npu npu;

	if (fnpu_device_open("emu", properties, &npu.device, &error) ||
	    fnpu_session_open(npu.device, model, NULL, &npu.session, &error))
		fail_msg("%s", error.text);
	return npu;
}

static void close_npu(struct npu npu)
{
	fnpu_session_close(npu.session);
	fnpu_device_close(npu.device);
}

static struct fnpu_model *load_model(void)
{
	const struct lib_model model = LIB_MODEL_DEFAULT;
	const char *path = lib_temp_path("trace.fnpu");
	struct fnpu_model *loaded;

	lib_model_write(&model, path);
	if (fnpu_model_load(path, &loaded, &error))
		fail_msg("%s", error.text);
	return loaded;
}

/* A pattern with full, empty and mixed batches behind exit 0. */
static uint32_t exit_of(unsigned int sample)
{
	return sample < 16 ? sample % 3 == 0 : sample < 32;
}

/* Runs all samples; @results by their number. */
static void run(struct fnpu_session *s, bool with_inputs, struct fnpu_result *results)
{
	struct fnpu_result batch[NUM_SAMPLES];
	unsigned int finished = 0;
	int n;

	for (unsigned int i = 0; i < NUM_SAMPLES; i++)
		assert_int_equal(fnpu_session_submit(s, &(struct fnpu_request){
			.user_data = i,
			.input = with_inputs ? inputs[exit_of(i)] : NULL,
			.input_bytes = with_inputs ? LIB_MODEL_INPUTS : 0,
			.format = FNPU_INPUT_I8_NHWC,
			.exit_index = exit_of(i),
		}), 0);
	while ((n = fnpu_session_wait(s, batch, NUM_SAMPLES, -1)) > 0)
		for (int i = 0; i < n; i++, finished++)
			results[batch[i].user_data] = batch[i];
	assert_int_equal(finished, NUM_SAMPLES);
}

static void samples_leave_where_the_trace_says_at_the_same_times(void **state)
{
	struct fnpu_result traced[NUM_SAMPLES], computed[NUM_SAMPLES];
	struct fnpu_model *model = load_model();
	struct npu tracing = open_npu("functional=off", model), computing = open_npu("", model);
	struct fnpu_counters counters[2];

	(void)state;
	assert_false(fnpu_device_info(tracing.device)->features & FLUIDNPU_FEATURE_FUNCTIONAL);
	run(tracing.session, false, traced);
	run(computing.session, true, computed);
	for (unsigned int i = 0; i < NUM_SAMPLES; i++) {
		assert_int_equal(traced[i].status, 0);
		assert_int_equal(traced[i].exit_index, exit_of(i));
		assert_int_equal(computed[i].exit_index, exit_of(i));
		assert_int_equal(traced[i].head.live_batch, computed[i].head.live_batch);
		assert_int_equal(traced[i].queued, computed[i].queued);
		assert_int_equal(traced[i].started, computed[i].started);
		assert_int_equal(traced[i].head.time, computed[i].head.time);
	}
	fnpu_device_counters(tracing.device, &counters[0]);
	fnpu_device_counters(computing.device, &counters[1]);
	assert_memory_equal(&counters[0], &counters[1], sizeof(counters[0]));
	close_npu(tracing);
	close_npu(computing);
	fnpu_model_free(model);
}

static void exit_that_does_not_exist_is_refused(void **state)
{
	struct fnpu_model *model = load_model();
	struct npu npu = open_npu("functional=off", model);
	const struct fnpu_request request = { .exit_index = LIB_MODEL_EXITS };

	(void)state;
	assert_int_equal(fnpu_session_submit(npu.session, &request), -EINVAL);
	assert_non_null(strstr(fnpu_session_error(npu.session), "exit 2 does not exist"));
	close_npu(npu);
	fnpu_model_free(model);
}

static void npu_that_computes_needs_inputs_and_ignores_exits(void **state)
{
	struct fnpu_model *model = load_model();
	struct npu npu = open_npu(NULL, model);
	struct fnpu_request request = { .exit_index = 7 };
	struct fnpu_result result;

	(void)state;
	assert_int_equal(fnpu_session_submit(npu.session, &request), -EINVAL);
	assert_non_null(strstr(fnpu_session_error(npu.session), "no input"));
	request.input = inputs[1];
	request.input_bytes = LIB_MODEL_INPUTS;
	request.format = FNPU_INPUT_I8_NHWC;
	assert_int_equal(fnpu_session_submit(npu.session, &request), 0);
	assert_int_equal(fnpu_session_wait(npu.session, &result, 1, -1), 1);
	assert_int_equal(result.status, 0);
	assert_int_equal(result.exit_index, 1);
	close_npu(npu);
	fnpu_model_free(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples_leave_where_the_trace_says_at_the_same_times),
		cmocka_unit_test(exit_that_does_not_exist_is_refused),
		cmocka_unit_test(npu_that_computes_needs_inputs_and_ignores_exits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
