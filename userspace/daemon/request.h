/* SPDX-License-Identifier: MIT */
/* What clients ask for. */
#ifndef FNPUD_REQUEST_H
#define FNPUD_REQUEST_H

#include "client.h"

/**
 * fnpud_request() - do what a message asks for
 * @data: @bytes as received; @fds: that came with it, the caller's
 */
void fnpud_request(struct fnpud_conn *conn, const void *data, size_t bytes, const int *fds,
		   unsigned int num_fds);

#endif /* FNPUD_REQUEST_H */
