// SPDX-License-Identifier: MIT
#define _GNU_SOURCE	/* struct ucred */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "error.h"
#include "who.h"

static bool parse_id(const char *text, uint32_t *id)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(text, &end, 10);
	*id = (uint32_t)v;
	return !errno && *end == '\0' && *text >= '0' && *text <= '9' && v < UINT32_MAX;
}

int fnpud_who_parse(const char *text, struct fnpud_who *who, struct fnpu_error *error)
{
	const struct passwd *user;
	const struct group *group;

	who->group = *text == '@';
	if (parse_id(text + who->group, &who->id))
		return 0;
	if (who->group) {
		group = getgrnam(text + 1);
		if (!group)
			return fnpu_fail(error, -ENOENT, "there is no group \"%s\"", text + 1);
		who->id = group->gr_gid;
		return 0;
	}
	user = getpwnam(text);
	if (!user)
		return fnpu_fail(error, -ENOENT, "there is no user \"%s\"", text);
	who->id = user->pw_uid;
	return 0;
}

bool fnpud_who_is(const struct fnpud_who *who, const struct fnpud_identity *identity)
{
	if (!who->group)
		return identity->uid == who->id;
	for (uint32_t i = 0; i < identity->num_groups; i++)
		if (identity->groups[i] == who->id)
			return true;
	return false;
}

int fnpud_identify(int fd, struct fnpud_identity *identity)
{
	struct ucred cred;
	socklen_t bytes = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &bytes))
		return -errno;
	identity->pid = cred.pid;
	identity->uid = cred.uid;
	identity->groups[0] = cred.gid;
	identity->num_groups = 1;
	bytes = FNPUD_MAX_GROUPS * sizeof(gid_t);
	/* who is in more groups than fit counts with his first only */
	if (!getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, identity->groups + 1, &bytes))
		identity->num_groups += bytes / sizeof(gid_t);
	return 0;
}
