// SPDX-License-Identifier: MIT
/*
 * The control block is the best one there is: npucc_control_row() against a search that
 * knows nothing of the order or the shortcuts of the compiler's, for the layers of large
 * networks and for random layers on random NPUs; and batching never hurts. And what --conventional
 * puts there instead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core_host.h"
#include "networks.h"
#include "npucc_fixture.h"

struct table {
	struct fluidnpu_hw_policy row[FLUIDNPU_MAX_BATCH];
	uint64_t cycles[FLUIDNPU_MAX_BATCH];	/* T(b) at b - 1 */
};

/* Fewest cycles of one pass with @n samples: every <B_R, B_P, k> that fits the descriptor. */
static uint64_t cheapest_pass(const struct fluidnpu_hw_geometry *g,
			      const struct fluidnpu_hw_layer *layers, unsigned int count,
			      unsigned int n)
{
	uint64_t best = UINT64_MAX;

	for (unsigned int k = 1; k <= 16; k++) {
		for (unsigned int b_p = 1; b_p <= 70; b_p++) {
			for (unsigned int b_r = 1; b_r <= FLUIDNPU_MAX_BATCH; b_r++) {
				struct fluidnpu_hw_policy p = { n, b_r, b_p, k };
				struct fnpu_cost c = { 0 };

				if (!fnpu_policy_valid(g, &p, n))
					continue;
				fnpu_cost_pass(g, layers, count, &p, &c);
				best = c.cycles < best ? c.cycles : best;
			}
		}
	}
	return best;
}

/* T(b) over all ways to cut @left samples into passes none of which is larger than @largest. */
static uint64_t cheapest_cut(const uint64_t *pass, unsigned int left, unsigned int largest)
{
	uint64_t best = UINT64_MAX;

	if (!left)
		return 0;
	for (unsigned int n = 1; n <= left && n <= largest; n++) {
		uint64_t cycles = pass[n - 1] + cheapest_cut(pass, left - n, n);

		best = cycles < best ? cycles : best;
	}
	return best;
}

static void check_minimum(const struct fluidnpu_hw_geometry *g,
			  const struct fluidnpu_hw_layer *layers, unsigned int count,
			  const struct table *t)
{
	uint64_t pass[FLUIDNPU_MAX_BATCH];

	for (unsigned int b = 1; b <= g->max_batch; b++) {
		pass[b - 1] = cheapest_pass(g, layers, count, b);
		assert_int_equal(t->cycles[b - 1], cheapest_cut(pass, b, b));
	}
}

static void check_subadditive(const struct fluidnpu_hw_geometry *g, const struct table *t)
{
	for (unsigned int b = 2; b <= g->max_batch; b++)
		for (unsigned int i = 1; i < b; i++)
			assert_true(t->cycles[b - 1] <= t->cycles[i - 1] + t->cycles[b - i - 1]);
}

/* What the device will charge for this row is what the search says. */
static void check_price(const struct fluidnpu_hw_geometry *g,
			const struct fluidnpu_hw_layer *layers, unsigned int count,
			const struct table *t)
{
	for (unsigned int b = 1; b <= g->max_batch; b++) {
		struct fnpu_cost c = { 0 };

		assert_true(fnpu_cost_batch(g, layers, count, t->row, b, &c));
		assert_int_equal(c.cycles, t->cycles[b - 1]);
	}
}

static struct table search(const struct fluidnpu_hw_geometry *g,
			   const struct fluidnpu_hw_layer *layers, unsigned int count)
{
	struct table t;

	npucc_control_row(g, layers, count, g->max_batch, t.row, t.cycles);
	return t;
}

static void check_network(const struct network *n, unsigned int max_stack)
{
	struct fnpu_config config;
	unsigned int count;

	fnpu_config_default(&config);
	config.geometry.max_stack = max_stack;
	for (unsigned int i = 0; i < n->num_layers; i += count) {
		struct table t;

		count = fnpu_group_size(&n->layers[i], n->num_layers - i);
		t = search(&config.geometry, &n->layers[i], count);
		check_price(&config.geometry, &n->layers[i], count, &t);
		check_subadditive(&config.geometry, &t);
		check_minimum(&config.geometry, &n->layers[i], count, &t);
	}
}

static void test_resnet50(void **state)
{
	struct network n;

	(void)state;
	network_resnet50(&n, true);
	check_network(&n, 8);
	check_network(&n, 1);
}

static void test_mobilenetv2(void **state)
{
	struct network n;

	(void)state;
	network_mobilenetv2(&n, true);
	check_network(&n, 8);
	check_network(&n, 1);
}

static struct fluidnpu_hw_geometry random_geometry(struct tb_rng *rng)
{
	struct fnpu_config config;
	struct fluidnpu_hw_geometry *g = &config.geometry;

	fnpu_config_default(&config);
	g->max_stack = 1u << tb_range(rng, 0, 4);
	g->tile_rows = 16 * tb_range(rng, 1, 12);
	g->tile_depth = tb_range(rng, 1, 40);
	g->tile_cols = 16 * tb_range(rng, 1, 8);
	g->acc_tiles = tb_range(rng, 1, 4);
	g->max_batch = tb_range(rng, 1, 16);
	g->act_sram_bytes = tb_range(rng, 1, 2000000);
	g->weight_sram_bytes = tb_range(rng, 1, 200000);
	g->dram_bytes_per_kcycle = tb_range(rng, 1, 64) * 1024;
	g->vector_lanes = tb_range(rng, 1, 128);
	g->layer_overhead_cycles = tb_range(rng, 0, 1000);
	assert_null(fnpu_config_check(&config));
	return *g;
}

/* A convolution, dense, grouped or depthwise, and half of the time an Add fused with it. */
static unsigned int random_group(struct tb_rng *rng, struct fluidnpu_hw_layer *group)
{
	unsigned int groups = tb_range(rng, 0, 1) ? 1 : tb_range(rng, 2, 32);
	unsigned int depth = tb_range(rng, 0, 1) ? 1 : tb_range(rng, 1, 64);
	unsigned int kernel = tb_range(rng, 1, 5);

	group[0] = (struct fluidnpu_hw_layer){
		.op = FLUIDNPU_LAYER_CONV,
		.in_h = tb_range(rng, 1, 56),
		.in_w = tb_range(rng, 1, 56),
		.in_c = groups * depth,
		.out_h = tb_range(rng, 1, 56),
		.out_w = tb_range(rng, 1, 56),
		.out_c = groups * (tb_range(rng, 0, 1) ? 1 : tb_range(rng, 1, 64)),
		.kernel_h = kernel,
		.kernel_w = kernel,
		.groups = groups,
		.in_off = tb_range(rng, 0, 3) ? 0 : FLUIDNPU_TENSOR_INPUT,
		.out_off = 1000000,
		.live_bytes = tb_range(rng, 1, 400000),
	};
	group[1] = group[0];
	group[1].op = FLUIDNPU_LAYER_ADD;
	group[1].flags = FLUIDNPU_LAYER_FUSED;
	group[1].in_h = group[0].out_h;
	group[1].in_w = group[0].out_w;
	group[1].in_c = group[0].out_c;
	group[1].in_off = group[0].out_off;
	return 1 + tb_range(rng, 0, 1);
}

static void test_random_layers_on_random_npus(void **state)
{
	struct tb_rng rng = { 31 };

	(void)state;
	for (int i = 0; i < 300; i++) {
		struct fluidnpu_hw_geometry g = random_geometry(&rng);
		struct fluidnpu_hw_layer group[2];
		unsigned int count = random_group(&rng, group);
		struct table t = search(&g, group, count);

		check_price(&g, group, count, &t);
		check_subadditive(&g, &t);
		check_minimum(&g, group, count, &t);
	}
}

static void test_conventional_npu_batches_along_the_rows_only(void **state)
{
	struct fx *f = *state;
	struct npucc_program *p;
	unsigned int count;

	f->options.conventional = true;
	fx_build_three_exits(f);
	p = fx_compile(f);
	for (unsigned int i = 0; i < p->net->num_layers; i += count) {
		count = fnpu_group_size(&p->layers[i], p->net->num_layers - i);
		for (unsigned int b = 1; b <= p->max_batch; b++) {
			const struct fluidnpu_hw_policy *have = &p->control[i * p->max_batch + b - 1];
			const struct fluidnpu_hw_policy want = { b, b, 1, 1 };
			struct fnpu_cost c = { 0 };

			assert_memory_equal(have, &want, sizeof(want));
			fnpu_cost_pass(&p->config.geometry, &p->layers[i], count, &want, &c);
			assert_int_equal(p->cost[i * p->max_batch + b - 1], c.cycles);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resnet50),
		cmocka_unit_test(test_mobilenetv2),
		cmocka_unit_test(test_random_layers_on_random_npus),
		TEST(test_conventional_npu_batches_along_the_rows_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
