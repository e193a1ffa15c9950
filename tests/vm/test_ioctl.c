// SPDX-License-Identifier: MIT
/* Queries, buffers and contexts: what works. What is refused is in test_fields. */
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "npu.h"
#include "tap.h"

static int fd;

static void version_names_the_driver(void)
{
	char name[32] = { 0 };
	struct drm_version version = { .name = name, .name_len = sizeof(name) - 1 };

	EXPECT_OK(npu_ioctl(fd, DRM_IOCTL_VERSION, &version));
	EXPECT(!strcmp(name, FLUIDNPU_DRIVER_NAME), "%s", name);
	EXPECT_EQ(version.version_major, FLUIDNPU_ABI_MAJOR);
}

static int dev_query(uint32_t type, uint32_t *size, void *pointer)
{
	struct drm_fluidnpu_dev_query args = {
		.type = type, .size = *size, .pointer = (uintptr_t)pointer,
	};
	int ret = npu_ioctl(fd, DRM_IOCTL_FLUIDNPU_DEV_QUERY, &args);

	*size = args.size;
	return ret;
}

static void query_without_pointer_tells_the_size(void)
{
	uint32_t size = 0;

	EXPECT_OK(dev_query(DRM_FLUIDNPU_QUERY_INFO, &size, NULL));
	EXPECT_EQ(size, sizeof(struct drm_fluidnpu_info));
	EXPECT_OK(dev_query(DRM_FLUIDNPU_QUERY_COUNTERS, &size, NULL));
	EXPECT_EQ(size, sizeof(struct drm_fluidnpu_counters));
}

static void query_info_is_plausible(void)
{
	struct drm_fluidnpu_info info;

	REQUIRE(!npu_info(fd, &info), "query failed");
	EXPECT_EQ(info.hw_version >> 16, FLUIDNPU_HW_VERSION_MAJOR);
	EXPECT(info.clock_hz > 0, "0");
	EXPECT(info.max_jobs > 0, "0");
	EXPECT(info.va_start > 0, "0 could be mapped");
	EXPECT_EQ(info.va_start + info.va_bytes, 1ll << FLUIDNPU_VA_BITS);
	EXPECT(info.geometry.max_batch >= 1 && info.geometry.max_batch <= FLUIDNPU_MAX_BATCH,
	       "%u", info.geometry.max_batch);
}

static void query_of_less_writes_only_that(void)
{
	struct drm_fluidnpu_info info;
	uint32_t size = 8;

	memset(&info, 0xa5, sizeof(info));
	EXPECT_OK(dev_query(DRM_FLUIDNPU_QUERY_INFO, &size, &info));
	EXPECT_EQ(size, sizeof(info));
	EXPECT_EQ(info.hw_version >> 16, FLUIDNPU_HW_VERSION_MAJOR);
	EXPECT_EQ(info.clock_hz, 0xa5a5a5a5);
}

static void query_of_more_zeroes_the_rest(void)
{
	uint8_t bytes[256];
	uint32_t size = 200;

	memset(bytes, 0xa5, sizeof(bytes));
	EXPECT_OK(dev_query(DRM_FLUIDNPU_QUERY_INFO, &size, bytes));
	EXPECT_EQ(bytes[sizeof(struct drm_fluidnpu_info)], 0);
	EXPECT_EQ(bytes[199], 0);
	EXPECT_EQ(bytes[200], 0xa5);
}

static void counters_have_a_time_that_does_not_go_back(void)
{
	struct drm_fluidnpu_counters a, b;

	REQUIRE(!npu_counters(fd, &a) && !npu_counters(fd, &b), "query failed");
	EXPECT(a.time > 0 && b.time >= a.time, "%llu then %llu", (unsigned long long)a.time,
	       (unsigned long long)b.time);
}

static void bo_is_zeroed_mapped_and_page_sized(void)
{
	struct bo bo;
	const uint8_t *bytes;

	REQUIRE(!bo_create(fd, 5000, &bo), "bo_create failed");
	bytes = bo.map;
	EXPECT_EQ(bo.size, 8192);
	EXPECT(!(bo.iova & 4095) && bo.iova >= 1 << 20, "%#llx", (unsigned long long)bo.iova);
	EXPECT(!bytes[0] && !bytes[8191], "%u, %u", bytes[0], bytes[8191]);
	memset(bo.map, 0x5a, bo.size);
	EXPECT_EQ(bytes[8191], 0x5a);
	bo_destroy(&bo);
}

static void bos_do_not_touch(void)
{
	struct bo a, b;
	uint64_t low, high;

	REQUIRE(!bo_create(fd, 4096, &a) && !bo_create(fd, 4096, &b), "bo_create failed");
	low = a.iova < b.iova ? a.iova : b.iova;
	high = a.iova < b.iova ? b.iova : a.iova;
	EXPECT(high - low >= 8192, "%#llx and %#llx", (unsigned long long)low,
	       (unsigned long long)high);
	bo_destroy(&a);
	bo_destroy(&b);
}

static void bo_info_repeats_bo_create(void)
{
	struct drm_fluidnpu_bo_info info = { 0 };
	struct bo bo;

	REQUIRE(!bo_create(fd, 4096, &bo), "bo_create failed");
	info.handle = bo.handle;
	EXPECT_OK(npu_ioctl(fd, DRM_IOCTL_FLUIDNPU_BO_INFO, &info));
	EXPECT_EQ(info.size, bo.size);
	EXPECT_EQ(info.iova, bo.iova);
	EXPECT(info.mmap_offset != 0, "0");
	bo_destroy(&bo);
}

static void bo_wait_on_an_idle_bo_returns_at_once(void)
{
	struct bo bo;

	REQUIRE(!bo_create(fd, 4096, &bo), "bo_create failed");
	EXPECT_OK(bo_wait(&bo, 0));
	EXPECT_OK(bo_wait(&bo, INT64_MAX));
	bo_destroy(&bo);
}

static void prime_shares_the_pages_with_another_client(void)
{
	int other = npu_open(), dmabuf = -1;
	struct drm_fluidnpu_bo_info info = { 0 };
	uint32_t *mapped;
	struct bo bo;

	REQUIRE(!bo_create(fd, 8192, &bo), "bo_create failed");
	((uint32_t *)bo.map)[1024] = 0xfeedf00d;
	EXPECT_OK(prime_export(fd, bo.handle, &dmabuf));
	EXPECT_OK(prime_import(other, dmabuf, &info.handle));
	EXPECT_OK(npu_ioctl(other, DRM_IOCTL_FLUIDNPU_BO_INFO, &info));
	EXPECT_EQ(info.size, 8192);
	EXPECT(info.iova != 0, "no address in the other's address space");
	mapped = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
	REQUIRE(mapped != MAP_FAILED, "mmap of the dma-buf: %s", strerror(errno));
	EXPECT_EQ(mapped[1024], 0xfeedf00d);
	close(dmabuf);
	bo_destroy(&bo);
	EXPECT_EQ(mapped[1024], 0xfeedf00d);
	munmap(mapped, 8192);
	close(other);
}

static void import_into_the_same_client_finds_the_handle(void)
{
	uint32_t handle = 0;
	int dmabuf = -1;
	struct bo bo;

	REQUIRE(!bo_create(fd, 4096, &bo), "bo_create failed");
	EXPECT_OK(prime_export(fd, bo.handle, &dmabuf));
	EXPECT_OK(prime_import(fd, dmabuf, &handle));
	EXPECT_EQ(handle, bo.handle);
	close(dmabuf);
	bo_destroy(&bo);
}

static void handles_of_another_client_are_unknown(void)
{
	int other = npu_open();
	struct bo bo;

	REQUIRE(!bo_create(fd, 4096, &bo), "bo_create failed");
	EXPECT_ERRNO(bo_wait(&(struct bo){ .fd = other, .handle = bo.handle }, 0), ENOENT);
	EXPECT(mmap(NULL, 4096, PROT_READ, MAP_SHARED, other, (off_t)0x100000000) == MAP_FAILED,
	       "mapped it with the other client's file");
	bo_destroy(&bo);
	close(other);
}

static void ctx_create_resets_the_ring(void)
{
	struct drm_fluidnpu_ctx_create args = { .event_entries = 32 };
	const struct drm_fluidnpu_event_ring *ring;
	struct bo bo;

	REQUIRE(!bo_create(fd, DRM_FLUIDNPU_EVENT_RING_BYTES(32), &bo), "bo_create failed");
	memset(bo.map, 0xff, bo.size);
	args.event_handle = bo.handle;
	EXPECT_OK(npu_ioctl(fd, DRM_IOCTL_FLUIDNPU_CTX_CREATE, &args));
	ring = bo.map;
	EXPECT_EQ(ring->producer, 0);
	EXPECT_EQ(ring->consumer, 0);
	EXPECT_EQ(ring->entries, 32);
	bo_destroy(&bo);
}

static void contexts_of_a_client_are_limited(void)
{
	int other = npu_open(), ret = 0, n;
	struct drm_fluidnpu_ctx_create args = { .event_entries = 32 };
	struct bo bo;

	REQUIRE(!bo_create(other, DRM_FLUIDNPU_EVENT_RING_BYTES(32), &bo), "bo_create failed");
	args.event_handle = bo.handle;
	for (n = 0; n < 100000 && !ret; n++)
		ret = npu_ioctl(other, DRM_IOCTL_FLUIDNPU_CTX_CREATE, &args);
	EXPECT_EQ(ret, -ENOSPC);
	EXPECT(n > 16, "only %d", n);
	bo_destroy(&bo);
	close(other);
}

static int create_high_priority(void *path)
{
	int file = open(path, O_RDWR);
	struct ctx ctx;
	int ret;

	if (file < 0)
		return -errno;
	ret = ctx_create(file, DRM_FLUIDNPU_PRIORITY_NORMAL, 32, &ctx);
	if (!ret)
		ret = ctx_create(file, DRM_FLUIDNPU_PRIORITY_HIGH, 32, &ctx);
	close(file);
	return ret;
}

static void high_priority_needs_a_capability(void)
{
	int status = 0;
	struct ctx ctx;
	pid_t child;

	REQUIRE(!ctx_create(fd, DRM_FLUIDNPU_PRIORITY_REALTIME, 32, &ctx), "root may not");
	ctx_destroy(&ctx);

	child = fork();
	if (!child) {
		if (setgid(105) || setuid(1000)) /* render, user */
			_exit(1);
		_exit(create_high_priority((void *)npu_path()) == -EACCES ? 0 : 2);
	}
	waitpid(child, &status, 0);
	EXPECT_EQ(status, 0);
}

static void clients_that_only_look_use_no_address_space(void)
{
	struct drm_fluidnpu_info info;
	int fds[80], n;

	REQUIRE(!npu_info(fd, &info), "query failed");
	for (n = 0; n < 80; n++)
		fds[n] = npu_open();
	while (n--) {
		EXPECT_OK(npu_info(fds[n], &info));
		close(fds[n]);
	}
}

static void address_spaces_run_out_and_come_back(void)
{
	struct drm_fluidnpu_info info;
	int fds[80], n, ret = 0;
	struct bo bo;

	REQUIRE(!npu_info(fd, &info), "query failed");
	for (n = 0; n < 80 && !ret; n++) {
		fds[n] = npu_open();
		ret = bo_create(fds[n], 4096, &bo);
		if (!ret)
			munmap(bo.map, bo.size);
	}
	EXPECT_EQ(ret, -EBUSY);
	EXPECT((unsigned int)n <= info.geometry.num_as + 1, "%d of %u", n, info.geometry.num_as);
	while (n--)
		close(fds[n]);

	n = npu_open();
	EXPECT_OK(bo_create(n, 4096, &bo));
	close(n);
}

static void fdinfo_tells_engine_and_memory(void)
{
	char path[64], text[4096];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	REQUIRE(!read_file(path, text, sizeof(text)), "cannot read %s", path);
	EXPECT(strstr(text, "drm-driver:\tfluidnpu"), "%s", text);
	EXPECT(strstr(text, "drm-engine-npu:"), "%s", text);
	EXPECT(strstr(text, "drm-cycles-npu:"), "%s", text);
	EXPECT(strstr(text, "drm-total-memory:"), "%s", text);
}

/* The core's ioctls take a struct of their own; whatever the size says, it must not matter. */
static void ioctls_for_display_masters_are_refused(void)
{
	struct drm_unique unique = { 0 };
	struct drm_auth auth = { 0 };

	EXPECT_ERRNO(npu_ioctl(fd, DRM_IOCTL_GET_UNIQUE, &unique), EACCES);
	EXPECT_ERRNO(npu_ioctl(fd, DRM_IOCTL_GET_MAGIC, &auth), EACCES);
	EXPECT_ERRNO(npu_ioctl(fd, DRM_IO(0x01), NULL), EACCES);
	EXPECT_ERRNO(npu_ioctl(fd, DRM_IOCTL_AUTH_MAGIC, &auth), EACCES);
	EXPECT_ERRNO(npu_ioctl(fd, DRM_IOCTL_DROP_MASTER, NULL), EINVAL);
}

static const struct tap_test tests[] = {
	{ "the version names the driver", version_names_the_driver },
	{ "DEV_QUERY without a pointer tells the size", query_without_pointer_tells_the_size },
	{ "DEV_QUERY's info is plausible", query_info_is_plausible },
	{ "DEV_QUERY writes no more than asked for", query_of_less_writes_only_that },
	{ "DEV_QUERY zeroes what it does not know", query_of_more_zeroes_the_rest },
	{ "the counters' time does not go back", counters_have_a_time_that_does_not_go_back },
	{ "a BO is zeroed, mappable and whole pages", bo_is_zeroed_mapped_and_page_sized },
	{ "BOs are kept apart by a guard page", bos_do_not_touch },
	{ "BO_INFO repeats BO_CREATE", bo_info_repeats_bo_create },
	{ "BO_WAIT on an idle BO returns at once", bo_wait_on_an_idle_bo_returns_at_once },
	{ "PRIME shares pages with another client", prime_shares_the_pages_with_another_client },
	{ "PRIME import finds an existing handle", import_into_the_same_client_finds_the_handle },
	{ "handles of another client are unknown", handles_of_another_client_are_unknown },
	{ "CTX_CREATE resets the event ring", ctx_create_resets_the_ring },
	{ "contexts of a client are limited", contexts_of_a_client_are_limited },
	{ "high priorities need CAP_SYS_NICE", high_priority_needs_a_capability },
	{ "clients that only look use no address space",
	  clients_that_only_look_use_no_address_space },
	{ "address spaces run out with EBUSY and come back",
	  address_spaces_run_out_and_come_back },
	{ "fdinfo tells of engine and memory", fdinfo_tells_engine_and_memory },
	{ "ioctls for display masters are refused", ioctls_for_display_masters_are_refused },
};

int main(void)
{
	fd = npu_open();
	return tap_run(tests, sizeof(tests) / sizeof(tests[0]));
}
