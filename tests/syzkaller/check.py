#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares fluidnpu.txt with uapi/fluidnpu_drm.h: prints a C program that compiles if they agree.

Asserted are the size of each structure and the offset and size of each field, the
existence of all constants, and that a command has the structure's size in its number. What the
header has and the description has not is an error here.

usage: check.py DESCRIPTION HEADER
"""
import re
import sys

INTEGER = re.compile(r"\bint(8|16|32|64)\b")
# Of syzkaller's own descriptions, and what they are here.
KNOWN = {"fd_event": 4, "fd_dma_buf": 4}
# Structures of the DRM core, with our resources in them.
CORE = {
    "drm_fluidnpu_gem_close": "drm_gem_close",
    "drm_fluidnpu_prime_export": "drm_prime_handle",
    "drm_fluidnpu_prime_import": "drm_prime_handle",
    "drm_fluidnpu_syncobj_create": "drm_syncobj_create",
    "drm_fluidnpu_syncobj_destroy": "drm_syncobj_destroy",
    "fluidnpu_sqe": "io_uring_sqe",
}
# Written by the kernel into memory of the user's, which no call is given.
NOT_ARGUMENTS = {"drm_fluidnpu_info", "drm_fluidnpu_queue_info", "drm_fluidnpu_counters",
                 "drm_fluidnpu_event_ring", "drm_fluidnpu_event"}


class Description:
    """The structures, resources, flags and calls of a file of descriptions."""

    def __init__(self, text):
        text = re.sub(r"#.*", "", text)
        self.resources = {name: int(bits) // 8 for name, bits in
                          re.findall(r"^resource (\w+)\[int(\d+)\]", text, re.M)}
        self.resources.update(dict.fromkeys(re.findall(r"^resource (\w+)\[fd\]", text, re.M), 4))
        self.types = {name: int(bits) // 8 for name, bits in
                      re.findall(r"^type (\w+) int(\d+)", text, re.M)}
        self.flags = {name: values.split(", ") for name, values in
                      re.findall(r"^(\w+) = (.*)$", text, re.M)}
        self.structs = {}
        for name, body in re.findall(r"^(?:type )?(\w+)(?:\[[\w, ]+\])? \{\n(.*?)^\}", text,
                                     re.M | re.S):
            self.structs[name] = [self.field(line) for line in body.strip().splitlines()]
        self.calls = re.findall(r"^\w+\$FLUIDNPU_\w+\(.*$", text, re.M)

    @staticmethod
    def field(line):
        """(name, type) without the direction."""
        name, kind = line.split(None, 1)
        return name, re.sub(r"\s+\((in|out|inout)\)$", "", kind).strip()

    def size(self, kind):
        """Bytes of a type, or None if it is a structure or a parameter of a template."""
        name = re.match(r"\w+", kind).group()
        if name == "ptr64":
            return 8
        if name == "array":
            element, count = re.match(r"array\[(\w+), (\d+)\]$", kind).groups()
            return self.size(element) * int(count)
        if INTEGER.search(kind):
            return int(INTEGER.search(kind).group(1)) // 8
        return {**self.resources, **self.types, **KNOWN}.get(name)


def structure_checks(name, fields, description):
    """Assertions on a structure of the description."""
    c_name = CORE.get(name, name)
    known = {**KNOWN, **description.resources, **description.types, **description.structs}
    end = []
    for field, kind in fields:
        base = re.match(r"\w+", kind).group()
        size = description.size(kind)
        if size is None and base not in known and base != "CMD":
            sys.exit(f"{name}.{field}: what is {kind}?")
        at = " + ".join(end) or "0"
        yield f"CHECK(offsetof(struct {c_name}, {field}) == {at}, \"{name}.{field}\");"
        if size is None and base == "CMD":
            return  # the rest of an sqe is the command's
        if size is None:
            size = f"sizeof(struct {CORE.get(base, base)})"
        yield (f"CHECK(sizeof(((struct {c_name} *)0)->{field}) == {size}, "
               f"\"{name}.{field}\");")
        end.append(str(size))
    yield f"CHECK(sizeof(struct {c_name}) == {' + '.join(end)}, \"{name}\");"


def call_checks(call):
    """Assertions on the number of a call; returns its name, too."""
    match = re.search(r"const\[(\w+)\], arg ptr\[(\w+), (\w+)\]", call)
    if match:
        name, direction, struct = match.groups()
        wanted = "_IOC_WRITE" if direction == "in" else "_IOC_READ | _IOC_WRITE"
        yield name, (f"CHECK(_IOC_SIZE({name}) == sizeof(struct {CORE.get(struct, struct)}) && "
                     f"_IOC_DIR({name}) == ({wanted}), \"{name}\");")
        return
    match = re.search(r"fluidnpu_sqe\[(\w+), (\w+)\]", call)
    if not match:
        sys.exit(f"not understood: {call}")
    name, struct = match.groups()
    yield name, f"CHECK(_IOC_SIZE({name}) == sizeof(struct {struct}), \"{name}\");"
    yield name, (f"CHECK(offsetof(struct io_uring_sqe, cmd) + _IOC_SIZE({name}) <= 128, "
                 f"\"{name}\");")


def missing(description, called, header):
    """What the header has and the description has not."""
    wanted = set(re.findall(r"^#define (DRM_IOCTL_FLUIDNPU_\w+|FLUIDNPU_URING_\w+)", header, re.M))
    yield from wanted - called
    structs = set(re.findall(r"^struct (drm_fluidnpu_\w+) \{", header, re.M))
    yield from structs - NOT_ARGUMENTS - set(description.structs)
    values = set(re.findall(r"\b(DRM_FLUIDNPU_(?:QUERY|PRIORITY|JOB|SYNC|BO)_[A-Z_]+)\b(?= =|\t)",
                            header))
    calls = set(re.findall(r"^#define (DRM_FLUIDNPU_\w+)\s+0x", header, re.M))
    yield from values - calls - {value for flags in description.flags.values() for value in flags}


def main():
    """Prints the program."""
    description = Description(open(sys.argv[1], encoding="utf-8").read())
    header = open(sys.argv[2], encoding="utf-8").read()
    lines, called = [], set()
    for name, fields in description.structs.items():
        lines += structure_checks(name, fields, description)
    for call in description.calls:
        for name, line in call_checks(call):
            called.add(name)
            lines.append(line)
    for name, values in description.flags.items():
        lines += [f"CHECK(({value}) || 1, \"{name}\");" for value in values]
    absent = sorted(missing(description, called, header))
    if absent:
        sys.exit(f"not described: {', '.join(absent)}")
    print("#include <stddef.h>\n#include <linux/ioctl.h>\n#include <liburing.h>")
    print("#include \"fluidnpu_drm.h\"\n#define CHECK _Static_assert")
    print("\n".join(lines))


main()
