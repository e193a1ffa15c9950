/* SPDX-License-Identifier: MIT */
/* Who is at the other end of a socket, and whether that is somebody whom an option names. */
#ifndef FNPUD_WHO_H
#define FNPUD_WHO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fluidnpu.h"

#define FNPUD_MAX_GROUPS	64	/* of a user that are looked at, besides the first */

/** struct fnpud_identity - of a process, when it connected */
struct fnpud_identity {
	pid_t pid;
	uid_t uid;
	gid_t groups[FNPUD_MAX_GROUPS + 1];
	uint32_t num_groups;
};

/** struct fnpud_who - a user or a group */
struct fnpud_who {
	bool group;
	uint32_t id;
};

/** fnpud_who_parse() - "USER", "@GROUP", or a number in the place of a name; 0 or -ENOENT */
int fnpud_who_parse(const char *text, struct fnpud_who *who, struct fnpu_error *error);

/** fnpud_who_is() - is it @identity? */
bool fnpud_who_is(const struct fnpud_who *who, const struct fnpud_identity *identity);

/** fnpud_identify() - the peer of the Unix socket @fd; 0 or a negative errno */
int fnpud_identify(int fd, struct fnpud_identity *identity);

#endif /* FNPUD_WHO_H */
