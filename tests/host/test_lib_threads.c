// SPDX-License-Identifier: MIT
/*
 * What any thread may do, in many threads at once: sessions of one device, buffers, imports, counters,
 * queries. Built with ThreadSanitizer as well (tests/e2e/sanitizers.sh).
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib_rig.h"

#define THREADS	4
#define ROUNDS	40
#define SAMPLES	30

/** struct crew - @wrong: what the threads found; cmocka's assertions are for its own thread */
struct crew {
	struct lib_rig *rig;
	atomic_int wrong;
	atomic_int served;
};

static void expect(struct crew *c, bool right)
{
	if (!right)
		atomic_fetch_add(&c->wrong, 1);
}

static void check_result(const struct fnpu_result *r, void *opaque)
{
	struct crew *c = opaque;

	expect(c, !r->status && r->exit_index == (r->user_data % 2 ? 0u : 1u) &&
	       r->head.class_index == (r->user_data % 2 ? 1u : 3u));
	atomic_fetch_add(&c->served, 1);
}

static void *serve(void *opaque)
{
	static const char *const policies[] = { "adaptive", "fluid+", "serial", "cellular" };
	static atomic_uint next;
	struct crew *c = opaque;
	const struct fnpu_session_options options = {
		.policy = policies[atomic_fetch_add(&next, 1) % 4], .queue_bound = SAMPLES,
	};
	struct fnpu_session *s;

	for (int round = 0; round < ROUNDS; round++) {
		if (fnpu_session_open(c->rig->device, c->rig->model, &options, &s, NULL)) {
			expect(c, false);
			return NULL;
		}
		for (uint64_t i = 0; i < SAMPLES; i++)
			expect(c, !lib_rig_submit(s, i, i % 2 ? lib_rig_sure : lib_rig_unsure));
		while (fnpu_session_dispatch(s, -1, check_result, c) > 0)
			;
		expect(c, !fnpu_session_pending(s));
		fnpu_session_close(s);
	}
	return NULL;
}

static void *juggle_buffers(void *opaque)
{
	struct crew *c = opaque;
	struct fnpu_counters counters;
	uint64_t last = 0;

	for (int i = 0; i < ROUNDS * 5; i++) {
		struct fnpu_bo *bo;

		if (fnpu_bo_alloc(c->rig->device, 4096 * (1 + (size_t)i % 7), &bo, NULL)) {
			expect(c, false);
			continue;
		}
		memset(fnpu_bo_map(bo), 1, fnpu_bo_bytes(bo));
		expect(c, fnpu_bo_iova(bo) != 0);
		fnpu_bo_free(bo);
		expect(c, !fnpu_device_counters(c->rig->device, &counters));
		expect(c, counters.values[FLUIDNPU_CNT_SAMPLES] >= last);
		last = counters.values[FLUIDNPU_CNT_SAMPLES];
		expect(c, fnpu_model_info(c->rig->model)->num_exits == LIB_MODEL_EXITS);
	}
	return NULL;
}

static void *share_memory(void *opaque)
{
	struct crew *c = opaque;
	struct fnpu_bo *bo = NULL, *again;
	int fd;

	if (fnpu_bo_alloc(c->rig->device, 4096, &bo, NULL)) {
		expect(c, false);
		return NULL;
	}
	fd = fnpu_bo_export(bo);
	expect(c, fd >= 0 || fd == -EOPNOTSUPP);
	for (int i = 0; fd >= 0 && i < ROUNDS * 5; i++) {
		/* one handle in the kernel, which must not go while others have it */
		expect(c, !fnpu_bo_import(c->rig->device, fd, &again, NULL));
		expect(c, fnpu_bo_iova(again) == fnpu_bo_iova(bo));
		fnpu_bo_free(again);
	}
	fnpu_bo_free(bo);
	return NULL;
}

static void one_device_serves_many_threads(void **state)
{
	static void *(*const work[])(void *) = { serve, juggle_buffers, share_memory };
	struct crew crew = { .rig = *state };
	pthread_t threads[THREADS * 3];

	for (int i = 0; i < THREADS * 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work[i % 3], &crew), 0);
	for (int i = 0; i < THREADS * 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(crew.wrong, 0);
	assert_int_equal(crew.served, THREADS * ROUNDS * SAMPLES);
}

/* A session may move from thread to thread, as long as there is one at a time. */
static void *serve_a_while(void *opaque)
{
	void **args = opaque;

	for (uint64_t i = 0; i < SAMPLES; i++)
		expect(args[0], !lib_rig_submit(args[1], i, i % 2 ? lib_rig_sure : lib_rig_unsure));
	fnpu_session_dispatch(args[1], -1, check_result, args[0]);
	return NULL;
}

static void session_moves_between_threads(void **state)
{
	struct crew crew = { .rig = *state };
	struct fnpu_session *s = lib_rig_open(crew.rig, &(struct fnpu_session_options){
		.queue_bound = THREADS * SAMPLES });
	void *args[] = { &crew, s };
	pthread_t thread;

	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(&thread, NULL, serve_a_while, args), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
	while (fnpu_session_dispatch(s, -1, check_result, &crew) > 0)
		;
	assert_int_equal(crew.wrong, 0);
	assert_int_equal(crew.served, THREADS * SAMPLES);
	fnpu_session_close(s);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, lib_rig_setup, lib_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_device_serves_many_threads),
		TEST(session_moves_between_threads),
	};

	return cmocka_run_group_tests_name("lib_threads", tests, NULL, NULL);
}
