/* SPDX-License-Identifier: MIT */
/*
 * blocker.h - a job that ends when it is told to: a fence that is not signalled until then, and
 * a queue of the device that serves nobody else.
 */
#ifndef FNPU_TESTS_BLOCKER_H
#define FNPU_TESTS_BLOCKER_H

#include "rig.h"

/* Contexts of higher priority run beside it; those of its own and lower ones wait for it. */
struct blocker {
	int fd;		/* a client of its own */
	struct ctx ctx;
	struct net net;
	struct bo shared;	/* named by the job */
	int dmabuf;		/* of that: who uses it waits for the job */
	uint32_t syncobj;	/* signalled when it ends */
};

/* Until the test ends jobs may take as long as they like. false: the test has failed. */
bool blocker_up(struct blocker *blocker, uint32_t priority);

/* Its syncobj as one of another client; 0: the test has failed. */
uint32_t blocker_syncobj(const struct blocker *blocker, int fd);

/* Lets it end, without error, and waits for that. */
void blocker_release(struct blocker *blocker);

/* Released or not. */
void blocker_down(struct blocker *blocker);

#endif
