// SPDX-License-Identifier: MIT
/*
 * The device sleeps: by itself when it is idle, and with the system. Needs root.
 *
 * Nothing tells a process that a device has fallen asleep but a file in sysfs, which can
 * only be read again and again.
 */
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "npu.h"
#include "pcidev.h"
#include "rig.h"
#include "tap.h"

#define PM_TEST "/sys/power/pm_test"
#define PM_TEST_DELAY "/sys/module/suspend/parameters/pm_test_delay"

static bool asleep(void)
{
	char status[32] = "";

	EXPECT_OK(pci_read("power/runtime_status", status, sizeof(status)));
	return !strncmp(status, "suspended", 9);
}

static void wait_until_asleep(void)
{
	while (!tap_failures && !asleep())
		poll(NULL, 0, 1);
}

static void an_idle_device_falls_asleep(void)
{
	works_again();
	wait_until_asleep();
}

static void an_open_file_does_not_keep_it_awake(void)
{
	struct rig rig;

	REQUIRE(rig_up(&rig, 0), "set-up");
	wait_until_asleep();
	rig_down(&rig);
}

static void a_job_wakes_it(void)
{
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "set-up");
	job_init(&job, &rig.net, 4, 0);
	for (unsigned int round = 0; round < 3; round++) {
		wait_until_asleep();
		EXPECT_OK(submit_one(&rig.ctx, &job));
		EXPECT(!asleep(), "asleep with a job");
		for (unsigned int i = 0; i < 4; i++) {
			REQUIRE(ctx_event(&rig.ctx, &event), "no event");
			EXPECT_EQ(event.type, DRM_FLUIDNPU_EVENT_EXIT);
			EXPECT_EQ(event.class_index, i);
		}
		REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
		EXPECT_EQ(event.error, 0);
	}
	rig_down(&rig);
}

static void what_is_made_while_it_sleeps_works_afterwards(void)
{
	struct rig rig;
	struct job job;

	wait_until_asleep();
	REQUIRE(rig_up(&rig, 0), "set-up");
	EXPECT(asleep(), "a context and buffers woke it");
	job_init(&job, &rig.net, 4, 0);
	EXPECT_EQ(rig_run(&rig, &job), 0);
	rig_down(&rig);
}

static void what_is_freed_while_it_sleeps_is_gone_afterwards(void)
{
	struct rig rig;
	struct job job;
	struct bo bo;

	REQUIRE(rig_up(&rig, 0), "set-up");
	REQUIRE(!bo_create(rig.fd, 65536, &bo), "bo_create");
	job_init(&job, &rig.net, 1, 0);
	job.samples[0].input_iova = bo.iova;
	EXPECT_EQ(rig_run(&rig, &job), 0);
	wait_until_asleep();
	bo_destroy(&bo);
	EXPECT(asleep(), "freeing a buffer woke it");
	EXPECT_EQ(rig_run(&rig, &job), -EIO);
	rig_down(&rig);
}

static void counters_outlast_its_sleep_and_do_not_wake_it(void)
{
	struct drm_fluidnpu_counters before, now;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "set-up");
	job_init(&job, &rig.net, 4, 0);
	EXPECT_EQ(rig_run(&rig, &job), 0);
	REQUIRE(!npu_counters(rig.fd, &before), "query failed");
	for (unsigned int round = 1; round <= 2; round++) {
		wait_until_asleep();
		REQUIRE(!npu_counters(rig.fd, &now), "query failed");
		EXPECT(asleep(), "a query woke it");
		EXPECT(now.time >= before.time, "time %llu, then %llu",
		       (unsigned long long)before.time, (unsigned long long)now.time);
		for (unsigned int i = 0; i < FLUIDNPU_CNT_NUM; i++)
			EXPECT(now.values[i] >= before.values[i], "counter %u: %llu, then %llu",
			       i, (unsigned long long)before.values[i],
			       (unsigned long long)now.values[i]);
		EXPECT_EQ(rig_run(&rig, &job), 0);
		REQUIRE(!npu_counters(rig.fd, &now), "query failed");
		EXPECT_EQ(now.values[FLUIDNPU_CNT_JOBS],
			  before.values[FLUIDNPU_CNT_JOBS] + round);
	}
	rig_down(&rig);
}

static void jobs_in_flight_keep_it_awake(void)
{
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 100), "set-up");
	EXPECT_OK(pci_write("power/autosuspend_delay_ms", "0"));
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	for (;;) {
		bool sleeps = asleep();

		if (ctx_pending(&rig.ctx))
			break;
		REQUIRE(!sleeps, "asleep before the job has ended");
	}
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.error, 0);
	wait_until_asleep();
	EXPECT_OK(pci_write("power/autosuspend_delay_ms", "500"));
	rig_down(&rig);
}

static void a_reset_while_it_sleeps_is_harmless(void)
{
	wait_until_asleep();
	EXPECT_OK(pci_write("reset", "1"));
	works_again();
	wait_until_asleep();
}

static void it_can_be_removed_while_it_sleeps(void)
{
	struct drm_fluidnpu_info info;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 0), "set-up");
	job_init(&job, &rig.net, 1, 0);
	wait_until_asleep();
	pci_remove();
	EXPECT_ERRNO(npu_info(rig.fd, &info), ENODEV);
	EXPECT_ERRNO(submit_one(&rig.ctx, &job), ENODEV);
	rig_down(&rig);
	pci_bring_back();
	works_again();
}

static void the_module_can_be_unloaded_while_it_sleeps(void)
{
	wait_until_asleep();
	REQUIRE(!module_unload(), "cannot unload: %s", strerror(errno));
	module_load();
	works_again();
	wait_until_asleep();
}

/* As far as to the devices and back at once. 0 or -errno of the system's going to sleep. */
static int system_sleep(void)
{
	int ret;

	EXPECT_OK(write_file(PM_TEST_DELAY, "0"));
	EXPECT_OK(write_file(PM_TEST, "devices"));
	ret = write_file("/sys/power/state", "freeze");
	EXPECT_OK(write_file(PM_TEST, "none"));
	return ret;
}

static void expect_result(struct ctx *ctx, uint64_t user_data)
{
	struct drm_fluidnpu_event event;

	for (unsigned int n = 0; n < 2; n++) {
		REQUIRE(ctx_event(ctx, &event), "no event");
		EXPECT_EQ(event.type, DRM_FLUIDNPU_EVENT_EXIT);
		EXPECT_EQ(event.class_index, n);
	}
	REQUIRE(ctx_event(ctx, &event), "no event");
	EXPECT_EQ(event.type, DRM_FLUIDNPU_EVENT_JOB);
	EXPECT_EQ(event.user_data, user_data);
	EXPECT_EQ(event.error, 0);
}

/* @slow_layers decides whether the first job ends before the device is stopped. */
static void sleep_with_jobs(uint32_t slow_layers, uint32_t later_start)
{
	struct drm_fluidnpu_job args[20];
	struct job first, rest;
	struct rig rig;

	if (access(PM_TEST, W_OK))
		SKIP("the kernel has no " PM_TEST);
	REQUIRE(rig_up(&rig, slow_layers), "set-up");
	job_init(&first, &rig.net, 2, 0);
	job_init(&rest, &rig.net, 2, 0);
	rest.samples[0].start_layer = later_start;
	rest.samples[1].start_layer = later_start;
	for (unsigned int i = 0; i < 20; i++) {
		args[i] = i ? rest.args : first.args;
		args[i].user_data = i * 10;
	}
	EXPECT_OK(submit(&rig.ctx, args, 20, NULL, 0));
	EXPECT_OK(system_sleep());
	for (unsigned int i = 0; i < 20; i++)
		expect_result(&rig.ctx, i * 10);
	EXPECT_EQ(ctx_pending(&rig.ctx), 0);
	rig_down(&rig);
}

static void short_jobs_survive_the_systems_sleep(void)
{
	sleep_with_jobs(10, 0);
}

static void a_long_job_survives_the_systems_sleep(void)
{
	sleep_with_jobs(300, 298);
}

static void a_job_that_cannot_run_again_keeps_the_system_awake(void)
{
	struct drm_fluidnpu_counters before, now;
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;

	if (access(PM_TEST, W_OK))
		SKIP("the kernel has no " PM_TEST);
	REQUIRE(rig_up(&rig, 400), "set-up");
	job_init(&job, &rig.net, 1, 0);
	job.samples[0].start_layer = 1;
	REQUIRE(!npu_counters(rig.fd, &before), "query failed");
	EXPECT_OK(submit_one(&rig.ctx, &job));
	do {
		REQUIRE(!npu_counters(rig.fd, &now), "query failed");
	} while (now.values[FLUIDNPU_CNT_LAYERS] == before.values[FLUIDNPU_CNT_LAYERS]);
	EXPECT_ERRNO(system_sleep(), EBUSY);
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.error, 0);
	rig_down(&rig);
}

static void the_system_can_sleep_while_the_device_does(void)
{
	if (access(PM_TEST, W_OK))
		SKIP("the kernel has no " PM_TEST);
	wait_until_asleep();
	EXPECT_OK(system_sleep());
	works_again();
	wait_until_asleep();
}

static const struct tap_test tests[] = {
	{ "an idle device falls asleep", an_idle_device_falls_asleep },
	{ "an open file does not keep it awake", an_open_file_does_not_keep_it_awake },
	{ "a job wakes it", a_job_wakes_it },
	{ "what is made while it sleeps works afterwards",
	  what_is_made_while_it_sleeps_works_afterwards },
	{ "what is freed while it sleeps is gone afterwards",
	  what_is_freed_while_it_sleeps_is_gone_afterwards },
	{ "counters outlast its sleep, and asking for them does not wake it",
	  counters_outlast_its_sleep_and_do_not_wake_it },
	{ "jobs in flight keep it awake", jobs_in_flight_keep_it_awake },
	{ "a reset while it sleeps is harmless", a_reset_while_it_sleeps_is_harmless },
	{ "it can be removed while it sleeps", it_can_be_removed_while_it_sleeps },
	{ "the module can be unloaded while it sleeps",
	  the_module_can_be_unloaded_while_it_sleeps },
	{ "short jobs survive the system's sleep", short_jobs_survive_the_systems_sleep },
	{ "a long job survives the system's sleep", a_long_job_survives_the_systems_sleep },
	{ "a job that cannot run again keeps the system awake",
	  a_job_that_cannot_run_again_keeps_the_system_awake },
	{ "the system can sleep while the device does",
	  the_system_can_sleep_while_the_device_does },
};

int main(void)
{
	if (!pci_find()) {
		printf("Bail out! cannot find the device in sysfs\n");
		return 1;
	}
	return tap_run(tests, sizeof(tests) / sizeof(tests[0]));
}
