// SPDX-License-Identifier: MIT
/* What ends commands early: rings, files, threads and processes that go, in any order. */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "uring.h"

#define NUM_JOBS 6
#define NUM_WAITS 4
#define NUM_COMMANDS (NUM_JOBS + NUM_WAITS)

/* Jobs, and WAITs for events that never come: more than these jobs have. */
static void send_commands(struct uring_rig *rig)
{
	static struct job jobs[NUM_JOBS]; /* read when the kernel gets to it */

	for (unsigned int i = 0; i < NUM_JOBS; i++) {
		job_init(&jobs[i], &rig->net, 1, i);
		uring_queue_job(rig, &jobs[i], i);
	}
	for (unsigned int i = 0; i < NUM_WAITS; i++)
		uring_queue_wait(rig, 0, 100, NUM_JOBS + i);
	io_uring_submit(&rig->ring);
}

/* Whether all commands are in flight when io_uring_submit() returns. */
static bool is_prompt(const struct uring_way *way)
{
	return !(way->sqe_flags & IOSQE_ASYNC) && !(way->ring_flags & IORING_SETUP_SQPOLL);
}

static void rings_can_go_before_their_commands(void)
{
	for (unsigned int i = 0; i < num_uring_ways; i++) {
		const struct uring_way *way = &uring_ways[i];
		struct drm_fluidnpu_event event;
		struct uring_rig rig;
		struct job job;

		REQUIRE(uring_up_way(&rig, 10, way), "%s", way->name);
		send_commands(&rig);
		io_uring_queue_exit(&rig.ring);
		for (unsigned int k = 0; is_prompt(way) && k < NUM_JOBS; k++) {
			REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
			EXPECT_EQ(event.error, 0);
		}
		job_init(&job, &rig.net, 1, 77);
		EXPECT_OK(submit_one(&rig.ctx, &job));
		do {
			REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
		} while (event.user_data != 77);
		ctx_destroy(&rig.ctx);
		net_destroy(&rig.net);
		close(rig.fd);
	}
}

static void files_can_go_before_their_commands(void)
{
	for (unsigned int i = 0; i < num_uring_ways; i++) {
		const struct uring_way *way = &uring_ways[i];
		struct uring_rig rig;

		REQUIRE(uring_up_way(&rig, 4, way), "%s", way->name);
		send_commands(&rig);
		if (is_prompt(way))
			close(rig.fd);
		for (unsigned int k = 0; k < NUM_JOBS; k++)
			EXPECT_OK(uring_cqe(&rig, NULL, NULL));
		/* The WAITs are left, and with them the file. */
		io_uring_queue_exit(&rig.ring);
		if (!is_prompt(way))
			close(rig.fd);
	}
}

static void a_registered_file_goes_with_its_ring(void)
{
	struct uring_rig rig;

	REQUIRE(uring_up(&rig, 10, IORING_SETUP_SQE128), "");
	EXPECT_OK(io_uring_register_files(&rig.ring, &rig.fd, 1));
	rig.fixed_file = true;
	close(rig.fd);
	send_commands(&rig);
	io_uring_queue_exit(&rig.ring);
}

static void a_registered_file_can_be_unregistered_in_flight(void)
{
	struct uring_rig rig;
	struct job job;

	REQUIRE(uring_up(&rig, 4, 0), "");
	EXPECT_OK(io_uring_register_files(&rig.ring, &rig.fd, 1));
	rig.fixed_file = true;
	job_init(&job, &rig.net, 1, 0);
	uring_queue_job(&rig, &job, 0);
	io_uring_submit(&rig.ring);
	/* On some kernels this waits for the job, on others it does not. */
	EXPECT_OK(io_uring_unregister_files(&rig.ring));
	EXPECT_OK(uring_cqe(&rig, NULL, NULL));
	uring_down(&rig);
}

static void a_ring_leaves_the_files_other_rings_alone(void)
{
	struct uring_rig rig, other;

	REQUIRE(uring_up(&rig, 10, IORING_SETUP_SQE128), "");
	other = rig;
	REQUIRE(!io_uring_queue_init(URING_ENTRIES, &other.ring, IORING_SETUP_SQE128), "ring");
	send_commands(&rig);
	send_commands(&other);
	io_uring_queue_exit(&other.ring);
	for (unsigned int k = 0; k < NUM_JOBS; k++)
		EXPECT_OK(uring_cqe(&rig, NULL, NULL));
	EXPECT_EQ(io_uring_cq_ready(&rig.ring), 0);
	uring_down(&rig);
}

/* The commands of a task that has ended are the ring's: jobs complete, WAITs wait on. */
static void expect_jobs_complete(struct uring_rig *rig)
{
	struct drm_fluidnpu_event event;

	for (unsigned int k = 0; k < NUM_JOBS; k++) {
		uint64_t which = 0;

		EXPECT_OK(uring_cqe(rig, &which, NULL));
		EXPECT(which < NUM_JOBS, "%llu", (unsigned long long)which);
		REQUIRE(ctx_job_event(&rig->ctx, &event), "no event");
		EXPECT_EQ(event.error, 0);
	}
	EXPECT_EQ(io_uring_cq_ready(&rig->ring), 0);
}

static void *send_and_end(void *arg)
{
	send_commands(arg);
	return NULL;
}

static void a_threads_commands_go_on_when_it_ends(void)
{
	static const unsigned int ring_flags[] = {
		0, IORING_SETUP_SQE128, IORING_SETUP_COOP_TASKRUN,
	};

	for (unsigned int i = 0; i < sizeof(ring_flags) / sizeof(ring_flags[0]); i++) {
		struct uring_rig rig;
		pthread_t thread;

		REQUIRE(uring_up(&rig, 10, ring_flags[i]), "");
		REQUIRE(!pthread_create(&thread, NULL, send_and_end, &rig), "thread");
		pthread_join(thread, NULL);
		expect_jobs_complete(&rig);
		uring_down(&rig);
	}
}

/* The child: commands in flight, then says so and waits to be killed. */
static void doomed_child(int say, const struct uring_way *way)
{
	struct uring_rig rig;

	if (!uring_up_way(&rig, 4, way))
		_exit(1);
	send_commands(&rig);
	if (write(say, "x", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static void kill_with_commands_in_flight(const struct uring_way *way)
{
	int status = 0, say[2];
	char byte;
	pid_t child;

	REQUIRE(!pipe(say), "pipe: %s", strerror(errno));
	child = fork();
	if (!child)
		doomed_child(say[1], way);
	EXPECT_EQ(read(say[0], &byte, 1), 1);
	kill(child, SIGKILL);
	EXPECT_EQ(waitpid(child, &status, 0), child);
	EXPECT(WIFSIGNALED(status), "%s: status %#x", way->name, status);
	close(say[0]);
	close(say[1]);
}

static void processes_can_be_killed(void)
{
	struct uring_rig rig;
	struct job job;

	for (unsigned int times = 0; times < 3; times++) {
		for (unsigned int i = 0; i < num_uring_ways; i++)
			kill_with_commands_in_flight(&uring_ways[i]);
	}
	REQUIRE(uring_up(&rig, 0, IORING_SETUP_SQE128), "");
	job_init(&job, &rig.net, 1, 0);
	EXPECT_OK(uring_run_job(&rig, &job));
	uring_down(&rig);
}

static void a_process_can_become_another_program(void)
{
	for (unsigned int i = 0; i < num_uring_ways; i++) {
		int status = 0;
		pid_t child = fork();

		if (!child) {
			struct uring_rig rig;

			if (!uring_up_way(&rig, 10, &uring_ways[i]))
				_exit(1);
			send_commands(&rig);
			execl("/bin/sh", "sh", "-c", "exit 7", NULL);
			_exit(1);
		}
		EXPECT_EQ(waitpid(child, &status, 0), child);
		EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 7, "%s: status %#x",
		       uring_ways[i].name, status);
	}
}

static void a_childs_commands_on_the_parents_ring_go_on_when_it_ends(void)
{
	struct uring_rig rig;
	int status = 0;
	pid_t child;

	REQUIRE(uring_up(&rig, 10, IORING_SETUP_SQE128), "");
	child = fork();
	if (!child) {
		send_commands(&rig);
		_exit(0);
	}
	EXPECT_EQ(waitpid(child, &status, 0), child);
	EXPECT(WIFEXITED(status) && !WEXITSTATUS(status), "status %#x", status);
	expect_jobs_complete(&rig);
	uring_down(&rig);
}

static void a_childs_end_leaves_the_parents_commands_alone(void)
{
	struct uring_rig rig;
	int status = 0;
	pid_t child;

	REQUIRE(uring_up(&rig, 10, 0), "");
	send_commands(&rig);
	child = fork();
	if (!child) {
		/* Its copies of both descriptors and of the ring's memory. */
		close(rig.fd);
		io_uring_queue_exit(&rig.ring);
		_exit(0);
	}
	EXPECT_EQ(waitpid(child, &status, 0), child);
	EXPECT(WIFEXITED(status) && !WEXITSTATUS(status), "status %#x", status);
	for (unsigned int k = 0; k < NUM_JOBS; k++)
		EXPECT_OK(uring_cqe(&rig, NULL, NULL));
	EXPECT_EQ(io_uring_cq_ready(&rig.ring), 0);
	uring_down(&rig);
}

static void a_child_can_go_on_with_the_parents_ring(void)
{
	struct drm_fluidnpu_event event;
	struct uring_rig rig;
	struct job job;
	int status = 0;
	pid_t child;

	REQUIRE(uring_up(&rig, 4, 0), "");
	child = fork();
	if (!child) {
		/* By pointer: to memory that only the child has. */
		job_init(&job, &rig.net, 1, 5);
		_exit(uring_run_job(&rig, &job) ? 1 : 0);
	}
	EXPECT_EQ(waitpid(child, &status, 0), child);
	EXPECT(WIFEXITED(status) && !WEXITSTATUS(status), "status %#x", status);
	REQUIRE(ctx_job_event(&rig.ctx, &event), "no event");
	EXPECT_EQ(event.user_data, 5);
	EXPECT_EQ(event.error, 0);
	uring_down(&rig);
}

static void a_context_can_go_before_its_commands(void)
{
	struct uring_rig rig;

	REQUIRE(uring_up(&rig, 10, IORING_SETUP_SQE128), "");
	send_commands(&rig);
	ctx_destroy(&rig.ctx);
	for (unsigned int k = 0; k < NUM_COMMANDS; k++) {
		uint64_t which = 0;
		int ret = uring_cqe(&rig, &which, NULL);
		int wanted = which < NUM_JOBS ? 0 : -ENOENT;

		EXPECT_EQ(ret, wanted);
	}
	uring_down(&rig);
}

static const struct tap_test tests[] = {
	{ "rings can go before their commands", rings_can_go_before_their_commands },
	{ "files can go before their commands", files_can_go_before_their_commands },
	{ "a context can go before its commands", a_context_can_go_before_its_commands },
	{ "a registered file goes with its ring", a_registered_file_goes_with_its_ring },
	{ "a registered file can be unregistered in flight",
	  a_registered_file_can_be_unregistered_in_flight },
	{ "a ring leaves the file's other rings alone", a_ring_leaves_the_files_other_rings_alone },
	{ "a thread's commands go on when it ends",
	  a_threads_commands_go_on_when_it_ends },
	{ "processes can be killed with commands in flight", processes_can_be_killed },
	{ "a process can become another program", a_process_can_become_another_program },
	{ "a child's commands on the parent's ring go on when it ends",
	  a_childs_commands_on_the_parents_ring_go_on_when_it_ends },
	{ "a child's end leaves the parent's commands alone",
	  a_childs_end_leaves_the_parents_commands_alone },
	{ "a child can go on with the parent's ring", a_child_can_go_on_with_the_parents_ring },
};

TAP_MAIN(tests)
