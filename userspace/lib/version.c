// SPDX-License-Identifier: MIT
/* On its own, so that npucc can have it without the back ends. */
#include "fluidnpu.h"

#define FNPU_VERSION	"1.0.0"

const char *fnpu_version(void)
{
	return FNPU_VERSION;
}
