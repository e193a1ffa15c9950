// SPDX-License-Identifier: MIT
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib_rig.h"

const int8_t lib_rig_sure[LIB_MODEL_INPUTS] = { 0, 100, 0, 0 };
const int8_t lib_rig_unsure[LIB_MODEL_INPUTS] = { 1, 0, 0, 0 };

const char *lib_rig_backend(void)
{
	const char *name = getenv("FNPU_TEST_BACKEND");

	return name ? name : "emu";
}

int lib_rig_setup(void **state)
{
	static struct lib_rig rig;
	const struct lib_model model = LIB_MODEL_DEFAULT;
	const char *path = lib_temp_path("rig.fnpu");

	memset(&rig, 0, sizeof(rig));
	lib_model_write(&model, path);
	if (fnpu_device_open(lib_rig_backend(), NULL, &rig.device, &rig.error) ||
	    fnpu_model_load(path, &rig.model, &rig.error)) {
		print_error("%s\n", rig.error.text);
		return -1;
	}
	*state = &rig;
	return 0;
}

int lib_rig_teardown(void **state)
{
	struct lib_rig *rig = *state;

	fnpu_model_free(rig->model);
	fnpu_device_close(rig->device);
	return 0;
}

struct fnpu_session *lib_rig_open(struct lib_rig *rig, const struct fnpu_session_options *options)
{
	struct fnpu_session *s = NULL;

	if (fnpu_session_open(rig->device, rig->model, options, &s, &rig->error))
		fail_msg("%s", rig->error.text);
	return s;
}

int lib_rig_submit(struct fnpu_session *session, uint64_t user_data, const int8_t *input)
{
	return fnpu_session_submit(session, &(struct fnpu_request){
		.user_data = user_data,
		.input = input,
		.input_bytes = LIB_MODEL_INPUTS,
		.format = FNPU_INPUT_I8_NHWC,
	});
}

int lib_rig_collect(struct lib_rig *rig, struct fnpu_session *session)
{
	int total = 0, n;

	while ((n = fnpu_session_wait(session, rig->results + total,
				      LIB_RIG_RESULTS - (uint32_t)total, -1)) > 0)
		total += n;
	assert_int_equal(n, 0);
	return total;
}
