// SPDX-License-Identifier: MIT
/*
 * The host of the device that is fuzzed: bus memory that a schedule of pokes changes while
 * the device reads it, a worker that computes at once, late, or when told, and as much of a
 * driver as sets the device up and takes completions.
 *
 * Guest memory begins every run as an image that the tests' builders (core_host.h) have
 * made once: page tables, four programs, sample tables and buffers, all of it valid.
 */
#include <string.h>

#include "fuzz_core.h"

struct image image;

/* --- the image ------------------------------------------------------------------- */

static void add_range(uint64_t addr, uint32_t bytes)
{
	fuzz_check(image.num_ranges < MAX_RANGES);
	image.ranges[image.num_ranges++] = (struct range){ addr, bytes };
}

/* Twelve groups of almost no work, exits at the 5th, the 9th and the last. */
static void net_of_many_groups(struct tb_program *p)
{
	tb_program_init(p, 7);
	tb_conv(p, FLUIDNPU_TENSOR_INPUT, 0, 2, 2, 4, 4, 1, 1, 0);
	for (unsigned int i = 0; i < 8; i++) {
		if (i == 3 || i == 6)
			tb_exit(p, 0, 4, i / 6, i == 3 ? 0.4f : 1.3f)->exit_criterion =
				i == 3 ? FLUIDNPU_EXIT_CONFIDENCE : FLUIDNPU_EXIT_ENTROPY;
		tb_conv(p, 16 * (i % 2), 16 * ((i + 1) % 2), 2, 2, 4, 4, 1, 1, 0);
	}
	tb_exit(p, 0, 4, 2, 0);
}

static struct fluidnpu_hw_layer *concat(struct tb_program *p, uint32_t in_off, uint32_t out_off,
					unsigned int channel)
{
	struct fluidnpu_hw_layer *l;

	l = tb_pool(p, FLUIDNPU_LAYER_MAXPOOL, in_off, out_off, 4, 4, 8, 1);
	l->op = FLUIDNPU_LAYER_CONCAT;
	l->out_c = 16;
	l->out_channel = (uint16_t)channel;
	l->table_off = sizeof(p->header);	/* any bytes will do */
	if (p->header.state_bytes < out_off + 4 * 4 * 16)
		p->header.state_bytes = out_off + 4 * 4 * 16;
	return l;
}

/* What the other networks do not have: groups, dilation, weight zero points, concatenation. */
static void net_of_the_rest(struct tb_program *p)
{
	struct fluidnpu_hw_layer *l;

	tb_program_init(p, 9);
	l = tb_conv(p, FLUIDNPU_TENSOR_INPUT, 0, 4, 4, 8, 8, 3, 1, 2);
	l->groups = 4;
	l->dilation_h = l->dilation_w = 2;
	l = tb_conv(p, 0, 128, 4, 4, 8, 8, 3, 1, 1);
	l->groups = 8;
	l->weight_zp_off = sizeof(p->header);
	tb_add(p, 0, 128, 0, 4, 4, 8)->flags = FLUIDNPU_LAYER_FUSED | FLUIDNPU_LAYER_UNSIGNED;
	concat(p, 0, 256, 0);
	concat(p, 128, 256, 8);
	l = tb_pool(p, FLUIDNPU_LAYER_AVGPOOL, 256, 512, 4, 4, 16, 2);
	l->flags = FLUIDNPU_LAYER_POOL_COUNT_PAD;
	tb_exit(p, 512, 5, 0, 0.2f)->exit_criterion = FLUIDNPU_EXIT_MARGIN;
	tb_conv(p, 512, 576, 2, 2, 16, 6, 2, 1, 0);
	tb_exit(p, 576, 6, 1, 9.0f)->exit_criterion = FLUIDNPU_EXIT_ENTROPY;
}

static void make_programs(struct tb *tb)
{
	tb_net_two_exits(&image.programs[0], 1, 0.3f);
	tb_net_two(&image.programs[1], 2);
	net_of_many_groups(&image.programs[2]);
	net_of_the_rest(&image.programs[3]);
	for (unsigned int i = 0; i < NUM_PROGRAMS; i++) {
		struct tb_program *p = &image.programs[i];
		const struct fluidnpu_hw_program *h = &p->loaded;

		tb_program_load(tb, p, TB_AS);
		add_range(p->addr, sizeof(*h));
		add_range(p->addr + h->layers_off,
			  h->num_layers * (uint32_t)sizeof(struct fluidnpu_hw_layer));
		add_range(p->addr + h->control_off, h->num_layers * h->max_batch *
			  (uint32_t)sizeof(struct fluidnpu_hw_policy));
		add_range(p->addr, h->total_bytes);
	}
}

/* Buffers as large as any program needs, shared by all. */
static void make_buffers(struct tb *tb)
{
	struct tb_program largest = image.programs[0];
	struct tb_job job;

	for (unsigned int i = 0; i < NUM_PROGRAMS; i++) {
		const struct fluidnpu_hw_program *h = &image.programs[i].loaded;

		if (largest.header.input_bytes < h->input_bytes)
			largest.header.input_bytes = h->input_bytes;
		if (largest.header.state_bytes < h->state_bytes)
			largest.header.state_bytes = h->state_bytes;
		if (largest.header.logits_bytes < h->logits_bytes)
			largest.header.logits_bytes = h->logits_bytes;
	}
	tb_job_make(tb, &job, &largest, TB_AS, NUM_BUFFERS, 1);
	memcpy(image.buffers, job.samples, sizeof(image.buffers));
	for (unsigned int i = 0; i < NUM_TABLES; i++) {
		image.tables[i] = tb_alloc(tb, FLUIDNPU_MAX_BATCH * sizeof(*image.buffers), 64);
		add_range(image.tables[i], FLUIDNPU_MAX_BATCH * sizeof(*image.buffers));
	}
}

/* The tables, the entries that are in use, and pages for tables that an input makes. */
static void list_page_tables(struct tb *tb)
{
	uint64_t first = image.programs[0].iova, last = image.buffers[NUM_BUFFERS - 1].logits_iova;
	uint64_t *from = tb_pte(tb, TB_AS, first), *to = tb_pte(tb, TB_AS, last);

	add_range(TB_BUS_BASE + (uint64_t)((uint8_t *)from - tb->memory),
		  (uint32_t)((uint8_t *)(to + 1) - (uint8_t *)from));
	add_range(image.root[0], 8 * 8);
	add_range(image.root[1], 8 * 8);
	add_range(tb_alloc(tb, 4 * FLUIDNPU_PAGE_BYTES, FLUIDNPU_PAGE_BYTES),
		  4 * FLUIDNPU_PAGE_BYTES);
}

void image_make(void)
{
	struct tb *tb = tb_new(NULL, TB_INLINE);

	tb_as_enable(tb, TB_AS);
	tb_as_enable(tb, TB_AS + 1);
	image.cq = tb_alloc(tb, CQ_ENTRIES * sizeof(struct fluidnpu_hw_cqe), FLUIDNPU_PAGE_BYTES);
	for (unsigned int i = 0; i < NUM_QUEUES; i++) {
		image.rings[i] = tb_alloc(tb, RING_ENTRIES * sizeof(struct fluidnpu_hw_sqe), 64);
		add_range(image.rings[i], RING_ENTRIES * sizeof(struct fluidnpu_hw_sqe));
	}
	tb_alloc(tb, 0, FLUIDNPU_PAGE_BYTES);
	make_programs(tb);
	make_buffers(tb);
	image.root[0] = tb->roots[TB_AS];
	image.root[1] = tb->roots[TB_AS + 1];
	list_page_tables(tb);
	memcpy(tb_ptr(tb, image.root[1], FLUIDNPU_PAGE_BYTES),
	       tb_ptr(tb, image.root[0], FLUIDNPU_PAGE_BYTES), FLUIDNPU_PAGE_BYTES);
	image.bytes = (uint32_t)(tb->next - TB_BUS_BASE);
	fuzz_check(image.bytes <= MEMORY_BYTES);
	image.memory = malloc(image.bytes);
	fuzz_check(image.memory);
	memcpy(image.memory, tb->memory, image.bytes);
	tb_free(tb);
}

/* --- memory and worker ------------------------------------------------------------- */

static uint8_t *bus(struct bench *b, uint64_t addr, size_t bytes)
{
	if (addr < TB_BUS_BASE || addr - TB_BUS_BASE > MEMORY_BYTES ||
	    bytes > MEMORY_BYTES - (addr - TB_BUS_BASE))
		return NULL;
	return b->memory + (addr - TB_BUS_BASE);
}

static void apply(struct bench *b, const struct poke *p)
{
	uint8_t *to = bus(b, p->addr, p->bytes);

	if (to)
		memcpy(to, &p->value, p->bytes);
}

void bench_poke(struct bench *b, const struct poke *poke)
{
	if (!poke->delay)
		apply(b, poke);
	else if (b->num_pokes < MAX_POKES)
		b->pokes[b->num_pokes++] = *poke;
}

/* The guest's other processors have had time to change memory. */
static void apply_due(struct bench *b)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < b->num_pokes; i++) {
		if (--b->pokes[i].delay)
			b->pokes[n++] = b->pokes[i];
		else
			apply(b, &b->pokes[i]);
	}
	b->num_pokes = n;
}

static bool dma_read(void *host, uint64_t addr, void *buf, size_t bytes)
{
	struct bench *b = host;
	const uint8_t *from = bus(b, addr, bytes);

	apply_due(b);
	b->cost += 64 + bytes;
	if (!from)
		return false;
	memcpy(buf, from, bytes);
	if (!b->working)
		oracle_read(&b->oracle, addr, buf, bytes);
	return true;
}

static bool dma_write(void *host, uint64_t addr, const void *buf, size_t bytes)
{
	struct bench *b = host;
	uint8_t *to = bus(b, addr, bytes);

	b->cost += 64 + bytes;
	if (!to)
		return false;
	if (!b->working)
		oracle_write(&b->oracle, addr, buf, bytes);
	memcpy(to, buf, bytes);
	return true;
}

static void interrupt(void *host, unsigned int vector)
{
	(void)host;
	fuzz_check(vector < FLUIDNPU_NUM_VECTORS);
}

static void do_work(struct bench *b)
{
	b->work_pending = false;
	b->working = true;
	fnpu_dev_work(b->dev);
	b->working = false;
}

static void work_start(void *host)
{
	struct bench *b = host;

	fuzz_check(!b->work_pending && b->config.functional);
	b->work_pending = true;
	if (b->worker == WORKER_INLINE)
		do_work(b);
}

static bool work_wait(void *host)
{
	struct bench *b = host;

	if (!b->work_pending)
		return false;
	do_work(b);
	return true;
}

static bool work_ready(void *host)
{
	struct bench *b = host;

	return b->worker != WORKER_HELD || !b->work_pending;
}

static const struct fnpu_host_ops host_ops = {
	.dma_read = dma_read,
	.dma_write = dma_write,
	.interrupt = interrupt,
	.work_start = work_start,
	.work_wait = work_wait,
	.work_ready = work_ready,
};

/* --- driver ------------------------------------------------------------------------ */

/*
 * Devices are large, and making one takes longer than most inputs: they are kept. Nothing of
 * the last run may remain, or an input would not do the same twice.
 */
static struct fnpu_dev *kept[NUM_CONFIGS][2];

static void give_back(struct fnpu_dev *dev)
{
	struct fnpu_faults none;

	fnpu_faults_default(&none);
	fnpu_dev_set_faults(dev, &none);
	fnpu_dev_reset(dev);
	dev->s.time = 0;	/* the one thing that a reset leaves */
	fnpu_scratch_free(&dev->scratch);
}

void bench_start(struct bench *b, unsigned int config_index, const struct fnpu_config *config,
		 enum worker worker)
{
	memcpy(b->memory, image.memory, image.bytes);
	memset(b->memory + image.bytes, 0, MEMORY_BYTES - image.bytes);
	b->config = *config;
	b->worker = worker;
	b->work_pending = false;
	b->working = false;
	b->now = 0;
	b->cost = 0;
	b->num_pokes = 0;
	b->next_cookie = 0x1000;
	b->next_table = 0;
	b->oracle.time = 0;
	for (unsigned int i = 0; i < 2; i++)
		if (!kept[config_index][i])
			kept[config_index][i] = fnpu_dev_new(&b->config, &host_ops, b);
	b->dev = kept[config_index][0];
	b->spare = kept[config_index][1];
	fuzz_check(b->dev && b->spare);
	oracle_reset(&b->oracle, b->dev);
}

void bench_stop(struct bench *b)
{
	give_back(b->dev);
	give_back(b->spare);
}

/* Is the new head of the completion ring behind entries that are there? */
static bool head_is_true(const struct fnpu_cq *cq, uint32_t head)
{
	return head < cq->entries && (head - cq->head) % cq->entries <=
				     (cq->tail - cq->head) % cq->entries;
}

static void tell_of_rings(struct bench *b, uint32_t reg, uint32_t value)
{
	const struct fnpu_cq *cq = &b->dev->s.cq;

	if (reg == FLUIDNPU_REG_CTRL && (value & FLUIDNPU_CTRL_RESET))
		oracle_reset(&b->oracle, b->dev);
	if (reg == FLUIDNPU_REG_CQ_ENTRIES && fnpu_ring_size_ok(value) &&
	    value >= 2 * (FLUIDNPU_MAX_BATCH + 1))
		oracle_cq(&b->oracle, (uint64_t)cq->base_hi << 32 | cq->base_lo, value);
	if (reg == FLUIDNPU_REG_DOORBELL_CQ && !head_is_true(cq, value))
		b->oracle.honest = false;
}

static void tell_of_dropped_jobs(struct bench *b, uint32_t reg, uint32_t value)
{
	if (!(value & (FLUIDNPU_QCTRL_ENABLE | FLUIDNPU_QCTRL_DISABLE)))
		return;
	for (unsigned int q = 0; q < b->config.geometry.num_queues; q++)
		if (reg == FLUIDNPU_REG_QUEUE(q) + FLUIDNPU_QREG_CTRL)
			oracle_forget(&b->oracle, q);
}

void bench_write(struct bench *b, uint32_t reg, uint32_t value)
{
	/* what was due before the write is done first, and is heard of */
	bench_advance(b, b->now);
	tell_of_rings(b, reg, value);
	tell_of_dropped_jobs(b, reg, value);
	fnpu_dev_write(b->dev, reg, value, b->now);
	/* an ABORT in the same write has read an entry that went with the rest */
	tell_of_dropped_jobs(b, reg, value);
	oracle_check(&b->oracle, b->now);
}

void bench_advance(struct bench *b, uint64_t now)
{
	b->now = now;
	do	/* FNPU_MAX_EVENTS in each call; what is held up by the worker is not due */
		fnpu_dev_advance(b->dev, now);
	while (fnpu_dev_deadline(b->dev) <= now);
	oracle_check(&b->oracle, now);
}

bool bench_step(struct bench *b)
{
	const uint64_t deadline = fnpu_dev_deadline(b->dev);

	if (deadline == FNPU_NEVER)
		return false;
	bench_advance(b, deadline > b->now ? deadline : b->now);
	return true;
}

void bench_finish_work(struct bench *b)
{
	if (b->worker != WORKER_HELD || !b->work_pending)
		return;
	do_work(b);
	bench_advance(b, b->now);
}

unsigned int bench_drain(struct bench *b, unsigned int max)
{
	unsigned int n = 0;

	while (n < max) {
		struct fluidnpu_hw_cqe cqe;

		memcpy(&cqe, bus(b, image.cq + b->cq_head * sizeof(cqe), sizeof(cqe)), sizeof(cqe));
		if (cqe.phase != b->cq_phase)
			break;
		b->cq_head = (b->cq_head + 1) % CQ_ENTRIES;
		if (!b->cq_head)
			b->cq_phase ^= 1;
		n++;
	}
	if (n)
		bench_write(b, FLUIDNPU_REG_DOORBELL_CQ, b->cq_head);
	return n;
}

static void set_up_queue(struct bench *b, unsigned int q)
{
	const uint32_t reg = FLUIDNPU_REG_QUEUE(q);

	bench_write(b, reg + FLUIDNPU_QREG_BASE_LO, (uint32_t)image.rings[q]);
	bench_write(b, reg + FLUIDNPU_QREG_BASE_HI, image.rings[q] >> 32);
	bench_write(b, reg + FLUIDNPU_QREG_ENTRIES, RING_ENTRIES);
	bench_write(b, reg + FLUIDNPU_QREG_PRIORITY, q / 2);
	bench_write(b, reg + FLUIDNPU_QREG_CTRL, FLUIDNPU_QCTRL_ENABLE);
	b->ring_tail[q] = 0;
}

void bench_set_up(struct bench *b)
{
	memset(bus(b, image.cq, 1), 0, CQ_ENTRIES * sizeof(struct fluidnpu_hw_cqe));
	b->cq_head = 0;
	b->cq_phase = 1;
	for (unsigned int i = 0; i < 2; i++) {
		bench_write(b, FLUIDNPU_REG_AS_SELECT, TB_AS + i);
		bench_write(b, FLUIDNPU_REG_AS_ROOT_LO, (uint32_t)image.root[i]);
		bench_write(b, FLUIDNPU_REG_AS_ROOT_HI, image.root[i] >> 32);
		bench_write(b, FLUIDNPU_REG_AS_CMD, FLUIDNPU_AS_CMD_ENABLE);
	}
	bench_write(b, FLUIDNPU_REG_CQ_BASE_LO, (uint32_t)image.cq);
	bench_write(b, FLUIDNPU_REG_CQ_BASE_HI, image.cq >> 32);
	bench_write(b, FLUIDNPU_REG_CQ_ENTRIES, CQ_ENTRIES);
	for (unsigned int q = 0; q < NUM_QUEUES; q++)
		set_up_queue(b, q);
	bench_write(b, FLUIDNPU_REG_CTRL, FLUIDNPU_CTRL_ENABLE);
}

/* A byte of the image that is not one of the many times at which doorbells came. */
static size_t place_of_damage(size_t bytes, uint32_t choice)
{
	const size_t times = sizeof(((struct fnpu_queue *)0)->queued_time);
	const size_t state = bytes - sizeof(struct fnpu_state);	/* behind its header */
	size_t at = choice % (bytes - FLUIDNPU_MAX_QUEUES * times);

	for (unsigned int q = 0; q < FLUIDNPU_MAX_QUEUES; q++)
		if (at >= state + offsetof(struct fnpu_state, queues[q].queued_time))
			at += times;
	return at;
}

void bench_snapshot(struct bench *b, uint32_t at, uint8_t flip)
{
	const size_t bytes = fnpu_dev_state_bytes();
	static uint8_t *state, *again;
	struct fnpu_dev *dev = b->spare;
	const char *refused;

	if (!state) {
		state = malloc(bytes);
		again = malloc(bytes);
		fuzz_check(state && again);
	}
	fnpu_dev_save(b->dev, state);
	state[place_of_damage(bytes, at)] ^= flip;
	b->spare = b->dev;
	b->dev = dev;
	b->oracle.dev = dev;
	refused = fnpu_dev_load(dev, state, bytes);
	fuzz_check(!refused || flip);
	if (!flip) {
		fnpu_dev_save(dev, again);
		fuzz_check(!memcmp(state, again, bytes));
	} else {
		oracle_reset(&b->oracle, dev);
		b->oracle.blind = true;
		oracle_cq(&b->oracle, dev->s.cq.base, dev->s.cq.entries);
		b->oracle.tail = dev->s.cq.tail;
		b->oracle.phase = dev->s.cq.phase;
		b->oracle.honest = false;
	}
	if (b->now < dev->s.time)
		b->now = dev->s.time;
	b->oracle.time = dev->s.time;
}
