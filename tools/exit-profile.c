// SPDX-License-Identifier: MIT
/*
 * exit-profile: where a network's own samples leave, and whether it is right there.
 *
 * Runs labelled images on the emulated NPU past every exit head (FNPU_SESSION_NO_EXIT). From what
 * each head found it follows where the device would have let the sample go: the first head
 * whose criterion meets its threshold. npusim --exits reads what this writes: a line per sample
 * with that exit and, for each exit, 1 if its class is the label's, otherwise 0.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cli.h"
#include "common/input.h"
#include "common/progress.h"

#define RESULTS_AT_ONCE	64

static const char usage[] =
"Usage: exit-profile [--limit N] -o FILE MODEL.fnpu IMAGES LABELS\n"
"Measure where labelled images leave a network, and whether each exit is right, on the\n"
"emulated NPU: a profile for npusim --exits.\n"
"\n"
"  -o, --output FILE   where the profile goes\n"
"  --limit N           only the first N images\n"
"  --help, --version\n"
"\n"
"Exit status: 0, 1 something failed, 2 wrong usage.\n";

struct profile {
	struct fnpu_device *device;
	struct fnpu_model *model;
	const struct fnpu_model_info *info;
	struct fnpu_session *session;
	struct input input;
	uint8_t *labels;
	uint8_t *exits;		/* per sample */
	uint8_t *right;		/* per sample, bit e: exit e */
	void *sample;
	uint64_t total, next, finished;
};

/* Would the device let the sample go here? */
static bool sure(const struct fnpu_exit_info *exit, const struct fnpu_head *head)
{
	if (!strcmp(exit->criterion, "confidence"))
		return head->confidence >= exit->threshold;
	if (!strcmp(exit->criterion, "entropy"))
		return head->entropy <= exit->threshold;
	return head->margin >= exit->threshold;
}

static int judge(struct profile *p, const struct fnpu_result *r)
{
	const uint32_t last = p->info->num_exits - 1;
	const uint64_t i = r->user_data;

	if (r->status)
		return cli_error("image %" PRIu64 " failed: %s", i, r->reason);
	p->exits[i] = (uint8_t)last;
	for (uint32_t e = last; e-- > 0;)
		if (sure(&p->info->exits[e], &r->heads[e]))
			p->exits[i] = (uint8_t)e;
	for (uint32_t e = 0; e <= last; e++)
		if (r->heads[e].class_index == p->labels[i])
			p->right[i] |= (uint8_t)(1u << e);
	p->finished++;
	return 0;
}

static int fill_queue(struct profile *p)
{
	struct fnpu_error error;

	while (p->next < p->total) {
		const struct fnpu_request request = {
			.user_data = p->next,
			.input = p->sample,
			.input_bytes = p->input.sample_bytes,
			.format = p->input.format,
		};
		int ret;

		if (input_read(&p->input, p->next, p->sample, &error))
			return cli_error("%s", error.text);
		ret = fnpu_session_submit(p->session, &request);
		if (ret == -EAGAIN)
			return 0;
		if (ret)
			return cli_error("%s", fnpu_session_error(p->session));
		p->next++;
	}
	return 0;
}

static int measure(struct profile *p)
{
	struct fnpu_result results[RESULTS_AT_ONCE];
	struct progress progress;
	int n;

	progress_start(&progress, p->total > 1000, "images", p->total);
	while (p->finished < p->total) {
		if (fill_queue(p))
			return -1;
		n = fnpu_session_wait(p->session, results, RESULTS_AT_ONCE, -1);
		if (n < 0)
			return cli_error("%s", fnpu_session_error(p->session));
		for (int i = 0; i < n; i++)
			if (judge(p, &results[i]))
				return -1;
		progress_update(&progress, p->finished);
	}
	progress_end(&progress);
	return 0;
}

static int setup(struct profile *p, char **files, uint64_t limit)
{
	const struct fnpu_session_options options = {
		.flags = FNPU_SESSION_NO_EXIT,
	};
	struct fnpu_error error;
	uint64_t count;

	if (fnpu_model_load(files[0], &p->model, &error))
		return cli_error("%s", error.text);
	p->info = fnpu_model_info(p->model);
	if (input_open(&p->input, files[1], &error) ||
	    input_check_shape(&p->input, p->info, &error) ||
	    labels_open(files[2], &p->labels, &count, &error))
		return cli_error("%s", error.text);
	if (count != p->input.count)
		return cli_error("%s has %" PRIu64 " labels for %" PRIu64 " images: they do not belong together",
				 files[2], count, p->input.count);
	p->total = limit && limit < count ? limit : count;
	p->sample = malloc(p->input.sample_bytes);
	p->exits = calloc(p->total, 1);
	p->right = calloc(p->total, 1);
	if (!p->sample || !p->exits || !p->right)
		return cli_error("out of memory");
	if (fnpu_device_open("emu", NULL, &p->device, &error) ||
	    fnpu_session_open(p->device, p->model, &options, &p->session, &error))
		return cli_error("%s", error.text);
	return 0;
}

static int write_profile(const struct profile *p, const char *path)
{
	FILE *file = fopen(path, "we");
	bool ok = file;

	if (ok)
		fprintf(file, "# exit profile of %s, %" PRIu64 " images: exit, right at each exit\n",
			p->info->name, p->total);
	for (uint64_t i = 0; ok && i < p->total; i++) {
		fprintf(file, "%u", p->exits[i]);
		for (uint32_t e = 0; e < p->info->num_exits; e++)
			fprintf(file, " %d", p->right[i] >> e & 1);
		fputc('\n', file);
	}
	if (ok && ferror(file))
		ok = false;
	if (file && fclose(file))
		ok = false;
	return ok ? 0 : cli_error("cannot write %s: %s", path, strerror(errno));
}

static void teardown(struct profile *p)
{
	fnpu_session_close(p->session);
	fnpu_device_close(p->device);
	input_close(&p->input);
	free(p->sample);
	free(p->labels);
	free(p->exits);
	free(p->right);
	fnpu_model_free(p->model);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "limit", required_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	struct profile p = { .input = { .fd = -1 } };
	const char *output = NULL;
	uint64_t limit = 0;
	int c, ret;

	cli_name = "exit-profile";
	while ((c = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		switch (c) {
		case 'o':
			output = optarg;
			break;
		case 'l':
			limit = cli_number("limit", optarg, 1, UINT32_MAX);
			break;
		case 'h':
			fputs(usage, stdout);
			return cli_finish_stdout() ? EXIT_FAILURE : EXIT_SUCCESS;
		case 'V':
			printf("exit-profile %s\n", fnpu_version());
			return cli_finish_stdout() ? EXIT_FAILURE : EXIT_SUCCESS;
		default:	/* getopt_long() has named it */
			fprintf(stderr, "Try \"exit-profile --help\".\n");
			return EXIT_USAGE;
		}
	}
	if (!output || argc - optind != 3)
		cli_usage_error("give -o FILE, a network, its images and their labels");
	ret = setup(&p, argv + optind, limit);
	if (!ret)
		ret = measure(&p);
	if (!ret)
		ret = write_profile(&p, output);
	teardown(&p);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}
