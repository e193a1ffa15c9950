/* SPDX-License-Identifier: MIT */
/*
 * A device, the tiny network of lib_model.h, and sessions on them. The device is the emulated one, or that
 * of the back end that FNPU_TEST_BACKEND names: the same tests run in the VM, on the driver.
 */
#ifndef TEST_LIB_RIG_H
#define TEST_LIB_RIG_H

#include "fluidnpu.h"
#include "lib_model.h"

#define LIB_RIG_RESULTS	256

/** struct lib_rig - @results: of lib_rig_collect() */
struct lib_rig {
	struct fnpu_device *device;
	struct fnpu_model *model;
	struct fnpu_error error;
	struct fnpu_result results[LIB_RIG_RESULTS];
};

extern const int8_t lib_rig_sure[LIB_MODEL_INPUTS];	/* leaves at exit 0 as class 1 */
extern const int8_t lib_rig_unsure[LIB_MODEL_INPUTS];	/* leaves at exit 1 as class 3 */

/** lib_rig_backend() - of all devices */
const char *lib_rig_backend(void);

/** lib_rig_setup(), lib_rig_teardown() - for cmocka: *state is a struct lib_rig */
int lib_rig_setup(void **state);
int lib_rig_teardown(void **state);

/** lib_rig_open() - a session, or the test fails; the test closes it */
struct fnpu_session *lib_rig_open(struct lib_rig *rig, const struct fnpu_session_options *options);

/** lib_rig_submit() - @input, int8; as fnpu_session_submit() */
int lib_rig_submit(struct fnpu_session *session, uint64_t user_data, const int8_t *input);

/** lib_rig_collect() - wait until nothing is pending; how many results there were, in their order */
int lib_rig_collect(struct lib_rig *rig, struct fnpu_session *session);

#endif /* TEST_LIB_RIG_H */
