// SPDX-License-Identifier: MIT
/*
 * The Fluid Batching Engine against every order of events.
 *
 * A driver gives the device work (RUN, INJECT, YIELD on a queue, RUN and INJECT on a more
 * urgent one), takes completions, aborts, stops and restarts a queue with what was on it,
 * resumes; meanwhile time passes. The real core is taken through all states that any sequence
 * of these events leads to, breadth first: a state is a device, an event is an edge, and
 * going back is copying the device's state. After every event the completions and the
 * registers are compared with what a bookkeeper knows; from every state the device is run
 * until it is idle, and then nothing may be left:
 *
 *	- each sample leaves once (EXIT) or is handed back once (YIELD), or its job failed
 *	- each job ends once, after its samples; nothing is said of it afterwards
 *	- the completion ring never overflows; a full one holds the device, nothing is lost
 *	- no more samples run together than the device has room for
 *	- a queue that has stopped says nothing more of what it held
 *	- queue status, head and counters say the same as the completions
 *
 * The jobs that a driver has outstanding are bounded, so the states are finitely many, and
 * the search ends by itself: it covers sequences of every length. How many sequences
 * of a given length that are is counted in the graph of the states.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core_host.h"

#define MAX_BATCH	2
#define RING_ENTRIES	8
#define CQ_ENTRIES	64
#define MAX_JOBS	96	/* of one sequence, with those that run again: never reached */
#define MAX_PATH	96	/* events on the shortest way to a state, likewise */
#define NUM_GROUPS	3
#define NUM_QUEUES	2
#define LOW		0	/* queues; the index is the priority */
#define URGENT		1
#define NOP_COOKIE	0x100	/* and above: what fills the completion ring before */
#define TIGHT		8	/* more room than that in the completion ring makes no difference */
#define QUIET_STEPS	200	/* more than anything takes to become idle */
#define MAX_BATCHES	3	/* of a queue: one runs, so many are preempted at most */
#define NUM_SLOTS	(1u << 21)	/* of the table of states */

/**
 * struct job - what the bookkeeper knows of a job
 * @late: samples that leave at the last exit, not at the first, a bit mask
 * @told: samples that have left or were handed back, likewise
 * @target: YIELD: index of the job
 * @yielded: a YIELD for it was submitted
 * @dropped: its queue was stopped before it ended
 */
struct job {
	uint8_t opcode, queue, num_samples, start_group;
	uint8_t late;
	uint8_t target;
	uint8_t told;
	bool yielded, ended, dropped;
};

/**
 * struct book - the bookkeeper's view; compared as bytes
 * @seen, @taken: completions that the device has written, and that the driver has taken
 * @pushed, @ended: per queue, since it was enabled
 */
struct book {
	struct job jobs[MAX_JOBS];
	uint32_t num_jobs;
	uint32_t seen, taken;
	uint32_t pushed[NUM_QUEUES], ended[NUM_QUEUES];
	bool halted[NUM_QUEUES];
	uint32_t aborts[NUM_QUEUES];
	uint32_t num_exits, num_yields, num_job_ends;
};

/**
 * struct limits - one search
 * @outstanding: jobs that the driver gives to a queue before one has ended
 * @room: entries of the completion ring that are free at the start
 * @takes_at_once: the driver takes every completion at once; otherwise that is an event
 * @faulty: two samples cannot run the last group together: its control block is wrong
 */
struct limits {
	const char *name;
	unsigned int outstanding[NUM_QUEUES];
	unsigned int room;
	unsigned int stack_depth;
	bool takes_at_once;
	bool faulty;
};

/**
 * struct world - device, driver and bookkeeper
 * @tables: sample tables, bus addresses, by first group and struct job's @late
 * @path: events so far, for messages
 */
struct world {
	struct tb *tb;
	struct tb_program program;
	unsigned int starts[TB_MAX_LAYERS];	/* first layers of the groups */
	uint64_t tables[NUM_GROUPS][1 << MAX_BATCH];
	const struct limits *limits;
	struct book book;
	uint8_t path[MAX_PATH];
	unsigned int path_len;
};

static void fail_at(const struct world *w, const char *what, ...)
	__attribute__((format(printf, 2, 3), noreturn));

/* --- a device and its work ----------------------------------------------------------- */

/* Three groups: a convolution with an exit, one without, one with the last exit. */
static void make_program(struct world *w)
{
	struct tb_program *p = &w->program;

	tb_program_init(p, 1);
	p->header.max_batch = MAX_BATCH;
	tb_conv(p, FLUIDNPU_TENSOR_INPUT, 0, 2, 2, 4, 4, 2, 1, 0);
	tb_exit(p, 0, 4, 0, 0.5f)->flags = FLUIDNPU_LAYER_FUSED;
	tb_conv(p, 0, 64, 1, 1, 4, 4, 1, 1, 0);
	tb_conv(p, 64, 0, 1, 1, 4, 4, 1, 1, 0);
	tb_exit(p, 0, 4, 1, 0.0f)->flags = FLUIDNPU_LAYER_FUSED;
	if (tb_groups(p, w->starts) != NUM_GROUPS)
		fail_msg("the program does not have %d groups", NUM_GROUPS);
	if (w->limits->faulty)
		p->policies[w->starts[2]][1].k = 3;
	tb_program_load(w->tb, p, TB_AS);
}

static void make_tables(struct world *w)
{
	for (unsigned int group = 0; group < NUM_GROUPS; group++) {
		for (unsigned int late = 0; late < 1 << MAX_BATCH; late++) {
			struct tb_job job;

			tb_job_make(w->tb, &job, &w->program, TB_AS, MAX_BATCH, 1);
			w->tables[group][late] = job.sqe.samples_addr;
			for (unsigned int s = 0; s < MAX_BATCH; s++) {
				job.samples[s].start_layer = w->starts[group];
				job.samples[s].exit_index = late >> s & 1;
			}
		}
	}
}

/* Completions that nobody takes, until there is only as much room as the search wants. */
static void fill_completions(struct world *w)
{
	unsigned int fill = CQ_ENTRIES - 1 - w->limits->room;

	for (unsigned int i = 0; i < fill; i++) {
		const struct fluidnpu_hw_sqe nop = tb_nop(NOP_COOKIE + i);

		tb_submit(w->tb, LOW, &nop);
		if (w->tb->rings[LOW].tail == RING_ENTRIES - 1 || i + 1 == fill) {
			tb_queue_control(w->tb, LOW, FLUIDNPU_QCTRL_DISABLE);
			w->tb->rings[LOW].tail = 0;
			tb_queue_control(w->tb, LOW, FLUIDNPU_QCTRL_ENABLE);
		}
	}
	w->book.seen = fill;
	w->book.num_job_ends = fill;
}

static void set_up(struct world *w, const struct limits *limits)
{
	struct fnpu_config config;

	memset(w, 0, sizeof(*w));
	w->limits = limits;
	fnpu_config_default(&config);
	config.functional = false;
	config.geometry.max_batch = MAX_BATCH;
	config.geometry.num_queues = NUM_QUEUES;
	config.geometry.stack_depth = limits->stack_depth;
	w->tb = tb_new(&config, TB_INLINE);
	tb_as_enable(w->tb, TB_AS);
	tb_cq_enable(w->tb, CQ_ENTRIES);
	for (unsigned int q = 0; q < NUM_QUEUES; q++)
		tb_queue_enable(w->tb, q, RING_ENTRIES, q);
	make_program(w);
	make_tables(w);
	fill_completions(w);
}

static void tear_down(struct world *w)
{
	tb_program_free(&w->program);
	tb_free(w->tb);
}

/* --- events --------------------------------------------------------------------------- */

/* Gives the job to the device, whatever the driver's limit. */
static void push(struct world *w, struct job job)
{
	struct book *b = &w->book;
	unsigned int index = b->num_jobs;
	struct fluidnpu_hw_sqe sqe = {
		.opcode = job.opcode,
		.num_samples = job.num_samples,
		.cookie = index + 1,
	};

	if (index == MAX_JOBS)
		fail_at(w, "more jobs than this test has room for");
	if (job.opcode == FLUIDNPU_OP_YIELD) {
		sqe.target = job.target + 1;
		b->jobs[job.target].yielded = true;
	} else {
		sqe.as_id = TB_AS;
		sqe.program_iova = w->program.iova;
		sqe.program_bytes = w->program.header.total_bytes;
		sqe.samples_addr = w->tables[job.start_group][job.late];
	}
	b->jobs[b->num_jobs++] = job;
	b->pushed[job.queue]++;
	tb_submit(w->tb, job.queue, &sqe);
}

static bool submit(struct world *w, struct job job)
{
	const struct book *b = &w->book;

	if (b->pushed[job.queue] - b->ended[job.queue] == w->limits->outstanding[job.queue])
		return false;
	push(w, job);
	return true;
}

/* The last job of the queue that the driver does not know to have ended; -1: none. */
static int open_job(const struct world *w, unsigned int queue, bool with_samples)
{
	for (unsigned int i = w->book.num_jobs; i--;) {
		const struct job *job = &w->book.jobs[i];

		if (job->queue == queue && !job->ended && !job->dropped &&
		    (job->num_samples || !with_samples))
			return (int)i;
	}
	return -1;
}

static bool run_one(struct world *w)
{
	return submit(w, (struct job){ FLUIDNPU_OP_RUN, LOW, .num_samples = 1, .late = 1 });
}

static bool run_two(struct world *w)
{
	return submit(w, (struct job){ FLUIDNPU_OP_RUN, LOW, .num_samples = 2, .late = 2 });
}

static bool inject_one(struct world *w)
{
	return submit(w, (struct job){ FLUIDNPU_OP_INJECT, LOW, .num_samples = 1, .late = 1 });
}

static bool inject_two(struct world *w)
{
	return submit(w, (struct job){ FLUIDNPU_OP_INJECT, LOW, .num_samples = 2, .late = 1 });
}

static bool inject_later(struct world *w)
{
	return submit(w, (struct job){ FLUIDNPU_OP_INJECT, LOW, .num_samples = 1,
				       .start_group = 1, .late = 1 });
}

static bool yield(struct world *w)
{
	int target = open_job(w, LOW, true);

	return target >= 0 && submit(w, (struct job){ FLUIDNPU_OP_YIELD, LOW,
						      .target = (uint8_t)target });
}

static bool run_urgent(struct world *w)
{
	return submit(w, (struct job){ FLUIDNPU_OP_RUN, URGENT, .num_samples = 2, .late = 2 });
}

static bool inject_urgent(struct world *w)
{
	return submit(w, (struct job){ FLUIDNPU_OP_INJECT, URGENT, .num_samples = 1 });
}

static bool let_time_pass(struct world *w)
{
	return tb_step(w->tb);
}

static bool take_one(struct world *w)
{
	struct book *b = &w->book;

	if (w->limits->takes_at_once || CQ_ENTRIES - 1 - (b->seen - b->taken) >= TIGHT)
		return false;
	b->taken++;
	tb_write(w->tb, FLUIDNPU_REG_DOORBELL_CQ, b->taken % CQ_ENTRIES);
	return true;
}

static bool abort_job(struct world *w)
{
	if (open_job(w, LOW, false) < 0)
		return false;
	w->book.aborts[LOW]++;
	tb_queue_control(w->tb, LOW, FLUIDNPU_QCTRL_ABORT);
	return true;
}

static bool resume(struct world *w)
{
	if (!w->book.halted[LOW])
		return false;
	w->book.halted[LOW] = false;
	tb_queue_control(w->tb, LOW, FLUIDNPU_QCTRL_RESUME);
	return true;
}

/* As the driver when a job's time is up: stop, start, and give it what had not ended again. */
static bool restart(struct world *w)
{
	struct book *b = &w->book;
	unsigned int before = b->num_jobs;

	if (open_job(w, LOW, false) < 0)
		return false;
	tb_queue_control(w->tb, LOW, FLUIDNPU_QCTRL_DISABLE);
	if (tb_queue_status(w->tb, LOW))
		fail_at(w, "a disabled queue has status %#x", tb_queue_status(w->tb, LOW));
	w->tb->rings[LOW].tail = 0;
	b->pushed[LOW] = b->ended[LOW] = 0;
	b->halted[LOW] = false;
	tb_queue_control(w->tb, LOW, FLUIDNPU_QCTRL_ENABLE);
	for (unsigned int i = 0; i < before; i++) {
		struct job *job = &b->jobs[i];

		if (job->queue != LOW || job->ended || job->dropped)
			continue;
		job->dropped = true;
		if (job->num_samples)
			push(w, (struct job){ job->opcode, LOW,
					      .num_samples = job->num_samples,
					      .start_group = job->start_group,
					      .late = job->late });
	}
	return true;
}

/* An event that cannot happen (nothing due, nothing to abort, no place) returns false. */
static const struct {
	const char *name;
	bool (*happen)(struct world *w);
} events[] = {
	{ "time", let_time_pass },
	{ "RUN of 1", run_one },
	{ "RUN of 2", run_two },
	{ "INJECT of 1", inject_one },
	{ "INJECT of 2", inject_two },
	{ "INJECT at group 1", inject_later },
	{ "YIELD", yield },
	{ "urgent RUN", run_urgent },
	{ "urgent INJECT", inject_urgent },
	{ "take one", take_one },
	{ "abort", abort_job },
	{ "restart", restart },
	{ "resume", resume },
};

#define NUM_EVENTS (sizeof(events) / sizeof(events[0]))

static void fail_at(const struct world *w, const char *what, ...)
{
	char text[256], path[1024] = "";
	size_t len = 0;
	va_list args;

	va_start(args, what);
	vsnprintf(text, sizeof(text), what, args);
	va_end(args);
	for (unsigned int i = 0; i < w->path_len && len < sizeof(path); i++)
		len += (size_t)snprintf(path + len, sizeof(path) - len, "%s%s", i ? ", " : "",
					events[w->path[i]].name);
	fail_msg("%s, %s: %s", w->limits->name, path, text);
	abort();
}

/* --- what must hold ------------------------------------------------------------------- */

static void check_sample(struct world *w, const struct fluidnpu_hw_cqe *cqe, struct job *job)
{
	unsigned int index = (unsigned int)cqe->cookie - 1;

	if (cqe->sample >= job->num_samples || cqe->status)
		fail_at(w, "job %u: sample %u, status %u", index, cqe->sample, cqe->status);
	if (w->book.halted[job->queue])
		fail_at(w, "job %u: sample %u left while the queue was halted", index, cqe->sample);
	if (job->told & 1u << cqe->sample)
		fail_at(w, "job %u: sample %u left twice", index, cqe->sample);
	job->told |= 1u << cqe->sample;
	if (cqe->type == FLUIDNPU_CQE_YIELD) {
		w->book.num_yields++;
		if (!job->yielded)
			fail_at(w, "job %u: sample %u handed back unasked", index, cqe->sample);
		return;
	}
	w->book.num_exits++;
	if (cqe->exit_index != (job->late >> cqe->sample & 1))
		fail_at(w, "job %u: sample %u left at exit %u", index, cqe->sample, cqe->exit_index);
	if (!cqe->live_batch || cqe->live_batch > MAX_BATCH)
		fail_at(w, "a batch of %u", cqe->live_batch);
}

static void check_job_end(struct world *w, const struct fluidnpu_hw_cqe *cqe, struct job *job)
{
	unsigned int index = (unsigned int)cqe->cookie - 1;
	struct book *b = &w->book;

	job->ended = true;
	b->num_job_ends++;
	b->ended[job->queue]++;
	switch (cqe->status) {
	case FLUIDNPU_OK:
		if (job->told != (1u << job->num_samples) - 1)
			fail_at(w, "job %u ended well, but samples %#x only have left", index,
				job->told);
		if (b->halted[job->queue])
			fail_at(w, "job %u ended well while the queue was halted", index);
		return;
	case FLUIDNPU_ERR_ABORTED:
		if (!b->aborts[job->queue])
			fail_at(w, "job %u was aborted unasked", index);
		return;
	case FLUIDNPU_ERR_POLICY:
		if (w->limits->faulty) {
			b->halted[job->queue] = true;
			return;
		}
	}
	fail_at(w, "job %u ended with status %u", index, cqe->status);
}

static void check_completion(struct world *w, const struct fluidnpu_hw_cqe *cqe)
{
	struct book *b = &w->book;
	struct job *job;

	if (!cqe->cookie || cqe->cookie > b->num_jobs)
		fail_at(w, "a completion of the unknown job %#llx", (unsigned long long)cqe->cookie);
	job = &b->jobs[cqe->cookie - 1];
	if (job->ended || job->dropped)
		fail_at(w, "job %u: a completion after its end", (unsigned int)cqe->cookie - 1);
	if (cqe->queue != job->queue || cqe->time > w->tb->now || cqe->queued > cqe->time)
		fail_at(w, "job %u: queue %u, queued %llu, time %llu", (unsigned int)cqe->cookie - 1,
			cqe->queue, (unsigned long long)cqe->queued, (unsigned long long)cqe->time);
	if (cqe->type == FLUIDNPU_CQE_JOB)
		check_job_end(w, cqe, job);
	else if (cqe->type == FLUIDNPU_CQE_EXIT || cqe->type == FLUIDNPU_CQE_YIELD)
		check_sample(w, cqe, job);
	else
		fail_at(w, "a completion of type %u", cqe->type);
}

/* Looks at all that the device has written, whether the driver has taken it or not. */
static void check_completions(struct world *w)
{
	struct book *b = &w->book;

	for (;; b->seen++) {
		const struct fluidnpu_hw_cqe *cqe =
			tb_ptr(w->tb, w->tb->cq_base + b->seen % CQ_ENTRIES * sizeof(*cqe), sizeof(*cqe));

		if (cqe->phase != !(b->seen & CQ_ENTRIES))
			break;
		if (b->seen - b->taken == CQ_ENTRIES - 1)
			fail_at(w, "the completion ring overflowed");
		check_completion(w, cqe);
	}
	if (w->limits->takes_at_once && b->taken != b->seen) {
		b->taken = b->seen;
		tb_write(w->tb, FLUIDNPU_REG_DOORBELL_CQ, b->taken % CQ_ENTRIES);
		check_completions(w);	/* there may be room now for what waited */
	}
}

static void check_queue(struct world *w, unsigned int q)
{
	const struct book *b = &w->book;
	uint32_t status = tb_queue_status(w->tb, q);
	uint32_t head = tb_read(w->tb, FLUIDNPU_REG_QUEUE(q) + FLUIDNPU_QREG_HEAD);
	uint32_t waiting = (b->pushed[q] - head) % RING_ENTRIES;
	uint32_t open = b->pushed[q] - b->ended[q];

	if (!(status & FLUIDNPU_QSTATUS_ENABLED))
		fail_at(w, "queue %u is not enabled", q);
	if (!(status & FLUIDNPU_QSTATUS_HALTED) != !b->halted[q])
		fail_at(w, "queue %u is %shalted", q, b->halted[q] ? "not " : "");
	/* every entry that was fetched has ended or is in flight, or its abort waits for room */
	if (waiting > open)
		fail_at(w, "queue %u: %u entries on the ring, %u jobs open", q, waiting, open);
	if (!!(status & FLUIDNPU_QSTATUS_RUNNING) !=
	    (waiting < open && !w->tb->dev->s.queues[q].ending))
		fail_at(w, "queue %u: status %#x, %u entries on the ring, %u jobs open", q, status,
			waiting, open);
}

/* What batch.c says is always true of the stack. */
static void check_stack(struct world *w, unsigned int q)
{
	const struct fnpu_queue *queue = &w->tb->dev->s.queues[q];
	unsigned int live[FNPU_MAX_JOBS] = { 0 };

	if (queue->num_batches > w->limits->stack_depth + 1)
		fail_at(w, "queue %u: %u batches", q, queue->num_batches);
	for (unsigned int i = 0; i < queue->num_batches; i++) {
		const struct fnpu_batch *b = &queue->batches[i];

		if (!b->num || b->num > MAX_BATCH)
			fail_at(w, "queue %u: batch %u has %u samples", q, i, b->num);
		for (unsigned int m = 0; m < b->num; m++)
			live[b->members[m].job]++;
	}
	for (unsigned int j = 0; j < FNPU_MAX_JOBS && !queue->ending; j++)
		if (queue->jobs[j].used != !!live[j] || (live[j] && queue->jobs[j].live != live[j]))
			fail_at(w, "queue %u: slot %u has %u samples, not %u", q, j, live[j],
				queue->jobs[j].live);
}

static void check_registers(struct world *w)
{
	const struct book *b = &w->book;
	uint64_t exits = 0;

	if (tb_read(w->tb, FLUIDNPU_REG_STATUS) & FLUIDNPU_STATUS_FATAL)
		fail_at(w, "the device has failed");
	for (unsigned int q = 0; q < NUM_QUEUES; q++) {
		check_queue(w, q);
		check_stack(w, q);
	}
	for (unsigned int e = 0; e < FLUIDNPU_MAX_EXITS; e++)
		exits += tb_counter(w->tb, FLUIDNPU_CNT_EXITS + e);
	if (exits != b->num_exits || tb_counter(w->tb, FLUIDNPU_CNT_JOBS) != b->num_job_ends ||
	    tb_counter(w->tb, FLUIDNPU_CNT_YIELDS) != b->num_yields)
		fail_at(w, "%u exits, %u yields and %u jobs, but other numbers in the counters",
			b->num_exits, b->num_yields, b->num_job_ends);
}

/* The driver takes everything and resumes what halts, until the device has nothing to do. */
static void check_that_all_ends(struct world *w)
{
	struct book *b = &w->book;
	unsigned int steps = 0;

	do {
		check_completions(w);
		b->taken = b->seen;
		tb_write(w->tb, FLUIDNPU_REG_DOORBELL_CQ, b->taken % CQ_ENTRIES);
		for (unsigned int q = 0; q < NUM_QUEUES; q++) {
			if (b->halted[q])
				tb_queue_control(w->tb, q, FLUIDNPU_QCTRL_RESUME);
			b->halted[q] = false;
		}
		check_completions(w);
		check_registers(w);
		if (steps++ == QUIET_STEPS)
			fail_at(w, "the device does not become idle");
	} while (b->taken != b->seen || b->halted[LOW] || b->halted[URGENT] || tb_step(w->tb));
	for (unsigned int i = 0; i < b->num_jobs; i++)
		if (!b->jobs[i].ended && !b->jobs[i].dropped)
			fail_at(w, "job %u never ends", i);
	for (unsigned int q = 0; q < NUM_QUEUES; q++)
		if (tb_queue_status(w->tb, q) != FLUIDNPU_QSTATUS_ENABLED)
			fail_at(w, "idle queue %u has status %#x", q, tb_queue_status(w->tb, q));
}

/* --- going back ------------------------------------------------------------------------ */

/**
 * struct node - all that events change, without what this configuration has no use for:
 * there may be tens of thousands at a time
 */
struct node {
	uint32_t id;
	uint64_t now;
	uint64_t time;
	struct fnpu_cq cq;
	uint64_t counters[FLUIDNPU_CNT_NUM];
	/* the running group, but for its samples and what its heads found */
	uint8_t group[offsetof(struct fnpu_state, work.samples) -
		      offsetof(struct fnpu_state, running)];
	uint8_t layout[offsetof(struct fnpu_state, work.heads) -
		       offsetof(struct fnpu_state, work.num_samples)];
	struct queue_copy {
		uint8_t start[offsetof(struct fnpu_queue, queued_time[RING_ENTRIES])];
		uint8_t program[offsetof(struct fnpu_queue, batches) -
				offsetof(struct fnpu_queue, as_id)];
		uint8_t batches[MAX_BATCHES][offsetof(struct fnpu_batch, members[MAX_BATCH])];
		struct fnpu_job jobs[MAX_BATCHES * MAX_BATCH];
		uint64_t counters[FLUIDNPU_CNT_NUM];
		struct fluidnpu_hw_sqe ring[RING_ENTRIES];
	} queues[NUM_QUEUES];
	struct book book;
};

static void save_queue(const struct world *w, unsigned int index, struct queue_copy *c)
{
	const struct fnpu_queue *q = &w->tb->dev->s.queues[index];

	memcpy(c->start, q, sizeof(c->start));
	memcpy(c->program, &q->as_id, sizeof(c->program));
	for (unsigned int i = 0; i < MAX_BATCHES; i++)
		memcpy(c->batches[i], &q->batches[i], sizeof(c->batches[i]));
	memcpy(c->jobs, q->jobs, sizeof(c->jobs));
	memcpy(c->counters, q->counters, sizeof(c->counters));
	memcpy(c->ring, tb_ptr(w->tb, w->tb->rings[index].base, sizeof(c->ring)), sizeof(c->ring));
}

static void restore_queue(struct world *w, unsigned int index, const struct queue_copy *c)
{
	struct fnpu_queue *q = &w->tb->dev->s.queues[index];

	memcpy(q, c->start, sizeof(c->start));
	memcpy(&q->as_id, c->program, sizeof(c->program));
	for (unsigned int i = 0; i < MAX_BATCHES; i++)
		memcpy(&q->batches[i], c->batches[i], sizeof(c->batches[i]));
	memcpy(q->jobs, c->jobs, sizeof(c->jobs));
	memcpy(q->counters, c->counters, sizeof(c->counters));
	memcpy(tb_ptr(w->tb, w->tb->rings[index].base, sizeof(c->ring)), c->ring, sizeof(c->ring));
	w->tb->rings[index].tail = q->tail;
}

static void save(const struct world *w, struct node *n)
{
	const struct fnpu_state *s = &w->tb->dev->s;

	n->now = w->tb->now;
	n->time = s->time;
	n->cq = s->cq;
	memcpy(n->counters, s->counters, sizeof(n->counters));
	memcpy(n->group, &s->running, sizeof(n->group));
	memcpy(n->layout, &s->work.num_samples, sizeof(n->layout));
	for (unsigned int q = 0; q < NUM_QUEUES; q++)
		save_queue(w, q, &n->queues[q]);
	n->book = w->book;
}

/* Nobody reads old completions again, so that only their phases come back. */
static void restore_phases(struct world *w)
{
	struct fluidnpu_hw_cqe *cqes = tb_ptr(w->tb, w->tb->cq_base, CQ_ENTRIES * sizeof(*cqes));
	const uint32_t seen = w->book.seen, phase = !(seen & CQ_ENTRIES);

	for (unsigned int i = 0; i < CQ_ENTRIES; i++)
		cqes[i].phase = i < seen % CQ_ENTRIES ? phase : !phase;
}

static void restore(struct world *w, const struct node *n)
{
	struct fnpu_state *s = &w->tb->dev->s;

	w->tb->now = n->now;
	s->time = n->time;
	s->cq = n->cq;
	memcpy(s->counters, n->counters, sizeof(n->counters));
	memcpy(&s->running, n->group, sizeof(n->group));
	memcpy(&s->work.num_samples, n->layout, sizeof(n->layout));
	for (unsigned int q = 0; q < NUM_QUEUES; q++)
		restore_queue(w, q, &n->queues[q]);
	w->book = n->book;
	restore_phases(w);
}

/* --- which states are the same ---------------------------------------------------------- */

struct hash {
	uint64_t value;
};

static void mix(struct hash *h, uint64_t v)
{
	h->value = (h->value ^ v) * 0x9e3779b97f4a7c15ull;
	h->value ^= h->value >> 29;
}

/* Names of jobs do not matter: the oldest open one is 1, and so on; 0: it has ended. */
static void number_open_jobs(const struct book *b, uint8_t *rank)
{
	uint8_t open = 0;

	for (unsigned int i = 0; i < b->num_jobs; i++)
		rank[i] = b->jobs[i].ended || b->jobs[i].dropped ? 0 : ++open;
}

static void hash_queue(struct hash *h, const struct fnpu_queue *q, const uint8_t *rank)
{
	mix(h, q->enabled | q->halted << 1 | q->ending << 2 | (uint64_t)q->num_batches << 3);
	for (unsigned int i = 0; i < q->num_batches; i++) {
		const struct fnpu_batch *b = &q->batches[i];

		mix(h, (uint64_t)b->next_layer << 32 | b->num);
		for (unsigned int m = 0; m < b->num; m++)
			mix(h, rank[q->jobs[b->members[m].job].cookie - 1] << 8 | b->members[m].index);
	}
	for (unsigned int j = 0; j < MAX_BATCHES * MAX_BATCH; j++)
		if (q->ending && q->jobs[j].used)
			mix(h, rank[q->jobs[j].cookie - 1]);
}

/*
 * What decides over the future: the engine's queues, what runs, the room, and the jobs that
 * have not ended. Times and counters do not (the next event in time is one in any case, and
 * they are checked against the book after every event), nor where in the rings we are.
 */
static uint64_t hash_of(const struct world *w)
{
	const struct fnpu_state *s = &w->tb->dev->s;
	const struct book *b = &w->book;
	uint8_t rank[MAX_JOBS];
	struct hash h = { 1 };

	number_open_jobs(b, rank);
	for (unsigned int q = 0; q < NUM_QUEUES; q++) {
		hash_queue(&h, &s->queues[q], rank);
		mix(&h, (b->pushed[q] - s->queues[q].head) % RING_ENTRIES);
		mix(&h, b->halted[q] | (uint64_t)!!b->aborts[q] << 1);
	}
	mix(&h, (uint64_t)(s->running + 1) << 32 | (b->seen - b->taken));
	for (unsigned int i = 0; i < b->num_jobs; i++) {
		const struct job *j = &b->jobs[i];

		if (!rank[i])
			continue;
		mix(&h, j->opcode | j->queue << 8 | j->num_samples << 16 | (uint64_t)j->start_group << 24 |
			(uint64_t)rank[j->target] << 32 | (uint64_t)j->told << 40 |
			(uint64_t)j->yielded << 48 | (uint64_t)j->late << 52);
	}
	return h.value ? h.value : 1;
}

/* --- the search -------------------------------------------------------------------------- */

#define NOWHERE UINT32_MAX

/**
 * struct state - a node of the graph
 * @key: its hash
 * @from, @event: how it was reached first, which is a shortest way
 * @next: by event; NOWHERE: it cannot happen
 */
struct state {
	uint64_t key;
	uint32_t from;
	uint8_t event;
	uint32_t next[NUM_EVENTS];
};

/** struct level - the devices of the states that one number of events leads to */
struct level {
	struct node *nodes;
	uint32_t num, room;
};

/**
 * struct search
 * @slots: open addressing; index of a state + 1, 0: empty
 */
struct search {
	struct world w;
	struct state *states;
	uint32_t num;
	uint32_t *slots;
	uint64_t num_events;
};

static void *grow(void *array, size_t count, size_t size)
{
	array = realloc(array, count * size);
	assert_non_null(array);
	return array;
}

/* The state with @key; a new one if @num has grown. */
static uint32_t find(struct search *s, uint64_t key)
{
	uint32_t at = key % NUM_SLOTS;

	for (; s->slots[at]; at = (at + 1) % NUM_SLOTS)
		if (s->states[s->slots[at] - 1].key == key)
			return s->slots[at] - 1;
	if (s->num == NUM_SLOTS / 4 * 3)
		fail_msg("more states than this test has room for");
	if (!(s->num & (s->num - 1)))
		s->states = grow(s->states, s->num ? 2 * (size_t)s->num : 1, sizeof(*s->states));
	s->states[s->num] = (struct state){ .key = key, .from = NOWHERE };
	s->slots[at] = ++s->num;
	return s->num - 1;
}

static void set_path(struct search *s, uint32_t id, uint8_t event)
{
	struct world *w = &s->w;
	uint8_t back[MAX_PATH];
	unsigned int n = 0;

	for (back[n++] = event; s->states[id].from != NOWHERE && n < MAX_PATH;
	     id = s->states[id].from)
		back[n++] = s->states[id].event;
	for (w->path_len = 0; n--;)
		w->path[w->path_len++] = back[n];
}

static struct node *append(struct level *l, const struct world *w, uint32_t id)
{
	struct node *n;

	if (l->num == l->room) {
		l->room = l->room ? 2 * l->room : 64;
		l->nodes = grow(l->nodes, l->room, sizeof(*l->nodes));
	}
	n = &l->nodes[l->num++];
	n->id = id;
	save(w, n);
	return n;
}

/* All events from the state of @here; new states go to @further. */
static void expand(struct search *s, const struct node *here, struct level *further)
{
	struct world *w = &s->w;

	for (unsigned int e = 0; e < NUM_EVENTS; e++) {
		uint32_t before = s->num, id;

		restore(w, here);
		set_path(s, here->id, (uint8_t)e);
		s->states[here->id].next[e] = NOWHERE;
		if (!events[e].happen(w))
			continue;
		s->num_events++;
		check_completions(w);
		check_registers(w);
		id = find(s, hash_of(w));
		s->states[here->id].next[e] = id;
		if (s->num == before)
			continue;
		s->states[id].from = here->id;
		s->states[id].event = (uint8_t)e;
		append(further, w, id);
		check_that_all_ends(w);
	}
}

/* How many sequences of @length events there are from the first state. */
static double count_sequences(const struct search *s, unsigned int length)
{
	double *count = calloc(s->num, sizeof(*count)), *more = calloc(s->num, sizeof(*more)), *swap;
	double sum = 0;

	assert_true(count && more);
	for (count[0] = 1; length--; swap = count, count = more, more = swap) {
		memset(more, 0, s->num * sizeof(*more));
		for (uint32_t i = 0; i < s->num; i++)
			for (unsigned int e = 0; e < NUM_EVENTS; e++)
				if (s->states[i].next[e] != NOWHERE)
					more[s->states[i].next[e]] += count[i];
	}
	for (uint32_t i = 0; i < s->num; i++)
		sum += count[i];
	free(count);
	free(more);
	return sum;
}

static void search(const struct limits *limits)
{
	struct search s = { .slots = calloc(NUM_SLOTS, sizeof(*s.slots)) };
	struct level level = { 0 }, further = { 0 }, swap;
	unsigned int depth = 0;

	assert_non_null(s.slots);
	set_up(&s.w, limits);
	append(&level, &s.w, find(&s, hash_of(&s.w)));
	for (; level.num; depth++) {
		for (uint32_t i = 0; i < level.num; i++)
			expand(&s, &level.nodes[i], &further);
		swap = level;
		level = further;
		further = swap;
		further.num = 0;
	}
	printf("# %s: %u states, %llu transitions, none further than %u events; ", limits->name, s.num,
	       (unsigned long long)s.num_events, depth - 1);
	printf("%.3g sequences of %u events\n", count_sequences(&s, depth), depth);
	tear_down(&s.w);
	free(level.nodes);
	free(further.nodes);
	free(s.states);
	free(s.slots);
}

static void every_order_of_events_with_a_stack_of_one(void **state)
{
	(void)state;
	search(&(struct limits){ "stack of 1", { 3, 1 }, CQ_ENTRIES - 1, 1, .takes_at_once = true });
}

static void every_order_of_events_with_a_stack_of_two(void **state)
{
	(void)state;
	search(&(struct limits){ "stack of 2", { 3, 1 }, CQ_ENTRIES - 1, 2, .takes_at_once = true });
}

static void every_order_of_events_with_a_full_completion_ring(void **state)
{
	(void)state;
	search(&(struct limits){ "completion ring full", { 3, 1 }, MAX_BATCH + 2, 1,
				 .takes_at_once = false });
}

static void every_order_of_events_with_groups_that_fail(void **state)
{
	(void)state;
	search(&(struct limits){ "failing groups", { 3, 1 }, CQ_ENTRIES - 1, 1,
				 .takes_at_once = true, .faulty = true });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_order_of_events_with_a_stack_of_one),
		cmocka_unit_test(every_order_of_events_with_a_stack_of_two),
		cmocka_unit_test(every_order_of_events_with_a_full_completion_ring),
		cmocka_unit_test(every_order_of_events_with_groups_that_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
