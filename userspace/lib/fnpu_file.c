// SPDX-License-Identifier: MIT
/*
 * The .fnpu container: load, check, build, write.
 *
 * Files come from anywhere, so nothing in them is believed before it is checked:
 * sizes are compared as 64-bit numbers before they are added, the section
 * table is checked before the first section is touched, and the tables inside the
 * program before anything indexes them.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "fnpu_file_io.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "a .fnpu file is used in place and therefore needs a little-endian host"
#endif

#define MAX_SECTIONS	16u	/* more than there are types: a larger count is corruption */
#define NUM_TYPES	(FNPU_SECTION_COST + 1)

struct fnpu_file {
	uint8_t *data;
	size_t bytes;
	struct fnpu_file_section section[NUM_TYPES];	/* by type; bytes 0: absent */
};

static const char *const section_name[NUM_TYPES] = {
	[FNPU_SECTION_META] = "META",
	[FNPU_SECTION_PROGRAM] = "PROGRAM",
	[FNPU_SECTION_COST] = "COST",
};

/* Where an error message goes. */
struct report {
	char *text;
	size_t bytes;
};

__attribute__((format(printf, 3, 4)))
static int fail(const struct report *r, int code, const char *fmt, ...)
{
	va_list args;

	if (r->text && r->bytes) {
		va_start(args, fmt);
		vsnprintf(r->text, r->bytes, fmt, args);
		va_end(args);
	}
	return code;
}

static size_t align_up(size_t n)
{
	return (n + FNPU_FILE_ALIGN_BYTES - 1) & ~(size_t)(FNPU_FILE_ALIGN_BYTES - 1);
}

static uint32_t checksum(const uint8_t *data, size_t bytes)
{
	return (uint32_t)crc32_z(crc32_z(0, NULL, 0), data, bytes);
}

static int check_header(const struct fnpu_file *f, const struct report *r)
{
	struct fnpu_file_header h;
	uint32_t crc;

	if (f->bytes < sizeof(h))
		return fail(r, -EINVAL, "not a .fnpu file: %zu bytes are less than its header", f->bytes);
	memcpy(&h, f->data, sizeof(h));
	if (memcmp(h.magic, FNPU_FILE_MAGIC, sizeof(h.magic)))
		return fail(r, -EINVAL, "not a .fnpu file: it does not start with \"%s\"",
			    FNPU_FILE_MAGIC);
	if (h.version != FNPU_FILE_VERSION)
		return fail(r, -EINVAL, ".fnpu version %" PRIu32 ", this program reads version %u: compile the model again",
			    h.version, FNPU_FILE_VERSION);
	if (h.file_bytes != f->bytes)
		return fail(r, -EINVAL, "truncated or extended: header says %" PRIu64 " bytes, there are %zu",
			    h.file_bytes, f->bytes);
	if (h.reserved)
		return fail(r, -EINVAL, "reserved header field is %#" PRIx32 " instead of 0", h.reserved);
	if (h.num_sections > MAX_SECTIONS ||
	    h.num_sections * sizeof(struct fnpu_file_section) > f->bytes - sizeof(h))
		return fail(r, -EINVAL, "%" PRIu32 " sections do not fit", h.num_sections);
	crc = checksum(f->data + sizeof(h), f->bytes - sizeof(h));
	if (crc != h.crc32)
		return fail(r, -EINVAL, "corrupted: checksum is %08" PRIx32 ", header says %08" PRIx32,
			    crc, h.crc32);
	return 0;
}

static int check_section(struct fnpu_file *f, const struct fnpu_file_section *s,
			 size_t table_end, const struct report *r)
{
	unsigned int t;

	if (s->type >= NUM_TYPES || !section_name[s->type])
		return fail(r, -EINVAL, "unknown section type %" PRIu32, s->type);
	if (f->section[s->type].bytes)
		return fail(r, -EINVAL, "two %s sections", section_name[s->type]);
	if (s->reserved)
		return fail(r, -EINVAL, "%s section: reserved field is not 0", section_name[s->type]);
	if (!s->bytes || s->offset % FNPU_FILE_ALIGN_BYTES || s->offset < table_end ||
	    s->offset > f->bytes || s->bytes > f->bytes - s->offset)
		return fail(r, -EINVAL, "%s section: %" PRIu64 " bytes at %" PRIu64 " are not inside the file",
			    section_name[s->type], s->bytes, s->offset);
	for (t = 0; t < NUM_TYPES; t++) {
		const struct fnpu_file_section *o = &f->section[t];

		if (o->bytes && s->offset < o->offset + o->bytes && o->offset < s->offset + s->bytes)
			return fail(r, -EINVAL, "sections %s and %s overlap",
				    section_name[t], section_name[s->type]);
	}
	f->section[s->type] = *s;
	return 0;
}

static int check_sections(struct fnpu_file *f, const struct report *r)
{
	struct fnpu_file_header h;
	struct fnpu_file_section s;
	size_t table_end;
	unsigned int i;
	int ret;

	memcpy(&h, f->data, sizeof(h));
	table_end = sizeof(h) + h.num_sections * sizeof(s);
	for (i = 0; i < h.num_sections; i++) {
		memcpy(&s, f->data + sizeof(h) + i * sizeof(s), sizeof(s));
		ret = check_section(f, &s, table_end, r);
		if (ret)
			return ret;
	}
	for (i = 0; i < NUM_TYPES; i++)
		if (section_name[i] && !f->section[i].bytes)
			return fail(r, -EINVAL, "no %s section", section_name[i]);
	return 0;
}

static bool table_inside(uint64_t off, uint64_t count, uint64_t size, uint64_t total)
{
	return off >= sizeof(struct fluidnpu_hw_program) && off <= total &&
	       count * size <= total - off;
}

static int check_program(const struct fnpu_file *f, const struct report *r)
{
	const struct fluidnpu_hw_program *p;
	const struct fnpu_file_section *s = &f->section[FNPU_SECTION_PROGRAM];
	uint64_t entries;

	if (s->bytes < sizeof(*p))
		return fail(r, -EINVAL, "PROGRAM section: %" PRIu64 " bytes are less than its header",
			    s->bytes);
	p = (const struct fluidnpu_hw_program *)(f->data + s->offset);
	if (p->magic != FLUIDNPU_PROGRAM_MAGIC || p->version != FLUIDNPU_PROGRAM_VERSION)
		return fail(r, -EINVAL, "PROGRAM section: magic %#x version %u, expected %#x version %u",
			    p->magic, p->version, FLUIDNPU_PROGRAM_MAGIC, FLUIDNPU_PROGRAM_VERSION);
	if (p->total_bytes != s->bytes)
		return fail(r, -EINVAL, "PROGRAM section: header says %u bytes, section has %" PRIu64,
			    p->total_bytes, s->bytes);
	if (!p->num_layers || p->num_layers > FLUIDNPU_MAX_LAYERS)
		return fail(r, -EINVAL, "PROGRAM section: %u layers, allowed are 1 to %u",
			    p->num_layers, FLUIDNPU_MAX_LAYERS);
	if (!p->max_batch || p->max_batch > FLUIDNPU_MAX_BATCH)
		return fail(r, -EINVAL, "PROGRAM section: batch of %u, allowed are 1 to %u",
			    p->max_batch, FLUIDNPU_MAX_BATCH);
	if (!p->num_exits || p->num_exits > FLUIDNPU_MAX_EXITS)
		return fail(r, -EINVAL, "PROGRAM section: %u exits, allowed are 1 to %u",
			    p->num_exits, FLUIDNPU_MAX_EXITS);
	entries = (uint64_t)p->num_layers * p->max_batch;
	if (p->layers_off % sizeof(uint32_t) || p->control_off % sizeof(uint32_t) ||
	    !table_inside(p->layers_off, p->num_layers, sizeof(struct fluidnpu_hw_layer),
			  s->bytes) ||
	    !table_inside(p->control_off, entries, sizeof(struct fluidnpu_hw_policy), s->bytes))
		return fail(r, -EINVAL, "PROGRAM section: layer or control table is not inside it");
	if (f->section[FNPU_SECTION_COST].bytes != entries * sizeof(uint32_t))
		return fail(r, -EINVAL, "COST section: %" PRIu64 " bytes, %u layers with batches to %u need %" PRIu64,
			    f->section[FNPU_SECTION_COST].bytes, p->num_layers, p->max_batch,
			    entries * sizeof(uint32_t));
	return 0;
}

static int check_file(struct fnpu_file *f, const struct report *r)
{
	int ret;

	ret = check_header(f, r);
	if (!ret)
		ret = check_sections(f, r);
	if (!ret)
		ret = check_program(f, r);
	return ret;
}

/* A file with room for @bytes; sections are used in place and so need aligned memory. */
static struct fnpu_file *file_new(size_t bytes)
{
	struct fnpu_file *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->bytes = bytes;
	f->data = aligned_alloc(FNPU_FILE_ALIGN_BYTES, align_up(bytes + 1));
	if (!f->data) {
		free(f);
		return NULL;
	}
	return f;
}

void fnpu_file_free(struct fnpu_file *file)
{
	if (!file)
		return;
	free(file->data);
	free(file);
}

int fnpu_file_parse(const void *data, size_t bytes, struct fnpu_file **file,
		    char *error, size_t error_bytes)
{
	struct report r = { error, error_bytes };
	struct fnpu_file *f;
	int ret;

	if (bytes > FNPU_FILE_MAX_BYTES)
		return fail(&r, -EFBIG, "%zu bytes, a .fnpu has at most %llu", bytes, FNPU_FILE_MAX_BYTES);
	f = file_new(bytes);
	if (!f)
		return fail(&r, -ENOMEM, "out of memory for %zu bytes", bytes);
	if (bytes)
		memcpy(f->data, data, bytes);
	ret = check_file(f, &r);
	if (ret) {
		fnpu_file_free(f);
		return ret;
	}
	*file = f;
	return 0;
}

static int read_all(int fd, uint8_t *data, size_t bytes)
{
	ssize_t n;

	while (bytes) {
		n = read(fd, data, bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		data += n;
		bytes -= (size_t)n;
	}
	return 0;
}

/* Reads the whole of @fd. The messages here and below lack the path: the caller adds it. */
static int load_fd(int fd, struct fnpu_file **file, const struct report *r)
{
	struct fnpu_file *f;
	struct stat st;
	int ret;

	if (fstat(fd, &st))
		return fail(r, -errno, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(r, -EINVAL, "not a regular file");
	if ((uint64_t)st.st_size > FNPU_FILE_MAX_BYTES)
		return fail(r, -EFBIG, "%lld bytes, a .fnpu has at most %llu",
			    (long long)st.st_size, FNPU_FILE_MAX_BYTES);
	f = file_new((size_t)st.st_size);
	if (!f)
		return fail(r, -ENOMEM, "out of memory for %lld bytes", (long long)st.st_size);
	ret = read_all(fd, f->data, f->bytes);
	if (ret)
		ret = fail(r, ret, "cannot read: %s", strerror(-ret));
	else
		ret = check_file(f, r);
	if (ret) {
		fnpu_file_free(f);
		return ret;
	}
	*file = f;
	return 0;
}

int fnpu_file_open(const char *path, struct fnpu_file **file, char *error, size_t error_bytes)
{
	struct report r = { error, error_bytes };
	char text[FNPU_FILE_ERROR_BYTES / 2] = "";
	struct report inner = { text, sizeof(text) };
	int fd, ret;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail(&r, -errno, "%s: %s", path, strerror(errno));
	ret = load_fd(fd, file, &inner);
	close(fd);
	if (ret)
		return fail(&r, ret, "%s: %s", path, text);
	return 0;
}

const void *fnpu_file_section(const struct fnpu_file *file, uint32_t type, size_t *bytes)
{
	if (type >= NUM_TYPES || !file->section[type].bytes) {
		*bytes = 0;
		return NULL;
	}
	*bytes = file->section[type].bytes;
	return file->data + file->section[type].offset;
}

const struct fnpu_file_header *fnpu_file_head(const struct fnpu_file *f)
{
	return (const struct fnpu_file_header *)f->data;
}

const struct fluidnpu_hw_program *fnpu_file_program(const struct fnpu_file *file)
{
	return (const void *)(file->data + file->section[FNPU_SECTION_PROGRAM].offset);
}

const struct fluidnpu_hw_layer *fnpu_file_layers(const struct fnpu_file *file)
{
	const struct fluidnpu_hw_program *p = fnpu_file_program(file);

	return (const void *)((const uint8_t *)p + p->layers_off);
}

const struct fluidnpu_hw_policy *fnpu_file_control(const struct fnpu_file *file)
{
	const struct fluidnpu_hw_program *p = fnpu_file_program(file);

	return (const void *)((const uint8_t *)p + p->control_off);
}

const uint32_t *fnpu_file_cost(const struct fnpu_file *file)
{
	return (const void *)(file->data + file->section[FNPU_SECTION_COST].offset);
}

int fnpu_file_build(const struct fnpu_file_part *parts, unsigned int num,
		    void **data, size_t *bytes, char *error, size_t error_bytes)
{
	struct report r = { error, error_bytes };
	struct fnpu_file_header h = { .version = FNPU_FILE_VERSION, .num_sections = num };
	struct fnpu_file_section s = { 0 };
	size_t first = align_up(sizeof(h) + num * sizeof(s)), total = first;
	unsigned int i;
	uint8_t *out;

	for (i = 0; i < num; i++) {
		if (!parts[i].bytes)
			return fail(&r, -EINVAL, "section %u is empty", i);
		if (parts[i].bytes > FNPU_FILE_MAX_BYTES - total)
			return fail(&r, -EFBIG, "more than %llu bytes", FNPU_FILE_MAX_BYTES);
		total = align_up(total + parts[i].bytes);
	}
	if (total > FNPU_FILE_MAX_BYTES)
		return fail(&r, -EFBIG, "more than %llu bytes", FNPU_FILE_MAX_BYTES);
	out = calloc(1, total);
	if (!out)
		return fail(&r, -ENOMEM, "out of memory for %zu bytes", total);

	s.offset = first;
	for (i = 0; i < num; i++) {
		s.type = parts[i].type;
		s.bytes = parts[i].bytes;
		memcpy(out + sizeof(h) + i * sizeof(s), &s, sizeof(s));
		memcpy(out + s.offset, parts[i].data, parts[i].bytes);
		s.offset = align_up(s.offset + s.bytes);
	}
	memcpy(h.magic, FNPU_FILE_MAGIC, sizeof(h.magic));
	h.file_bytes = total;
	h.crc32 = checksum(out + sizeof(h), total - sizeof(h));
	memcpy(out, &h, sizeof(h));
	*data = out;
	*bytes = total;
	return 0;
}

static int write_all(int fd, const uint8_t *data, size_t bytes)
{
	ssize_t n;

	while (bytes) {
		n = write(fd, data, bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		bytes -= (size_t)n;
	}
	return fsync(fd) ? -errno : 0;
}

int fnpu_file_write(const char *path, const struct fnpu_file_part *parts, unsigned int num,
		    char *error, size_t error_bytes)
{
	struct report r = { error, error_bytes };
	char tmp[PATH_MAX];
	struct stat st;
	void *data;
	size_t bytes;
	int fd, ret;

	/* the rename would replace /dev/null just as well */
	if (!stat(path, &st) && !S_ISREG(st.st_mode))
		return fail(&r, -EINVAL, "cannot write %s: not a regular file", path);
	if (snprintf(tmp, sizeof(tmp), "%s.%ld.tmp", path, (long)getpid()) >= (int)sizeof(tmp))
		return fail(&r, -ENAMETOOLONG, "cannot write %s: name too long", path);
	ret = fnpu_file_build(parts, num, &data, &bytes, error, error_bytes);
	if (ret)
		return ret;
	unlink(tmp);	/* of a process that had our number and was killed */
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0) {
		ret = fail(&r, -errno, "cannot create %s: %s", tmp, strerror(errno));
		goto free_data;
	}
	ret = write_all(fd, data, bytes);
	if (close(fd) && !ret)
		ret = -errno;
	if (!ret && rename(tmp, path))
		ret = -errno;
	if (ret) {
		unlink(tmp);
		fail(&r, ret, "cannot write %s: %s", path, strerror(-ret));
	}
free_data:
	free(data);
	return ret;
}
