// SPDX-License-Identifier: MIT
/*
 * Which kernels this processor runs. The tables stand here, compiled for any processor:
 * only functions of the files *_avx2.c and *_avx512vnni.c need the instructions.
 */
#include "kernels.h"

const struct fnpu_kernels fnpu_kernels_plain = {
	.name = "plain C",
	.widen = fnpu_widen_plain,
	.block = fnpu_block_plain,
	.depthwise = fnpu_depthwise_plain,
	.requantize = fnpu_requantize_plain,
	.add = fnpu_vector_add,
	.avgpool = fnpu_vector_avgpool,
	.maxpool = fnpu_vector_maxpool,
};

#ifdef __x86_64__
const struct fnpu_kernels fnpu_kernels_avx2 = {
	.name = "AVX2",
	.widen = fnpu_widen_avx2,
	.block = fnpu_block_avx2,
	.depthwise = fnpu_depthwise_avx2,
	.requantize = fnpu_requantize_avx2,
	.add = fnpu_add_avx2,
	.avgpool = fnpu_avgpool_avx2,
	.maxpool = fnpu_maxpool_avx2,
};

const struct fnpu_kernels fnpu_kernels_avx512vnni = {
	.name = "AVX-512 VNNI",
	.widen = fnpu_widen_avx2,
	.block = fnpu_block_avx512vnni,
	.depthwise = fnpu_depthwise_avx2,
	.requantize = fnpu_requantize_avx2,
	.add = fnpu_add_avx2,
	.avgpool = fnpu_avgpool_avx2,
	.maxpool = fnpu_maxpool_avx2,
};
#endif

const struct fnpu_kernels *const *fnpu_kernels_all(void)
{
	static const struct fnpu_kernels *const all[] = {
#ifdef __x86_64__
		&fnpu_kernels_avx512vnni,
		&fnpu_kernels_avx2,
#endif
		&fnpu_kernels_plain,
		NULL,
	};
	unsigned int first = 0;

#ifdef __x86_64__
	if (!__builtin_cpu_supports("avx512vnni") || !__builtin_cpu_supports("avx512bw"))
		first = 1;
	if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
		first = 2;
#endif
	return all + first;
}
