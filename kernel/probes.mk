# SPDX-License-Identifier: GPL-2.0
#
# The kernel's interfaces move within the 6.12 series and after it. What the driver needs to
# know of the kernel in $(srctree) is read from its headers, never from a version number.
# A kernel tree gets the driver with these resolved (tools/kernel/upstream-tree).

fluidnpu-has = -DFLUIDNPU_HAVE_$(1)=$(shell grep -qsE '$(2)' $(srctree)/include/$(3) && echo 1 || echo 0)

fluidnpu-probes := \
	$(call fluidnpu-has,NS_STRING,MODULE_INFO.import_ns. ns.,linux/module.h) \
	$(call fluidnpu-has,SCHED_INIT_ARGS,^struct drm_sched_init_args,drm/gpu_scheduler.h) \
	$(call fluidnpu-has,SCHED_CLIENT_ID,drm_client_id.;,drm/gpu_scheduler.h) \
	$(call fluidnpu-has,DRIVER_DATE,char .date;,drm/drm_drv.h)
