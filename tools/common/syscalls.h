/* SPDX-License-Identifier: MIT */
/* How many system calls this process makes, counted by the kernel (perf_event_open(2)). */
#ifndef FNPU_SYSCALLS_H
#define FNPU_SYSCALLS_H

#include <stdint.h>

/** syscalls_open() - a counter, which runs from now on; -1 where that is not allowed or not there */
int syscalls_open(void);

/** syscalls_read() - how many since, but for the one that reads it; -1 for the counter -1 */
int64_t syscalls_read(int counter);

/** syscalls_close() - -1 is fine */
void syscalls_close(int counter);

#endif /* FNPU_SYSCALLS_H */
