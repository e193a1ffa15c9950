// SPDX-License-Identifier: MIT
/* Samples through the library (see samples.h). */
#include <string.h>

#include "fuzz.h"
#include "samples.h"

#define MAX_BUFFER_BYTES	(1u << 16)
#define NUM_SAMPLES		3

bool samples_affordable(const struct fnpu_model *model)
{
	const struct fnpu_model_info *info = fnpu_model_info(model);

	return info->input_bytes <= MAX_BUFFER_BYTES && info->state_bytes <= MAX_BUFFER_BYTES &&
	       info->logits_bytes <= MAX_BUFFER_BYTES;
}

static void submit(struct fnpu_session *session, const struct fnpu_model *model)
{
	static int8_t input[MAX_BUFFER_BYTES];
	struct tb_rng rng = { 1 };

	tb_codes(&rng, input, fnpu_model_info(model)->input_bytes, false);
	for (uint64_t i = 0; i < NUM_SAMPLES; i++)
		fuzz_check(!fnpu_session_submit(session, &(struct fnpu_request){
			.user_data = i,
			.input = input,
			.input_bytes = fnpu_model_info(model)->input_bytes,
			.format = FNPU_INPUT_I8_NHWC,
		}));
}

/* Equal inputs, equal results: the logits of the exits passed, and what was made of them. */
static bool same_result(const struct fnpu_result *a, const struct fnpu_result *b,
			const struct fnpu_model_info *info)
{
	if (a->exit_index != b->exit_index || a->head.class_index != b->head.class_index ||
	    memcmp(&a->head.confidence, &b->head.confidence, sizeof(float)) ||
	    memcmp(&a->head.entropy, &b->head.entropy, sizeof(float)) ||
	    memcmp(&a->head.margin, &b->head.margin, sizeof(float)))
		return false;
	for (uint32_t e = 0; e <= a->exit_index; e++) {
		const struct fnpu_exit_info *exit = &info->exits[e];

		if (memcmp(a->logits + exit->logits_off, b->logits + exit->logits_off,
			   exit->classes))
			return false;
	}
	return true;
}

static const char *compare(const struct fnpu_result *results, const struct fnpu_model *model)
{
	for (int i = 0; i < NUM_SAMPLES; i++) {
		if (results[i].status)
			return results[i].reason;
		if (!same_result(&results[i], &results[0], fnpu_model_info(model)))
			return "equal samples have different results";
	}
	return NULL;
}

const char *samples_run(const struct fnpu_model *model)
{
	const struct fnpu_session_options options = { .flags = FNPU_SESSION_LOGITS };
	struct fnpu_result results[NUM_SAMPLES];
	struct fnpu_session *session;
	struct fnpu_device *device;
	struct fnpu_error error = { "" };
	const char *wrong;

	fuzz_check(!fnpu_device_open("emu", NULL, &device, NULL));
	/* Refused, with a reason, when the NPU has no valid policy for some batch of a layer. */
	if (fnpu_session_open(device, model, &options, &session, &error)) {
		fuzz_check(error.text[0]);
		fnpu_device_close(device);
		return "no session";
	}
	submit(session, model);
	fuzz_check(!fnpu_session_drain(session, -1));
	fuzz_check(fnpu_session_poll(session, results, NUM_SAMPLES) == NUM_SAMPLES);
	wrong = compare(results, model);
	fuzz_check(!fnpu_session_pending(session));
	fnpu_session_close(session);
	fnpu_device_close(device);
	return wrong;
}
