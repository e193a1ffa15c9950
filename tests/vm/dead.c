// SPDX-License-Identifier: MIT
/*
 * dead - a device that fails again and again, for tests/e2e/vm_faults.sh.
 *
 * Submits jobs until the driver has given the device up and refuses them, and waits for the
 * uevent that says so. Then, when a line has come on standard input (the device has been
 * cured), resets the device as an administrator would and runs a job. Needs root.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif
#include <linux/netlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "npu.h"
#include "pcidev.h"
#include "rig.h"
#include "tap.h"

static int uevents;

static void the_device_is_given_up(void)
{
	unsigned int jobs = 0;
	struct rig rig;
	struct job job;
	int ret;

	REQUIRE(rig_up(&rig, 0), "set-up");
	job_init(&job, &rig.net, 1, 0);
	do {
		struct drm_fluidnpu_event event;

		ret = submit_one(&rig.ctx, &job);
		if (ret)
			break;
		REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
		EXPECT_EQ(event.error, -EIO);
		jobs++;
	} while (!tap_failures);
	EXPECT_EQ(ret, -EIO);
	printf("# after %u jobs\n", jobs);
	rig_down(&rig);
}

static void a_uevent_says_so(void)
{
	static const char wanted[] = "WEDGED=rebind,bus-reset";
	char message[4096];
	ssize_t length;

	do {
		length = recv(uevents, message, sizeof(message), 0);
		REQUIRE(length > 0, "recv: %s", strerror(errno));
	} while (!memmem(message, length, wanted, sizeof(wanted)));
}

static void a_reset_by_hand_revives_it(void)
{
	printf("guest: ready for revival\n");
	fflush(stdout);
	EXPECT(getchar() != EOF, "nobody has cured the device");
	EXPECT_OK(pci_write("reset", "1"));
	works_again();
}

static const struct tap_test tests[] = {
	{ "a device that only fails is given up", the_device_is_given_up },
	{ "a uevent says so", a_uevent_says_so },
	{ "a reset by hand revives it", a_reset_by_hand_revives_it },
};

int main(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };

	uevents = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	if (uevents < 0 || bind(uevents, (struct sockaddr *)&address, sizeof(address)) ||
	    !pci_find()) {
		printf("Bail out! no uevents or no device in sysfs\n");
		return 1;
	}
	return tap_run(tests, sizeof(tests) / sizeof(tests[0]));
}
