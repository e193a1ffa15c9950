/* SPDX-License-Identifier: MIT */
/*
 * A first application: classify raw 8-bit images from standard input.
 *
 *	first MODEL.fnpu [kmd|emu] < IMAGES
 *
 * Each image is height x width x channels bytes of the model's input; a line is
 * printed for each, in the order in which they leave the network.
 */
#include <errno.h>
#include <fluidnpu.h>
#include <stdio.h>
#include <stdlib.h>

static void print_results(const struct fnpu_result *r, int n, const struct fnpu_model_info *m)
{
	for (int i = 0; i < n; i++) {
		if (r[i].status)
			printf("image %llu: %s\n", (unsigned long long)r[i].user_data, r[i].reason);
		else
			printf("image %llu: %s (%.1f %%), left at exit %u\n",
			       (unsigned long long)r[i].user_data,
			       r[i].head.class_index < m->num_labels ?
			       m->labels[r[i].head.class_index] : "?",
			       100.0 * r[i].head.confidence, r[i].exit_index);
	}
}

int main(int argc, char **argv)
{
	struct fnpu_device *device;
	struct fnpu_model *model;
	struct fnpu_session *session;
	struct fnpu_error error;
	struct fnpu_result results[16];
	const struct fnpu_model_info *m;
	unsigned long long count = 0;
	int n;

	if (argc < 2) {
		fprintf(stderr, "usage: first MODEL.fnpu [kmd|emu] < IMAGES\n");
		return 2;
	}
	if (fnpu_model_load(argv[1], &model, &error) ||
	    fnpu_device_open(argc > 2 ? argv[2] : NULL, NULL, &device, &error) ||
	    fnpu_session_open(device, model, NULL, &session, &error)) {
		fprintf(stderr, "first: %s\n", error.text);
		return 1;
	}
	m = fnpu_model_info(model);

	unsigned char image[m->channels * m->height * m->width];

	while (fread(image, sizeof(image), 1, stdin) == 1) {
		const struct fnpu_request request = {
			.user_data = count++,
			.input = image,
			.input_bytes = sizeof(image),
			.format = FNPU_INPUT_U8_NHWC,
		};

		/* the queue is bounded: make room by taking results */
		while ((n = fnpu_session_submit(session, &request)) == -EAGAIN) {
			n = fnpu_session_wait(session, results, 16, -1);
			if (n < 0)
				break;
			print_results(results, n, m);
		}
		if (n < 0) {
			fprintf(stderr, "first: %s\n", fnpu_session_error(session));
			return 1;
		}
	}
	while ((n = fnpu_session_wait(session, results, 16, -1)) > 0)
		print_results(results, n, m);

	fnpu_session_close(session);
	fnpu_device_close(device);
	fnpu_model_free(model);
	return n < 0;
}
