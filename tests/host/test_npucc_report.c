// SPDX-License-Identifier: MIT
/*
 * npucc's reports: text, JSON and roofline say the same as the program that they
 * describe. The text is read back, run by run, the JSON value by value.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "npucc_fixture.h"
#include "report.h"

#define MAX_COLUMNS	160

static char *written(const struct npucc_report *r, bool write(const struct npucc_report *, FILE *))
{
	char *text;
	size_t bytes;
	FILE *file = open_memstream(&text, &bytes);

	assert_non_null(file);
	assert_true(write(r, file));
	assert_int_equal(fclose(file), 0);
	assert_int_equal(strlen(text), bytes);
	return text;
}

static const struct npucc_report *report_of(struct fx *f)
{
	return npucc_report(&f->arena, fx_compile(f));
}

/* An NPU on which batches are split and weight tiles shared: little SRAM, many accumulators. */
static void build_with_all_policies(struct fx *f)
{
	fx_build_three_exits(f);
	f->options.config.geometry.act_sram_bytes = 16384;
	f->options.config.geometry.acc_tiles = 4;
	f->options.config.geometry.layer_overhead_cycles = 16;
	f->options.config.geometry.weight_sram_bytes = 1024;
}

static unsigned int count_of(const char *text, const char *word)
{
	unsigned int n = 0;

	for (text = strstr(text, word); text; text = strstr(text + 1, word))
		n++;
	return n;
}

/* --- the figures ------------------------------------------------------------------ */

static void groups_cover_all_layers_and_have_the_cost_of_the_cost_table(void **state)
{
	const struct npucc_report *r = report_of((fx_build_three_exits(*state), *state));
	const struct npucc_program *p = r->program;
	unsigned int i, b, layer = 0;

	for (i = 0; i < r->num_groups; layer += r->groups[i++].count) {
		assert_int_equal(r->groups[i].first, layer);
		for (b = 1; b <= p->max_batch; b++)
			assert_int_equal(r->groups[i].cost[b - 1].cycles,
					 p->cost[layer * p->max_batch + b - 1]);
	}
	assert_int_equal(layer, p->net->num_layers);
}

static void cycles_of_an_exit_are_those_of_all_layers_up_to_it(void **state)
{
	const struct npucc_report *r = report_of((fx_build_three_exits(*state), *state));
	const struct npucc_program *p = r->program;

	for (unsigned int e = 0; e < p->net->num_exits; e++) {
		for (unsigned int b = 1; b <= p->max_batch; b++) {
			uint64_t sum = 0;

			for (unsigned int l = 0; l <= p->net->exits[e].layer->position; l++)
				sum += p->cost[l * p->max_batch + b - 1];
			assert_int_equal(r->exit_cycles[e][b - 1], sum);
		}
	}
}

static void the_bound_is_what_takes_longest(void **state)
{
	const struct { uint64_t compute, vector, dram; const char *bound; } cases[] = {
		{ 3, 2, 1, "compute" }, { 1, 3, 2, "vector" }, { 2, 1, 3, "memory" },
		{ 3, 1, 3, "compute" }, { 2, 2, 1, "compute" }, { 1, 3, 3, "vector" },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct fnpu_cost c = {
			.compute_cycles = cases[i].compute,
			.vector_cycles = cases[i].vector,
			.dram_cycles = cases[i].dram,
		};

		assert_string_equal(npucc_bound(&c), cases[i].bound);
	}
}

/* --- text ------------------------------------------------------------------------- */

/* Reads a run of policies, "5-16:4+k2p3", into @row; returns the last batch of it. */
static unsigned int read_run(const char *text, struct fluidnpu_hw_policy *row)
{
	unsigned int first, last, n = 0, k, b_p = 1, b;
	const char *s = strchr(text, ':') + 1;

	if (sscanf(text, "%u-%u:", &first, &last) != 2) {
		assert_int_equal(sscanf(text, "%u:", &first), 1);
		last = first;
	}
	if (sscanf(s, "%u+", &n) == 1)
		s = strchr(s, '+') + 1;
	assert_true(sscanf(s, "k%up%u", &k, &b_p) >= 1);
	for (b = first; b <= last; b++) {
		unsigned int pass = n ? n : b;

		row[b - 1] = (struct fluidnpu_hw_policy){
			.n = (uint8_t)pass,
			.b_r = (uint8_t)((pass + b_p - 1) / b_p),
			.b_p = (uint8_t)b_p,
			.k = (uint8_t)k,
		};
	}
	return last;
}

/* What stands at @s in the column of policies: those of a group, perhaps over several lines. */
static void read_row(const char *s, unsigned int max_batch, struct fluidnpu_hw_policy *row)
{
	unsigned int last = 0;

	while (last < max_batch) {
		s += strspn(s, " \n");
		last = read_run(s, row);
		s += strcspn(s, " \n");
	}
}

static void text_has_every_policy_of_every_batch(void **state)
{
	const struct npucc_report *r = report_of((build_with_all_policies(*state), *state));
	unsigned int max = r->program->max_batch, splits = 0, shares = 0;
	char *text = written(r, npucc_report_text);
	const char *header = strstr(text, "\n   # layer") + 1;
	ptrdiff_t column = strstr(header, "policies\n") - header;

	for (unsigned int i = 0; i < r->num_groups; i++) {
		struct fluidnpu_hw_policy row[FLUIDNPU_MAX_BATCH];
		char start[80];
		const char *line;

		snprintf(start, sizeof(start), "\n%4u %-22s ", r->groups[i].first,
			 r->program->net->layers[r->groups[i].first]->name);
		line = strstr(text, start);
		if (!line)
			fail_msg("no line '%s' in\n%s", start + 1, text);
		read_row(line + 1 + column, max, row);
		assert_memory_equal(row, r->groups[i].row, max * sizeof(row[0]));
		for (unsigned int b = 0; b < max; b++) {
			splits += row[b].n <= b;
			shares += row[b].b_p > 1;
		}
	}
	assert_true(splits && shares);	/* or nothing has been tested */
	free(text);
}

static void text_stays_within_160_columns(void **state)
{
	const struct npucc_report *r = report_of((build_with_all_policies(*state), *state));
	char *text = written(r, npucc_report_text);

	for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
		size_t len = strcspn(line, "\n");

		if (len > MAX_COLUMNS || (len && line[len - 1] == ' '))
			fail_msg("%zu columns: '%.*s'", len, (int)len, line);
	}
	free(text);
}

static void control_characters_do_not_reach_the_terminal(void **state)
{
	struct fx *f = *state;
	struct npucc_program *p;
	char *text;

	fx_build_good(f);
	p = fx_compile(f);
	p->net->layers[0]->name = "\x1b[31mred\n\x7f";
	p->net->exits[0].name = "\x1b[32mgreen";
	p->name = "\x1b[33m";
	text = written(npucc_report(&f->arena, p), npucc_report_text);
	assert_non_null(strstr(text, "   0 ?[31mred??"));
	assert_non_null(strstr(text, " ?[32mgreen           "));
	assert_int_equal(strncmp(text, "?[33m: ", 7), 0);
	assert_null(strchr(text, '\x1b'));
	free(text);
}

/* --- JSON ------------------------------------------------------------------------- */

static double number(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	if (!cJSON_IsNumber(item))
		fail_msg("no number '%s'", key);
	return item->valuedouble;
}

static const cJSON *element(const cJSON *object, const char *key, unsigned int index)
{
	const cJSON *item = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(object, key),
					       (int)index);

	if (!item)
		fail_msg("no '%s'[%u]", key, index);
	return item;
}

static void check_json_batch(const struct npucc_report *r, const cJSON *item,
			     const struct npucc_group *group, unsigned int b)
{
	const struct fnpu_cost *c = &group->cost[b - 1];
	const cJSON *policy = cJSON_GetObjectItemCaseSensitive(item, "policy");
	const struct fluidnpu_hw_geometry *g = &r->program->config.geometry;

	assert_true(number(item, "batch") == b);
	assert_true(number(policy, "n") == group->row[b - 1].n);
	assert_true(number(policy, "b_r") == group->row[b - 1].b_r);
	assert_true(number(policy, "b_p") == group->row[b - 1].b_p);
	assert_true(number(policy, "k") == group->row[b - 1].k);
	assert_true(number(item, "cycles") == (double)c->cycles);
	assert_true(number(item, "dram_bytes") ==
		    (double)(c->weight_bytes + c->act_read_bytes + c->act_write_bytes));
	assert_true(fabs(number(item, "utilisation") * g->tile_depth * g->tile_cols *
			 (double)c->cycles - (double)c->useful_macs) < 0.5);
	assert_string_equal(cJSON_GetObjectItem(item, "bound")->valuestring, npucc_bound(c));
}

static void json_has_every_figure_of_every_batch(void **state)
{
	const struct npucc_report *r = report_of((build_with_all_policies(*state), *state));
	const struct npucc_network *net = r->program->net;
	char *text = written(r, npucc_report_json);
	cJSON *root = cJSON_ParseWithOpts(text, NULL, false);
	unsigned int i, b;

	assert_non_null(root);
	for (i = 0; i < net->num_layers; i++) {
		const cJSON *layer = element(root, "layers", i);

		assert_string_equal(cJSON_GetObjectItem(layer, "name")->valuestring,
				    net->layers[i]->name);
		assert_true(number(layer, "macs") == (double)net->layers[i]->macs);
		assert_true(element(layer, "in", 0)->child->valuedouble == net->layers[i]->in[0]->h);
	}
	for (i = 0; i < r->num_groups; i++)
		for (b = 1; b <= r->program->max_batch; b++)
			check_json_batch(r, element(element(root, "groups", i), "batches", b - 1),
					 &r->groups[i], b);
	for (i = 0; i < net->num_exits; i++)
		for (b = 1; b <= r->program->max_batch; b++)
			assert_true(number(element(element(root, "exits", i), "batches", b - 1),
					   "cycles") == (double)r->exit_cycles[i][b - 1]);
	cJSON_Delete(root);
	free(text);
}

/* --- roofline ----------------------------------------------------------------------- */

/* Every point's figures are in its title, which is the rest of a line. */
static void check_point(const char *svg, const struct npucc_report *r,
			const struct npucc_group *group, unsigned int b)
{
	const struct fnpu_cost *c = &group->cost[b - 1];
	char title[256];

	snprintf(title, sizeof(title), "<title>%u %s, batch %u: %llu cycles (", group->first,
		 r->program->net->layers[group->first]->name, b, (unsigned long long)c->cycles);
	svg = strstr(svg, title);
	if (!svg)
		fail_msg("no point '%s'", title);
	snprintf(title, sizeof(title), " %%), %.4g MACs per byte, %.4g MACs per cycle, %s-bound</title></path>\n",
		 (double)c->useful_macs /
		 (double)(c->weight_bytes + c->act_read_bytes + c->act_write_bytes),
		 (double)c->useful_macs / (double)c->cycles, npucc_bound(c));
	assert_memory_equal(strstr(svg, " %), "), title, strlen(title));
}

static void roofline_has_a_point_per_group_for_batch_1_and_the_largest(void **state)
{
	const struct npucc_report *r = report_of((fx_build_three_exits(*state), *state));
	char *svg = written(r, npucc_report_roofline);
	unsigned int points = 0;

	for (unsigned int i = 0; i < r->num_groups; i++) {
		if (!r->groups[i].cost[0].useful_macs)
			continue;
		check_point(svg, r, &r->groups[i], 1);
		check_point(svg, r, &r->groups[i], r->program->max_batch);
		points += 2;
	}
	assert_true(points > 10);
	assert_int_equal(count_of(svg, "<title>"), points);
	free(svg);
}

/* Pixels: a point where compute alone is the limit lies under the roof, not above. */
static void no_point_is_above_the_roof(void **state)
{
	const struct npucc_report *r = report_of((fx_build_three_exits(*state), *state));
	char *svg = written(r, npucc_report_roofline);
	const char *roof = strstr(svg, "<path class=\"roof\""), *line;
	double x0, y0, x1, y1, right, x, y;
	unsigned int points = 0;

	assert_int_equal(sscanf(strchr(roof, 'M'), "M%lf %lfL%lf %lfH%lf", &x0, &y0, &x1, &y1,
				&right), 5);
	assert_true(x0 < x1 && x1 < right && y1 < y0);
	for (line = strstr(svg, "<line class=\"pair\""); line;
	     line = strstr(line + 1, "<line class=\"pair\"")) {
		assert_int_equal(sscanf(strstr(line, "x1"), "x1=\"%lf\" y1=\"%lf\"", &x, &y), 2);
		assert_true(x >= x0 - 0.1 && x <= right);
		assert_true(y >= y1 - 0.1);
		if (x < x1)
			assert_true(y >= y0 + (x - x0) / (x1 - x0) * (y1 - y0) - 0.2);
		points++;
	}
	assert_true(points > 5);
	free(svg);
}

static void roofline_escapes_markup_in_names(void **state)
{
	struct fx *f = *state;
	struct npucc_program *p;
	char *svg;

	fx_build_good(f);
	p = fx_compile(f);
	p->name = "<b>&amp\xff";
	p->net->layers[0]->name = "</title><script>";
	svg = written(npucc_report(&f->arena, p), npucc_report_roofline);
	assert_non_null(strstr(svg, "&lt;b&gt;&amp;amp?: roofline"));
	assert_null(strstr(svg, "<script"));
	assert_int_equal(count_of(svg, "<title>"), count_of(svg, "</title>"));
	free(svg);
}

static void a_largest_batch_of_1_is_one_point_per_group(void **state)
{
	struct fx *f = *state;
	const struct npucc_report *r;
	char *svg;

	fx_build_good(f);
	f->options.config.geometry.max_batch = 1;
	r = report_of(f);
	svg = written(r, npucc_report_roofline);
	assert_int_equal(count_of(svg, "<title>"), 2);	/* the convolution and the head's Gemm */
	assert_int_equal(count_of(svg, "batch of"), 1);
	free(svg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(groups_cover_all_layers_and_have_the_cost_of_the_cost_table),
		TEST(cycles_of_an_exit_are_those_of_all_layers_up_to_it),
		TEST(the_bound_is_what_takes_longest),
		TEST(text_has_every_policy_of_every_batch),
		TEST(text_stays_within_160_columns),
		TEST(control_characters_do_not_reach_the_terminal),
		TEST(json_has_every_figure_of_every_batch),
		TEST(roofline_has_a_point_per_group_for_batch_1_and_the_largest),
		TEST(no_point_is_above_the_roof),
		TEST(roofline_escapes_markup_in_names),
		TEST(a_largest_batch_of_1_is_one_point_per_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
