/* SPDX-License-Identifier: MIT */
/*
 * A network on an NPU, as numbers: what each group of layers costs at every batch size, by the
 * device's own time model (qemu-device/core/cost.c), for any geometry. The control block is the
 * compiler's (npucc_control_row()), found anew for the geometry.
 *
 * Kinds of NPU, from the paper's baseline to the paper's:
 *
 *	conventional	whole batches along the rows, no stacking: <b, 1, 1>
 *	batching	fluid batching: the batch split and laid out freely, no stacking
 *	stacking	stackable PEs, the batch whole and along the rows: <b, 1, k>
 *	fluid		both
 */
#ifndef SIM_NPU_H
#define SIM_NPU_H

#include <stdint.h>

#include "fluidnpu.h"
#include "fnpu_core.h"

#define NPU_MAX_BATCH	FLUIDNPU_MAX_BATCH

enum npu_kind {
	NPU_CONVENTIONAL,
	NPU_BATCHING,
	NPU_STACKING,
	NPU_FLUID,
	NPU_KINDS,
};

/** npu_kind_name() - "conventional", ... */
const char *npu_kind_name(enum npu_kind kind);

/** npu_kind_parse() - a kind by its name, or -1 */
int npu_kind_parse(const char *name);

/**
 * struct npu_group - a group of layers at all batch sizes, entry b - 1 for b
 * @first_layer: of the program
 * @exit: exit head that it ends with, or -1
 * @resident: bytes of member i in the activation SRAM behind the group, [b - 1][i]
 */
struct npu_group {
	uint32_t first_layer;
	int exit;
	uint32_t resident[NPU_MAX_BATCH][NPU_MAX_BATCH];
};

/**
 * struct npu_network - a network on an NPU
 * @cycles: [b - 1][g]: cycles of groups 0..g - 1 for b samples; @num_groups + 1 entries
 * @useful_macs, @dram_bytes: likewise
 * @exit_group: group that ends with exit e
 * @macs_per_cycle: offered by the NPU
 */
struct npu_network {
	char name[64];
	struct fnpu_config config;
	enum npu_kind kind;
	uint32_t num_groups;
	uint32_t max_batch;
	uint32_t num_exits;
	uint32_t exit_group[FLUIDNPU_MAX_EXITS];
	uint64_t macs_per_cycle;
	struct npu_group *groups;
	uint64_t *cycles[NPU_MAX_BATCH];
	uint64_t *useful_macs[NPU_MAX_BATCH];
	uint64_t *dram_bytes[NPU_MAX_BATCH];
};

/**
 * npu_open() - price the program of the .fnpu file @path
 * @config: the NPU; NULL: the one that the program was compiled for
 * Returns 0 or a negative errno with a sentence in @error. npu_close() it after success.
 */
int npu_open(struct npu_network *n, const char *path, const struct fnpu_config *config,
	     enum npu_kind kind, struct fnpu_error *error);
void npu_close(struct npu_network *n);

/**
 * npu_price() - fill the tables of a network with @num layers
 * @n: with its config, kind, max_batch and num_exits; the rest is zero
 * What npu_open() does for a file. Returns 0 or -ENOMEM.
 */
int npu_price(struct npu_network *n, const struct fluidnpu_hw_layer *layers, uint32_t num,
	      struct fnpu_error *error);

/** npu_compiled_for() - the NPU that the program of @path was compiled for */
int npu_compiled_for(const char *path, struct fnpu_config *config, struct fnpu_error *error);

/** npu_span() - cycles of groups @from..@to - 1 for @batch samples */
static inline uint64_t npu_span(const struct npu_network *n, uint32_t batch, uint32_t from,
				uint32_t to)
{
	return n->cycles[batch - 1][to] - n->cycles[batch - 1][from];
}

/** npu_expected_cycles() - of a sample alone, with the exit shares @share */
double npu_expected_cycles(const struct npu_network *n, const double *share);

#endif /* SIM_NPU_H */
