/* SPDX-License-Identifier: MIT */
/* rig.h - what most tests need: a client with a context and a network. */
#ifndef FNPU_TESTS_RIG_H
#define FNPU_TESTS_RIG_H

#include "npu.h"

struct rig {
	int fd;
	struct ctx ctx;
	struct net net;
};

/* With @slow_layers layers of about 5 ms; false: the test has failed. */
bool rig_up(struct rig *rig, uint32_t slow_layers);
void rig_down(struct rig *rig);

/* Submits a job and waits for it; what its JOB event says, or the errno of SUBMIT. */
int rig_run(struct rig *rig, const struct job *job);

#endif
