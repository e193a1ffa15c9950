# SPDX-License-Identifier: MIT
#
# FluidNPU. `make help` lists the targets.
#
# The targets for people (run, check, ...) first install what is missing and then call this
# file again for the building, so that nothing below asks for a tool before it is there.
# Everything built goes to out/, but for the kernel module, which kbuild builds in place;
# QEMU and the kernel package are cached under ${XDG_CACHE_HOME:-~/.cache}/fluidnpu.

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
SHELL := /bin/bash

OUT := out
V ?= 0
Q := $(if $(filter 0,$(V)),@)
msg = $(if $(filter 0,$(V)),@printf '  %-7s %s\n' '$(1)' '$(2)')

CC ?= gcc
CFLAGS ?= -O2 -g
# -ffp-contract=off: the NPU's arithmetic is the same on every host
ALL_CFLAGS = -std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror \
	-ffp-contract=off -fPIC -MMD -MP \
	-Iuapi -Iqemu-device/core -Iuserspace/include -Iuserspace/lib -Iuserspace/sched \
	-Iuserspace/npucc -Iuserspace/daemon -Itools -I$(OUT)/gen -I/usr/include/libdrm $(SANITIZE) $(CFLAGS)

JOBS := $(shell nproc)
PREFIX ?= /usr/local
DESTDIR ?=
VERSION := 1.0.0

LIBS_NPUCC = -lprotobuf-c -lcjson -lz -lm
LIBS_LIB = -ldrm -luring -lcjson -lz -lm -lpthread
LIBS_TOOLS = -lpng
LIBS_DAEMON = -lmicrohttpd -lsystemd

core_src := $(wildcard qemu-device/core/*.c)
# The library speaks the daemon's protocol.
lib_src := $(wildcard userspace/lib/*.c userspace/sched/*.c) userspace/daemon/protocol.c
npucc_src := $(wildcard userspace/npucc/*.c)
daemon_src := $(filter-out $(lib_src),$(wildcard userspace/daemon/*.c))
# what needs no daemon around it
daemon_parts := $(addprefix userspace/daemon/,admission.c metrics.c)
common_src := $(wildcard tools/common/*.c)
sim_src := $(wildcard tools/sim/*.c)
host_tests := $(patsubst tests/host/%.c,%,$(wildcard tests/host/test_*.c))
host_helpers := $(filter-out $(host_tests:%=tests/host/%.c),$(wildcard tests/host/*.c))
fuzzers := core file onnx daemon
vm_tests := $(patsubst tests/vm/%.c,%,$(wildcard tests/vm/test_*.c))
examples := $(patsubst userspace/examples/%.c,$(OUT)/examples/%,$(wildcard userspace/examples/*.c))
# programs for the guest that are no tests by themselves
vm_programs := $(patsubst tests/vm/%.c,%,$(wildcard tests/vm/storm.c tests/vm/dead.c tests/vm/fuzz_uapi.c tests/vm/bench_driver.c))
vm_helpers := $(filter-out $(patsubst %,tests/vm/%.c,$(vm_tests) $(vm_programs)),$(wildcard tests/vm/*.c))
models := $(patsubst tools/models/%.onnx,$(OUT)/models/%.fnpu,$(wildcard tools/models/*.onnx))
networks := $(patsubst %,$(OUT)/networks/%.fnpu,resnet50 mobilenetv2 squeezenet)

obj = $(patsubst %.c,$(OUT)/obj/%.o,$(1))

LIB := $(OUT)/lib/libfluidnpu
# what --help says is what the page says; tools/man/TOOL.h2m has its name and examples
TOOLS := npucc npurun npustat npusim npuload nputrace
PROGRAMS := $(addprefix $(OUT)/bin/,$(TOOLS) fluidnpud)
MAN_PAGES := $(TOOLS:%=$(OUT)/man/%.1) $(OUT)/man/libfluidnpu.7 $(OUT)/man/fluidnpud.8

.PHONY: help all run check vm clean install uninstall format lint build module qemu kernel \
	build-host build-vm host-tests vm-tests fuzz fuzz-build fuzz-programs

##@ For everybody
help: ## this list
	@awk -F':.*## ' '/^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z][a-z-]*:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

all: ## build everything (what `make` alone does)
	@tools/deps.sh build
	@$(MAKE) --no-print-directory -j$(JOBS) build
.DEFAULT_GOAL := all

run: ## 24 cameras live in a VM: LazyBatching on a conventional NPU against fluid+ on the fluid one
	@tools/deps.sh build plot
	@$(MAKE) --no-print-directory -j$(JOBS) build $(models:.fnpu=.exits)
	@tools/run

check: ## run all tests, on the host and in the VM
	@tools/deps.sh test
	@$(MAKE) --no-print-directory -j$(JOBS) build host-tests vm-tests networks \
		$(OUT)/bin/bench-driver
	@tests/run

.PHONY: check-debug
check-debug: ## the driver's tests under a kernel that looks for bugs (10 minutes more the first time)
	@tools/deps.sh build
	@$(MAKE) --no-print-directory -j$(JOBS) build vm-tests
	@SUITE_DEADLINE=7200 tests/run tests/check-debug

vm: ## an interactive shell in the VM, with the device, the tools and the work tree
	@tools/deps.sh build
	@$(MAKE) --no-print-directory -j$(JOBS) build
	@tools/vm

NAME ?= core
TIME ?= 600
fuzz: ## fuzz the part NAME (core, file, onnx, daemon) for TIME seconds
	$(if $(filter $(fuzzers),$(NAME)),,$(error no fuzzer '$(NAME)': NAME is one of $(fuzzers)))
	@tools/deps.sh test
	@$(MAKE) --no-print-directory -j$(JOBS) fuzz-build
	@tests/fuzz/run $(NAME) $(TIME)

.PHONY: bench-npu
bench-npu: ## time the networks: conventional NPU, fluid batching, fluid batching and stacking
	@tools/deps.sh test
	@$(MAKE) --no-print-directory -j$(JOBS) build-host networks
	@tools/bench-npu

.PHONY: bench bench-quick bench-build
bench: ## evaluate all scheduling policies: out/bench/report.html (half an hour on two cores)
	@tools/deps.sh build bench
	@$(MAKE) --no-print-directory -j$(JOBS) bench-build
	@$(OUT)/bin/bench $(OUT)/bench

bench-quick: ## the same in a minute, with few points: out/bench-quick/report.html
	@tools/deps.sh build bench
	@$(MAKE) --no-print-directory -j$(JOBS) bench-build
	@$(OUT)/bin/bench --quick $(OUT)/bench-quick

bench-build: $(OUT)/bin/bench $(OUT)/networks/resnet50.fnpu $(OUT)/networks/mobilenetv2.fnpu \
		$(models) $(models:.fnpu=.exits)
	@:

.PHONY: bench-core
bench-core: ## speed of the functional engine on this host, beside ONNX Runtime's
	@tools/deps.sh test
	@$(MAKE) --no-print-directory -j$(JOBS) $(OUT)/bin/bench-core $(OUT)/networks/resnet50.fnpu
	@. tests/ort/install.sh && install_ort
	@node tools/bench-core.mjs $(OUT)/bin/bench-core $(OUT)/networks/resnet50.onnx \
		$(OUT)/networks/resnet50.fnpu

.PHONY: bench-sched
bench-sched: ## what a scheduling decision costs this CPU, by samples that wait (two minutes)
	@tools/deps.sh test
	@$(MAKE) --no-print-directory -j$(JOBS) $(OUT)/bin/bench-sched $(OUT)/bin/npusim \
		$(OUT)/networks/resnet50.fnpu
	@tools/bench-sched

.PHONY: bench-driver
bench-driver: ## what a job costs the CPU: instructions, system calls and interrupts, in the VM
	@tools/deps.sh build
	@$(MAKE) --no-print-directory -j$(JOBS) build $(OUT)/bin/bench-driver
	@tools/bench-driver

.PHONY: bench-runtime
bench-runtime: ## what an inference costs the guest's CPU: system calls, instructions, in the VM
	@tools/deps.sh test
	@$(MAKE) --no-print-directory -j$(JOBS) build $(models:.fnpu=.exits)
	@tools/bench-runtime

install: ## install library, headers, tools, daemon and udev rule under PREFIX (/usr/local)
	@tools/deps.sh build
	@$(MAKE) --no-print-directory -j$(JOBS) build-host
	install -d $(DESTDIR)$(PREFIX)/{bin,lib/pkgconfig,include/fluidnpu,share/man/man{1,7,8}} \
		$(DESTDIR)/usr/lib/udev/rules.d $(DESTDIR)/usr/lib/systemd/system
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin/
	install -m 644 $(LIB).a $(DESTDIR)$(PREFIX)/lib/
	install -m 755 $(LIB).so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/
	ln -sf libfluidnpu.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/libfluidnpu.so.1
	ln -sf libfluidnpu.so.1 $(DESTDIR)$(PREFIX)/lib/libfluidnpu.so
	install -m 644 uapi/*.h userspace/include/*.h $(DESTDIR)$(PREFIX)/include/fluidnpu/
	sed 's|@PREFIX@|$(PREFIX)|;s|@VERSION@|$(VERSION)|' userspace/lib/libfluidnpu.pc.in \
		> $(DESTDIR)$(PREFIX)/lib/pkgconfig/libfluidnpu.pc
	install -m 644 $(OUT)/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 $(OUT)/man/*.7 $(DESTDIR)$(PREFIX)/share/man/man7/
	install -m 644 $(OUT)/man/*.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	install -m 644 kernel/60-fluidnpu.rules $(DESTDIR)/usr/lib/udev/rules.d/
	install -m 644 userspace/daemon/fluidnpud.socket $(DESTDIR)/usr/lib/systemd/system/
	sed 's|@PREFIX@|$(PREFIX)|' userspace/daemon/fluidnpud.service.in \
		> $(DESTDIR)/usr/lib/systemd/system/fluidnpud.service
	@echo "The kernel module is fluidnpu.ko here; load it where the device is: insmod fluidnpu.ko"

# Changed lines only: what is committed was read by people and stays as it is. QEMU's part
# has QEMU's style.
format: ## format the C lines that you have changed since the last commit (clang-format)
	@tools/deps.sh lint
	git clang-format --force --extensions c,h HEAD -- \
		kernel uapi userspace qemu-device/core tests tools

.PHONY: upstream-tree
upstream-tree: ## the driver as a tree of the newest kernel gets it, in out/upstream
	@tools/deps.sh build
	@tools/kernel/upstream-tree "$$(tools/newest-kernel.sh)" out/upstream

lint: ## static checks: shellcheck, clang, cppcheck, sparse, W=1, checkpatch, the newest kernel
	@tools/deps.sh build lint
	@tools/lint

clean: ## remove what was built here (the cache stays)
	rm -rf $(OUT) node_modules tests/ort/node_modules
	rm -f fluidnpu.ko fluidnpu.o fluidnpu.mod fluidnpu.mod.[co] Module.symvers modules.order
	rm -f kernel/*.o .module-common.o .*.cmd kernel/.*.cmd

##@ Parts (what the targets above are made of)
build: build-host module qemu $(models) ## all of it, without looking for missing packages
build-host: $(PROGRAMS) $(LIB).so.$(VERSION) $(LIB).a $(MAN_PAGES)
	@:
host-tests: $(host_tests:%=$(OUT)/tests/host/%) $(OUT)/tests/daemon/soak $(OUT)/bin/fluidnpud
	@:
vm-tests: $(patsubst %,$(OUT)/tests/vm/%,$(vm_tests) $(vm_programs)) $(examples)
	@:

# All of it is compiled once more, by clang, with sanitizers and libFuzzer's instrumentation. The
# device takes only small layers: an input shall not compute for seconds.
fuzz_bounds := -DFNPU_MAX_LAYER_WORK=1048576ull -DFNPU_MAX_VECTOR_WORK=1048576ull
fuzz-build: ## the fuzzers
	@$(MAKE) --no-print-directory OUT=$(OUT)/fuzz CC=clang \
		CFLAGS='-O1 -g -fno-omit-frame-pointer $(fuzz_bounds)' \
		SANITIZE='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all' \
		fuzz-programs
fuzz-programs: $(fuzzers:%=$(OUT)/tests/fuzz/fuzz_%) $(OUT)/tests/fuzz/seeds
	@:

.PHONY: networks
networks: $(networks) $(OUT)/bin/bench-npu $(OUT)/bin/bench-core bench-build ## the large networks and what measures them
	@:

qemu: ## QEMU with the device
	@tools/build-qemu.sh
kernel:
	@tools/fetch-kernel.sh
module: kernel ## the kernel module, fluidnpu.ko
	$(call msg,KBUILD,fluidnpu.ko)
	$(Q). "$${XDG_CACHE_HOME:-$$HOME/.cache}/fluidnpu/kernel/current/env"; \
		mkdir -p $(OUT)/log; \
		$(MAKE) -C "$$KHEADERS" M=$(CURDIR) modules > $(OUT)/log/module.log 2>&1 || \
		{ cat $(OUT)/log/module.log >&2; exit 1; }

# --- objects -------------------------------------------------------------------
$(OUT)/obj/%_avx2.o: %_avx2.c
	$(call msg,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -mavx2 -mfma -c $< -o $@

$(OUT)/obj/%_avx512vnni.o: %_avx512vnni.c
	$(call msg,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -mavx512bw -mavx512vnni -c $< -o $@

$(OUT)/obj/%.o: %.c
	$(call msg,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -c $< -o $@

# The ONNX schema is Debian's (libonnx-dev).
$(OUT)/gen/onnx/onnx.pb-c.c $(OUT)/gen/onnx/onnx.pb-c.h &: /usr/include/onnx/onnx.proto
	$(call msg,PROTOC,$<)
	@mkdir -p $(OUT)/gen
	$(Q)protoc-c --proto_path=/usr/include --c_out=$(OUT)/gen onnx/onnx.proto
$(OUT)/obj/gen/onnx.pb-c.o: $(OUT)/gen/onnx/onnx.pb-c.c
	$(call msg,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -g -fPIC -MMD -MP -I$(OUT)/gen $(SANITIZE) -c $< -o $@
$(call obj,$(npucc_src) $(wildcard tests/host/*.c) tools/sim/npu.c): | $(OUT)/gen/onnx/onnx.pb-c.h

# --- libraries and programs -------------------------------------------------------
$(LIB).a: $(call obj,$(core_src) $(lib_src))
	$(call msg,AR,$@)
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)ar rcs $@ $^

# The library exports what its public header declares, and nothing else.
$(OUT)/gen/libfluidnpu.map: userspace/include/fluidnpu.h
	@mkdir -p $(@D)
	$(Q){ echo 'FLUIDNPU_1.0 { global:'; \
		sed -nE 's/^[a-z].*[ *](fnpu_[a-z_]+)\(.*/	\1;/p' $<; echo 'local: *; };'; } > $@

$(LIB).so.$(VERSION): $(call obj,$(core_src) $(lib_src)) $(OUT)/gen/libfluidnpu.map
	$(call msg,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -shared $(SANITIZE) -Wl,-soname,libfluidnpu.so.1 -Wl,--no-undefined \
		-Wl,--version-script=$(OUT)/gen/libfluidnpu.map \
		-o $@ $(filter %.o,$^) $(LIBS_LIB)
	@ln -sf $(@F) $(@D)/libfluidnpu.so.1
	@ln -sf libfluidnpu.so.1 $(@D)/libfluidnpu.so

$(OUT)/bin/npucc: $(call obj,$(npucc_src)) $(OUT)/obj/gen/onnx.pb-c.o $(LIB).a
	$(call msg,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANITIZE) -o $@ $^ $(LIBS_NPUCC)

$(OUT)/bin/fluidnpud: $(call obj,$(daemon_src) $(common_src)) $(LIB).a
	$(call msg,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANITIZE) -o $@ $^ $(LIBS_LIB) $(LIBS_TOOLS) $(LIBS_DAEMON)

# A tool is tools/NAME.c and what belongs to it, tools/NAME_*.c.
define tool
$(OUT)/bin/$(1): $$(call obj,$$(wildcard tools/$(1).c tools/$(1)_*.c) $$(common_src)) $$(LIB).a
	$$(call msg,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(SANITIZE) -o $$@ $$(filter %.o,$$^) $$(LIB).a $$(LIBS_LIB) $$(LIBS_TOOLS)
endef
$(eval $(call tool,npurun))
$(eval $(call tool,npustat))
$(eval $(call tool,bench-npu))
$(eval $(call tool,bench-core))
$(eval $(call tool,exit-profile))
$(eval $(call tool,npusim))
$(eval $(call tool,npuload))
$(eval $(call tool,nputrace))
$(eval $(call tool,bench-sched))
$(eval $(call tool,bench))
$(OUT)/bin/npustat $(OUT)/tests/host/test_npustat_view: LIBS_TOOLS += -lncursesw -ltinfo
# The simulator finds control blocks as the compiler does.
sim_obj := $(call obj,$(sim_src) userspace/npucc/control.c userspace/npucc/util.c)
$(OUT)/bin/npusim $(OUT)/bin/npuload $(OUT)/bin/bench $(OUT)/bin/bench-sched: $(sim_obj)

$(OUT)/man/%.1: $(OUT)/bin/% tools/man/%.h2m
	$(call msg,MAN,$@)
	@mkdir -p $(@D)
	$(Q)help2man --no-info --include tools/man/$*.h2m --output $@ $<
$(OUT)/man/%.8: $(OUT)/bin/% tools/man/%.h2m
	$(call msg,MAN,$@)
	@mkdir -p $(@D)
	$(Q)help2man --no-info --section 8 --include tools/man/$*.h2m --output $@ $<
$(OUT)/man/%.7: userspace/lib/%.7
	@mkdir -p $(@D)
	$(Q)cp $< $@

# Where the test images leave the trained networks, for npusim.
dataset := /usr/share/datasets/fashion-mnist
$(OUT)/models/%.exits: $(OUT)/models/%.fnpu $(OUT)/bin/exit-profile
	$(call msg,EXITS,$@)
	$(Q)$(OUT)/bin/exit-profile -o $@ $< $(dataset)/t10k-images-idx3-ubyte.gz \
		$(dataset)/t10k-labels-idx1-ubyte.gz

$(OUT)/models/%.fnpu: tools/models/%.onnx $(OUT)/bin/npucc
	$(call msg,NPUCC,$@)
	@mkdir -p $(@D)
	$(Q)$(OUT)/bin/npucc $< -o $@

# Large networks with random weights, for measurements and tests.
$(OUT)/networks/%.onnx: $(wildcard tools/networks/*.py)
	$(call msg,PYTHON,$@)
	@mkdir -p $(@D)
	$(Q)/usr/bin/python3 -B tools/networks/generate.py $* -o $@ > /dev/null
$(OUT)/networks/%.fnpu: $(OUT)/networks/%.onnx $(OUT)/bin/npucc
	$(call msg,NPUCC,$@)
	$(Q)$(OUT)/bin/npucc $< -o $@

# --- tests -------------------------------------------------------------------------
npucc_test_obj = $(filter-out %/main.o,$(call obj,$(npucc_src))) $(OUT)/obj/gen/onnx.pb-c.o

$(OUT)/tests/host/%: $(OUT)/obj/tests/host/%.o $(call obj,$(host_helpers)) \
		$(call obj,$(common_src) $(sim_src) $(daemon_parts)) $(npucc_test_obj) $(LIB).a
	$(call msg,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANITIZE) -o $@ $^ -lcmocka $(LIBS_NPUCC) $(LIBS_LIB) $(LIBS_TOOLS)

$(OUT)/tests/host/test_npustat_view: $(call obj,$(wildcard tools/npustat_*.c))
# In the VM it has a buffer of another driver.
$(OUT)/obj/tests/host/test_daemon_buffers.o: ALL_CFLAGS += -Itests/vm
$(OUT)/tests/host/test_daemon_buffers: $(call obj,tests/vm/vgem.c tests/vm/tap.c)
# The daemon with many clients at once.
$(OUT)/tests/daemon/soak: $(OUT)/obj/tests/daemon/soak.o $(OUT)/obj/tests/host/daemon_peer.o $(LIB).a
	$(call msg,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANITIZE) -o $@ $^ $(LIBS_LIB)
$(OUT)/obj/tests/daemon/%.o: ALL_CFLAGS += -Itests/host

# A fuzzer is tests/fuzz/fuzz_NAME.c and what belongs to it, fuzz_NAME_*.c.
$(OUT)/obj/tests/fuzz/%.o: ALL_CFLAGS += -Itests/host
$(OUT)/obj/tests/vm/fuzz/%.o $(OUT)/obj/tests/vm/fuzz_uapi.o: ALL_CFLAGS += -Itests/vm
$(call obj,$(wildcard tests/fuzz/*.c)): | $(OUT)/gen/onnx/onnx.pb-c.h
define fuzzer
$(OUT)/tests/fuzz/fuzz_$(1): $$(call obj,$$(wildcard tests/fuzz/fuzz_$(1).c tests/fuzz/fuzz_$(1)_*.c)) \
		$$(OUT)/obj/tests/fuzz/samples.o $$(call obj,$$(host_helpers)) $$(npucc_test_obj) $$(LIB).a
	$$(call msg,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(SANITIZE) -fsanitize=fuzzer -o $$@ $$^ -lcmocka $$(LIBS_NPUCC) $$(LIBS_LIB)
endef
$(foreach f,$(fuzzers),$(eval $(call fuzzer,$(f))))
$(OUT)/tests/fuzz/fuzz_daemon: $(call obj,userspace/daemon/request.c $(daemon_parts))

$(OUT)/tests/fuzz/seeds: $(OUT)/obj/tests/fuzz/seeds.o $(call obj,$(host_helpers)) \
		$(npucc_test_obj) $(LIB).a
	$(call msg,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANITIZE) -fsanitize=address,undefined -o $@ $^ -lcmocka $(LIBS_NPUCC) $(LIBS_LIB)

$(OUT)/examples/%: $(OUT)/obj/userspace/examples/%.o $(LIB).so.$(VERSION)
	$(call msg,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANITIZE) -o $@ $< -L$(OUT)/lib -Wl,-rpath,'$$ORIGIN/../lib' -lfluidnpu \
		-Wl,--as-needed -luring -lm

# Runs in the guest, with what its tests use.
$(OUT)/bin/bench-driver: $(OUT)/obj/tools/bench-driver.o $(OUT)/obj/tests/vm/npu.o
	$(call msg,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANITIZE) -o $@ $^ -ldrm -luring -lpthread

$(OUT)/tests/vm/fuzz_uapi: $(call obj,$(wildcard tests/vm/fuzz/*.c))
$(OUT)/tests/vm/%: $(OUT)/obj/tests/vm/%.o $(call obj,$(vm_helpers))
	$(call msg,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANITIZE) -o $@ $^ -ldrm -luring -lpthread

.SECONDARY:
-include $(shell find $(OUT)/obj -name '*.d' 2>/dev/null)
