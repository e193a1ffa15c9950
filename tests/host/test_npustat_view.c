// SPDX-License-Identifier: MIT
/*
 * What npustat makes of two readings, and how its screen shows that: on terminals of all sizes,
 * with the longest figures there are, no figure is cut and none runs into another.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <curses.h>

#include "../../tools/npustat.h"

#define CLOCK_HZ	800000000u
#define SECOND_NS	1000000000u
#define MAX_COLUMNS	512

static const struct fnpu_device_info info = {
	.backend = "kmd",
	.path = "/dev/fluidnpu",
	.driver = "fluidnpu 1.1.0",
	.clock_hz = CLOCK_HZ,
	.geometry = { .max_batch = FLUIDNPU_MAX_BATCH, .dram_bytes_per_kcycle = 16384 },
};

/* ---- rates ---- */

static struct npustat_reading reading_at(uint64_t seconds)
{
	return (struct npustat_reading){
		.info = &info,
		.taken_ns = seconds * SECOND_NS,
		.counters.time = seconds * CLOCK_HZ,
	};
}

static void shares_are_of_the_interval(void **state)
{
	struct npustat_reading before = reading_at(100), now = reading_at(102);
	uint64_t *values = now.counters.values;
	struct npustat_rates r;

	(void)state;
	before.counters.values[FLUIDNPU_CNT_JOBS] = 1000;
	values[FLUIDNPU_CNT_JOBS] = 1500;
	values[FLUIDNPU_CNT_BUSY_CYCLES] = CLOCK_HZ / 2;
	values[FLUIDNPU_CNT_STALL_CYCLES] = CLOCK_HZ / 8;
	values[FLUIDNPU_CNT_USEFUL_MACS] = 30;
	values[FLUIDNPU_CNT_OFFERED_MACS] = 40;
	values[FLUIDNPU_CNT_BATCH] = CLOCK_HZ / 8;		/* one sample */
	values[FLUIDNPU_CNT_BATCH + 15] = CLOCK_HZ / 8 * 3;	/* sixteen */
	values[FLUIDNPU_CNT_EXITS + 2] = 7;
	values[FLUIDNPU_CNT_DRAM_READ_BYTES] = 16ull * CLOCK_HZ;
	assert_int_equal(npustat_rates(&r, &before, &now, NPUSTAT_BY_BUSY), 0);
	assert_true(r.per_second[FLUIDNPU_CNT_JOBS] == 250);
	assert_true(r.busy == 0.25);
	assert_true(r.stalled == 0.25);
	assert_true(r.utilisation == 0.75);
	assert_true(r.dram == 0.5);
	assert_true(r.live_batch == 0.25 * 1 + 0.75 * 16);
	assert_true(r.batch[0] == 0.25 && r.batch[15] == 0.75);
	assert_true(r.exits[2] == 1);
	npustat_rates_free(&r);
}

static void a_device_that_sleeps_is_idle(void **state)
{
	struct npustat_reading before = reading_at(100), now = reading_at(101);
	struct npustat_rates r;

	(void)state;
	before.counters.values[FLUIDNPU_CNT_BUSY_CYCLES] = CLOCK_HZ;
	now.counters = before.counters;
	assert_int_equal(npustat_rates(&r, &before, &now, NPUSTAT_BY_BUSY), 0);
	assert_true(r.busy == 0 && r.live_batch == 0 && r.utilisation == 0);
	npustat_rates_free(&r);

	/* woken up: its time has jumped, that of the wall has not */
	now = reading_at(102);
	now.counters.values[FLUIDNPU_CNT_BUSY_CYCLES] = CLOCK_HZ * 2;
	before.taken_ns = now.taken_ns - SECOND_NS;
	assert_int_equal(npustat_rates(&r, &before, &now, NPUSTAT_BY_BUSY), 0);
	assert_true(r.busy == 1);
	npustat_rates_free(&r);
}

static void two_readings_at_once_divide_by_nothing(void **state)
{
	struct npustat_reading before = reading_at(100), now = reading_at(100);
	struct npustat_rates r;

	(void)state;
	now.counters.values[FLUIDNPU_CNT_JOBS] = 5;
	assert_int_equal(npustat_rates(&r, &before, &now, NPUSTAT_BY_BUSY), 0);
	assert_true(r.per_second[FLUIDNPU_CNT_JOBS] == 0 && r.busy == 0);
	npustat_rates_free(&r);
}

static void check_order(enum npustat_sort sort, const uint32_t pids[3])
{
	struct npu_client was[] = {
		{ .pid = 20, .client_id = 1, .busy_ns = SECOND_NS },
		{ .pid = 10, .client_id = 2, .busy_ns = SECOND_NS },
	};
	struct npu_client is[] = {
		{ .pid = 20, .client_id = 1, .busy_ns = SECOND_NS + SECOND_NS / 4, .memory_bytes = 1 },
		{ .pid = 10, .client_id = 2, .busy_ns = SECOND_NS, .memory_bytes = 2 },
		{ .pid = 30, .client_id = 3, .busy_ns = SECOND_NS / 2, .memory_bytes = 3 },
	};
	struct npustat_reading before = reading_at(100), now = reading_at(101);
	struct npustat_rates r;

	before.clients = (struct npu_clients){ .items = was, .count = 2 };
	now.clients = (struct npu_clients){ .items = is, .count = 3 };
	assert_int_equal(npustat_rates(&r, &before, &now, sort), 0);
	assert_int_equal(r.num_clients, 3);
	for (unsigned int i = 0; i < 3; i++) {
		const double busy = r.clients[i].client == &is[0] ? 0.25 :
				    r.clients[i].client == &is[1] ? 0 : 0.5;

		assert_int_equal(r.clients[i].client->pid, pids[i]);
		assert_true(r.clients[i].busy == busy);
	}
	npustat_rates_free(&r);
}

static void clients_have_their_share_and_an_order(void **state)
{
	(void)state;
	check_order(NPUSTAT_BY_BUSY, (const uint32_t[]){ 30, 20, 10 });
	check_order(NPUSTAT_BY_MEMORY, (const uint32_t[]){ 30, 10, 20 });
	check_order(NPUSTAT_BY_PID, (const uint32_t[]){ 10, 20, 30 });
}

/* ---- the screen ---- */

static int saved_stdout;

/* What is drawn goes nowhere: ncurses tells what stands on its screen. */
static int start_screen(void **state)
{
	const int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)state;
	fflush(stdout);
	saved_stdout = dup(STDOUT_FILENO);
	if (nowhere < 0 || saved_stdout < 0 || dup2(nowhere, STDOUT_FILENO) < 0)
		return -1;
	close(nowhere);
	setenv("TERM", "xterm-256color", 1);
	setenv("LC_ALL", "C", 1);
	return npustat_screen_start();
}

static int end_screen(void **state)
{
	(void)state;
	npustat_screen_end();
	dup2(saved_stdout, STDOUT_FILENO);
	close(saved_stdout);
	return 0;
}

static const char *line_at(int y)
{
	static char text[MAX_COLUMNS + 1];
	int length = mvinnstr(y, 0, text, MAX_COLUMNS);

	while (length > 0 && text[length - 1] == ' ')
		length--;
	text[length < 0 ? 0 : length] = '\0';
	return text;
}

/* A label stands there with the whole of its value behind it, or not at all. */
static unsigned int check_values(const char *line, const char *label, const char *value)
{
	unsigned int count = 0;

	for (const char *at = line; (at = strstr(at, label)); at += strlen(label)) {
		const char *figure = at + strlen(label);

		figure += strspn(figure, " ");
		if (strncmp(figure, value, strlen(value)) ||
		    (figure[strlen(value)] && strncmp(figure + strlen(value), "  ", 2)))
			fail_msg("%d x %d: behind \"%s\" there is no \"%s\": %s", COLS, LINES, label,
				 value, line);
		count++;
	}
	return count;
}

/* Everything is at its longest. */
static void fill_view(struct npustat_view *view, struct npustat_reading *reading,
		      struct npustat_rates *rates)
{
	static struct npu_client clients[30];
	static struct npustat_client_rate client_rates[30];

	*reading = reading_at(100);
	reading->num_queues = 4;
	snprintf(reading->power, sizeof(reading->power), "suspending");
	reading->clients = (struct npu_clients){ clients, 30, true };
	*rates = (struct npustat_rates){
		.busy = 1, .utilisation = 1, .stalled = 1, .dram = 1, .live_batch = 15.99,
		.num_clients = 30, .clients = client_rates,
	};
	for (unsigned int i = 0; i < FLUIDNPU_CNT_NUM; i++)
		rates->per_second[i] = 999.94e6;
	for (unsigned int i = 0; i < FLUIDNPU_MAX_BATCH; i++)
		rates->batch[i] = 0.99;
	for (unsigned int i = 0; i < FLUIDNPU_MAX_EXITS; i++)
		rates->exits[i] = 0.99;
	for (unsigned int i = 0; i < 30; i++) {
		clients[i] = (struct npu_client){ .pid = 4194304 - i, .client_id = i,
						  .memory_bytes = (1023ull << 20) + (900 << 10) };
		snprintf(clients[i].name, sizeof(clients[i].name), "a-process-of-31-characters-long");
		client_rates[i] = (struct npustat_client_rate){ &clients[i], 1 };
	}
	*view = (struct npustat_view){
		.path = info.path, .index = 1, .num_npus = 2, .reading = reading, .rates = rates,
		.message = "", .interval_s = 3600, .num_history = 3 * NPUSTAT_HISTORY,
	};
	for (unsigned int i = 0; i < NPUSTAT_HISTORY; i++)
		view->history[i] = 1;
}

static void check_client(const char *line)
{
	const char *memory = strstr(line, "1023.9 MiB");

	if (strstr(line, " 41943") && !(strstr(line, "100.0 %") && memory))
		fail_msg("%d x %d: a client is cut: %s", COLS, LINES, line);
}

/* The last line ends with the whole of a key's name. */
static void check_keys(const char *line)
{
	static const char *const ends[] = { "pause", "help", "busy", "interval", "next NPU" };
	const size_t length = strlen(line);

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (length > strlen(ends[i]) && !strcmp(line + length - strlen(ends[i]), ends[i]))
			return;
	fail_msg("%d x %d: a key is cut: %s", COLS, LINES, line);
}

static void check_screen(void)
{
	unsigned int facts = 0;

	assert_true(!strncmp(line_at(0), " FluidNPU /dev/fluidnpu", strlen(" FluidNPU /dev/fluidnpu")));
	assert_non_null(strstr(line_at(0), "every 3600 s"));
	assert_true(!strncmp(line_at(LINES - 1), " q quit  p pause", strlen(" q quit  p pause")));
	check_keys(line_at(LINES - 1));
	assert_non_null(strstr(line_at(1), "100.0 %  [####"));	/* the locale has no blocks */
	for (int y = 1; y < LINES - 1; y++) {
		const char *line = line_at(y);

		facts += check_values(line, "mean live batch", "15.99");
		facts += check_values(line, "interrupts", "999.9 M/s");
		facts += check_values(line, "DRAM written", "999.9 MB/s");
		facts += check_values(line, "yielded samples", "999.9 M/s");
		check_values(line, "busy   ", strstr(line, "pid") ? "memory" : "100.0 %");
		check_client(line);
	}
	assert_true(facts >= 1);
	if (LINES >= 24)
		assert_int_equal(facts, 4);
}

static void no_figure_is_cut_at_any_size(void **state)
{
	struct npustat_reading reading;
	struct npustat_rates rates;
	struct npustat_view view;

	(void)state;
	fill_view(&view, &reading, &rates);
	for (int lines = 8; lines <= 60; lines += 4) {
		for (int columns = 40; columns <= 220; columns += 3) {
			resizeterm(lines, columns);
			npustat_screen_draw(&view);
			check_screen();
		}
	}
}

static void any_size_and_state_can_be_drawn(void **state)
{
	struct npustat_reading reading;
	struct npustat_rates rates;
	struct npustat_view view;

	(void)state;
	fill_view(&view, &reading, &rates);
	for (unsigned int bits = 0; bits < 32; bits++) {
		view.reading = bits & 1 ? &reading : NULL;
		view.rates = bits & 1 && bits & 2 ? &rates : NULL;
		view.message = bits & 4 ? "a message that is longer than many a terminal is wide" : "";
		view.help = bits & 8;
		view.paused = bits & 16;
		for (int lines = 1; lines <= 30; lines += 3) {
			for (int columns = 1; columns <= 90; columns += 7) {
				resizeterm(lines, columns);
				npustat_screen_draw(&view);
			}
		}
	}
}

static void histograms_go_first(void **state)
{
	struct npustat_reading reading;
	struct npustat_rates rates;
	struct npustat_view view;
	int with = 0, history = 0;

	(void)state;
	fill_view(&view, &reading, &rates);
	for (int lines = 60; lines >= 8; lines--) {
		resizeterm(lines, 80);
		npustat_screen_draw(&view);
		for (int y = 1; y < lines; y++) {
			if (!strncmp(line_at(y), "live batch", strlen("live batch")))
				with = lines;
			if (!strncmp(line_at(y), "busy, last", strlen("busy, last")))
				history = lines;
		}
	}
	assert_in_range(with, 20, 24);
	assert_in_range(history, 12, with - 1);
}

int main(void)
{
	const struct CMUnitTest rates[] = {
		cmocka_unit_test(shares_are_of_the_interval),
		cmocka_unit_test(a_device_that_sleeps_is_idle),
		cmocka_unit_test(two_readings_at_once_divide_by_nothing),
		cmocka_unit_test(clients_have_their_share_and_an_order),
	};
	const struct CMUnitTest screen[] = {
		cmocka_unit_test_setup_teardown(no_figure_is_cut_at_any_size, start_screen, end_screen),
		cmocka_unit_test_setup_teardown(any_size_and_state_can_be_drawn, start_screen,
						end_screen),
		cmocka_unit_test_setup_teardown(histograms_go_first, start_screen, end_screen),
	};

	return cmocka_run_group_tests(rates, NULL, NULL) ||
	       cmocka_run_group_tests(screen, NULL, NULL);
}
