// SPDX-License-Identifier: MIT
/*
 * npustat: the terminal of --watch, on ncurses. All text goes through terminal_put(), which leaves
 * out what does not fit, as a whole: half a number would be a wrong one.
 *
 * Blocks of eighths draw bars and graphs where the locale is UTF-8, "#" elsewhere.
 */
#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/cli.h"
#include "npustat.h"
#include "npustat_terminal.h"

#define TEXT_BYTES	1024

/* What it can do. */
static struct {
	SCREEN *screen;
	bool utf8;
	bool colours;
} terminal;

/* ---- the terminal ---- */

static void start_colours(void)
{
	const char *no_color = getenv("NO_COLOR");

	terminal.colours = has_colors() && !(no_color && no_color[0]);
	if (!terminal.colours)
		return;
	start_color();
	use_default_colors();
	init_pair(GOOD, COLOR_GREEN, -1);
	init_pair(GRAPH, COLOR_CYAN, -1);
	init_pair(ALARM, COLOR_RED, -1);
	init_pair(NOTE, COLOR_YELLOW, -1);
}

int npustat_screen_start(void)
{
	const char *type = getenv("TERM");

	/* Numbers keep their points. */
	setlocale(LC_CTYPE, "");
	terminal.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	terminal.screen = newterm(NULL, stdout, stdin);
	if (!terminal.screen)
		return cli_error(
			"the terminal type \"%s\" is not known here: set TERM to another one (xterm, vt100)",
			type ? type : "");
	if (!tigetstr("cup")) {
		npustat_screen_end();
		return cli_error(
			"a terminal of type \"%s\" cannot place text: set TERM to what it is (xterm, vt100)",
			type ? type : "");
	}
	start_colours();
	cbreak();
	noecho();
	nodelay(stdscr, TRUE);
	curs_set(0);
	npustat_screen_resize();
	return 0;
}

void npustat_screen_end(void)
{
	endwin();
	delscreen(terminal.screen);
	terminal.screen = NULL;
}

void npustat_screen_resize(void)
{
	struct winsize size;

	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_row && size.ws_col)
		resizeterm(size.ws_row, size.ws_col);
	clearok(stdscr, TRUE);
}

int npustat_screen_key(void)
{
	int key;

	do {
		key = getch();
	} while (key == KEY_RESIZE);
	return key == ERR ? -1 : key;
}

/* ---- text ---- */

static int columns_of(const char *text)
{
	int columns = 0;

	for (; *text; text++)
		columns += ((unsigned char)*text & 0xc0) != 0x80; /* bytes that begin a character */
	return columns;
}

attr_t terminal_ink(enum colour colour)
{
	if (terminal.colours)
		return COLOR_PAIR(colour);
	return colour == ALARM ? A_BOLD : A_NORMAL;
}

int terminal_put(int y, int x, attr_t attributes, const char *format, ...)
{
	char text[TEXT_BYTES];
	va_list args;
	int end;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	end = x + columns_of(text);
	if (y < 0 || y >= LINES || x < 0 || end > COLS)
		return x;
	attrset(attributes);
	mvaddstr(y, x, text);
	attrset(A_NORMAL);
	return end;
}

int terminal_put_wrapped(int y, int x, int width, attr_t attributes, const char *text)
{
	while (*text && y < LINES) {
		int length = (int)strlen(text), end;

		if (length > width) {
			for (end = width; end > 0 && text[end] != ' '; end--)
				;
			length = end ? end : width;
		}
		terminal_put(y++, x, attributes, "%.*s", length, text);
		text += length;
		text += strspn(text, " ");
	}
	return y;
}

void terminal_reverse_line(int y)
{
	attrset(A_REVERSE);
	mvhline(y, 0, ' ' | A_REVERSE, COLS);
	attrset(A_NORMAL);
}

/* ---- blocks ---- */

/* A character that is filled by @eighths, 0..8, from the left or from below. */
static const char *block(int eighths, bool upright)
{
	static const char *const lying[] = { " ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█" };
	static const char *const standing[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };

	if (!terminal.utf8)
		return eighths == 8 ? "#" : eighths >= 4 ? ":" : eighths ? "." : " ";
	return upright ? standing[eighths] : lying[eighths];
}

/* Eighths of @cells characters; what is not nothing can be seen. */
static int to_eighths(double share, int cells)
{
	const int eighths = (int)(share * cells * 8 + 0.5);

	return share > 0 && !eighths ? 1 : eighths;
}

void terminal_bar(int y, int x, int width, double share, enum colour colour)
{
	const int eighths = to_eighths(share, width - 2);

	if (width < 4)
		return;
	terminal_put(y, x, A_NORMAL, "[");
	for (int i = 0; 8 * i < eighths; i++)
		terminal_put(y, x + 1 + i, terminal_ink(colour), "%s",
			     block(clamp(eighths - 8 * i, 0, 8), false));
	terminal_put(y, x + width - 1, A_NORMAL, "]");
}

void terminal_column(int bottom, int height, int x, int width, double share, enum colour colour)
{
	const int eighths = to_eighths(share, height);

	for (int row = 0; 8 * row < eighths; row++)
		for (int i = 0; i < width; i++)
			terminal_put(bottom - row, x + i, terminal_ink(colour), "%s",
				     block(clamp(eighths - 8 * row, 0, 8), true));
}
