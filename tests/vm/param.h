/* SPDX-License-Identifier: MIT */
/* param.h - the parameters of a module, for the time of a test. */
#ifndef FNPU_TESTS_PARAM_H
#define FNPU_TESTS_PARAM_H

#define JOB_TIMEOUT_PARAM	"/sys/module/fluidnpu/parameters/job_timeout_ms"
#define CLIENT_LIMIT_PARAM	"/sys/module/fluidnpu/parameters/client_memory_mib"
#define TOTAL_LIMIT_PARAM	"/sys/module/fluidnpu/parameters/total_memory_mib"

/*
 * Sets a parameter, or another small file. When the test has ended, however it does, all are as
 * they were. 0 or -errno.
 */
int param_set(const char *path, const char *text);

/* Likewise, in the middle of a test. */
int params_restore(void);

#endif
