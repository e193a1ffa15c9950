// SPDX-License-Identifier: MIT
/*
 * npustat: what stands on the screen of --watch. What there is room for is decided by lines first
 * (plan_lines()); then each part draws into its lines.
 */
#include <stdio.h>
#include <string.h>

#include "common/figures.h"
#include "npustat.h"
#include "npustat_terminal.h"

#define MIN_LINES	8
#define MIN_COLUMNS	40
#define TEXT_BYTES	256

/* ---- figures ---- */

#define RATE_BYTES	24

/* "1.2 k/s", "12.3 MB/s": at most ten characters */
static const char *rate_text(double rate, enum npustat_unit unit, char text[RATE_BYTES])
{
	static const char *const prefixes[] = { "", "k", "M", "G", "T", "P" };
	const char *name = unit == NPUSTAT_BYTES ? "B" : "";
	const double exact = unit == NPUSTAT_BYTES ? 999.5 : 99999.5;
	unsigned int prefix = 0;

	if (rate < exact) {
		snprintf(text, RATE_BYTES, "%.*f%s%s/s", rate > 0 && rate < 9.95 ? 1 : 0, rate,
			 name[0] ? " " : "", name);
		return text;
	}
	for (; rate >= 999.95 && prefix < sizeof(prefixes) / sizeof(prefixes[0]) - 1; prefix++)
		rate /= 1000;
	snprintf(text, RATE_BYTES, "%.1f %s%s/s", rate, prefixes[prefix], name);
	return text;
}

#define CELL_COLUMNS	27	/* with a gap behind */
#define LABEL_COLUMNS	15
#define VALUE_COLUMNS	10
#define MAX_CELLS	32

/** struct cell - a figure with its name */
struct cell {
	const char *label;
	char value[RATE_BYTES];
	bool alarm;
};

static void fill_queues(struct cell *cell, const struct npustat_reading *r)
{
	int length = 0;

	cell->label = "jobs by queue";
	snprintf(cell->value, RATE_BYTES, "%s",
		 strcmp(r->info->backend, "kmd") ? "-" : "root only");
	for (size_t i = 0; i < r->num_queues && length < RATE_BYTES; i++)
		length += snprintf(cell->value + length, (size_t)(RATE_BYTES - length), "%s%u",
				   i ? " " : "", r->queue_jobs[i]);
	if (length <= VALUE_COLUMNS)
		return;
	cell->label = "queued jobs";
	length = 0;
	for (size_t i = 0; i < r->num_queues; i++)
		length += (int)r->queue_jobs[i];
	snprintf(cell->value, RATE_BYTES, "%d", length);
}

static void fill_resets(struct cell *cell, const struct npustat_resets *resets)
{
	cell->label = "resets seen";
	snprintf(cell->value, RATE_BYTES, "-");
	if (!resets)
		return;
	snprintf(cell->value, RATE_BYTES, "%llu", (unsigned long long)resets->count);
	cell->alarm = resets->count;
}

/* Returns how many. */
static int fill_cells(struct cell cells[MAX_CELLS], const struct npustat_view *v)
{
	int count = 0;

	cells[count].label = "mean live batch";
	if (v->rates->live_batch > 0)
		snprintf(cells[count].value, RATE_BYTES, "%.2f", v->rates->live_batch);
	else
		snprintf(cells[count].value, RATE_BYTES, "-");
	cells[count++].alarm = false;
	for (const struct npustat_fact *f = npustat_facts; f->metric && count < MAX_CELLS - 2; f++) {
		struct cell *cell = &cells[count];
		const double rate = v->rates->per_second[f->counter];

		if (!f->label)
			continue;
		cell->label = f->label;
		rate_text(rate, f->unit, cell->value);
		cell->alarm = rate > 0 && (f->counter == FLUIDNPU_CNT_JOB_ERRORS ||
					   f->counter == FLUIDNPU_CNT_MMU_FAULTS);
		count++;
	}
	fill_resets(&cells[count++], v->resets);
	fill_queues(&cells[count++], v->reading);
	return count;
}

static int num_cells(const struct npustat_view *v)
{
	struct cell cells[MAX_CELLS] = { 0 };

	return fill_cells(cells, v);
}

static int cells_per_line(void)
{
	return (COLS + CELL_COLUMNS - LABEL_COLUMNS - VALUE_COLUMNS) / CELL_COLUMNS;
}

static void draw_cells(const struct npustat_view *v, int y, int lines)
{
	struct cell cells[MAX_CELLS] = { 0 };
	const int count = fill_cells(cells, v), across = cells_per_line();

	for (int i = 0; i < count && i / across < lines; i++) {
		const int x = i % across * CELL_COLUMNS;

		terminal_put(y + i / across, x, A_NORMAL, "%s", cells[i].label);
		terminal_put(y + i / across, x + LABEL_COLUMNS,
			     A_BOLD | terminal_ink(cells[i].alarm ? ALARM : PLAIN), "%*s",
			     VALUE_COLUMNS, cells[i].value);
	}
}

static void draw_share(int y, const char *label, double share, enum colour colour)
{
	const int x = terminal_put(y, 0, A_NORMAL, "%-*s", LABEL_COLUMNS, label);
	const int bar = terminal_put(y, x, A_BOLD, "%*.1f %%  ", VALUE_COLUMNS - 2, 100 * share);

	terminal_bar(y, bar, COLS - bar, share, colour);
}

static void draw_shares(const struct npustat_view *v, int y, int lines)
{
	const struct npustat_rates *r = v->rates;

	draw_share(y, "busy", r->busy, GOOD);
	if (lines > 1)
		draw_share(y + 1, "PE utilisation", r->utilisation, GOOD);
	if (lines > 2)
		draw_share(y + 2, "DRAM bandwidth", r->dram, NOTE);
	if (lines > 3)
		draw_share(y + 3, "stalled on DRAM", r->stalled, NOTE);
}

/* ---- history ---- */

#define AXIS_COLUMNS	6

static void draw_history(const struct npustat_view *v, int y, int lines)
{
	const int height = lines - 1, room = clamp(COLS - AXIS_COLUMNS, 0, NPUSTAT_HISTORY);
	const int shown = v->num_history < (size_t)room ? (int)v->num_history : room;

	terminal_put(y, 0, A_UNDERLINE, "busy, last %d interval%s", shown, shown == 1 ? "" : "s");
	terminal_put(y + 1, 0, A_NORMAL, "100 %%");
	terminal_put(y + height, 0, A_NORMAL, "  0 %%");
	for (int i = 0; i < shown; i++) {
		const size_t at = (v->num_history - 1 - (size_t)i) % NPUSTAT_HISTORY;

		terminal_column(y + height, height, COLS - 1 - i, 1, v->history[at], GRAPH);
	}
}

/* ---- histograms ---- */

#define HISTOGRAM_GAP	4
#define MIN_BIN_COLUMNS	3
#define MAX_BIN_COLUMNS	6

/**
 * struct histogram - columns above an axis
 * @first: number of the first bin
 * @count: of @shares
 * @columns: of a bin
 */
struct histogram {
	const char *title;
	const double *shares;
	unsigned int first;
	unsigned int count;
	int columns;
};

static void draw_histogram(const struct histogram *h, int y, int lines, int x)
{
	const int height = lines - 3;

	terminal_put(y, x, A_UNDERLINE, "%s", h->title);
	for (unsigned int i = 0; i < h->count; i++) {
		const int left = x + (int)i * h->columns;

		terminal_column(y + height, height, left, h->columns - 1, h->shares[i], GRAPH);
		terminal_put(y + height + 1, left, A_DIM, "%*u", h->columns - 1, h->first + i);
		if (h->shares[i] >= 0.005)
			terminal_put(y + height + 2, left, A_NORMAL, "%*.0f", h->columns - 1,
				     100 * h->shares[i]);
		else if (h->shares[i] > 0)
			terminal_put(y + height + 2, left, A_NORMAL, "%*s", h->columns - 1, "<1");
	}
}

static int bin_columns(const struct npustat_view *v)
{
	const int bins = (int)v->reading->info->geometry.max_batch + FLUIDNPU_MAX_EXITS;

	return clamp((COLS - HISTOGRAM_GAP) / bins, 0, MAX_BIN_COLUMNS);
}

static void draw_histograms(const struct npustat_view *v, int y, int lines)
{
	const struct histogram batch = {
		"live batch, % of busy time", v->rates->batch, 1,
		v->reading->info->geometry.max_batch, bin_columns(v),
	};
	const struct histogram exits = {
		"left at exit, %", v->rates->exits, 0, FLUIDNPU_MAX_EXITS, bin_columns(v),
	};

	draw_histogram(&batch, y, lines, 0);
	draw_histogram(&exits, y, lines, (int)batch.count * batch.columns + HISTOGRAM_GAP);
}

/* ---- clients ---- */

#define PID_COLUMNS	8
#define BUSY_COLUMNS	9
#define MEMORY_COLUMNS	12

static int name_columns(void)
{
	return clamp(COLS - PID_COLUMNS - BUSY_COLUMNS - MEMORY_COLUMNS - 2, 1, 20);
}

static void draw_client(int y, const struct npustat_client_rate *rate)
{
	const int names = name_columns();
	char memory[FIGURE_BYTES];
	int x;

	x = terminal_put(y, 0, A_NORMAL, "%*u  %-*.*s%*.1f %%%*s", PID_COLUMNS, rate->client->pid,
			 names, names, rate->client->name, BUSY_COLUMNS - 2, 100 * rate->busy,
			 MEMORY_COLUMNS, figure_bytes((double)rate->client->memory_bytes, memory));
	terminal_bar(y, x + 2, COLS - x - 2, rate->busy, GOOD);
}

static int client_lines(const struct npustat_view *v)
{
	const int count = (int)v->rates->num_clients;

	return 1 + (count ? count : 1) + (count && v->reading->clients.partial);
}

static void draw_clients(const struct npustat_view *v, int y, int lines)
{
	const int count = (int)v->rates->num_clients;
	const bool note = count && v->reading->clients.partial && lines > 2;
	const int room = lines - 1 - note, shown = count <= room ? count : room - 1;

	if (lines < 2)
		return;
	terminal_put(y++, 0, A_UNDERLINE, "%*s  %-*.*s%*s%*s", PID_COLUMNS, "pid", name_columns(),
		     name_columns(), "process", BUSY_COLUMNS, "busy", MEMORY_COLUMNS, "memory");
	if (!count)
		terminal_put(y, 2, A_NORMAL, "no clients%s",
			     v->reading->clients.partial ? " of yours" : "");
	for (int i = 0; i < shown; i++)
		draw_client(y++, &v->rates->clients[i]);
	if (shown < count)
		terminal_put(y++, 2, A_NORMAL, "%d more client%s", count - shown,
			     count - shown == 1 ? "" : "s");
	if (note)
		terminal_put(y, 2, terminal_ink(NOTE), "other users' clients: as root");
}

/* ---- all of it ---- */

/** struct plan - lines that each part gets; 0: there is no room */
struct plan {
	int shares;
	int cells;
	int history;
	int histograms;
	int clients;
};

/* Up to @want of the lines that are left; nothing if that is less than @least. */
static int take(int *room, int want, int least)
{
	const int taken = clamp(want, 0, *room);

	if (taken < least)
		return 0;
	*room -= taken;
	return taken;
}

/* What is most worth its lines comes first, and what is left over makes the graphs higher. */
static struct plan plan_lines(const struct npustat_view *v, int room)
{
	const int cells = (num_cells(v) + cells_per_line() - 1) / cells_per_line();
	const int clients = client_lines(v);
	struct plan p = { 0 };

	p.shares = take(&room, 2, 1);
	p.cells = take(&room, 1, 1);
	p.clients = take(&room, clamp(clients, 2, 3), 2);
	p.cells += take(&room, cells - 1, 1);
	p.shares += take(&room, 2, 2);
	p.history = take(&room, 3, 3);
	if (bin_columns(v) >= MIN_BIN_COLUMNS)
		p.histograms = take(&room, 5, 5);
	p.clients += take(&room, clients - p.clients, 0);
	if (p.history)
		p.history += take(&room, 3, 0);
	if (p.histograms)
		p.histograms += take(&room, 7, 0);
	if (p.history)
		p.history += take(&room, 14, 0);
	return p;
}

static void draw_figures(const struct npustat_view *v, int y)
{
	const struct plan p = plan_lines(v, LINES - 1 - y);

	draw_shares(v, y, p.shares);
	y += p.shares;
	if (p.history)
		draw_history(v, y, p.history);
	y += p.history;
	draw_cells(v, y, p.cells);
	y += p.cells;
	if (p.histograms)
		draw_histograms(v, y, p.histograms);
	y += p.histograms;
	draw_clients(v, y, p.clients);
}

/* Pieces from the left as far as they fit before @end, what stands at the right. */
static int put_piece(int x, int end, attr_t attributes, const char *text)
{
	return x + (int)strlen(text) < end ? terminal_put(0, x, A_REVERSE | attributes, "%s", text)
					   : end;
}

static void draw_title(const struct npustat_view *v)
{
	char text[TEXT_BYTES];
	int x, end;

	terminal_reverse_line(0);
	snprintf(text, sizeof(text), v->paused ? "paused " : "every %g s ", v->interval_s);
	end = COLS - (int)strlen(text);
	terminal_put(0, end, A_REVERSE | A_BOLD, "%s", text);
	x = put_piece(0, end, A_BOLD, " FluidNPU ");
	snprintf(text, sizeof(text), "%.*s", end - x - 1, v->path[0] ? v->path : "emulated");
	x = put_piece(x, end, A_BOLD, text);
	if (v->num_npus > 1) {
		snprintf(text, sizeof(text), " (%zu of %zu)", v->index, v->num_npus);
		x = put_piece(x, end, A_BOLD, text);
	}
	if (!v->reading)
		return;
	snprintf(text, sizeof(text), "  %s", v->reading->info->driver);
	x = put_piece(x, end, A_NORMAL, text);
	snprintf(text, sizeof(text), "  %.0f MHz", v->reading->info->clock_hz / 1e6);
	x = put_piece(x, end, A_NORMAL, text);
	snprintf(text, sizeof(text), "  %s", v->reading->power);
	put_piece(x, end, A_NORMAL, text);
}

static void draw_keys(const struct npustat_view *v)
{
	static const char *const sorts[] = {
		[NPUSTAT_BY_BUSY] = "busy",
		[NPUSTAT_BY_MEMORY] = "memory",
		[NPUSTAT_BY_PID] = "pid",
	};
	int x;

	terminal_reverse_line(LINES - 1);
	x = terminal_put(LINES - 1, 0, A_REVERSE, " q quit  p %s", v->paused ? "go on" : "pause");
	x = terminal_put(LINES - 1, x, A_REVERSE, "  h help");
	x = terminal_put(LINES - 1, x, A_REVERSE, "  s sort: %s", sorts[v->sort]);
	x = terminal_put(LINES - 1, x, A_REVERSE, "  +/- interval");
	if (v->num_npus > 1)
		terminal_put(LINES - 1, x, A_REVERSE, "  n next NPU");
}

static void draw_help(void)
{
	static const char *const lines[] = {
		"Figures are of the last interval.",
		"busy: share of the time in which layers ran.",
		"PE utilisation: useful of the multiplications offered meanwhile.",
		"DRAM bandwidth: share of it that was used.",
		"stalled on DRAM: share of the busy time.",
		"mean live batch: samples that ran together.",
		"resets seen: because of errors, since this began.",
		"late events: an emulated NPU's host was too slow for it; it works less than it could.",
		"q leaves, p stops and starts the figures, s sorts clients, + and - change the interval.",
		"n shows the next NPU, where there are several.",
	};
	int y = 1;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]) && y < LINES - 1; i++)
		y = terminal_put_wrapped(y, 1, COLS - 2, A_NORMAL, lines[i]);
}

static void draw_body(const struct npustat_view *v)
{
	int y = 1;

	if (v->help) {
		draw_help();
		return;
	}
	if (v->reading && v->resets && v->resets->dead)
		y = terminal_put_wrapped(y, 1, COLS - 2, A_BOLD | terminal_ink(ALARM),
					 "the NPU is dead: bind its driver again, or reset its bus");
	if (v->message[0])
		y = terminal_put_wrapped(y, 1, COLS - 2,
					 A_BOLD | terminal_ink(v->reading ? NOTE : ALARM),
					 v->message);
	if (v->rates)
		draw_figures(v, y);
	else if (v->reading)
		terminal_put(y, 1, A_NORMAL, "measuring");
	else
		terminal_put(y + 1, 1, A_NORMAL, "looking again every %g s", v->interval_s);
}

void npustat_screen_draw(const struct npustat_view *v)
{
	erase();
	if (LINES < MIN_LINES || COLS < MIN_COLUMNS) {
		char text[TEXT_BYTES];

		snprintf(text, sizeof(text), "terminal too small: npustat needs %d x %d",
			 MIN_COLUMNS, MIN_LINES);
		terminal_put_wrapped(0, 0, COLS, A_NORMAL, text);
	} else {
		draw_title(v);
		draw_body(v);
		draw_keys(v);
	}
	refresh();
}
