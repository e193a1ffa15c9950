// SPDX-License-Identifier: MIT
/*
 * The command processor with its MMU under fire.
 *
 * An input is a program of eight-byte operations. It starts with a device that a driver has set
 * up rightly (fuzz_core_host.c), so that a few operations reach deep states: batches that are
 * preempted, merged, handed back. From there they do right and wrong in any order: submit
 * entries, ring doorbells with any number, write any register, change any memory, page
 * tables and programs among it, also while the device is reading it, let time pass, let the
 * worker be late, fail DMA, save the device, damage what was saved and load it.
 *
 * What must hold all along is in fuzz_core_oracle.c. Mutation works on whole operations.
 */
#include <string.h>

#include "fuzz_core.h"

#define MAX_OPS		96
#define MAX_COST	(24u << 20)	/* bytes moved for the device: a tenth of a second */
#define MAX_STEPS	256		/* of one operation */

struct op {
	uint8_t code;
	uint8_t a;
	uint16_t b;
	uint32_t c;
};

enum code {
	OP_SUBMIT,	/* a: queue, opcode, program, flags; b: samples; c: exits, target */
	OP_STEP,	/* a: how often; b: the driver takes completions */
	OP_FINISH,	/* a worker that is held has computed */
	OP_DRAIN,	/* a: at most */
	OP_POKE,	/* a: range, width; b: where; c: value */
	OP_ARM,		/* the next POKE strikes after b reads */
	OP_QUEUE,	/* a: queue; c: bits for its control register */
	OP_AS,		/* a: which; c: command */
	OP_ADVANCE,	/* c: cycles */
	OP_DOORBELL,	/* a: queue; b: tail */
	OP_WRITE,	/* a: register; c: value */
	OP_READ,	/* b: offset */
	OP_PRIORITY,	/* a: queue; b: priority */
	OP_COALESCE,	/* a: count; b: cycles */
	OP_FAULTS,	/* a: which; b: how much */
	OP_SNAPSHOT,	/* a: damage; c: where */
	OP_RESET,	/* a: how */
	OP_RUN,		/* until the device has nothing to do */
	NUM_CODES,
};

/* --- the interpreter --------------------------------------------------------------- */

/* A sample table for @num samples from layer @start on. */
static uint64_t make_table(struct bench *b, unsigned int num, uint32_t start, uint32_t seed)
{
	const uint64_t addr = image.tables[b->next_table++ % NUM_TABLES];

	for (unsigned int i = 0; i < num; i++) {
		struct fluidnpu_hw_sample s = image.buffers[(seed + i) % NUM_BUFFERS];

		s.start_layer = start;
		s.exit_index = seed >> (2 * i) & 3;
		memcpy(b->memory + (addr - TB_BUS_BASE) + i * sizeof(s), &s, sizeof(s));
	}
	return addr;
}

/* The first layer of one of the program's groups; mostly the very first. */
static uint32_t start_layer(const struct tb_program *p, unsigned int choice)
{
	unsigned int starts[TB_MAX_LAYERS], n = tb_groups(p, starts);

	return choice < 8 ? 0 : starts[choice % n];
}

/* An entry as a driver writes it, and its doorbell. */
static void submit(struct bench *b, const struct op *op)
{
	const unsigned int q = op->a % NUM_QUEUES;
	const struct tb_program *p = &image.programs[op->a >> 4 & 3];
	struct fluidnpu_hw_sqe sqe = {
		.opcode = op->a >> 2 & 3,
		.cookie = b->next_cookie++,
	};

	if (sqe.opcode == FLUIDNPU_OP_YIELD) {
		sqe.target = sqe.cookie - 1 - op->c % 4;
	} else if (sqe.opcode != FLUIDNPU_OP_NOP) {
		sqe.flags = op->a & 0x40 ? FLUIDNPU_SQE_NO_EXIT : 0;
		sqe.as_id = TB_AS + (op->b >> 12 & 1);
		sqe.num_samples = op->b % b->config.geometry.max_batch + 1;
		sqe.program_iova = p->iova;
		sqe.program_bytes = p->loaded.total_bytes;
		sqe.samples_addr = make_table(b, sqe.num_samples,
					      start_layer(p, op->b >> 4 & 15), op->c);
	}
	memcpy(b->memory + (image.rings[q] - TB_BUS_BASE) + b->ring_tail[q] * sizeof(sqe), &sqe,
	       sizeof(sqe));
	b->ring_tail[q] = (b->ring_tail[q] + 1) % RING_ENTRIES;
	if (!(op->a & 0x80))
		bench_write(b, FLUIDNPU_REG_DOORBELL(q), b->ring_tail[q]);
}

/* A page-table entry that leads into guest memory, perhaps to a page table. */
static uint64_t make_pte(uint32_t seed)
{
	uint64_t page = (seed >> 2) % (MEMORY_BYTES / FLUIDNPU_PAGE_BYTES);

	return (TB_BUS_BASE + page * FLUIDNPU_PAGE_BYTES) | (seed & 3);
}

static void poke(struct bench *b, const struct op *op, uint32_t delay)
{
	const struct range *r = &image.ranges[(op->a & 63) % image.num_ranges];
	struct poke p = { .value = op->c, .bytes = 1u << (op->a >> 6), .delay = delay };

	if (p.bytes == sizeof(uint64_t) && op->b & 1)
		p.value = make_pte(op->c);
	p.addr = r->addr + op->b % r->bytes / p.bytes * p.bytes;
	bench_poke(b, &p);
}

static void step(struct bench *b, unsigned int times, bool drain)
{
	while (times-- && b->cost < MAX_COST && bench_step(b))
		if (drain)
			bench_drain(b, CQ_ENTRIES);
}

/* Until nothing is due any more, with a driver that takes completions and a worker that works. */
static void run(struct bench *b)
{
	for (unsigned int i = 0; i < MAX_STEPS && b->cost < MAX_COST; i++) {
		bench_finish_work(b);
		if (!bench_drain(b, CQ_ENTRIES) && !bench_step(b) && !b->work_pending) {
			oracle_check_rest(&b->oracle);
			return;
		}
	}
}

static void write_register(struct bench *b, const struct op *op)
{
	static const uint32_t registers[] = {
		FLUIDNPU_REG_CTRL, FLUIDNPU_REG_AS_SELECT, FLUIDNPU_REG_AS_ROOT_LO,
		FLUIDNPU_REG_AS_ROOT_HI, FLUIDNPU_REG_AS_CMD, FLUIDNPU_REG_CQ_BASE_LO,
		FLUIDNPU_REG_CQ_BASE_HI, FLUIDNPU_REG_CQ_ENTRIES,
		FLUIDNPU_REG_CQ_COALESCE_COUNT, FLUIDNPU_REG_CQ_COALESCE_CYCLES,
		FLUIDNPU_REG_DOORBELL_CQ, FLUIDNPU_REG_MAGIC,
	};
	const unsigned int num = sizeof(registers) / sizeof(registers[0]);
	uint32_t reg = op->b;

	if (op->a < num)
		reg = registers[op->a];
	else if (op->a < 0x80)
		reg = FLUIDNPU_REG_QUEUE(op->a % NUM_QUEUES) + (op->b % 7) * 4;
	bench_write(b, reg, op->c);
}

static void set_faults(struct bench *b, const struct op *op)
{
	struct fnpu_faults faults;

	fnpu_faults_default(&faults);
	if (op->a & 1)
		faults.dma_errors = op->b % 4;
	if (op->a & 2)
		faults.corrupt_descriptors = op->b % 3;
	if (op->a & 4)
		faults.lose_interrupts = op->b;
	if (op->a & 8)
		faults.hang_layer = op->b % 16;
	if (op->a & 16)
		faults.dram_percent = 100 + op->b;
	fnpu_dev_set_faults(b->dev, &faults);
}

static void reset(struct bench *b, const struct op *op)
{
	if (op->a & 1) {
		fnpu_dev_reset(b->dev);
		oracle_reset(&b->oracle, b->dev);
	} else {
		bench_write(b, FLUIDNPU_REG_CTRL, FLUIDNPU_CTRL_RESET);
	}
	if (!(op->a & 2))
		bench_set_up(b);
}

static void address_space(struct bench *b, const struct op *op)
{
	if (op->a & 0x80)
		bench_write(b, FLUIDNPU_REG_AS_ROOT_LO, (uint32_t)make_pte(op->c));
	bench_write(b, FLUIDNPU_REG_AS_SELECT, TB_AS + op->a % 3);
	bench_write(b, FLUIDNPU_REG_AS_CMD, op->c % 5);
}

static void read_registers(struct bench *b, uint32_t from)
{
	for (uint32_t i = 0; i < 64; i++)
		fnpu_dev_read(b->dev, (from + 4 * i) % FLUIDNPU_BAR_REGS_BYTES, b->now);
	oracle_check(&b->oracle, b->now);
}

static void execute(struct bench *b, const struct op *op, uint32_t *delay)
{
	switch (op->code % NUM_CODES) {
	case OP_SUBMIT:
		submit(b, op);
		break;
	case OP_STEP:
		step(b, op->a % 16 + 1, op->b & 1);
		break;
	case OP_FINISH:
		bench_finish_work(b);
		break;
	case OP_DRAIN:
		bench_drain(b, op->a);
		break;
	case OP_POKE:
		poke(b, op, *delay);
		*delay = 0;
		break;
	case OP_ARM:
		*delay = op->b % 1024 + 1;
		break;
	case OP_QUEUE:
		bench_write(b, FLUIDNPU_REG_QUEUE(op->a % NUM_QUEUES) + FLUIDNPU_QREG_CTRL, op->c);
		break;
	case OP_AS:
		address_space(b, op);
		break;
	case OP_ADVANCE:
		bench_advance(b, b->now + op->c % (1u << 24));
		break;
	case OP_DOORBELL:
		bench_write(b, FLUIDNPU_REG_DOORBELL(op->a % NUM_QUEUES), op->b);
		break;
	case OP_WRITE:
		write_register(b, op);
		break;
	case OP_READ:
		read_registers(b, op->b);
		break;
	case OP_PRIORITY:
		bench_write(b, FLUIDNPU_REG_QUEUE(op->a % NUM_QUEUES) + FLUIDNPU_QREG_PRIORITY,
			    op->b);
		break;
	case OP_COALESCE:
		bench_write(b, FLUIDNPU_REG_CQ_COALESCE_COUNT, op->a);
		bench_write(b, FLUIDNPU_REG_CQ_COALESCE_CYCLES, op->b);
		break;
	case OP_FAULTS:
		set_faults(b, op);
		break;
	case OP_SNAPSHOT:
		bench_snapshot(b, op->c, op->a);
		break;
	case OP_RESET:
		reset(b, op);
		break;
	case OP_RUN:
		run(b);
		break;
	}
}

/* The first operation is none: it chooses the device. */
static void configure(const struct op *op, struct fnpu_config *config)
{
	struct fluidnpu_hw_geometry *g = &config->geometry;

	fnpu_config_default(config);
	config->functional = !(op->a & 1);
	g->num_queues = NUM_QUEUES;
	g->stack_depth = op->a >> 1 & 3;
	if (op->a & 8)
		g->max_stack = 1;
	if (op->a & 16) {
		g->tile_rows = 8;
		g->tile_cols = 8;
		g->act_sram_bytes = 2048;
		g->weight_sram_bytes = 512;
		g->dram_bytes_per_kcycle = 100;
	}
	if (op->a & 32)
		g->acc_tiles = 4;
	if (op->a & 64)
		g->stack_depth = FLUIDNPU_MAX_STACK_DEPTH;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	image_make();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bench bench;
	struct fnpu_config config;
	uint32_t delay = 0;
	struct op op;

	if (size < sizeof(op))
		return 0;
	memcpy(&op, data, sizeof(op));
	configure(&op, &config);
	bench_start(&bench, op.a % NUM_CONFIGS, &config, op.b % NUM_WORKERS);
	bench_set_up(&bench);
	for (size_t at = sizeof(op); at + sizeof(op) <= size && bench.cost < MAX_COST;
	     at += sizeof(op)) {
		memcpy(&op, data + at, sizeof(op));
		execute(&bench, &op, &delay);
	}
	run(&bench);
	bench_stop(&bench);
	return 0;
}

/* --- the mutator ------------------------------------------------------------------- */

/* What gets a device somewhere, more often than what breaks it. */
static struct op random_op(struct tb_rng *rng)
{
	static const uint8_t codes[] = {
		OP_SUBMIT, OP_SUBMIT, OP_SUBMIT, OP_SUBMIT, OP_SUBMIT, OP_STEP, OP_STEP, OP_STEP,
		OP_FINISH, OP_DRAIN, OP_POKE, OP_POKE, OP_ARM, OP_QUEUE, OP_AS, OP_ADVANCE,
		OP_DOORBELL, OP_WRITE, OP_READ, OP_PRIORITY, OP_COALESCE, OP_FAULTS, OP_SNAPSHOT,
		OP_RESET, OP_RUN,
	};
	struct op op = {
		.code = codes[tb_random(rng) % sizeof(codes)],
		.a = (uint8_t)tb_random(rng),
		.b = (uint16_t)tb_random(rng),
		.c = tb_random(rng),
	};

	if (op.code == OP_QUEUE)
		op.c %= 16;
	if (op.code == OP_SNAPSHOT && tb_random(rng) % 2)
		op.a = 0;
	if ((op.code == OP_POKE || op.code == OP_WRITE) && tb_random(rng) % 2)
		op.c = (uint32_t)fuzz_number(rng);
	return op;
}

static size_t insert(struct op *ops, size_t n, size_t max, size_t at, const struct op *op)
{
	if (n == max)
		return n;
	memmove(&ops[at + 1], &ops[at], (n - at) * sizeof(*ops));
	ops[at] = *op;
	return n + 1;
}

static void change(struct op *op, struct tb_rng *rng)
{
	switch (tb_random(rng) % 4) {
	case 0:
		op->a ^= 1u << tb_random(rng) % 8;
		break;
	case 1:
		op->b ^= 1u << tb_random(rng) % 16;
		break;
	case 2:
		op->c = tb_random(rng) % 2 ? (uint32_t)fuzz_number(rng) : tb_random(rng) % 64;
		break;
	default:
		LLVMFuzzerMutate((uint8_t *)op, sizeof(*op), sizeof(*op));
		break;
	}
}

/* @n operations, the first of which chooses the device; returns how many there are then. */
static size_t mutate(struct op *ops, size_t n, size_t max, struct tb_rng *rng)
{
	const size_t at = tb_random(rng) % n;
	struct op op = random_op(rng);

	switch (tb_random(rng) % 8) {
	case 0:
		if (n > 1) {
			memmove(&ops[at], &ops[at + 1], (n - at - 1) * sizeof(*ops));
			n--;
		}
		break;
	case 1:
		op = ops[tb_random(rng) % n];
		ops[tb_random(rng) % n] = ops[at];
		ops[at] = op;
		break;
	case 2:
		op = ops[tb_random(rng) % n];
		n = insert(ops, n, max, at, &op);
		break;
	case 3:
	case 4:
		n = insert(ops, n, max, at, &op);
		break;
	default:
		change(&ops[at], rng);
		break;
	}
	return n;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	struct op ops[MAX_OPS] = { { 0 } };
	struct tb_rng rng = { seed };
	size_t max = max_size / sizeof(*ops), n = size / sizeof(*ops);

	if (!max)
		return LLVMFuzzerMutate(data, size, max_size);
	if (max > MAX_OPS)
		max = MAX_OPS;
	if (n > max)
		n = max;
	memcpy(ops, data, n * sizeof(*ops));
	if (!n)
		n = 1;
	for (int i = tb_range(&rng, 1, 4); i; i--)
		n = mutate(ops, n, max, &rng);
	memcpy(data, ops, n * sizeof(*ops));
	return n * sizeof(*ops);
}

/* The beginning of the one, the end of the other. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
				 uint8_t *out, size_t max_size, unsigned int seed)
{
	struct tb_rng rng = { seed };
	size_t from_a = tb_random(&rng) % (a_size / sizeof(struct op) + 1) * sizeof(struct op);
	size_t skip = tb_random(&rng) % (b_size / sizeof(struct op) + 1) * sizeof(struct op);
	size_t from_b = b_size - skip;

	if (from_a > max_size)
		from_a = max_size;
	if (from_b > max_size - from_a)
		from_b = max_size - from_a;
	memcpy(out, a, from_a);
	memcpy(out + from_a, b + skip, from_b);
	return from_a + from_b;
}
