// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "npu.h"
#include "pcidev.h"
#include "rig.h"
#include "tap.h"

static char pci_device[512];	/* its folder in sysfs */

bool pci_find(void)
{
	char link[64];
	struct stat st;
	int fd = npu_open();

	if (fstat(fd, &st))
		return false;
	close(fd);
	snprintf(link, sizeof(link), "/sys/dev/char/%u:%u/device", major(st.st_rdev),
		 minor(st.st_rdev));
	return realpath(link, pci_device);
}

int pci_write(const char *file, const char *text)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/%s", pci_device, file);
	return write_file(path, text);
}

int pci_read(const char *file, char *text, size_t size)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/%s", pci_device, file);
	return read_file(path, text, size);
}

void udev_settle(void)
{
	if (system("udevadm settle --timeout=60"))
		tap_fail(__FILE__, __LINE__, "udevadm settle failed");
}

void pci_remove(void)
{
	EXPECT_OK(pci_write("remove", "1"));
}

void pci_bring_back(void)
{
	EXPECT_OK(write_file("/sys/bus/pci/rescan", "1"));
	udev_settle();
}

/*
 * What closed files held may take a moment to be freed, and nothing tells when it is: one
 * of few places where a test has to ask again and again.
 */
int module_unload(void)
{
	while (syscall(SYS_delete_module, "fluidnpu", O_NONBLOCK)) {
		if (errno != EAGAIN && errno != EBUSY)
			return -errno;
		poll(NULL, 0, 1);
	}
	return 0;
}

void pci_rebind(void)
{
	const char *name = strrchr(pci_device, '/') + 1;

	EXPECT_OK(write_file("/sys/bus/pci/drivers/fluidnpu/unbind", name));
	EXPECT_OK(write_file("/sys/bus/pci/drivers/fluidnpu/bind", name));
	udev_settle();
}

void module_load(void)
{
	EXPECT_EQ(system("modprobe fluidnpu"), 0);
	udev_settle();
}

void works_again(void)
{
	struct rig rig;
	struct job job;

	if (!rig_up(&rig, 0))
		return;
	job_init(&job, &rig.net, 4, 0);
	EXPECT_EQ(rig_run(&rig, &job), 0);
	rig_down(&rig);
}
