/* SPDX-License-Identifier: MIT */
/* What clients do wrong, in the log; not more than one can read, however often they do it. */
#ifndef FNPUD_LOG_H
#define FNPUD_LOG_H

/** fnpud_complain() - a line on stderr, as cli_error(); of many in a short time most are counted only */
void fnpud_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif /* FNPUD_LOG_H */
