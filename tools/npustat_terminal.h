/* SPDX-License-Identifier: MIT */
/* What npustat's screen is drawn with. */
#ifndef NPUSTAT_TERMINAL_H
#define NPUSTAT_TERMINAL_H

#include <curses.h>

/** enum colour - pairs of ncurses; without colours they are as the rest */
enum colour { PLAIN, GOOD, GRAPH, ALARM, NOTE };

/** clamp() - @value, or the end of @min..@max that it is beyond */
static inline int clamp(int value, int min, int max)
{
	return value < min ? min : value > max ? max : value;
}

/** terminal_ink() - attribute that makes text of this colour */
attr_t terminal_ink(enum colour colour);

/**
 * terminal_put() - text at column @x of line @y, if it fits as a whole
 * Returns the column behind it, or @x.
 */
int terminal_put(int y, int x, attr_t attributes, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/**
 * terminal_put_wrapped() - ASCII text from line @y on, in lines of @width
 * They are broken between words, or where a word is longer. Returns the line below.
 */
int terminal_put_wrapped(int y, int x, int width, attr_t attributes, const char *text);

/** terminal_reverse_line() - makes line @y a bar to write on */
void terminal_reverse_line(int y);

/** terminal_bar() - a bar in brackets, @width columns in all, that @share of 0..1 fills */
void terminal_bar(int y, int x, int width, double share, enum colour colour);

/** terminal_column() - a column of @width on line @bottom, that @share of 0..1 raises to @height */
void terminal_column(int bottom, int height, int x, int width, double share, enum colour colour);

#endif /* NPUSTAT_TERMINAL_H */
