// SPDX-License-Identifier: MIT
/*
 * npustat: the kernel's word that an NPU was reset because of an error, or is given up: uevents of
 * the accel device with WEDGED= (Documentation/gpu/drm-uapi.rst). Anybody may listen. Nothing
 * counts the resets before that.
 */
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "npustat.h"

#define KERNEL_GROUP	1	/* udev sends to another one what it makes of them */
#define UEVENT_BYTES	4096	/* the kernel's have 2048 and a path */

int npustat_uevents_open(void)
{
	const struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_KOBJECT_UEVENT);

	if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* What follows "KEY=" in an event, which is strings that end with zero bytes; NULL: nothing. */
static const char *value_of(const char *event, size_t bytes, const char *key)
{
	const size_t length = strlen(key);

	for (const char *at = event; at < event + bytes; at += strlen(at) + 1)
		if (!strncmp(at, key, length) && at[length] == '=')
			return at + length + 1;
	return NULL;
}

static bool is_of(const char *event, size_t bytes, dev_t number)
{
	const char *first = value_of(event, bytes, "MAJOR"), *second = value_of(event, bytes, "MINOR");
	unsigned int of_major, of_minor;

	return first && second && sscanf(first, "%u", &of_major) == 1 &&
	       sscanf(second, "%u", &of_minor) == 1 && of_major == major(number) &&
	       of_minor == minor(number);
}

void npustat_uevents_read(int fd, dev_t number, struct npustat_resets *resets)
{
	char event[UEVENT_BYTES + 1];
	ssize_t bytes;

	while ((bytes = recv(fd, event, UEVENT_BYTES, 0)) > 0) {
		const char *wedged;

		event[bytes] = '\0';
		wedged = value_of(event, (size_t)bytes, "WEDGED");
		if (!wedged || !is_of(event, (size_t)bytes, number))
			continue;
		resets->count++;
		resets->dead = strcmp(wedged, "none");
	}
}
