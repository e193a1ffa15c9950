// SPDX-License-Identifier: MIT
/*
 * nputrace: run a program, and record what its sessions decide and what the NPU does into one timeline.
 *
 * The library records into files of its own (FLUIDNPU_TRACE), the driver into tracefs; when the
 * program has ended, both become one file in the Trace Event format.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cli.h"
#include "fluidnpu.h"
#include "nputrace.h"

#define DRAIN_MS	50
#define DEFAULT_KB	8192u
#define PATH_BYTES	256

static const char usage[] =
"Usage: nputrace [options] [--] COMMAND [ARGUMENT...]\n"
"Run COMMAND and record what its FluidNPU sessions decide, and what the NPU does, as one timeline:\n"
"open it at https://ui.perfetto.dev or in chrome://tracing.\n"
"\n"
"  --output FILE    default trace.json\n"
"  --kernel WHEN    the driver's tracepoints, too: auto (default: if they are there and this\n"
"                   user may), always or never\n"
"  --device FILE    device file (default " FNPU_DEVICE_PATH "), for its clock\n"
"  --buffer KB      for the tracepoints, per processor (default 8192)\n"
"  --help, --version\n"
"\n"
"Exit status: that of COMMAND; 1 the recording failed, 2 wrong usage, 127 no such command.\n";

struct options {
	const char *output;
	const char *kernel;
	const char *device;
	uint32_t buffer_kb;
	char **command;
};

/**
 * struct recording - of one run
 * @dir: for the files of the library
 * @out: what it all goes into
 * @keep: the directory stays
 * @with_kernel: @kernel is in use
 */
struct recording {
	const struct options *options;
	char dir[PATH_BYTES];
	char prefix[PATH_BYTES + 8];
	FILE *out;
	bool keep;
	bool with_kernel;
	struct kernel_trace kernel;
	uint64_t lost;
	uint32_t clock_hz;
	uint64_t sessions;
	int64_t kernel_events;
	bool has_map;
	struct clock_map map;
};

/* ---- options ---- */

enum {
	OPT_OUTPUT = 256, OPT_KERNEL, OPT_DEVICE, OPT_BUFFER, OPT_HELP, OPT_VERSION,
};

static const struct option long_options[] = {
	{ "output", required_argument, NULL, OPT_OUTPUT },
	{ "kernel", required_argument, NULL, OPT_KERNEL },
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "buffer", required_argument, NULL, OPT_BUFFER },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static void set_option(struct options *o, int option)
{
	switch (option) {
	case OPT_OUTPUT:
		o->output = optarg;
		break;
	case OPT_KERNEL:
		if (strcmp(optarg, "auto") && strcmp(optarg, "always") && strcmp(optarg, "never"))
			cli_usage_error("--kernel takes auto, always or never, not \"%s\"", optarg);
		o->kernel = optarg;
		break;
	case OPT_DEVICE:
		o->device = optarg;
		break;
	case OPT_BUFFER:
		o->buffer_kb = (uint32_t)cli_number("buffer", optarg, 4, 1u << 20);
		break;
	case OPT_HELP:
		cli_print_and_exit(usage);
	case OPT_VERSION:
		printf("nputrace %s\n", fnpu_version());
		cli_print_and_exit("");
	default:	/* getopt_long() has named it */
		fprintf(stderr, "Try \"nputrace --help\".\n");
		exit(EXIT_USAGE);
	}
}

static void parse_options(struct options *o, int argc, char **argv)
{
	int option;

	*o = (struct options){ .output = "trace.json", .kernel = "auto", .buffer_kb = DEFAULT_KB };
	/* what follows the command's name is the command's */
	while ((option = getopt_long(argc, argv, "+", long_options, NULL)) != -1)
		set_option(o, option);
	if (optind == argc)
		cli_usage_error("which program? Give a command, as nputrace npurun --model ...");
	o->command = &argv[optind];
}

/* ---- set up ---- */

/* Before the command runs: afterwards it would be too late. */
static int open_output(struct recording *r)
{
	r->out = fopen(r->options->output, "we");
	return r->out ? 0 : cli_error("cannot write %s: %s", r->options->output, strerror(errno));
}

static int start_kernel(struct recording *r)
{
	const struct options *o = r->options;
	struct fnpu_device *device;
	struct fnpu_error error;
	int ret;

	if (!strcmp(o->kernel, "never"))
		return 0;
	ret = fnpu_device_open("kmd", o->device, &device, &error);
	if (!ret) {
		r->clock_hz = fnpu_device_info(device)->clock_hz;
		fnpu_device_close(device);
		ret = kernel_trace_start(&r->kernel, o->buffer_kb, &error);
		r->with_kernel = !ret;
		if (ret)
			kernel_trace_free(&r->kernel);
	}
	if (ret && !strcmp(o->kernel, "always"))
		return cli_error("%s", error.text);
	if (ret)
		fprintf(stderr, "nputrace: without the driver's tracepoints: %s\n", error.text);
	return 0;
}

static int make_dir(struct recording *r)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(r->dir, sizeof(r->dir), "%s/nputrace-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(r->dir)) {
		const int err = errno;

		r->dir[0] = 0;
		return cli_error("cannot make a directory in %s: %s (set TMPDIR)",
				 tmp && *tmp ? tmp : "/tmp", strerror(err));
	}
	snprintf(r->prefix, sizeof(r->prefix), "%s/lib", r->dir);
	return 0;
}

/* ---- the command ---- */

static pid_t start_command(const struct recording *r)
{
	const pid_t pid = fork();

	if (pid)
		return pid;
	setenv("FLUIDNPU_TRACE", r->prefix, 1);
	execvp(r->options->command[0], r->options->command);
	fprintf(stderr, "nputrace: cannot run %s: %s\n", r->options->command[0], strerror(errno));
	_exit(127);
}

static volatile pid_t command_pid;

static void pass_on(int number)
{
	kill(command_pid, number);
}

/*
 * Signals of the terminal reach the command anyway; others it gets from here. The recording goes on
 * until its end.
 */
static void pass_signals(pid_t pid)
{
	const struct sigaction action = { .sa_handler = pass_on };

	command_pid = pid;
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

/* Its wait status. */
static int run_command(struct recording *r, int *status)
{
	pid_t pid;
	int fd, ret = 0;

	fflush(NULL);
	signal(SIGCHLD, SIG_DFL);	/* whoever ignores it cannot wait */
	pid = start_command(r);
	if (pid < 0)
		return cli_error("cannot start a process: %s", strerror(errno));
	pass_signals(pid);
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	while (!waitpid(pid, status, WNOHANG)) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };

		poll(&pfd, 1, r->with_kernel || fd < 0 ? DRAIN_MS : -1);
		if (r->with_kernel && !ret)
			ret = kernel_trace_drain(&r->kernel);
	}
	if (fd >= 0)
		close(fd);
	if (r->with_kernel)
		r->lost = kernel_trace_stop(&r->kernel);
	return ret ? cli_error("cannot keep the driver's tracepoints: %s", strerror(-ret)) : 0;
}

/* ---- putting it together ---- */

/* The events of a file of the library's, of which each has a line of its own. */
static int copy_events(struct recording *r, const char *path, FILE *out)
{
	FILE *in = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;
	ssize_t bytes;

	if (!in)
		return cli_error("cannot read %s: %s", path, strerror(errno));
	r->sessions++;
	while ((bytes = getline(&line, &room, in)) > 0) {
		const char *clock = strstr(line, "\"fluidnpu_clock\"");

		if (line[bytes - 1] == '\n')
			line[--bytes] = 0;
		if (bytes && line[bytes - 1] == ',')
			line[--bytes] = 0;
		/* not the lines around them, nor one that a killed program has not finished */
		if (strncmp(line, "{\"ph\"", 5) || line[bytes - 1] != '}')
			continue;
		if (clock && sscanf(strstr(clock, "host_ns"), "host_ns\":%lf,\"device_us\":%lf",
				    &r->map.host_ns, &r->map.device_us) == 2)
			r->has_map = r->map.host_ns > 0;
		fprintf(out, ",\n%s", line);
	}
	free(line);
	fclose(in);
	return 0;
}

/* Calls @fn for each file of the library's. */
static int for_each_file(struct recording *r, FILE *out,
			 int (*fn)(struct recording *r, const char *path, FILE *out))
{
	char path[PATH_BYTES + 256 + 2];
	DIR *dir = opendir(r->dir);
	struct dirent *entry;
	int ret = 0;

	while (dir && !ret && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", r->dir, entry->d_name);
		ret = fn(r, path, out);
	}
	if (dir)
		closedir(dir);
	return ret;
}

static int put_together(struct recording *r)
{
	const char *path = r->options->output;
	FILE *out = r->out;
	int ret;

	fprintf(out, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n"
		"{\"ph\":\"M\",\"name\":\"nputrace\",\"pid\":0,\"args\":{\"version\":\"%s\"}}", fnpu_version());
	ret = for_each_file(r, out, copy_events);
	if (!ret && r->with_kernel)
		r->kernel_events = kernel_trace_write(&r->kernel, r->clock_hz,
						      r->has_map ? &r->map : NULL, out);
	fprintf(out, "\n]}\n");
	r->out = NULL;
	if (!(ferror(out) | fclose(out)) && r->kernel_events >= 0)
		return ret;
	r->keep = true;
	return cli_error("cannot write all of %s: %s; what the library recorded is left in %s", path,
			 strerror(r->kernel_events < 0 ? (int)-r->kernel_events : errno), r->dir);
}

static void tell(const struct recording *r)
{
	fprintf(stderr, "nputrace: %s: %" PRIu64 " session%s", r->options->output, r->sessions,
		r->sessions == 1 ? "" : "s");
	if (r->with_kernel)
		fprintf(stderr, ", %" PRId64 " events of the driver", r->kernel_events);
	fprintf(stderr, "; open it at https://ui.perfetto.dev\n");
	if (r->lost)
		fprintf(stderr, "nputrace: %" PRIu64 " events of the driver are lost: give a larger --buffer\n",
			r->lost);
}

static int remove_file(struct recording *r, const char *path, FILE *out)
{
	(void)r;
	(void)out;
	unlink(path);
	return 0;
}

static void clean_up(struct recording *r)
{

	if (r->with_kernel)
		kernel_trace_free(&r->kernel);
	if (r->out)
		fclose(r->out);
	if (!r->dir[0] || r->keep)
		return;
	for_each_file(r, NULL, remove_file);
	rmdir(r->dir);
}

int main(int argc, char **argv)
{
	struct options options;
	struct recording recording = { .options = &options };
	int status = 0, ret;

	cli_name = "nputrace";
	parse_options(&options, argc, argv);
	ret = open_output(&recording);
	if (!ret)
		ret = start_kernel(&recording);
	if (!ret)
		ret = make_dir(&recording);
	if (!ret)
		ret = run_command(&recording, &status);
	if (!ret)
		ret = put_together(&recording);
	if (!ret)
		tell(&recording);
	clean_up(&recording);
	if (ret)
		return EXIT_FAILURE;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
