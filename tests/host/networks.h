/* SPDX-License-Identifier: MIT */
/*
 * Large networks as the time model sees them: two of tools/networks/zoo.py in the groups that
 * npucc makes of them, with shapes and live state but without numbers. That they are
 * written down a second time is on purpose: what compiler and device make of the generated
 * models (tests/e2e/networks.sh) must take the same time.
 */
#ifndef TEST_NETWORKS_H
#define TEST_NETWORKS_H

#include <stdbool.h>
#include <stdint.h>

#include "fluidnpu_hw.h"

#define NETWORK_MAX_LAYERS 128

struct network {
	struct fluidnpu_hw_layer layers[NETWORK_MAX_LAYERS];
	unsigned int num_layers;
	uint32_t next_off; /* every tensor has a place of its own */
	uint32_t kept_bytes; /* state that other layers wait for */
};

/** network_resnet50() - ResNet-50 v1.5 on 224 x 224 x 3; early exits are behind stages 1 to 3 */
void network_resnet50(struct network *n, bool early_exits);

/** network_mobilenetv2() - MobileNetV2 1.0 on the same; early exits are behind blocks 3, 10, 14 */
void network_mobilenetv2(struct network *n, bool early_exits);

#endif /* TEST_NETWORKS_H */
