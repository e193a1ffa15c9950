// SPDX-License-Identifier: MIT
/*
 * What can be seen from outside: queries, PERF, fdinfo, sysfs, debugfs, tracepoints. Needs root.
 */
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "npu.h"
#include "pcidev.h"
#include "rig.h"
#include "tap.h"

#define TRACING "/sys/kernel/tracing/"
#define NUM_QUEUES_MAX 8
#define MARK 0x5a00000000001234ull	/* user_data that nothing else has */

static uint64_t sysfs_number(const char *file)
{
	char text[64] = "", *end;
	uint64_t value;

	EXPECT_OK(pci_read(file, text, sizeof(text)));
	value = strtoull(text, &end, 10);
	EXPECT(end != text && !strcmp(end, "\n"), "%s holds \"%s\"", file, text);
	return value;
}

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

/* The whole of a file, which can be long, to be freed; NULL: not there. */
static char *slurp(const char *path)
{
	size_t used = 0, room = 1u << 16;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = malloc(room);
	ssize_t got = -1;

	while (fd >= 0 && text && (got = read(fd, text + used, room - used - 1)) > 0) {
		used += (size_t)got;
		if (room - used < 4096)
			text = realloc(text, room *= 2);
	}
	if (fd >= 0)
		close(fd);
	if (got < 0 || !text) {
		free(text);
		return NULL;
	}
	text[used] = '\0';
	return text;
}

static int query(int fd, uint32_t type, void *to, uint32_t *size)
{
	struct drm_fluidnpu_dev_query args = {
		.type = type, .size = *size, .pointer = (uintptr_t)to,
	};
	int ret = npu_ioctl(fd, DRM_IOCTL_FLUIDNPU_DEV_QUERY, &args);

	*size = args.size;
	return ret;
}

static int perf(int fd, uint32_t ctx_id, struct drm_fluidnpu_perf *out)
{
	*out = (struct drm_fluidnpu_perf){ .ctx_id = ctx_id };
	return npu_ioctl(fd, DRM_IOCTL_FLUIDNPU_PERF, out);
}

/* Counters of the device at [0], then of its queues; returns how many queues. */
static unsigned int all_counters(int fd, struct drm_fluidnpu_counters all[1 + NUM_QUEUES_MAX])
{
	uint32_t size = NUM_QUEUES_MAX * sizeof(*all);

	EXPECT_OK(npu_counters(fd, &all[0]));
	EXPECT_OK(query(fd, DRM_FLUIDNPU_QUERY_QUEUE_COUNTERS, &all[1], &size));
	return size / sizeof(*all);
}

static void counters_do_not_go_back(const struct drm_fluidnpu_counters *before,
				    const struct drm_fluidnpu_counters *after)
{
	EXPECT(after->time >= before->time, "time %llu then %llu",
	       (unsigned long long)before->time, (unsigned long long)after->time);
	for (unsigned int i = 0; i < FLUIDNPU_CNT_NUM; i++)
		EXPECT(after->values[i] >= before->values[i], "counter %u: %llu then %llu", i,
		       (unsigned long long)before->values[i], (unsigned long long)after->values[i]);
}

/* Returns when the device has begun with a job that was submitted after @before. */
static void wait_until_running(int fd, const struct drm_fluidnpu_counters *before)
{
	struct drm_fluidnpu_counters now = *before;

	while (now.values[FLUIDNPU_CNT_LAYERS] == before->values[FLUIDNPU_CNT_LAYERS] &&
	       !npu_counters(fd, &now))
		;
}

static int yield_job(const struct ctx *ctx, uint64_t user_data)
{
	struct drm_fluidnpu_yield args = { .ctx_id = ctx->id, .user_data = user_data };

	return npu_ioctl(ctx->fd, DRM_IOCTL_FLUIDNPU_YIELD, &args);
}

/* ---- queries ---- */

static void every_query_takes_short_and_long_sizes(void)
{
	static uint8_t whole[4096], bytes[4096];
	int fd = npu_open();

	for (uint32_t type = 0; type <= DRM_FLUIDNPU_QUERY_QUEUE_COUNTERS; type++) {
		uint32_t known = 0, size;

		EXPECT_OK(query(fd, type, NULL, &known));
		REQUIRE(known >= 16 && known < sizeof(bytes), "type %u has %u bytes", type, known);
		memset(bytes, 0xa5, sizeof(bytes));
		size = 12;
		EXPECT_OK(query(fd, type, bytes, &size));
		EXPECT_EQ(size, known);
		EXPECT_EQ(bytes[12], 0xa5);

		memset(bytes, 0xa5, sizeof(bytes));
		size = known + 8;
		EXPECT_OK(query(fd, type, bytes, &size));
		EXPECT_EQ(size, known);
		for (unsigned int i = 0; i < 8; i++)
			EXPECT_EQ(bytes[known + i], 0);
		EXPECT_EQ(bytes[known + 8], 0xa5);
		EXPECT(memcmp(bytes, whole, known), "type %u: all zero", type);
	}
	close(fd);
}

static void info_tells_the_limits(void)
{
	struct drm_fluidnpu_info info;
	int fd = npu_open();

	EXPECT_OK(npu_info(fd, &info));
	EXPECT_EQ(info.abi_version, FLUIDNPU_ABI_MAJOR << 16 | FLUIDNPU_ABI_MINOR);
	EXPECT(info.num_queues >= 1 && info.num_queues <= info.geometry.num_queues, "%u queues",
	       info.num_queues);
	EXPECT_EQ(info.max_job_bos, 64);
	EXPECT_EQ(info.max_syncs, 64);
	EXPECT(info.max_contexts > 0 && info.memory_bytes > 0, "%u contexts, %llu bytes",
	       info.max_contexts, (unsigned long long)info.memory_bytes);
	close(fd);
}

static void each_priority_has_one_queue(void)
{
	struct drm_fluidnpu_queue_info queues[NUM_QUEUES_MAX];
	uint32_t size = sizeof(queues), seen = 0;
	int fd = npu_open();

	EXPECT_OK(query(fd, DRM_FLUIDNPU_QUERY_QUEUES, queues, &size));
	for (unsigned int i = 0; i < size / sizeof(queues[0]); i++) {
		EXPECT_EQ(seen & queues[i].priorities, 0);
		EXPECT(queues[i].max_jobs > 0, "queue %u takes no jobs", i);
		seen |= queues[i].priorities;
	}
	EXPECT_EQ(seen, 0xf);
	close(fd);
}

static void counters_of_queues_add_up(void)
{
	struct drm_fluidnpu_counters all[1 + NUM_QUEUES_MAX];
	uint64_t jobs = 0, cycles = 0;
	unsigned int queues;
	int fd = npu_open();

	works_again();
	queues = all_counters(fd, all);
	for (unsigned int i = 1; i <= queues; i++) {
		jobs += all[i].values[FLUIDNPU_CNT_JOBS];
		cycles += all[i].values[FLUIDNPU_CNT_BUSY_CYCLES];
	}
	EXPECT(jobs > 0, "no job");
	EXPECT_EQ(jobs, all[0].values[FLUIDNPU_CNT_JOBS]);
	EXPECT_EQ(cycles, all[0].values[FLUIDNPU_CNT_BUSY_CYCLES]);
	close(fd);
}

static void counters_survive_a_reset(void)
{
	struct drm_fluidnpu_counters before[1 + NUM_QUEUES_MAX], after[1 + NUM_QUEUES_MAX];
	unsigned int queues;
	int fd = npu_open();

	works_again();
	queues = all_counters(fd, before);
	EXPECT_OK(pci_write("reset", "1"));
	works_again();
	EXPECT_EQ(all_counters(fd, after), queues);
	for (unsigned int i = 0; i <= queues; i++)
		counters_do_not_go_back(&before[i], &after[i]);
	EXPECT_EQ(after[0].values[FLUIDNPU_CNT_JOBS], before[0].values[FLUIDNPU_CNT_JOBS] + 1);
	close(fd);
}

static void counters_survive_sleep(void)
{
	struct drm_fluidnpu_counters before[1 + NUM_QUEUES_MAX], after[1 + NUM_QUEUES_MAX];
	unsigned int queues;
	int fd = npu_open();

	works_again();
	queues = all_counters(fd, before);
	wait_until_asleep();
	EXPECT_EQ(all_counters(fd, after), queues);
	EXPECT(asleep(), "the query woke it");
	for (unsigned int i = 0; i <= queues; i++)
		counters_do_not_go_back(&before[i], &after[i]);
	EXPECT_EQ(after[0].values[FLUIDNPU_CNT_JOBS], before[0].values[FLUIDNPU_CNT_JOBS]);
	works_again();
	EXPECT_EQ(all_counters(fd, after), queues);
	EXPECT_EQ(after[0].values[FLUIDNPU_CNT_JOBS], before[0].values[FLUIDNPU_CNT_JOBS] + 1);
	close(fd);
}

/* ---- PERF ---- */

static void perf_equals_what_was_submitted(void)
{
	struct drm_fluidnpu_submit inject = { 0 };
	struct drm_fluidnpu_perf p, file;
	struct rig rig, other;
	struct job job;

	REQUIRE(rig_up(&rig, 0) && rig_up(&other, 0), "");
	net_set_input(&rig.net, 2, 1, 1);	/* unsure: leaves at the second exit */
	job_init(&job, &rig.net, 3, 0);
	EXPECT_EQ(rig_run(&rig, &job), 0);
	job_init(&job, &rig.net, 2, 0);
	job.args.flags = DRM_FLUIDNPU_JOB_NO_EXIT;
	EXPECT_EQ(rig_run(&rig, &job), 0);
	job_init(&job, &rig.net, 1, 0);
	job.args.program_iova = rig.net.data.iova;	/* not a program */
	EXPECT_EQ(rig_run(&rig, &job), -EIO);
	job_init(&job, &rig.net, 1, 0);
	inject.ctx_id = rig.ctx.id;
	inject.jobs = (struct drm_fluidnpu_array){ sizeof(job.args), 1, (uintptr_t)&job.args };
	EXPECT_OK(npu_ioctl(rig.fd, DRM_IOCTL_FLUIDNPU_INJECT, &inject));
	REQUIRE(ctx_job_event(&rig.ctx, &(struct drm_fluidnpu_event){ 0 }), "no event");

	EXPECT_OK(perf(rig.fd, rig.ctx.id, &p));
	EXPECT_EQ(p.jobs, 4);
	EXPECT_EQ(p.jobs_ended, 4);
	EXPECT_EQ(p.job_errors, 1);
	EXPECT_EQ(p.injects, 1);
	EXPECT_EQ(p.samples, 7);
	EXPECT_EQ(p.yields, 0);
	EXPECT_EQ(p.exits[0], 3);
	EXPECT_EQ(p.exits[1], 3);
	EXPECT_EQ(p.exits[2], 0);
	EXPECT(p.time > 0 && p.busy_cycles > 0, "time %llu, busy %llu", (unsigned long long)p.time,
	       (unsigned long long)p.busy_cycles);
	EXPECT_OK(perf(rig.fd, 0, &file));
	file.time = p.time;
	file.ctx_id = p.ctx_id;
	EXPECT(!memcmp(&p, &file, sizeof(p)), "the file has used something else than its context");

	EXPECT_OK(perf(other.fd, 0, &p));
	EXPECT(!p.jobs && !p.samples && !p.busy_cycles && !p.exits[0] && !p.job_errors,
	       "another client has %llu jobs", (unsigned long long)p.jobs);
	rig_down(&other);
	rig_down(&rig);
}

static void perf_adds_up_the_times_of_events(void)
{
	struct drm_fluidnpu_event event;
	uint64_t busy = 0, wait = 0;
	struct drm_fluidnpu_perf p;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 1), "");
	for (unsigned int i = 0; i < 3; i++) {
		job_init(&job, &rig.net, 1, i);
		EXPECT_OK(submit_one(&rig.ctx, &job));
	}
	for (unsigned int i = 0; i < 3; i++) {
		REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
		busy += event.time - event.started;
		wait += event.started - event.queued;
	}
	EXPECT_OK(perf(rig.fd, 0, &p));
	EXPECT_EQ(p.busy_cycles, busy);
	EXPECT_EQ(p.wait_cycles, wait);
	rig_down(&rig);
}

static void perf_counts_samples_handed_back(void)
{
	struct drm_fluidnpu_counters before;
	struct drm_fluidnpu_event event;
	struct drm_fluidnpu_perf p;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 100), "");
	REQUIRE(!npu_counters(rig.fd, &before), "query failed");
	job_init(&job, &rig.net, 2, MARK);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	wait_until_running(rig.fd, &before);
	EXPECT_OK(yield_job(&rig.ctx, MARK));
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.error, 0);
	EXPECT_OK(perf(rig.fd, rig.ctx.id, &p));
	EXPECT_EQ(p.yields, 2);
	EXPECT_EQ(p.exits[0] + p.exits[1], 0);
	rig_down(&rig);
}

static void perf_of_the_file_outlives_contexts(void)
{
	struct drm_fluidnpu_perf p;
	struct rig rig;
	struct ctx second;
	struct job job;
	struct bo bo;
	uint64_t bytes;

	REQUIRE(rig_up(&rig, 0), "");
	EXPECT_OK(perf(rig.fd, 0, &p));
	bytes = p.memory_bytes;
	EXPECT_OK(ctx_create(rig.fd, DRM_FLUIDNPU_PRIORITY_LOW, 32, &second));
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(submit_one(&second, &job));
	REQUIRE(ctx_job_event(&second, &(struct drm_fluidnpu_event){ 0 }), "no event");
	EXPECT_OK(perf(rig.fd, rig.ctx.id, &p));
	EXPECT_EQ(p.jobs, 0);
	ctx_destroy(&second);
	EXPECT_ERRNO(perf(rig.fd, second.id, &p), ENOENT);
	/* Its event ring goes when the driver is through with its job. */
	do {
		REQUIRE(!perf(rig.fd, 0, &p), "query failed");
	} while (p.memory_bytes != bytes);
	EXPECT_EQ(p.jobs, 1);
	EXPECT_EQ(p.exits[0], 1);
	EXPECT_OK(bo_create(rig.fd, 8192, &bo));
	EXPECT_OK(perf(rig.fd, 0, &p));
	EXPECT_EQ(p.memory_bytes, bytes + 8192);
	bo_destroy(&bo);
	rig_down(&rig);
}

/* ---- fdinfo ---- */

static uint64_t fdinfo_number(int fd, const char *key)
{
	char path[64], text[4096], *at;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	EXPECT_OK(read_file(path, text, sizeof(text)));
	at = strstr(text, key);
	EXPECT(at, "no %s in %s", key, text);
	return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static void fdinfo_has_the_keys_of_the_standard(void)
{
	struct drm_fluidnpu_info info;
	uint64_t cycles, ns;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 1), "");
	EXPECT_OK(npu_info(rig.fd, &info));
	EXPECT_EQ(fdinfo_number(rig.fd, "drm-cycles-npu:"), 0);
	job_init(&job, &rig.net, 1, 0);
	EXPECT_EQ(rig_run(&rig, &job), 0);
	cycles = fdinfo_number(rig.fd, "drm-cycles-npu:");
	ns = fdinfo_number(rig.fd, "drm-engine-npu:");
	EXPECT(cycles >= SLOW_LAYER_CYCLES, "%llu cycles", (unsigned long long)cycles);
	EXPECT_EQ(ns, cycles * 1000000000ull / info.clock_hz);
	EXPECT_EQ(fdinfo_number(rig.fd, "drm-engine-capacity-npu:"), 1);
	EXPECT_EQ(fdinfo_number(rig.fd, "drm-maxfreq-npu:"), info.clock_hz);
	EXPECT(fdinfo_number(rig.fd, "drm-total-memory:") > 0, "no memory");
	rig_down(&rig);
}

static void fdinfo_does_not_count_preemption(void)
{
	struct drm_fluidnpu_counters before, after;
	struct drm_fluidnpu_event event;
	uint64_t low_cycles, high_cycles, busy;
	struct drm_fluidnpu_perf p;
	struct rig low, high;
	struct ctx urgent;
	struct job job;

	REQUIRE(rig_up(&low, 40) && rig_up(&high, 20), "");
	EXPECT_OK(ctx_create(high.fd, DRM_FLUIDNPU_PRIORITY_HIGH, 32, &urgent));
	REQUIRE(!npu_counters(low.fd, &before), "query failed");
	job_init(&job, &low.net, 1, 0);
	EXPECT_OK(submit_one(&low.ctx, &job));
	wait_until_running(low.fd, &before);
	job_init(&job, &high.net, 1, 0);
	EXPECT_OK(submit_one(&urgent, &job));
	REQUIRE(ctx_job_event(&urgent, &event), "no event");
	EXPECT_EQ(ctx_pending(&low.ctx), 0);
	REQUIRE(ctx_job_event(&low.ctx, &event), "no event");
	REQUIRE(!npu_counters(low.fd, &after), "query failed");

	EXPECT(after.values[FLUIDNPU_CNT_PREEMPTIONS] > before.values[FLUIDNPU_CNT_PREEMPTIONS],
	       "nothing was preempted");
	EXPECT_OK(perf(low.fd, 0, &p));
	low_cycles = fdinfo_number(low.fd, "drm-cycles-npu:");
	high_cycles = fdinfo_number(high.fd, "drm-cycles-npu:");
	busy = after.values[FLUIDNPU_CNT_BUSY_CYCLES] - before.values[FLUIDNPU_CNT_BUSY_CYCLES];
	EXPECT(p.busy_cycles > low_cycles + high_cycles / 2, "%llu in PERF, %llu in fdinfo",
	       (unsigned long long)p.busy_cycles, (unsigned long long)low_cycles);
	EXPECT(llabs((long long)(low_cycles + high_cycles - busy)) < (long long)busy / 100,
	       "%llu and %llu cycles, but the NPU was busy for %llu",
	       (unsigned long long)low_cycles, (unsigned long long)high_cycles,
	       (unsigned long long)busy);
	ctx_destroy(&urgent);
	rig_down(&high);
	rig_down(&low);
}

/* ---- sysfs ---- */

static void every_counter_has_a_file_with_a_number(void)
{
	glob_t files;

	REQUIRE(!glob("/sys/bus/pci/drivers/fluidnpu/*:*/counters/*", 0, NULL, &files), "no files");
	EXPECT_EQ(files.gl_pathc, FLUIDNPU_CNT_NUM);	/* of the only device */
	for (size_t i = 0; i < files.gl_pathc; i++) {
		char text[64] = "", *end;

		EXPECT_OK(read_file(files.gl_pathv[i], text, sizeof(text)));
		strtoull(text, &end, 10);
		EXPECT(end != text && !strcmp(end, "\n"), "%s: %s", files.gl_pathv[i], text);
	}
	globfree(&files);
}

static void sysfs_grows_with_the_work(void)
{
	static const struct {
		const char *file;
		uint64_t more;
	} wanted[] = {
		{ "counters/jobs", 1 }, { "counters/samples", 3 }, { "counters/exits_0", 2 },
		{ "counters/exits_1", 1 }, { "queue1/jobs", 1 }, { "queue1/exits_0", 2 },
		{ "queue0/jobs", 0 }, { "queue3/samples", 0 }, { "counters/job_errors", 0 },
	};
	uint64_t before[sizeof(wanted) / sizeof(wanted[0])], us, memory;
	struct rig rig;
	struct job job;

	memory = sysfs_number("npu_memory_utilization");
	REQUIRE(rig_up(&rig, 1), "");
	EXPECT_EQ(sysfs_number("npu_memory_utilization"), memory + rig.ctx.ring.size +
		  rig.net.program.size + rig.net.data.size);
	net_set_input(&rig.net, 2, 1, 1);
	job_init(&job, &rig.net, 3, 0);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		before[i] = sysfs_number(wanted[i].file);
	us = sysfs_number("npu_busy_time_us");
	EXPECT_EQ(rig_run(&rig, &job), 0);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		EXPECT(sysfs_number(wanted[i].file) == before[i] + wanted[i].more, "%s",
		       wanted[i].file);
	EXPECT(sysfs_number("npu_busy_time_us") >= us + 5000, "less than a slow layer");
	EXPECT(sysfs_number("npu_max_frequency_mhz") > 0, "no frequency");
	EXPECT_EQ(sysfs_number("npu_current_frequency_mhz"), sysfs_number("npu_max_frequency_mhz"));
	rig_down(&rig);
	EXPECT_EQ(sysfs_number("npu_memory_utilization"), memory);
}

static void sysfs_does_not_wake_the_device(void)
{
	works_again();
	wait_until_asleep();
	EXPECT(sysfs_number("npu_busy_time_us") > 0, "it has forgotten");
	EXPECT(sysfs_number("counters/jobs") > 0, "it has forgotten");
	EXPECT_EQ(sysfs_number("npu_current_frequency_mhz"), 0);
	EXPECT(asleep(), "reading woke it");
}

/* ---- debugfs ---- */

static char *debugfs(const char *file)
{
	char pattern[128], *text = NULL;
	glob_t files;

	snprintf(pattern, sizeof(pattern), "/sys/kernel/debug/accel/*/%s", file);
	if (!glob(pattern, 0, NULL, &files)) {
		text = slurp(files.gl_pathv[0]);
		globfree(&files);
	}
	return text;
}

static void debugfs_shows_a_running_job(void)
{
	char who[64], what[64], where[64], *text = NULL;
	struct drm_fluidnpu_event event;
	struct rig rig;
	struct job job;

	REQUIRE(rig_up(&rig, 200), "");
	job_init(&job, &rig.net, 2, MARK);
	EXPECT_OK(submit_one(&rig.ctx, &job));
	snprintf(what, sizeof(what), "run user_data=%#llx samples=2 left=0 slot=", MARK);
	snprintf(who, sizeof(who), "client=%d (test_observe) ctx=%u", getpid(), rig.ctx.id);
	do {	/* the scheduler's worker brings it to the device */
		free(text);
		text = debugfs("queues");
		REQUIRE(text, "no debugfs");
	} while (!strstr(text, what) && !ctx_pending(&rig.ctx));
	EXPECT(strstr(text, what) && strstr(text, who) && strstr(text, "cookie=0x"), "%s", text);
	free(text);

	snprintf(who, sizeof(who), "client %d (test_observe)", getpid());
	text = debugfs("contexts");
	EXPECT(text && strstr(text, who) && strstr(text, what), "%s", text);
	free(text);

	snprintf(where, sizeof(where), " %#llx-%#llx rw", (unsigned long long)rig.net.data.iova,
		 (unsigned long long)(rig.net.data.iova + rig.net.data.size));
	text = debugfs("page_tables");
	EXPECT(text && strstr(text, who) && strstr(text, where), "%s", text);
	free(text);

	text = debugfs("registers");
	EXPECT(text && strstr(text, "queue0.status"), "%s", text);
	free(text);

	EXPECT_OK(yield_job(&rig.ctx, MARK));
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	rig_down(&rig);
	text = debugfs("contexts");
	EXPECT(text && !strstr(text, "test_observe"), "%s", text);
	free(text);
}

/* ---- tracepoints ---- */

static void expect_trace(const char *text, const char *event, const char *rest)
{
	char name[64];
	const char *at = text;

	snprintf(name, sizeof(name), " %s: ", event);
	while ((at = strstr(at, name))) {
		const char *end = strchr(at, '\n'), *hit = strstr(at, rest);

		if (hit && (!end || hit <= end))
			return;
		at++;
	}
	EXPECT(!text, "no event %s with \"%s\" in %.2000s", event, rest, text);
}

static void every_tracepoint_fires(void)
{
	struct drm_fluidnpu_counters before;
	struct drm_fluidnpu_event event;
	char line[128], range[64], *text;
	struct rig rig;
	struct job job;

	if (access(TRACING "events/fluidnpu", F_OK))
		SKIP("a kernel without tracefs");
	works_again();
	wait_until_asleep();
	EXPECT_OK(write_file(TRACING "trace", ""));
	EXPECT_OK(write_file(TRACING "events/fluidnpu/enable", "1"));
	REQUIRE(rig_up(&rig, 100), "");
	job_init(&job, &rig.net, 2, MARK);
	REQUIRE(!npu_counters(rig.fd, &before), "query failed");
	EXPECT_OK(submit_one(&rig.ctx, &job));
	wait_until_running(rig.fd, &before);
	EXPECT_OK(pci_write("reset", "1"));	/* it begins again at layer 0 */
	EXPECT_OK(yield_job(&rig.ctx, MARK));
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	snprintf(range, sizeof(range), "iova=%#llx bytes=%llu\n",
		 (unsigned long long)rig.net.data.iova, (unsigned long long)rig.net.data.size);
	rig_down(&rig);
	EXPECT_OK(write_file(TRACING "events/fluidnpu/enable", "0"));
	text = slurp(TRACING "trace");
	REQUIRE(text, "no trace");

	snprintf(line, sizeof(line), "client=%d ctx=%u queue=1 user_data=%#llx cookie=0x", getpid(),
		 rig.ctx.id, MARK);
	expect_trace(text, "fluidnpu_job_submit", line);
	expect_trace(text, "fluidnpu_job_run", line);
	expect_trace(text, "fluidnpu_job_yield", line);
	expect_trace(text, "fluidnpu_job_end", line);
	snprintf(line, sizeof(line), "user_data=%#llx cookie=0x", MARK + 1);
	expect_trace(text, "fluidnpu_job_sample", line);
	expect_trace(text, "fluidnpu_job_sample", " yield sample=1");
	expect_trace(text, "fluidnpu_as_map", range);
	expect_trace(text, "fluidnpu_as_unmap", range);
	expect_trace(text, "fluidnpu_as_command", "enable");
	expect_trace(text, "fluidnpu_as_command", "flush");
	expect_trace(text, "fluidnpu_irq", "completions=");
	expect_trace(text, "fluidnpu_pm", "resume");
	expect_trace(text, "fluidnpu_device_reset", "off=0x0");
	expect_trace(text, "fluidnpu_queue_restart", "queue=1 jobs=1");
	free(text);
}

static const struct tap_test tests[] = {
	{ "every query takes short and long sizes", every_query_takes_short_and_long_sizes },
	{ "INFO tells the limits", info_tells_the_limits },
	{ "each priority has one queue", each_priority_has_one_queue },
	{ "counters of queues add up", counters_of_queues_add_up },
	{ "counters survive a reset", counters_survive_a_reset },
	{ "counters survive sleep, and are read without waking", counters_survive_sleep },
	{ "PERF equals what was submitted, and is the client's own", perf_equals_what_was_submitted },
	{ "PERF adds up the times of events", perf_adds_up_the_times_of_events },
	{ "PERF counts samples handed back", perf_counts_samples_handed_back },
	{ "PERF of the file outlives contexts", perf_of_the_file_outlives_contexts },
	{ "fdinfo has the keys of the standard", fdinfo_has_the_keys_of_the_standard },
	{ "fdinfo does not count preemption", fdinfo_does_not_count_preemption },
	{ "every counter has a file with a number", every_counter_has_a_file_with_a_number },
	{ "sysfs grows with the work", sysfs_grows_with_the_work },
	{ "sysfs does not wake the device", sysfs_does_not_wake_the_device },
	{ "debugfs shows a running job", debugfs_shows_a_running_job },
	{ "every tracepoint fires", every_tracepoint_fires },
};

int main(void)
{
	if (!pci_find()) {
		printf("Bail out! no NPU in sysfs\n");
		return 1;
	}
	return tap_run(tests, sizeof(tests) / sizeof(tests[0]));
}
