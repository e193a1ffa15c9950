# SPDX-License-Identifier: GPL-2.0
#
# The kernel's interfaces move within the 6.12 series and after it. What the driver needs to
# know of the kernel in $(srctree) is read from its headers, never from a version number.
# A kernel tree gets the driver with these resolved (tools/kernel/upstream-tree).

fluidnpu-has = -DFLUIDNPU_HAVE_$(1)=$(shell grep -qsE '$(2)' $(srctree)/include/$(3) && echo 1 || echo 0)

fluidnpu-probes := \
	$(call fluidnpu-has,NS_STRING,MODULE_INFO.import_ns. ns.,linux/module.h) \
	$(call fluidnpu-has,URING_DONE32,io_uring_cmd_done32,linux/io_uring/cmd.h) \
	$(call fluidnpu-has,URING_TW_REQ,io_uring_cmd_from_tw,linux/io_uring/cmd.h) \
	$(call fluidnpu-has,GEM_VMAP_LOCKS,^int drm_gem_vmap.struct,drm/drm_gem.h) \
	$(call fluidnpu-has,SHMEM_PUT_LOCKED,drm_gem_shmem_put_pages_locked,drm/drm_gem_shmem_helper.h) \
	$(call fluidnpu-has,SCHED_INIT_ARGS,^struct drm_sched_init_args,drm/gpu_scheduler.h) \
	$(call fluidnpu-has,SCHED_CLIENT_ID,drm_client_id.;,drm/gpu_scheduler.h) \
	$(call fluidnpu-has,DRIVER_DATE,char .date;,drm/drm_drv.h)
