#!/bin/sh
# SPDX-License-Identifier: MIT
#
# debug-suite.sh - everything that the debug kernel shall look at, in the guest: the programs of
# tests/vm, the KUnit tests, a minute of the fuzzer, then that nothing is left. Prints TAP.
#
# usage: debug-suite.sh [TEST...]        (default: all /tests/test_*)
#
# Those in which memory cannot be allocated come last: they may switch off what looks for bugs.

FUZZ_SECONDS=60
FUZZ_SEED=1
# What the kernel keeps of a busy half hour whoever was busy: the stacks that lockdep, KASAN and
# kmemleak have seen.
TOLERANCE_KB=16384
# When the same is done again it knows them: what is left then is what leaks.
AGAIN="/tests/test_submit /tests/test_memory"
TOLERANCE_AGAIN_KB=2048

export FNPU_TEST_BACKEND=kmd CMOCKA_MESSAGE_OUTPUT=TAP

count=0 failed=0
result() {
	count=$((count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $count - $2"
	else
		echo "not ok $count - $2"
		failed=1
	fi
}

# Memory that is not free and not a cache, in KiB
used_kb() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	# KASAN keeps freed objects for a while, up to a part of all memory.
	for file in /sys/kernel/slab/*/shrink; do
		echo 1 >"$file"
	done 2>/dev/null
	awk '/^(MemTotal|MemAvailable):/ { v[$1] = $2 } END { print v["MemTotal:"] - v["MemAvailable:"] }' \
		/proc/meminfo
}

# Objects of an address that nobody holds; twice, since a first scan sees what is just moving.
leaks() {
	{ echo scan && echo scan; } >/sys/kernel/debug/kmemleak || echo "kmemleak is off"
	cat /sys/kernel/debug/kmemleak
}

load() {
	modprobe fluidnpu && udevadm settle
}

# Its TAP, with the numbers of one plan
run_test() {
	echo "# $1"
	"$1" >/tmp/tap 2>&1
	status=$?
	planned=$(sed -n 's/^1\.\.\([0-9]*\).*/\1/p' /tmp/tap | head -n 1)
	ran=$(grep -cE '^(not )?ok [0-9]+' /tmp/tap)
	while IFS= read -r line; do
		case $line in
		'ok '[0-9]* | 'not ok '[0-9]*)
			count=$((count + 1))
			case $line in not*) failed=1; echo "not ok $count - ${line#*- }" ;;
			*) echo "ok $count - ${line#*- }" ;;
			esac
			;;
		1..*) ;;
		*) echo "# ${line#\# }" ;;
		esac
	done </tmp/tap
	result "$([ "$status" = 0 ] && [ "$ran" = "${planned:-none}" ]; echo $?)" \
		"$1 ended well: status $status, $ran of ${planned:-no} tests"
	[ "$(cat /sys/module/fluidnpu/parameters/*)" = "$parameters" ] ||
		result 1 "$1 leaves the module parameters as they were"
}

# Once for what is allocated the first time only.
rmmod fluidnpu && load && rmmod fluidnpu
leaks >/tmp/leaks
result "$([ ! -s /tmp/leaks ]; echo $?)" "nothing leaks before the driver is used"
sed 's/^/# /' /tmp/leaks
echo clear >/sys/kernel/debug/kmemleak
before=$(used_kb)

load
result $? "the driver loads"

modprobe kunit enable=1
modprobe fluidnpu_validate_test
results=/sys/kernel/debug/kunit/fluidnpu_validate/results
sed -n 's/^ *\(\(not \)\{0,1\}ok [0-9]* fluidnpu_validate\)$/# KUnit: \1/p; s/^\( *\)not ok/# \1not ok/p; s/^# fluidnpu_validate: /&/p' $results
grep -q '^ok [0-9]* fluidnpu_validate$' $results
result $? "KUnit: $(grep -c '^ *ok [0-9]* [^f]' $results) cases of the validators"
rmmod fluidnpu_validate_test

tests=$* last=
if [ -z "$tests" ]; then
	tests=$(printf '%s\n' /tests/test_* | grep -v failslab)
	last=$(printf '%s\n' /tests/test_failslab*)
fi
parameters=$(cat /sys/module/fluidnpu/parameters/*)
for test in $tests; do
	run_test "$test"
done

/tests/storm kills 100 >/tmp/storm 2>&1
status=$?
sed 's/^/# /' /tmp/storm
result $status "storm: clients are killed, the others lose nothing"

if [ -x /tests/fuzz_uapi ]; then
	/tests/fuzz_uapi --seconds $FUZZ_SECONDS --seed $FUZZ_SEED >/tmp/fuzz 2>&1
	status=$?
	tail -n 20 /tmp/fuzz | sed 's/^/# /'
	result $status "fuzz_uapi --seconds $FUZZ_SECONDS --seed $FUZZ_SEED"
fi

leaks >/tmp/leaks
result "$([ ! -s /tmp/leaks ]; echo $?)" "kmemleak finds nothing with the driver loaded"
head -n 60 /tmp/leaks | sed 's/^/# /'

rmmod fluidnpu
result $? "the driver unloads"
leaks >/tmp/leaks
result "$([ ! -s /tmp/leaks ]; echo $?)" "kmemleak finds nothing after it has gone"
head -n 60 /tmp/leaks | sed 's/^/# /'
after=$(used_kb)
echo "# memory in use: $before KiB before, $after KiB after, tolerance $TOLERANCE_KB KiB"
result "$([ $((after - before)) -lt $TOLERANCE_KB ]; echo $?)" "memory is back to where it was"

for test in $AGAIN; do
	load && $test >/tmp/tap 2>&1
	result $? "$test, again"
	rmmod fluidnpu
done
leaks >/tmp/leaks
again=$(used_kb)
echo "# memory in use: $after KiB, $again KiB after $AGAIN again, tolerance $TOLERANCE_AGAIN_KB KiB"
result "$([ ! -s /tmp/leaks ] && [ $((again - after)) -lt $TOLERANCE_AGAIN_KB ]; echo $?)" \
	"nothing more is in use when the same is done again"

if [ -n "$last" ]; then
	load
	for test in $last; do
		run_test "$test"
	done
	rmmod fluidnpu
	result $? "the driver unloads after it has had no memory"
	leaks >/tmp/leaks
	result "$([ ! -s /tmp/leaks ]; echo $?)" "kmemleak finds nothing after that"
	head -n 60 /tmp/leaks | sed 's/^/# /'
fi

echo "1..$count"
exit $failed
