// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "error.h"

static const struct fnpu_backend_ops *const backends[] = {
	&fnpu_backend_kmd,	/* the default */
	&fnpu_backend_emu,
	&fnpu_backend_daemon,
};

static const struct fnpu_backend_ops *find_backend(const char *name)
{
	size_t i;

	if (!name)
		return backends[0];
	for (i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
		if (!strcmp(backends[i]->name, name))
			return backends[i];
	return NULL;
}

int fnpu_device_open(const char *backend, const char *path,
		     struct fnpu_device **out, struct fnpu_error *error)
{
	const struct fnpu_backend_ops *ops = find_backend(backend);
	struct fnpu_device *device;
	int ret;

	fnpu_error_clear(error);
	if (!ops)
		return fnpu_fail(error, -EINVAL, "there is no back end \"%s\": use kmd, emu or daemon",
				 backend);
	if (!path)
		path = ops->default_path;

	device = calloc(1, sizeof(*device));
	if (!device)
		return fnpu_fail(error, -ENOMEM, "out of memory");
	device->path = strdup(path);
	if (!device->path) {
		ret = fnpu_fail(error, -ENOMEM, "out of memory");
		goto err_free;
	}
	device->ops = ops;
	device->info.backend = ops->name;
	device->info.path = device->path;
	ret = ops->open(device, path, error);
	if (ret)
		goto err_path;
	*out = device;
	return 0;

err_path:
	free(device->path);
err_free:
	free(device);
	return ret;
}

void fnpu_device_close(struct fnpu_device *device)
{
	if (!device)
		return;
	device->ops->close(device);
	free(device->path);
	free(device);
}

const struct fnpu_device_info *fnpu_device_info(const struct fnpu_device *device)
{
	return &device->info;
}

int fnpu_device_counters(struct fnpu_device *device, struct fnpu_counters *counters)
{
	return device->ops->counters(device, counters);
}
