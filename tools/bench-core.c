// SPDX-License-Identifier: MIT
/*
 * bench-core - the functional engine's half of `make bench-core` (tools/bench-core.mjs)
 *
 *	bench-core MODEL.fnpu BATCH
 *
 * For each line on standard input runs one batch of random inputs through the emulator, no
 * sample leaving before the last exit, and prints the seconds that this took on the wall's
 * clock and of processor time.
 */
#include <fluidnpu.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int fail(const char *text)
{
	fprintf(stderr, "bench-core: %s\n", text);
	return 1;
}

static int run_batch(struct fnpu_session *session, const struct fnpu_request *request,
		     unsigned int batch)
{
	struct fnpu_result results[FLUIDNPU_MAX_BATCH];
	unsigned int done = 0;

	for (unsigned int i = 0; i < batch; i++)
		if (fnpu_session_submit(session, request))
			return -1;
	while (done < batch) {
		int n = fnpu_session_wait(session, results, FLUIDNPU_MAX_BATCH, -1);

		for (int i = 0; i < n; i++)
			if (results[i].status || results[i].batch != batch)
				return -1;
		if (n <= 0)
			return -1;
		done += n;
	}
	return 0;
}

static int bench(struct fnpu_session *session, const struct fnpu_model_info *info,
		 unsigned int batch)
{
	const size_t bytes = (size_t)info->channels * info->height * info->width;
	struct fnpu_request request = {
		.input_bytes = bytes,
		.format = FNPU_INPUT_I8_NHWC,
	};
	unsigned char *input = malloc(bytes);
	int ret = 0, c;

	if (!input)
		return fail("out of memory");
	srand(1);
	for (size_t i = 0; i < bytes; i++)
		input[i] = (unsigned char)(rand() >> 7);
	request.input = input;
	while (!ret && (c = getchar()) != EOF) {
		const double wall = seconds(CLOCK_MONOTONIC);
		const double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);

		if (c != '\n')
			continue;
		if (run_batch(session, &request, batch))
			ret = fail(fnpu_session_error(session));
		printf("%.6f %.6f\n", seconds(CLOCK_MONOTONIC) - wall,
		       seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
		fflush(stdout);
	}
	free(input);
	return ret;
}

int main(int argc, char **argv)
{
	const unsigned int batch = argc == 3 ? (unsigned int)strtoul(argv[2], NULL, 10) : 0;
	const struct fnpu_session_options options = {
		.max_batch = batch,
		.flags = FNPU_SESSION_NO_EXIT,
	};
	struct fnpu_session *session = NULL;
	struct fnpu_device *device = NULL;
	struct fnpu_model *model = NULL;
	struct fnpu_error error;
	int ret;

	if (!batch || batch > FLUIDNPU_MAX_BATCH) {
		fprintf(stderr, "usage: bench-core MODEL.fnpu BATCH(1..%d)\n", FLUIDNPU_MAX_BATCH);
		return 2;
	}
	if (fnpu_model_load(argv[1], &model, &error) ||
	    fnpu_device_open("emu", NULL, &device, &error) ||
	    fnpu_session_open(device, model, &options, &session, &error))
		ret = fail(error.text);
	else
		ret = bench(session, fnpu_model_info(model), batch);
	fnpu_session_close(session);
	fnpu_device_close(device);
	fnpu_model_free(model);
	return ret;
}
