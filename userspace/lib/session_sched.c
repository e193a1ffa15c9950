// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>

#include "error.h"
#include "fnpu_cost.h"
#include "session_sched.h"

/** struct tables - of the scheduler's model; it copies them */
struct tables {
	uint64_t *cycles;
	uint64_t *switch_cycles;
	uint32_t exit_layers[FNPU_SCHED_MAX_EXITS];
	uint32_t num_groups;
};

/* Cycles in which what @batch samples have on chip behind the group at @layer goes to DRAM. */
static uint64_t switch_cycles(const struct fnpu_session *s, uint32_t layer, uint32_t batch)
{
	const struct fluidnpu_hw_geometry *g = &fnpu_device_info(s->device)->geometry;
	const uint32_t live_bytes = fnpu_file_layers(s->model->file)[layer].live_bytes;
	struct fluidnpu_hw_policy passes[FLUIDNPU_MAX_BATCH];
	const struct fluidnpu_hw_policy *row = fnpu_file_control(s->model->file) +
					       (size_t)layer * s->info->max_batch;
	uint64_t cycles = 0;

	if (!fnpu_split_batch(g, row, batch, passes))
		return 0;
	for (uint32_t i = 0; i < batch; i++)
		cycles += fnpu_dram_cycles(g, fnpu_sram_share(g, live_bytes, passes, i));
	return cycles;
}

static int find_groups(struct fnpu_session *s, struct tables *t)
{
	const struct fluidnpu_hw_layer *layers = fnpu_file_layers(s->model->file);
	const uint32_t num = s->info->num_layers;
	uint32_t count, exits = 0;

	s->group_layers = calloc(num, sizeof(*s->group_layers));
	s->layer_groups = calloc(num, sizeof(*s->layer_groups));
	if (!s->group_layers || !s->layer_groups)
		return -ENOMEM;
	for (uint32_t l = 0; l < num; l += count) {
		count = fnpu_group_size(&layers[l], num - l);
		for (uint32_t i = 0; i < count; i++)
			s->layer_groups[l + i] = t->num_groups;
		s->group_layers[t->num_groups] = l;
		if (layers[l + count - 1].op == FLUIDNPU_LAYER_EXIT) {
			/* A file can say anything; the device would run it all the same. */
			if (exits == s->info->num_exits || layers[l + count - 1].exit_index != exits)
				return -EINVAL;
			t->exit_layers[exits++] = t->num_groups;
		}
		t->num_groups++;
	}
	s->num_groups = t->num_groups;
	return exits == s->info->num_exits ? 0 : -EINVAL;
}

static int fill_tables(struct fnpu_session *s, struct tables *t)
{
	const uint32_t row = t->num_groups + 1;

	t->cycles = calloc((size_t)s->max_batch * row, sizeof(*t->cycles));
	t->switch_cycles = calloc((size_t)s->max_batch * row, sizeof(*t->switch_cycles));
	if (!t->cycles || !t->switch_cycles)
		return -ENOMEM;
	for (uint32_t b = 1; b <= s->max_batch; b++) {
		for (uint32_t g = 0; g < t->num_groups; g++) {
			const uint32_t i = (b - 1) * row + g, layer = s->group_layers[g];

			t->cycles[i + 1] = t->cycles[i] + fnpu_model_cost(s->model, layer, b);
			t->switch_cycles[i + 1] = switch_cycles(s, layer, b);
		}
	}
	return 0;
}

static int new_sched(struct fnpu_session *s, const struct fnpu_session_options *o,
		     uint32_t queue_bound, const struct tables *t, struct fnpu_error *error)
{
	/* Under NO_EXIT nobody leaves before the last exit. */
	const bool no_exit = s->flags & FNPU_SESSION_NO_EXIT;
	const struct fnpu_sched_model model = {
		.num_layers = t->num_groups,
		.max_batch = s->max_batch,
		.cycles = t->cycles,
		.switch_cycles = t->switch_cycles,
		.num_exits = no_exit ? 1 : s->info->num_exits,
		.exit_layers = no_exit ? &t->exit_layers[s->info->num_exits - 1] : t->exit_layers,
		.exit_shares = no_exit ? NULL : o->exit_shares,
	};

	return fnpu_sched_new(&(struct fnpu_sched_config){
		.policy = o->policy,
		.models = &model,
		.num_models = 1,
		.max_samples = s->num_slots,
		.queue_bound = queue_bound,
		.max_batches = s->depth,
		.stack_depth = fnpu_device_info(s->device)->geometry.stack_depth,
	}, &s->sched, error);
}

int fnpu_session_open_sched(struct fnpu_session *s, const struct fnpu_session_options *o,
			    uint32_t queue_bound, struct fnpu_error *error)
{
	struct tables t = { 0 };
	int ret = find_groups(s, &t);

	if (!ret)
		ret = fill_tables(s, &t);
	if (ret == -ENOMEM)
		fnpu_fail(error, ret, "out of memory");
	else if (ret)
		fnpu_fail(error, ret, "the exits of the program are not those of the model");
	else
		ret = new_sched(s, o, queue_bound, &t, error);
	free(t.cycles);
	free(t.switch_cycles);
	if (!ret) {
		s->preempts = fnpu_sched_info(s->sched)->preempts;
		s->depth = s->preempts ? 1 : s->depth;
	}
	/* To a session's user a policy that cannot be is an option like any other. */
	return ret == -ENOENT || ret == -ENOTSUP ? -EINVAL : ret;
}
