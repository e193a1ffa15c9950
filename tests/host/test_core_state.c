// SPDX-License-Identifier: MIT
/*
 * Snapshots: a device that goes on as another device, from any moment, does what the first
 * would have done; and no image, however damaged, makes a device do harm.
 *
 * The testbench stays (memory, rings, clock): only the device in it is replaced.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core_host.h"

#define QUEUES		3
#define RING		64	/* more than all entries of a run */
#define ACTIONS		90
#define MAX_JOBS	24
#define STEPS_TO_END	2000	/* of a device that goes on: far more than any run takes */

static void *save(struct tb *tb)
{
	void *state = malloc(fnpu_dev_state_bytes());

	assert_non_null(state);
	fnpu_dev_save(tb->dev, state);
	return state;
}

static void replace_device(struct tb *tb)
{
	const struct fnpu_host_ops *ops = tb->dev->ops;

	fnpu_dev_free(tb->dev);
	tb->dev = fnpu_dev_new(&tb->config, ops, tb);
	assert_non_null(tb->dev);
}

/* The device is saved and another one, fresh from power-on, takes its place. */
static void migrate(struct tb *tb)
{
	void *state = save(tb);

	replace_device(tb);
	assert_null(fnpu_dev_load(tb->dev, state, fnpu_dev_state_bytes()));
	free(state);
}

/* The device is saved and goes on itself, as after a migration that failed. */
static void save_only(struct tb *tb)
{
	free(save(tb));
}

/* --- random runs, moved and not ---------------------------------------------------- */

/** struct run - what a random run is about; all of it follows from the seed */
struct run {
	struct tb *tb;
	struct tb_rng rng;
	struct tb_program program;
	struct tb_job jobs[MAX_JOBS];
	unsigned int queue_of[MAX_JOBS];
	unsigned int num_jobs;
};

static struct fnpu_config small_config(void)
{
	struct fnpu_config config;

	fnpu_config_default(&config);
	config.geometry.num_queues = QUEUES;
	config.geometry.stack_depth = 2;
	config.geometry.act_sram_bytes = 4096;	/* so that batches differ in what stays there */
	return config;
}

static void run_init(struct run *r, uint64_t seed, enum tb_worker worker, bool functional)
{
	struct fnpu_config config = small_config();

	config.functional = functional;
	memset(r, 0, sizeof(*r));
	r->tb = tb_ready(&config, worker);
	r->rng.state = seed;
	tb_net_two_exits(&r->program, 5, 0.25f);	/* about half leave early */
	tb_program_load(r->tb, &r->program, TB_AS);
	for (unsigned int q = 0; q < QUEUES; q++)
		tb_queue_enable(r->tb, q, RING, q / 2);	/* the last one preempts */
}

static void run_free(struct run *r)
{
	tb_program_free(&r->program);
	tb_free(r->tb);
}

static void submit(struct run *r, uint8_t opcode)
{
	unsigned int queue = tb_range(&r->rng, 0, QUEUES - 1), n = tb_range(&r->rng, 1, 6);
	struct tb_job *job = &r->jobs[r->num_jobs];

	if (r->num_jobs == MAX_JOBS)
		return;
	tb_job_make(r->tb, job, &r->program, TB_AS, n, r->num_jobs);
	job->sqe.opcode = opcode;
	for (unsigned int i = 0; i < n; i++)	/* for a device that only models time */
		job->samples[i].exit_index = i % 2;
	if (!tb_range(&r->rng, 0, 3))
		job->sqe.flags = FLUIDNPU_SQE_NO_EXIT;
	r->queue_of[r->num_jobs++] = queue;
	tb_submit(r->tb, queue, &job->sqe);
}

static void yield(struct run *r)
{
	struct fluidnpu_hw_sqe sqe;
	unsigned int target;

	if (!r->num_jobs)
		return;
	target = tb_range(&r->rng, 0, r->num_jobs - 1);
	sqe = tb_yield(1000 + target, target);
	tb_submit(r->tb, r->queue_of[target], &sqe);
}

static void act(struct run *r)
{
	struct tb *tb = r->tb;

	switch (tb_range(&r->rng, 0, 9)) {
	case 0:
	case 1:
		submit(r, FLUIDNPU_OP_RUN);
		break;
	case 2:
	case 3:
		submit(r, FLUIDNPU_OP_INJECT);
		break;
	case 4:
		yield(r);
		break;
	case 5:
		/* what an aborted group has written by then is its worker's luck */
		if (tb->worker == TB_INLINE && !tb_range(&r->rng, 0, 3))
			tb_queue_control(tb, tb_range(&r->rng, 0, QUEUES - 1),
					 FLUIDNPU_QCTRL_ABORT);
		break;
	case 6:
		tb_step(tb);
		break;
	default:	/* mostly into the middle of a group */
		tb->now += tb_range(&r->rng, 1, 2000);
		fnpu_dev_advance(tb->dev, tb->now);
	}
	tb_drain(tb, tb_range(&r->rng, 0, 30));
}

/* @between: NULL, or what happens to the device before everything else that happens */
static void run_all(struct run *r, void (*between)(struct tb *))
{
	bool more;

	for (unsigned int i = 0; i < ACTIONS; i++) {
		if (between)
			between(r->tb);
		act(r);
	}
	do {
		if (between)
			between(r->tb);
		more = tb_drain(r->tb, TB_MAX_CQES);
		more |= tb_step(r->tb);
	} while (more);
}

static void assert_same(const struct run *a, const struct run *b)
{
	struct tb *x = a->tb, *y = b->tb;

	assert_int_equal(x->num_cqes, y->num_cqes);
	assert_memory_equal(x->cqes, y->cqes, x->num_cqes * sizeof(x->cqes[0]));
	/* rings, states, logits: all that the device has written anywhere */
	assert_true(x->next == y->next);
	assert_memory_equal(x->memory, y->memory, x->next - TB_BUS_BASE);
	assert_memory_equal(x->interrupts, y->interrupts, sizeof(x->interrupts));
	assert_true(x->interrupt_time == y->interrupt_time);
	assert_true(tb_read64(x, FLUIDNPU_REG_TIME_LO) == tb_read64(y, FLUIDNPU_REG_TIME_LO));
	for (unsigned int i = 0; i < FLUIDNPU_CNT_NUM; i++) {
		if (i != FLUIDNPU_CNT_LATE_EVENTS)	/* the host's, not the device's */
			assert_true(tb_counter(x, i) == tb_counter(y, i));
		for (unsigned int q = 0; q < QUEUES; q++)
			assert_true(tb_queue_counter(x, q, i) == tb_queue_counter(y, q, i));
	}
	for (unsigned int q = 0; q < QUEUES; q++)
		assert_int_equal(tb_queue_status(x, q), tb_queue_status(y, q));
}

static void compare_runs(void (*between)(struct tb *), enum tb_worker worker, bool functional,
			 unsigned int num_seeds)
{
	uint64_t injects = 0, merges = 0, yields = 0, preemptions = 0, early = 0;

	for (unsigned int seed = 1; seed <= num_seeds; seed++) {
		struct run straight, moved;

		run_init(&straight, seed, worker, functional);
		run_init(&moved, seed, worker, functional);
		run_all(&straight, NULL);
		run_all(&moved, between);
		assert_same(&straight, &moved);
		injects += tb_counter(moved.tb, FLUIDNPU_CNT_INJECTS);
		merges += tb_counter(moved.tb, FLUIDNPU_CNT_MERGES);
		yields += tb_counter(moved.tb, FLUIDNPU_CNT_YIELDS);
		preemptions += tb_counter(moved.tb, FLUIDNPU_CNT_PREEMPTIONS);
		early += tb_counter(moved.tb, FLUIDNPU_CNT_EXITS);
		run_free(&straight);
		run_free(&moved);
	}
	/* the runs were about something */
	assert_true(injects && merges && yields && preemptions && early);
}

static void test_moved_runs_equal_straight_ones(void **state)
{
	(void)state;
	compare_runs(migrate, TB_INLINE, true, 40);
}

static void test_a_computation_in_progress_is_finished_first(void **state)
{
	(void)state;
	compare_runs(migrate, TB_DEFERRED, true, 10);
	compare_runs(migrate, TB_THREAD, true, 10);
}

static void test_moved_runs_that_only_model_time_equal_straight_ones(void **state)
{
	(void)state;
	compare_runs(migrate, TB_INLINE, false, 20);
}

static void test_saving_leaves_the_device_as_it_is(void **state)
{
	(void)state;
	compare_runs(save_only, TB_INLINE, true, 10);
	compare_runs(save_only, TB_DEFERRED, true, 10);
}

/* --- single properties ---------------------------------------------------------------- */

/* A device in the middle of its second group, with a job waiting behind. */
static struct tb *busy_device(struct tb_program *p)
{
	struct fnpu_config config = small_config();
	struct tb *tb = tb_ready(&config, TB_INLINE);
	struct tb_job job;

	tb_net_two_exits(p, 5, 2.0f);
	tb_program_load(tb, p, TB_AS);
	tb_queue_enable(tb, 0, 16, 0);
	for (unsigned int i = 0; i < 2; i++) {
		tb_job_make(tb, &job, p, TB_AS, 3, i);
		tb_submit(tb, 0, &job.sqe);
	}
	tb_step(tb);
	tb->now += 100;
	fnpu_dev_advance(tb->dev, tb->now);
	assert_true(tb->dev->s.running == 0 && fnpu_dev_deadline(tb->dev) != FNPU_NEVER);
	return tb;
}

static void test_deadline_survives(void **state)
{
	struct tb_program p;
	struct tb *tb = busy_device(&p);
	uint64_t deadline = fnpu_dev_deadline(tb->dev);

	(void)state;
	migrate(tb);
	assert_true(fnpu_dev_deadline(tb->dev) == deadline);
	tb_run(tb);
	assert_int_equal(tb_status(tb, 0), FLUIDNPU_OK);
	assert_int_equal(tb_status(tb, 1), FLUIDNPU_OK);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_a_late_group_is_due_at_once(void **state)
{
	struct fnpu_config config = small_config();
	struct tb *tb = tb_ready(&config, TB_HELD);
	struct tb_program p;
	struct tb_job job;
	uint64_t end;

	(void)state;
	tb_net_two_exits(&p, 5, 2.0f);
	tb_program_load(tb, &p, TB_AS);
	tb_queue_enable(tb, 0, 16, 0);
	tb_job_make(tb, &job, &p, TB_AS, 3, 1);
	tb_submit(tb, 0, &job.sqe);
	end = fnpu_dev_deadline(tb->dev);
	tb->now = end + 1000000;
	fnpu_dev_advance(tb->dev, tb->now);
	assert_true(fnpu_dev_deadline(tb->dev) == FNPU_NEVER);	/* waits for the worker */
	migrate(tb);
	assert_true(fnpu_dev_deadline(tb->dev) == end);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_a_hang_stays_one_and_can_be_aborted(void **state)
{
	struct fnpu_faults faults;
	struct tb_program p;
	struct tb *tb = busy_device(&p);

	(void)state;
	fnpu_faults_default(&faults);
	faults.hang_layer = 4;
	fnpu_dev_set_faults(tb->dev, &faults);
	tb_run(tb);
	migrate(tb);
	assert_true(fnpu_dev_deadline(tb->dev) == FNPU_NEVER);
	assert_true(tb_queue_status(tb, 0) & FLUIDNPU_QSTATUS_RUNNING);
	tb_queue_control(tb, 0, FLUIDNPU_QCTRL_ABORT);
	assert_int_equal(tb_drain(tb, TB_MAX_CQES), 1);
	assert_int_equal(tb_status(tb, 0), FLUIDNPU_ERR_ABORTED);
	tb_program_free(&p);
	tb_free(tb);
}

static void test_faults_are_part_of_the_state(void **state)
{
	const struct fnpu_faults set = {
		.hang_layer = 3,
		.lose_interrupts = 4,
		.corrupt_descriptors = 5,
		.dma_errors = 6,
		.dram_percent = 700,
	};
	struct tb *tb = tb_new(NULL, TB_INLINE);
	struct fnpu_faults got;

	(void)state;
	fnpu_dev_set_faults(tb->dev, &set);
	migrate(tb);
	fnpu_dev_faults(tb->dev, &got);
	assert_memory_equal(&got, &set, sizeof(set));
	tb_free(tb);
}

static void assert_power_on(struct tb *tb)
{
	assert_true(fnpu_dev_deadline(tb->dev) == FNPU_NEVER);
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_CTRL), 0);
	assert_int_equal(tb_queue_status(tb, 0), 0);
	assert_int_equal(tb_read(tb, FLUIDNPU_REG_CQ_ENTRIES), 0);
}

static void refuses(struct tb *tb, const void *image, size_t bytes, const char *text)
{
	const char *reason = fnpu_dev_load(tb->dev, image, bytes);

	assert_non_null(reason);
	if (!strstr(reason, text))
		fail_msg("\"%s\" does not say \"%s\"", reason, text);
	assert_power_on(tb);
}

static void test_states_of_other_devices_are_refused(void **state)
{
	const size_t bytes = fnpu_dev_state_bytes();
	struct tb_program p;
	struct tb *tb = busy_device(&p);
	uint32_t *image = save(tb);

	(void)state;
	refuses(tb, image, bytes - 1, "version");
	refuses(tb, image, 0, "version");
	image[0] ^= 1;
	refuses(tb, image, bytes, "not the state");
	image[0] ^= 1;
	image[1]++;
	refuses(tb, image, bytes, "version");
	image[1]--;
	tb->config.geometry.tile_rows *= 2;
	replace_device(tb);
	refuses(tb, image, bytes, "configuration");
	tb->config.geometry.tile_rows /= 2;
	tb->config.functional = false;
	replace_device(tb);
	refuses(tb, image, bytes, "configuration");
	tb->config.functional = true;
	replace_device(tb);
	assert_null(fnpu_dev_load(tb->dev, image, bytes));
	tb_run(tb);
	assert_int_equal(tb_status(tb, 1), FLUIDNPU_OK);
	free(image);
	tb_program_free(&p);
	tb_free(tb);
}

/* Two layers that the device runs one after the other, but not fused. */
static void run_immense_group(struct fnpu_state *s)
{
	const struct fluidnpu_hw_layer pool = {
		.op = FLUIDNPU_LAYER_MAXPOOL,
		.in_h = 319, .in_w = 319, .in_c = 1, .out_h = 65, .out_w = 65, .out_c = 1,
		.kernel_h = 255, .kernel_w = 255, .stride_h = 1, .stride_w = 1,
	};

	s->queues[s->running].program.state_bytes = 1 << 20;
	s->work.num_layers = 2;
	s->work.layers[0] = s->work.layers[1] = pool;
	s->work.layers[1].flags = FLUIDNPU_LAYER_FUSED;
}

/* Makes one thing in the state of busy_device() impossible; false: there are no more. */
static bool contradict(struct fnpu_state *s, unsigned int which)
{
	struct fnpu_queue *q = &s->queues[0];

	switch (which) {
	case 0:
		q->jobs[0].live++;
		return true;
	case 1:
		q->jobs[1].used = true;
		return true;
	case 2:
		q->batches[0].members[0].job = FNPU_MAX_JOBS;
		return true;
	case 3:
		q->batches[0].num = 0;
		return true;
	case 4:
		q->batches[0].next_layer = q->program.num_layers;
		return true;
	case 5:
		q->num_batches = 4;	/* the stack is 2 deep */
		return true;
	case 6:
		q->head = q->entries;
		return true;
	case 7:
		q->entries = 17;
		return true;
	case 8:
		q->program.max_batch = 17;
		return true;
	case 9:
		s->cq.tail = s->cq.entries;
		return true;
	case 10:
		s->cq.phase = 2;
		return true;
	case 11:
		s->as_select = FLUIDNPU_MAX_AS;
		return true;
	case 12:
		s->running = 1;	/* has nothing in flight */
		return true;
	case 13:
		s->running = QUEUES;
		return true;
	case 14:
		s->work.num_layers = 0;
		return true;
	case 15:
		s->work.num_layers = FLUIDNPU_MAX_GROUP + 1;
		return true;
	case 16:	/* the network would go on behind its last layer, which is no head */
		q->program.num_layers = q->batches[0].next_layer + s->work.num_layers;
		return true;
	case 17:
		s->group_end = s->time - 1;
		return true;
	case 18:
		s->time = 1ull << 62;
		return true;
	case 19:
		memset(&s->enabled, 2, 1);
		return true;
	case 20:
		s->work.num_passes = 0;
		return true;
	case 21:
		s->work.num_passes = FLUIDNPU_MAX_BATCH + 1;
		return true;
	case 22:
		s->work.passes[0].n--;	/* a sample is in no pass */
		return true;
	case 23:
		s->group_begin = s->time + 1;
		return true;
	case 24:
		s->group_begin = s->time;
		s->switch_end = s->time - 1;
		return true;
	case 25:
		run_immense_group(s);
		return true;
	default:
		return false;
	}
}

static void test_states_that_cannot_be_are_refused(void **state)
{
	const size_t bytes = fnpu_dev_state_bytes();
	struct tb_program p;
	struct tb *tb = busy_device(&p);
	uint8_t *good = save(tb), *image = malloc(bytes);

	(void)state;
	assert_non_null(image);
	for (unsigned int which = 0;; which++) {
		memcpy(image, good, bytes);
		if (!contradict((struct fnpu_state *)(image + bytes - sizeof(struct fnpu_state)),
				which))
			break;
		if (!fnpu_dev_load(tb->dev, image, bytes))
			fail_msg("contradiction %u was not noticed", which);
		assert_power_on(tb);
	}
	assert_null(fnpu_dev_load(tb->dev, good, bytes));
	free(image);
	free(good);
	tb_program_free(&p);
	tb_free(tb);
}

/* --- damaged images -------------------------------------------------------------------- */

/** struct damage - a device, its image, and the memory to restore between attempts */
struct damage {
	struct tb *tb;
	uint8_t *image;
	uint8_t *memory;
	size_t used;
	uint64_t now;
	unsigned int refused, accepted;
};

/* The device goes on with what it was told, and comes to an end. */
static void go_on(struct damage *d)
{
	struct tb *tb = d->tb;
	unsigned int steps = 0;

	d->accepted++;
	tb->now = d->now;
	while (tb_step(tb) && ++steps < STEPS_TO_END)
		tb_write(tb, FLUIDNPU_REG_DOORBELL_CQ, tb->dev->s.cq.tail);
	assert_true(steps < STEPS_TO_END);
	fnpu_dev_reset(tb->dev);
	memcpy(tb->memory, d->memory, d->used);
}

static void try_byte(struct damage *d, size_t at, uint8_t bits)
{
	d->image[at] ^= bits;
	if (fnpu_dev_load(d->tb->dev, d->image, fnpu_dev_state_bytes())) {
		d->refused++;
		assert_power_on(d->tb);
	} else {
		go_on(d);
	}
	d->image[at] ^= bits;
}

/*
 * A byte of the image that no decision depends on: doorbell times, counters, and what is in
 * batches and jobs that are not there. Of those only some are tried.
 */
static bool is_bulk(const struct fnpu_state *s, size_t at)
{
	const struct fnpu_queue *q;
	size_t job;

	if (at < offsetof(struct fnpu_state, queues) || at >= offsetof(struct fnpu_state, cq))
		return false;
	at -= offsetof(struct fnpu_state, queues);
	q = &s->queues[at / sizeof(*q)];
	at %= sizeof(*q);
	if (at < offsetof(struct fnpu_queue, queued_time))
		return false;
	if (at < offsetof(struct fnpu_queue, as_id) || at >= offsetof(struct fnpu_queue, counters))
		return true;
	if (at < offsetof(struct fnpu_queue, jobs))
		return at >= offsetof(struct fnpu_queue, batches[q->num_batches]);
	at -= offsetof(struct fnpu_queue, jobs);
	job = at / sizeof(q->jobs[0]);
	return !q->jobs[job].used && at % sizeof(q->jobs[0]) != offsetof(struct fnpu_job, used);
}

/* Some actions into a random run, in the middle of a group. */
static void damage_init(struct damage *d, struct run *r)
{
	memset(d, 0, sizeof(*d));
	run_init(r, 3, TB_INLINE, true);
	for (unsigned int i = 0; i < 12 || r->tb->dev->s.running < 0; i++)
		act(r);
	d->tb = r->tb;
	d->image = save(r->tb);
	d->now = r->tb->now;
	d->used = r->tb->next - TB_BUS_BASE;
	d->memory = malloc(d->used);
	assert_non_null(d->memory);
	memcpy(d->memory, r->tb->memory, d->used);
}

static void test_damaged_states_are_refused_or_harmless(void **state)
{
	const size_t bytes = fnpu_dev_state_bytes();
	const size_t header = bytes - sizeof(struct fnpu_state);
	struct fnpu_state s;
	struct damage d;
	struct run r;

	(void)state;
	damage_init(&d, &r);
	memcpy(&s, d.image + header, sizeof(s));
	for (size_t at = 0; at < bytes; at++) {
		if (at >= header && is_bulk(&s, at - header) && at % 61)
			continue;
		try_byte(&d, at, 0xff);
		try_byte(&d, at, 1u << (at % 8));
	}
	print_message("# %u damaged states refused, %u harmless\n", d.refused, d.accepted);
	assert_true(d.refused > 500 && d.accepted > 5000);
	free(d.image);
	free(d.memory);
	run_free(&r);
}

/* Several at once: what passes one check because another field is wrong, too. */
static void test_states_with_much_damage_are_refused_or_harmless(void **state)
{
	const size_t bytes = fnpu_dev_state_bytes();
	const size_t header = bytes - sizeof(struct fnpu_state);
	struct tb_rng rng = { 99 };
	struct damage d;
	struct run r;

	(void)state;
	damage_init(&d, &r);
	for (unsigned int i = 0; i < 3000; i++) {
		uint8_t *image = malloc(bytes);
		unsigned int n = tb_range(&rng, 2, 12);

		assert_non_null(image);
		memcpy(image, d.image, bytes);
		while (n--) {
			uint32_t word = tb_range(&rng, 0, 3) ? tb_random(&rng) % 24 : tb_random(&rng);
			size_t at = header + tb_random(&rng) % (bytes - header) / 4 * 4;

			memcpy(image + at, &word, 4);
		}
		if (!fnpu_dev_load(d.tb->dev, image, bytes))
			go_on(&d);
		free(image);
	}
	assert_true(d.accepted > 100);
	free(d.image);
	free(d.memory);
	run_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moved_runs_equal_straight_ones),
		cmocka_unit_test(test_a_computation_in_progress_is_finished_first),
		cmocka_unit_test(test_moved_runs_that_only_model_time_equal_straight_ones),
		cmocka_unit_test(test_saving_leaves_the_device_as_it_is),
		cmocka_unit_test(test_deadline_survives),
		cmocka_unit_test(test_a_hang_stays_one_and_can_be_aborted),
		cmocka_unit_test(test_a_late_group_is_due_at_once),
		cmocka_unit_test(test_faults_are_part_of_the_state),
		cmocka_unit_test(test_states_of_other_devices_are_refused),
		cmocka_unit_test(test_states_that_cannot_be_are_refused),
		cmocka_unit_test(test_damaged_states_are_refused_or_harmless),
		cmocka_unit_test(test_states_with_much_damage_are_refused_or_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
