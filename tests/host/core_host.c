// SPDX-License-Identifier: MIT
/*
 * The testbench of core_host.h. Nothing here is clever: oracles index tensors as the
 * operators' definitions do, and the host does what the interface says a driver does.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core_host.h"

/* --- random numbers -------------------------------------------------------------- */

/* splitmix64 */
uint32_t tb_random(struct tb_rng *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (uint32_t)((z ^ z >> 31) >> 16);
}

int tb_range(struct tb_rng *rng, int lo, int hi)
{
	return lo + (int)(tb_random(rng) % (uint32_t)(hi - lo + 1));
}

void tb_codes(struct tb_rng *rng, int8_t *to, size_t n, bool extreme)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t r = tb_random(rng);

		to[i] = extreme ? (r & 1 ? 127 : -128) : (int8_t)r;
	}
}

/* --- the host -------------------------------------------------------------------- */

static void *bus(struct tb *tb, uint64_t addr, size_t bytes)
{
	if (addr < TB_BUS_BASE || addr - TB_BUS_BASE > TB_BUS_BYTES ||
	    bytes > TB_BUS_BYTES - (addr - TB_BUS_BASE))
		return NULL;
	return tb->memory + (addr - TB_BUS_BASE);
}

static bool dma_read(void *host, uint64_t addr, void *buf, size_t bytes)
{
	struct tb *tb = host;
	void *from = bus(tb, addr, bytes);

	if (!from) {
		__atomic_add_fetch(&tb->bus_errors, 1, __ATOMIC_RELAXED);
		return false;
	}
	memcpy(buf, from, bytes);
	return true;
}

static bool dma_write(void *host, uint64_t addr, const void *buf, size_t bytes)
{
	struct tb *tb = host;
	void *to = bus(tb, addr, bytes);

	if (!to) {
		__atomic_add_fetch(&tb->bus_errors, 1, __ATOMIC_RELAXED);
		return false;
	}
	memcpy(to, buf, bytes);
	return true;
}

static void interrupt(void *host, unsigned int vector)
{
	struct tb *tb = host;

	assert(vector < FLUIDNPU_NUM_VECTORS);
	tb->interrupts[vector]++;
	tb->interrupt_time = tb->dev->s.time;
}

static void work_start(void *host)
{
	struct tb *tb = host;

	if (tb->worker == TB_INLINE)
		fnpu_dev_work(tb->dev);
	pthread_mutex_lock(&tb->lock);
	tb->works_started++;
	if (tb->worker == TB_INLINE)
		tb->works_done++;
	pthread_cond_broadcast(&tb->changed);
	pthread_mutex_unlock(&tb->lock);
}

static bool work_wait(void *host)
{
	struct tb *tb = host;
	bool late;

	pthread_mutex_lock(&tb->lock);
	late = tb->works_done != tb->works_started;
	if (late && (tb->worker == TB_DEFERRED || tb->worker == TB_HELD)) {
		fnpu_dev_work(tb->dev);
		tb->works_done++;
	}
	while (tb->works_done != tb->works_started)
		pthread_cond_wait(&tb->changed, &tb->lock);
	pthread_mutex_unlock(&tb->lock);
	return late;
}

static bool work_ready(void *host)
{
	struct tb *tb = host;

	return tb->worker != TB_HELD || tb->works_done == tb->works_started;
}

void tb_finish_work(struct tb *tb)
{
	assert(tb->worker == TB_HELD);
	assert(tb->works_started == tb->works_done + 1);
	fnpu_dev_work(tb->dev);
	tb->works_done++;
	fnpu_dev_advance(tb->dev, tb->now);
}

static void *worker_thread(void *arg)
{
	struct tb *tb = arg;

	pthread_mutex_lock(&tb->lock);
	while (!tb->stop) {
		if (tb->works_done == tb->works_started) {
			pthread_cond_wait(&tb->changed, &tb->lock);
			continue;
		}
		pthread_mutex_unlock(&tb->lock);
		fnpu_dev_work(tb->dev);
		pthread_mutex_lock(&tb->lock);
		tb->works_done++;
		pthread_cond_broadcast(&tb->changed);
	}
	pthread_mutex_unlock(&tb->lock);
	return NULL;
}

static const struct fnpu_host_ops host_ops = {
	.dma_read = dma_read,
	.dma_write = dma_write,
	.interrupt = interrupt,
	.work_start = work_start,
	.work_wait = work_wait,
	.work_ready = work_ready,
};

struct tb *tb_new(const struct fnpu_config *config, enum tb_worker worker)
{
	struct tb *tb = calloc(1, sizeof(*tb));

	assert(tb);
	tb->memory = calloc(1, TB_BUS_BYTES);
	assert(tb->memory);
	tb->next = TB_BUS_BASE;
	tb->worker = worker;
	if (config)
		tb->config = *config;
	else
		fnpu_config_default(&tb->config);
	pthread_mutex_init(&tb->lock, NULL);
	pthread_cond_init(&tb->changed, NULL);
	tb->dev = fnpu_dev_new(&tb->config, &host_ops, tb);
	assert(tb->dev);
	if (worker == TB_THREAD && pthread_create(&tb->thread, NULL, worker_thread, tb))
		abort();
	return tb;
}

void tb_free(struct tb *tb)
{
	fnpu_dev_free(tb->dev);
	if (tb->worker == TB_THREAD) {
		pthread_mutex_lock(&tb->lock);
		tb->stop = true;
		pthread_cond_broadcast(&tb->changed);
		pthread_mutex_unlock(&tb->lock);
		pthread_join(tb->thread, NULL);
	}
	pthread_cond_destroy(&tb->changed);
	pthread_mutex_destroy(&tb->lock);
	free(tb->memory);
	free(tb);
}

void *tb_ptr(struct tb *tb, uint64_t addr, size_t bytes)
{
	void *p = bus(tb, addr, bytes);

	assert(p);
	return p;
}

uint64_t tb_alloc(struct tb *tb, size_t bytes, size_t align)
{
	uint64_t addr = (tb->next + align - 1) / align * align;

	memset(tb_ptr(tb, addr, bytes), 0, bytes);
	tb->next = addr + bytes;
	return addr;
}

uint32_t tb_read(struct tb *tb, uint32_t reg)
{
	return fnpu_dev_read(tb->dev, reg, tb->now);
}

uint64_t tb_read64(struct tb *tb, uint32_t reg)
{
	uint64_t lo = tb_read(tb, reg);

	return (uint64_t)tb_read(tb, reg + 4) << 32 | lo;
}

uint64_t tb_counter(struct tb *tb, enum fluidnpu_counter index)
{
	return tb_read64(tb, FLUIDNPU_REG_COUNTERS + 8 * index);
}

uint64_t tb_queue_counter(struct tb *tb, unsigned int q, enum fluidnpu_counter index)
{
	return tb_read64(tb, FLUIDNPU_REG_QUEUE_COUNTERS(q) + 8 * index);
}

void tb_write(struct tb *tb, uint32_t reg, uint32_t value)
{
	fnpu_dev_write(tb->dev, reg, value, tb->now);
}

uint32_t tb_queue_status(struct tb *tb, unsigned int q)
{
	return tb_read(tb, FLUIDNPU_REG_QUEUE(q) + FLUIDNPU_QREG_STATUS);
}

void tb_as_command(struct tb *tb, unsigned int as, uint32_t command)
{
	tb_write(tb, FLUIDNPU_REG_AS_SELECT, as);
	tb_write(tb, FLUIDNPU_REG_AS_CMD, command);
}

void tb_as_enable(struct tb *tb, unsigned int as)
{
	tb->roots[as] = tb_alloc(tb, FLUIDNPU_PAGE_BYTES, FLUIDNPU_PAGE_BYTES);
	tb_write(tb, FLUIDNPU_REG_AS_ROOT_LO, (uint32_t)tb->roots[as]);
	tb_write(tb, FLUIDNPU_REG_AS_ROOT_HI, tb->roots[as] >> 32);
	tb_as_command(tb, as, FLUIDNPU_AS_CMD_ENABLE);
}

uint64_t *tb_pte(struct tb *tb, unsigned int as, uint64_t iova)
{
	uint64_t table = tb->roots[as];

	assert(table);
	for (int level = 2;; level--) {
		uint64_t *entries = tb_ptr(tb, table, FLUIDNPU_PAGE_BYTES);
		uint64_t *e = &entries[iova >> (12 + 9 * level) & 511];

		if (!level)
			return e;
		if (!*e)
			*e = tb_alloc(tb, FLUIDNPU_PAGE_BYTES, FLUIDNPU_PAGE_BYTES) |
			     FLUIDNPU_PTE_VALID;
		table = *e & FLUIDNPU_PTE_ADDR;
	}
}

uint64_t tb_map(struct tb *tb, unsigned int as, uint64_t addr, size_t bytes, bool write)
{
	for (uint64_t a = addr & ~4095ull; a < addr + bytes; a += 4096)
		*tb_pte(tb, as, a + TB_IOVA_OFFSET) = a | FLUIDNPU_PTE_VALID |
						      (write ? FLUIDNPU_PTE_WRITE : 0);
	return addr + TB_IOVA_OFFSET;
}

void tb_cq_enable(struct tb *tb, uint32_t entries)
{
	tb->cq_base = tb_alloc(tb, entries * sizeof(struct fluidnpu_hw_cqe), 64);
	tb->cq_entries = entries;
	tb->cq_head = 0;
	tb->cq_phase = 1;
	tb_write(tb, FLUIDNPU_REG_CQ_BASE_LO, (uint32_t)tb->cq_base);
	tb_write(tb, FLUIDNPU_REG_CQ_BASE_HI, tb->cq_base >> 32);
	tb_write(tb, FLUIDNPU_REG_CQ_ENTRIES, entries);
	tb_write(tb, FLUIDNPU_REG_CTRL, FLUIDNPU_CTRL_ENABLE);
}

void tb_queue_enable(struct tb *tb, unsigned int q, uint32_t entries, uint32_t priority)
{
	const uint32_t reg = FLUIDNPU_REG_QUEUE(q);

	tb->rings[q].base = tb_alloc(tb, entries * sizeof(struct fluidnpu_hw_sqe), 64);
	tb->rings[q].entries = entries;
	tb->rings[q].tail = 0;
	tb_write(tb, reg + FLUIDNPU_QREG_BASE_LO, (uint32_t)tb->rings[q].base);
	tb_write(tb, reg + FLUIDNPU_QREG_BASE_HI, tb->rings[q].base >> 32);
	tb_write(tb, reg + FLUIDNPU_QREG_ENTRIES, entries);
	tb_write(tb, reg + FLUIDNPU_QREG_PRIORITY, priority);
	tb_queue_control(tb, q, FLUIDNPU_QCTRL_ENABLE);
}

void tb_push(struct tb *tb, unsigned int q, const struct fluidnpu_hw_sqe *sqe)
{
	uint64_t at = tb->rings[q].base + tb->rings[q].tail * sizeof(*sqe);

	memcpy(tb_ptr(tb, at, sizeof(*sqe)), sqe, sizeof(*sqe));
	tb->rings[q].tail = (tb->rings[q].tail + 1) % tb->rings[q].entries;
}

void tb_doorbell(struct tb *tb, unsigned int q)
{
	tb_write(tb, FLUIDNPU_REG_DOORBELL(q), tb->rings[q].tail);
}

void tb_submit(struct tb *tb, unsigned int q, const struct fluidnpu_hw_sqe *sqe)
{
	tb_push(tb, q, sqe);
	tb_doorbell(tb, q);
}

void tb_queue_control(struct tb *tb, unsigned int q, uint32_t value)
{
	tb_write(tb, FLUIDNPU_REG_QUEUE(q) + FLUIDNPU_QREG_CTRL, value);
}

struct fluidnpu_hw_sqe tb_nop(uint64_t cookie)
{
	return (struct fluidnpu_hw_sqe){ .opcode = FLUIDNPU_OP_NOP, .cookie = cookie };
}

struct fluidnpu_hw_sqe tb_yield(uint64_t cookie, uint64_t target)
{
	return (struct fluidnpu_hw_sqe){
		.opcode = FLUIDNPU_OP_YIELD,
		.cookie = cookie,
		.target = target,
	};
}

struct tb *tb_ready(const struct fnpu_config *config, enum tb_worker worker)
{
	struct tb *tb = tb_new(config, worker);

	tb_as_enable(tb, TB_AS);
	tb_cq_enable(tb, 256);
	return tb;
}

bool tb_step(struct tb *tb)
{
	uint64_t deadline = fnpu_dev_deadline(tb->dev);

	if (deadline == FNPU_NEVER)
		return false;
	if (deadline > tb->now)
		tb->now = deadline;
	fnpu_dev_advance(tb->dev, tb->now);
	return true;
}

void tb_run(struct tb *tb)
{
	do {
		tb_drain(tb, TB_MAX_CQES);
	} while (tb_step(tb) || tb_drain(tb, TB_MAX_CQES));
}

unsigned int tb_drain(struct tb *tb, unsigned int max)
{
	unsigned int n = 0;

	while (n < max && tb->cq_entries) {
		const struct fluidnpu_hw_cqe *cqe =
			tb_ptr(tb, tb->cq_base + tb->cq_head * sizeof(*cqe), sizeof(*cqe));

		if (cqe->phase != tb->cq_phase)
			break;
		assert(tb->num_cqes < TB_MAX_CQES);
		tb->cqes[tb->num_cqes++] = *cqe;
		tb->cq_head = (tb->cq_head + 1) % tb->cq_entries;
		if (!tb->cq_head)
			tb->cq_phase ^= 1;
		n++;
	}
	if (n)
		tb_write(tb, FLUIDNPU_REG_DOORBELL_CQ, tb->cq_head);
	return n;
}

const struct fluidnpu_hw_cqe *tb_job_cqe(const struct tb *tb, uint64_t cookie)
{
	for (unsigned int i = 0; i < tb->num_cqes; i++)
		if (tb->cqes[i].type == FLUIDNPU_CQE_JOB && tb->cqes[i].cookie == cookie)
			return &tb->cqes[i];
	return NULL;
}

const struct fluidnpu_hw_cqe *tb_exit_cqe(const struct tb *tb, uint64_t cookie, unsigned int sample)
{
	for (unsigned int i = 0; i < tb->num_cqes; i++)
		if (tb->cqes[i].type == FLUIDNPU_CQE_EXIT && tb->cqes[i].cookie == cookie &&
		    tb->cqes[i].sample == sample)
			return &tb->cqes[i];
	return NULL;
}

int tb_status(const struct tb *tb, uint64_t cookie)
{
	const struct fluidnpu_hw_cqe *cqe = tb_job_cqe(tb, cookie);

	return cqe ? cqe->status : -1;
}

/* --- programs -------------------------------------------------------------------- */

static uint32_t float_bits(float f)
{
	uint32_t u;

	memcpy(&u, &f, sizeof(u));
	return u;
}

static float bits_float(uint32_t u)
{
	float f;

	memcpy(&f, &u, sizeof(f));
	return f;
}

void tb_program_init(struct tb_program *p, uint64_t seed)
{
	memset(p, 0, sizeof(*p));
	p->rng.state = seed;
	p->header = (struct fluidnpu_hw_program){
		.magic = FLUIDNPU_PROGRAM_MAGIC,
		.version = FLUIDNPU_PROGRAM_VERSION,
		.max_batch = FLUIDNPU_MAX_BATCH,
	};
	for (unsigned int l = 0; l < TB_MAX_LAYERS; l++)
		for (unsigned int b = 1; b <= FLUIDNPU_MAX_BATCH; b++)
			p->policies[l][b - 1] = (struct fluidnpu_hw_policy){ b, b, 1, 1 };
}

void tb_program_free(struct tb_program *p)
{
	for (unsigned int i = 0; i < TB_MAX_LAYERS; i++) {
		free(p->weights[i]);
		free(p->bias[i]);
		free(p->scale[i]);
	}
}

static struct fluidnpu_hw_layer *append(struct tb_program *p)
{
	assert(p->header.num_layers < TB_MAX_LAYERS);
	return &p->layers[p->header.num_layers++];
}

/* Grows the header's sizes to hold what the layer touches. */
static void fit(struct tb_program *p, const struct fluidnpu_hw_layer *l)
{
	uint32_t in = (uint32_t)l->in_h * l->in_w * l->in_c;
	uint32_t out = (uint32_t)l->out_h * l->out_w * l->out_c;

	if (l->in_off == FLUIDNPU_TENSOR_INPUT)
		p->header.input_bytes = in;
	if (l->op != FLUIDNPU_LAYER_EXIT && l->out_off + out > p->header.state_bytes)
		p->header.state_bytes = l->out_off + out;
}

struct fluidnpu_hw_layer *tb_conv(struct tb_program *p, uint32_t in_off, uint32_t out_off,
				  unsigned int h, unsigned int w, unsigned int c,
				  unsigned int out_c, unsigned int kernel, unsigned int stride,
				  unsigned int pad)
{
	unsigned int index = p->header.num_layers;
	struct fluidnpu_hw_layer *l = append(p);
	size_t weights = (size_t)out_c * kernel * kernel * c;

	*l = (struct fluidnpu_hw_layer){
		.op = FLUIDNPU_LAYER_CONV,
		.in_off = in_off,
		.out_off = out_off,
		.in_h = h,
		.in_w = w,
		.in_c = c,
		.out_h = (h + 2 * pad - kernel) / stride + 1,
		.out_w = (w + 2 * pad - kernel) / stride + 1,
		.out_c = out_c,
		.kernel_h = kernel,
		.kernel_w = kernel,
		.stride_h = stride,
		.stride_w = stride,
		.pad_t = pad,
		.pad_l = pad,
		.pad_b = pad,
		.pad_r = pad,
		.dilation_h = 1,
		.dilation_w = 1,
		.groups = 1,
		.live_bytes = h * w * c + 64,
		.zp_in = in_off == FLUIDNPU_TENSOR_INPUT ? -128 : 3,
		.zp_out = 3,
		.clamp_min = -128,
		.clamp_max = 127,
	};
	p->weights[index] = malloc(weights);
	p->bias[index] = malloc(out_c * sizeof(int32_t));
	p->scale[index] = malloc(out_c * sizeof(float));
	assert(p->weights[index] && p->bias[index] && p->scale[index]);
	tb_codes(&p->rng, p->weights[index], weights, false);
	for (unsigned int o = 0; o < out_c; o++) {
		p->bias[index][o] = tb_range(&p->rng, -3000, 3000);
		/* so that outputs spread over the codes */
		p->scale[index][o] = (float)tb_range(&p->rng, 500, 1500) * 1e-3f /
				     (60.0f * sqrtf((float)(kernel * kernel * c)));
	}
	fit(p, l);
	return l;
}

struct fluidnpu_hw_layer *tb_exit(struct tb_program *p, uint32_t in_off, unsigned int classes,
				  unsigned int index, float threshold)
{
	struct fluidnpu_hw_layer *l = append(p);

	*l = (struct fluidnpu_hw_layer){
		.op = FLUIDNPU_LAYER_EXIT,
		.exit_index = index,
		.in_off = in_off,
		.in_h = 1,
		.in_w = 1,
		.in_c = classes,
		.live_bytes = classes,
		.scale_in = float_bits(0.03f),
		.threshold = float_bits(threshold),
		.logits_off = p->header.logits_bytes,
	};
	p->header.logits_bytes += classes;
	p->header.num_exits = index + 1;
	return l;
}

struct fluidnpu_hw_layer *tb_pool(struct tb_program *p, unsigned int op, uint32_t in_off,
				  uint32_t out_off, unsigned int h, unsigned int w, unsigned int c,
				  unsigned int kernel)
{
	struct fluidnpu_hw_layer *l = append(p);

	*l = (struct fluidnpu_hw_layer){
		.op = op,
		.in_off = in_off,
		.out_off = out_off,
		.in_h = h,
		.in_w = w,
		.in_c = c,
		.out_h = h / kernel,
		.out_w = w / kernel,
		.out_c = c,
		.kernel_h = kernel,
		.kernel_w = kernel,
		.stride_h = kernel,
		.stride_w = kernel,
		.live_bytes = h * w * c,
		.zp_in = 3,
		.zp_out = 3,
		.clamp_min = -128,
		.clamp_max = 127,
		.scale_in = float_bits(1.5f / (float)(kernel * kernel)),
	};
	fit(p, l);
	return l;
}

struct fluidnpu_hw_layer *tb_add(struct tb_program *p, uint32_t in_off, uint32_t in2_off,
				 uint32_t out_off, unsigned int h, unsigned int w, unsigned int c)
{
	struct fluidnpu_hw_layer *l = append(p);

	*l = (struct fluidnpu_hw_layer){
		.op = FLUIDNPU_LAYER_ADD,
		.in_off = in_off,
		.in2_off = in2_off,
		.out_off = out_off,
		.in_h = h,
		.in_w = w,
		.in_c = c,
		.out_h = h,
		.out_w = w,
		.out_c = c,
		.live_bytes = 2 * h * w * c,
		.zp_in = 3,
		.zp_in2 = 3,
		.zp_out = 3,
		.clamp_min = -128,
		.clamp_max = 127,
		.scale_in = float_bits(0.71f),
		.scale_in2 = float_bits(0.55f),
		.add_fixed = float_bits(3.0f - fmaf(3.0f, 0.71f, 0.55f * 3.0f)),
	};
	fit(p, l);
	return l;
}

void tb_net_two(struct tb_program *p, uint64_t seed)
{
	tb_program_init(p, seed);
	tb_conv(p, FLUIDNPU_TENSOR_INPUT, 0, 6, 6, 3, 5, 6, 1, 0);
	tb_exit(p, 0, 5, 0, 0.0f);
}

void tb_net_two_exits(struct tb_program *p, uint64_t seed, float threshold)
{
	struct fluidnpu_hw_policy *policy;

	tb_program_init(p, seed);
	tb_conv(p, FLUIDNPU_TENSOR_INPUT, 0, 8, 8, 3, 8, 3, 1, 1);
	tb_conv(p, 0, 512, 8, 8, 8, 8, 3, 1, 1);
	tb_add(p, 0, 512, 0, 8, 8, 8)->flags = FLUIDNPU_LAYER_FUSED;
	tb_pool(p, FLUIDNPU_LAYER_AVGPOOL, 0, 1024, 8, 8, 8, 8);
	tb_conv(p, 1024, 1040, 1, 1, 8, 10, 1, 1, 0);
	tb_exit(p, 1040, 10, 0, threshold)->flags = FLUIDNPU_LAYER_FUSED;
	tb_conv(p, 0, 512, 8, 8, 8, 16, 3, 2, 1);
	tb_pool(p, FLUIDNPU_LAYER_MAXPOOL, 512, 1100, 4, 4, 16, 2)->flags = FLUIDNPU_LAYER_FUSED;
	tb_pool(p, FLUIDNPU_LAYER_AVGPOOL, 1100, 1164, 2, 2, 16, 2);
	tb_conv(p, 1164, 1180, 1, 1, 16, 10, 1, 1, 0);
	tb_exit(p, 1180, 10, 1, 0.0f)->flags = FLUIDNPU_LAYER_FUSED;

	/* some that are not the plain ones: stacked, P-batched, split in passes */
	for (unsigned int b = 1; b <= FLUIDNPU_MAX_BATCH; b++) {
		policy = &p->policies[1][b - 1];
		*policy = (struct fluidnpu_hw_policy){ b, (b + 3) / 4, b < 4 ? b : 4, 2 };
		policy = &p->policies[6][b - 1];
		policy->n = b > 3 ? 3 : b;
		policy->b_r = policy->n;
	}
}

unsigned int tb_groups(const struct tb_program *p, unsigned int starts[TB_MAX_LAYERS])
{
	unsigned int n = 0;

	for (unsigned int l = 0; l < p->header.num_layers; l++)
		if (!(p->layers[l].flags & FLUIDNPU_LAYER_FUSED))
			starts[n++] = l;
	return n;
}

struct fnpu_cost tb_group_cost(const struct tb *tb, const struct tb_program *p, unsigned int layer,
			       unsigned int b)
{
	const struct fluidnpu_hw_layer *l = &p->layers[layer];
	struct fnpu_cost c = { 0 };

	if (!fnpu_cost_batch(&tb->config.geometry, l,
			     fnpu_group_size(l, p->header.num_layers - layer), p->policies[layer],
			     b, &c))
		abort();
	return c;
}

uint64_t tb_span(const struct tb *tb, const struct tb_program *p, unsigned int from,
		 unsigned int to, unsigned int b)
{
	unsigned int starts[TB_MAX_LAYERS], n = tb_groups(p, starts);
	uint64_t cycles = 0;

	for (unsigned int i = 0; i < n; i++)
		if (starts[i] >= from && starts[i] < to)
			cycles += tb_group_cost(tb, p, starts[i], b).cycles;
	return cycles;
}

static uint32_t round_up(uint32_t v, uint32_t to)
{
	return (v + to - 1) / to * to;
}

/* Header, layers, control block, then each CONV's weights, bias and scales. */
static uint32_t layout(struct tb_program *p)
{
	struct fluidnpu_hw_program *h = &p->header;
	uint32_t at = sizeof(*h);

	h->layers_off = at;
	at += h->num_layers * sizeof(struct fluidnpu_hw_layer);
	h->control_off = at;
	at += h->num_layers * h->max_batch * sizeof(struct fluidnpu_hw_policy);
	for (unsigned int i = 0; i < h->num_layers; i++) {
		struct fluidnpu_hw_layer *l = &p->layers[i];

		if (l->op != FLUIDNPU_LAYER_CONV)
			continue;
		l->weights_off = at = round_up(at, 64);
		at += (uint32_t)l->kernel_h * l->kernel_w * (l->in_c / l->groups) * l->out_c;
		l->bias_off = at = round_up(at, 4);
		at += l->out_c * 4;
		l->scale_off = at;
		at += l->out_c * 4;
	}
	return at;
}

void tb_program_update(struct tb *tb, struct tb_program *p)
{
	const struct fluidnpu_hw_program *h = &p->loaded; /* not what a test made of it */
	uint8_t *to = tb_ptr(tb, p->addr, h->total_bytes);

	memcpy(to, &p->header, sizeof(p->header));
	memcpy(to + h->layers_off, p->layers, h->num_layers * sizeof(p->layers[0]));
	to += h->control_off;
	for (unsigned int l = 0; l < h->num_layers; l++)
		memcpy(to + l * h->max_batch * sizeof(p->policies[0][0]), p->policies[l],
		       h->max_batch * sizeof(p->policies[0][0]));
}

void tb_program_load(struct tb *tb, struct tb_program *p, unsigned int as)
{
	uint8_t *to;

	p->header.total_bytes = layout(p);
	p->addr = tb_alloc(tb, p->header.total_bytes, FLUIDNPU_PAGE_BYTES);
	p->iova = tb_map(tb, as, p->addr, p->header.total_bytes, false);
	tb_alloc(tb, 0, FLUIDNPU_PAGE_BYTES); /* nothing else on its last page */
	p->loaded = p->header;
	tb_program_update(tb, p);
	to = tb_ptr(tb, p->addr, p->header.total_bytes);
	for (unsigned int i = 0; i < p->header.num_layers; i++) {
		const struct fluidnpu_hw_layer *l = &p->layers[i];

		if (l->op != FLUIDNPU_LAYER_CONV)
			continue;
		memcpy(to + l->weights_off, p->weights[i],
		       (size_t)l->kernel_h * l->kernel_w * (l->in_c / l->groups) * l->out_c);
		memcpy(to + l->bias_off, p->bias[i], l->out_c * 4);
		memcpy(to + l->scale_off, p->scale[i], l->out_c * 4);
	}
}

static int8_t *job_memory(struct tb *tb, unsigned int as, uint32_t bytes, bool write, __u64 *iova)
{
	uint64_t addr = tb_alloc(tb, bytes ? bytes : 1, FLUIDNPU_PAGE_BYTES);

	*iova = tb_map(tb, as, addr, bytes ? bytes : 1, write);
	return tb_ptr(tb, addr, bytes);
}

void tb_job_make(struct tb *tb, struct tb_job *job, const struct tb_program *p, unsigned int as,
		 unsigned int n, uint64_t cookie)
{
	struct tb_rng rng = { cookie * 77 + 5 };
	uint64_t table = tb_alloc(tb, n * sizeof(struct fluidnpu_hw_sample), 64);

	memset(job, 0, sizeof(*job));
	job->samples = tb_ptr(tb, table, n * sizeof(struct fluidnpu_hw_sample));
	job->sqe = (struct fluidnpu_hw_sqe){
		.opcode = FLUIDNPU_OP_RUN,
		.as_id = as,
		.num_samples = n,
		.cookie = cookie,
		.program_iova = p->iova,
		.program_bytes = p->header.total_bytes,
		.samples_addr = table,
	};
	for (unsigned int i = 0; i < n; i++) {
		struct fluidnpu_hw_sample *s = &job->samples[i];

		job->inputs[i] = job_memory(tb, as, p->header.input_bytes, false, &s->input_iova);
		job->states[i] = job_memory(tb, as, p->header.state_bytes, true, &s->state_iova);
		job->logits[i] = job_memory(tb, as, p->header.logits_bytes, true, &s->logits_iova);
		tb_alloc(tb, 0, FLUIDNPU_PAGE_BYTES);
		tb_codes(&rng, job->inputs[i], p->header.input_bytes, false);
	}
}

/* --- oracles --------------------------------------------------------------------- */

int8_t ref_requantize(float v, int zero_point, int lo, int hi)
{
	double d = v;
	long q;

	if (isnan(d) || d < -1000.0)
		return (int8_t)lo;
	if (d > 1000.0)
		return (int8_t)hi;
	q = lrint(d) + zero_point;
	return (int8_t)(q < lo ? lo : q > hi ? hi : q);
}

static int64_t conv_sum(const struct fluidnpu_hw_layer *l, const int8_t *in, const int8_t *weights,
			int oy, int ox, int o)
{
	const int group_in = l->in_c / l->groups, group = o / (l->out_c / l->groups);
	int64_t sum = 0;

	for (int ky = 0; ky < l->kernel_h; ky++) {
		for (int kx = 0; kx < l->kernel_w; kx++) {
			int y = oy * l->stride_h - l->pad_t + ky * l->dilation_h;
			int x = ox * l->stride_w - l->pad_l + kx * l->dilation_w;

			if (y < 0 || y >= l->in_h || x < 0 || x >= l->in_w)
				continue;
			for (int i = 0; i < group_in; i++) {
				int c = group * group_in + i;
				int a = in[((size_t)y * l->in_w + x) * l->in_c + c];
				int w = weights[(((size_t)o * l->kernel_h + ky) * l->kernel_w +
						 kx) * group_in +
						i];

				sum += (int64_t)(a - l->zp_in) * w;
			}
		}
	}
	return sum;
}

void ref_conv(const struct fluidnpu_hw_layer *l, const int8_t *in, const int8_t *weights,
	      const int32_t *bias, const float *scale, int8_t *out)
{
	for (int oy = 0; oy < l->out_h; oy++) {
		for (int ox = 0; ox < l->out_w; ox++) {
			for (int o = 0; o < l->out_c; o++) {
				int64_t sum = conv_sum(l, in, weights, oy, ox, o) + bias[o];
				/* one operation each, rounded to binary32 */
				volatile float acc = (float)(int32_t)sum;
				volatile float v = acc * scale[o];

				*out++ = ref_requantize(v, l->zp_out, l->clamp_min, l->clamp_max);
			}
		}
	}
}

void ref_add(const struct fluidnpu_hw_layer *l, const int8_t *a, const int8_t *b, int8_t *out)
{
	float ra = bits_float(l->scale_in), rb = bits_float(l->scale_in2);
	float fixed = bits_float(l->add_fixed);

	for (size_t i = 0; i < (size_t)l->out_h * l->out_w * l->out_c; i++) {
		float v = fmaf((float)a[i], ra, fmaf((float)b[i], rb, fixed));

		out[i] = ref_requantize(v, 0, l->clamp_min, l->clamp_max);
	}
}

void ref_avgpool(const struct fluidnpu_hw_layer *l, const int8_t *in, int8_t *out)
{
	for (int oy = 0; oy < l->out_h; oy++) {
		for (int ox = 0; ox < l->out_w; ox++) {
			for (int c = 0; c < l->out_c; c++) {
				int sum = 0, count = 0;
				volatile float m = bits_float(l->scale_in);

				for (int ky = 0; ky < l->kernel_h; ky++) {
					for (int kx = 0; kx < l->kernel_w; kx++) {
						int y = oy * l->stride_h - l->pad_t + ky;
						int x = ox * l->stride_w - l->pad_l + kx;

						if (y < 0 || y >= l->in_h || x < 0 || x >= l->in_w)
							continue;
						sum += in[(y * l->in_w + x) * l->in_c + c] -
						       l->zp_in;
						count++;
					}
				}
				if (count != l->kernel_h * l->kernel_w &&
				    !(l->flags & FLUIDNPU_LAYER_POOL_COUNT_PAD)) {
					m = m * (float)(l->kernel_h * l->kernel_w);
					m = m / (float)count;
				}
				m = (float)sum * m;
				*out++ = ref_requantize(m, l->zp_out, l->clamp_min, l->clamp_max);
			}
		}
	}
}

void ref_maxpool(const struct fluidnpu_hw_layer *l, const int8_t *in, int8_t *out)
{
	for (int oy = 0; oy < l->out_h; oy++) {
		for (int ox = 0; ox < l->out_w; ox++) {
			for (int c = 0; c < l->out_c; c++) {
				int best = l->clamp_min;

				for (int ky = 0; ky < l->kernel_h; ky++) {
					for (int kx = 0; kx < l->kernel_w; kx++) {
						int y = oy * l->stride_h - l->pad_t + ky;
						int x = ox * l->stride_w - l->pad_l + kx;

						if (y < 0 || y >= l->in_h || x < 0 || x >= l->in_w)
							continue;
						if (in[(y * l->in_w + x) * l->in_c + c] > best)
							best = in[(y * l->in_w + x) * l->in_c + c];
					}
				}
				*out++ = (int8_t)(best > l->clamp_max ? l->clamp_max : best);
			}
		}
	}
}

void ref_exit_head(const struct fluidnpu_hw_layer *l, const int8_t *logits, struct ref_head *r)
{
	const double scale = bits_float(l->scale_in);
	double sum = 0, second = 0;
	unsigned int top = 0;

	for (unsigned int i = 0; i < l->in_c; i++)
		if (logits[i] > logits[top])
			top = i;
	for (unsigned int i = 0; i < l->in_c; i++)
		sum += exp((logits[i] - logits[top]) * scale);
	r->class_index = top;
	r->confidence = 1 / sum;
	r->entropy = 0;
	for (unsigned int i = 0; i < l->in_c; i++) {
		double p = exp((logits[i] - logits[top]) * scale) / sum;

		if (p > 0)
			r->entropy -= p * log(p);
		if (i != top && p > second)
			second = p;
	}
	r->margin = r->confidence - second;
}

void ref_run(const struct tb_program *p, unsigned int from, unsigned int to, const int8_t *input,
	     int8_t *state, int8_t *logits, struct ref_head heads[FLUIDNPU_MAX_EXITS])
{
	for (unsigned int i = from; i < to; i++) {
		const struct fluidnpu_hw_layer *l = &p->layers[i];
		const int8_t *in = l->in_off == FLUIDNPU_TENSOR_INPUT ? input : state + l->in_off;
		size_t bytes = (size_t)l->out_h * l->out_w * l->out_c;
		int8_t *out = malloc(bytes + 1);

		assert(out);
		switch (l->op) {
		case FLUIDNPU_LAYER_CONV:
			ref_conv(l, in, p->weights[i], p->bias[i], p->scale[i], out);
			break;
		case FLUIDNPU_LAYER_ADD:
			ref_add(l, in, state + l->in2_off, out);
			break;
		case FLUIDNPU_LAYER_AVGPOOL:
			ref_avgpool(l, in, out);
			break;
		case FLUIDNPU_LAYER_MAXPOOL:
			ref_maxpool(l, in, out);
			break;
		case FLUIDNPU_LAYER_EXIT:
			ref_exit_head(l, in, &heads[l->exit_index]);
			memcpy(logits + l->logits_off, in, l->in_c);
			bytes = 0;
			break;
		default:
			assert(!"an operation without an oracle");
		}
		memcpy(state + l->out_off, out, bytes);
		free(out);
	}
}
