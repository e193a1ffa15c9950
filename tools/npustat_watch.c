// SPDX-License-Identifier: MIT
/*
 * npustat --watch: one thread that sleeps in poll(2) until the time for a reading has come, a key
 * was pressed, a signal has arrived (another size, an order to end) or the kernel tells of a
 * reset. An NPU that is gone, or not there yet, is looked for when the time has come.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/cli.h"
#include "npustat.h"

/* There are no rates without two readings: the second one comes soon. */
#define FIRST_INTERVAL_S	0.1

/* Readings for which the screen says that the NPU is back. */
#define BACK_READINGS		5

static const double intervals_s[] = { 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600 };

#define NUM_INTERVALS	(sizeof(intervals_s) / sizeof(intervals_s[0]))

/**
 * struct watch - all that goes on
 * @path: of the NPU, when one was asked for or chosen by its key; NULL: the default one
 * @npu: closed: there is none now
 * @readings: the one before and the last one
 * @last: index of the last one
 * @num_readings: that follow each other without a gap, 0..2
 * @gone: why there is no NPU any more; "": there was none
 * @back: readings for which @message still says that it is back
 * @uevents: socket; -1: there is none
 * @resets: of the NPU
 * @done: leave
 */
struct watch {
	const struct npustat_watch *options;
	const char *path;
	struct npustat_list list;
	struct npustat_npu npu;
	struct npustat_reading readings[2];
	unsigned int last;
	unsigned int num_readings;
	struct npustat_rates rates;
	struct npustat_view view;
	char gone[FNPU_ERROR_BYTES];
	char message[2 * FNPU_ERROR_BYTES];
	unsigned int back;
	int timer;
	int uevents;
	struct npustat_resets resets;
	uint64_t screens;
	bool done;
};

/* ---- readings ---- */

static void forget_readings(struct watch *w)
{
	npustat_rates_free(&w->rates);
	npustat_reading_free(&w->readings[0]);
	npustat_reading_free(&w->readings[1]);
	w->num_readings = 0;
}

static void lose(struct watch *w, const char *why)
{
	forget_readings(w);
	npustat_close(&w->npu);
	w->resets = (struct npustat_resets){ 0 };
	snprintf(w->gone, sizeof(w->gone), "%s", why);
}

static void say_missing(struct watch *w, const char *why)
{
	snprintf(w->message, sizeof(w->message), "%s%s%s", w->gone, w->gone[0] ? "; " : "", why);
}

static void find(struct watch *w)
{
	const char *path = w->path;
	struct fnpu_error error;

	if (!path)
		path = npustat_default_path(w->options->backend, &w->list);
	if (npustat_open(&w->npu, w->options->backend, path, &error)) {
		say_missing(w, error.text);
		return;
	}
	for (size_t i = 0; i < w->list.count; i++)
		if (!strcmp(w->list.paths[i], w->npu.info->path))
			w->view.index = i + 1;
	w->message[0] = '\0';
	if (w->gone[0]) {
		snprintf(w->message, sizeof(w->message), "%s is back", w->npu.info->path);
		w->back = BACK_READINGS;
	}
	w->gone[0] = '\0';
}

static void note_history(struct watch *w)
{
	w->view.history[w->view.num_history++ % NPUSTAT_HISTORY] = (float)w->rates.busy;
}

static void compare_readings(struct watch *w)
{
	npustat_rates_free(&w->rates);
	if (npustat_rates(&w->rates, &w->readings[!w->last], &w->readings[w->last], w->view.sort))
		snprintf(w->message, sizeof(w->message), "out of memory");
}

static void take_reading(struct watch *w)
{
	struct fnpu_error error;

	npustat_list_read(&w->list);
	if (!w->npu.device)
		find(w);
	if (!w->npu.device)
		return;
	w->last = !w->last;
	npustat_rates_free(&w->rates);
	npustat_reading_free(&w->readings[w->last]);
	if (npustat_read(&w->npu, &w->readings[w->last], &error)) {
		lose(w, error.text);
		say_missing(w, "looking for it");
		return;
	}
	if (w->back && !--w->back)
		w->message[0] = '\0';
	if (w->num_readings < 2)
		w->num_readings++;
	if (w->num_readings == 2) {
		compare_readings(w);
		note_history(w);
	}
}

/* ---- time ---- */

static struct timespec to_timespec(double seconds)
{
	const time_t whole = (time_t)seconds;

	return (struct timespec){ whole, (long)((seconds - (double)whole) * 1e9) };
}

static void start_timer(struct watch *w)
{
	const double interval_s = w->view.interval_s;
	const struct itimerspec time = {
		.it_value = to_timespec(w->num_readings == 1 && interval_s > FIRST_INTERVAL_S ?
						FIRST_INTERVAL_S : interval_s),
		.it_interval = to_timespec(interval_s),
	};

	timerfd_settime(w->timer, 0, &time, NULL);
}

static void stop_timer(struct watch *w)
{
	const struct itimerspec never = { 0 };

	timerfd_settime(w->timer, 0, &never, NULL);
}

static void start_readings(struct watch *w)
{
	take_reading(w);
	start_timer(w);
}

/* ---- keys ---- */

/* The next longer or shorter interval of the table. */
static void change_interval(struct watch *w, bool longer)
{
	double interval_s = w->view.interval_s;

	for (size_t i = 0; i < NUM_INTERVALS; i++) {
		const double candidate = intervals_s[longer ? i : NUM_INTERVALS - 1 - i];

		if (longer ? candidate > interval_s : candidate < interval_s) {
			w->view.interval_s = candidate;
			break;
		}
	}
	if (!w->view.paused)
		start_timer(w);
}

/* What happened during the pause is nobody's rate. */
static void toggle_pause(struct watch *w)
{
	w->view.paused = !w->view.paused;
	if (w->view.paused) {
		stop_timer(w);
		return;
	}
	forget_readings(w);
	start_readings(w);
}

static void next_npu(struct watch *w)
{
	static char path[NPUSTAT_PATH_BYTES];

	if (w->list.count < 2)
		return;
	w->view.index = w->view.index % w->list.count + 1;
	snprintf(path, sizeof(path), "%s", w->list.paths[w->view.index - 1]);
	w->path = path;
	forget_readings(w);
	npustat_close(&w->npu);
	w->gone[0] = w->message[0] = '\0';
	w->resets = (struct npustat_resets){ 0 };
	w->view.num_history = 0;
	start_readings(w);
}

static void handle_key(struct watch *w, int key)
{
	switch (key) {
	case 'q':
		w->done = true;
		break;
	case 'p':
		toggle_pause(w);
		break;
	case 's':
		w->view.sort = (w->view.sort + 1) % NPUSTAT_NUM_SORTS;
		if (w->num_readings == 2)
			compare_readings(w);
		break;
	case '+':
		change_interval(w, true);
		break;
	case '-':
		change_interval(w, false);
		break;
	case 'n':
		next_npu(w);
		break;
	case 'h':
		w->view.help = !w->view.help;
		break;
	default:
		break;
	}
}

/* Readable without a key is the end of input. */
static void handle_input(struct watch *w)
{
	int key = npustat_screen_key();

	w->done |= key < 0;
	for (; key >= 0 && !w->done; key = npustat_screen_key())
		handle_key(w, key);
}

/* ---- the loop ---- */

static void draw(struct watch *w)
{
	w->view.path = w->npu.device ? w->npu.info->path : w->path ? w->path : FNPU_DEVICE_PATH;
	w->view.num_npus = w->list.count;
	w->view.reading = w->num_readings ? &w->readings[w->last] : NULL;
	w->view.rates = w->num_readings == 2 ? &w->rates : NULL;
	w->view.message = w->message;
	npustat_screen_draw(&w->view);
}

static void handle_timer(struct watch *w)
{
	uint64_t expirations;

	if (read(w->timer, &expirations, sizeof(expirations)) < 0)
		return;	/* it was set anew */
	take_reading(w);
	w->screens++;
	if (w->options->count && w->screens == w->options->count)
		w->done = true;
}

static void handle_signal(struct watch *w, int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGWINCH)
		npustat_screen_resize();
	else
		w->done = true;
}

static void run(struct watch *w, int signals)
{
	struct pollfd fds[] = {
		{ .fd = w->timer, .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = w->uevents, .events = POLLIN },
	};

	start_readings(w);
	while (!w->done) {
		draw(w);
		/* Ctrl-Z and its end interrupt it: then the screen is drawn again. */
		if (poll(fds, sizeof(fds) / sizeof(fds[0]), -1) < 0)
			continue;
		if (fds[1].revents)
			handle_signal(w, signals);
		if (fds[2].revents)
			handle_input(w);
		if (fds[3].revents)
			npustat_uevents_read(w->uevents, w->npu.number, &w->resets);
		if (fds[0].revents)
			handle_timer(w);
	}
	draw(w);
	forget_readings(w);
	npustat_close(&w->npu);
}

int npustat_watch(const struct npustat_watch *options)
{
	static struct watch w;
	sigset_t set;
	int signals, ret;

	w = (struct watch){
		.options = options,
		.path = options->path,
		.npu.power_fd = -1,
		.view = { .interval_s = options->interval_s, .index = 1 },
	};
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	w.uevents = npustat_uevents_open();
	if (w.uevents >= 0)
		w.view.resets = &w.resets;
	w.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (signals < 0 || w.timer < 0)
		ret = cli_error("cannot wait for signals and time: %s", strerror(errno));
	else
		ret = npustat_screen_start();
	if (!ret) {
		run(&w, signals);
		npustat_screen_end();
	}
	if (w.uevents >= 0)
		close(w.uevents);
	if (w.timer >= 0)
		close(w.timer);
	if (signals >= 0)
		close(signals);
	return ret;
}
