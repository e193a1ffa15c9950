/* SPDX-License-Identifier: MIT */
#ifndef FNPUD_SOURCE_H
#define FNPUD_SOURCE_H

#include <stddef.h>
#include <stdint.h>

/** struct fnpud_source - what epoll knows of a descriptor; @ready is called with EPOLL* */
struct fnpud_source {
	void (*ready)(struct fnpud_source *source, uint32_t events);
};

/** fnpud_container() - the @type that has @pointer as its @member */
#define fnpud_container(pointer, type, member) \
	((type *)((char *)(pointer) - offsetof(type, member)))

#endif /* FNPUD_SOURCE_H */
