#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
prometheus.py - a strict reader of the text exposition format 0.0.4.

usage: tests/prometheus.py FILE [NAME{LABEL="VALUE",...}...]

Exit status 1, with a reason, if the file breaks a rule of the format or of its naming
conventions, or has no sample of a NAME with these labels whose value is above 0.
"""
import math
import re
import sys

METRIC = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf"({METRIC})(?:\{{((?:{LABEL})(?:,{LABEL})*)?\}})? (\S+)")
COMMENT = re.compile(rf"# (HELP|TYPE) ({METRIC}) (.+)")
TYPES = ("counter", "gauge", "histogram", "summary", "untyped")
BASE_UNITS = ("seconds", "bytes", "ratio", "hertz", "second")
OTHER_UNITS = ("ms", "us", "ns", "milliseconds", "microseconds", "nanoseconds", "cycles", "kib",
               "mib", "kilobytes", "megabytes", "percent", "mhz")


def check(good, line, reason):
    if not good:
        raise ValueError(f"{reason}: {line}")


def check_name(name, kind, line):
    check(name.endswith("_total") == (kind == "counter"), line,
          "counters and nothing else end in _total")
    check(not set(name.split("_")) & set(OTHER_UNITS), line, f"not in {', '.join(BASE_UNITS)}")


def check_value(text, kind, line):
    check(re.fullmatch(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]Inf|NaN", text), line,
          "no number")
    value = float(text.replace("Inf", "inf"))
    check(kind != "counter" or (value >= 0 and math.isfinite(value)), line,
          "a counter is not negative")
    return value


def read(text):
    """{(name, frozenset of labels): value}"""
    check(text.endswith("\n"), text[-40:], "the last line has no end")
    samples, kinds, helps, done, current = {}, {}, set(), set(), None
    for line in text[:-1].split("\n"):
        if line.startswith("#"):
            match = COMMENT.fullmatch(line)
            check(match, line, "neither HELP nor TYPE")
            what, name, rest = match.groups()
            if name != current:
                check(name not in done, line, "its lines do not stand together")
                current = name
                done.add(name)
            if what == "HELP":
                check(name not in helps, line, "a second HELP")
                helps.add(name)
            else:
                check(name not in kinds, line, "a second TYPE")
                check(rest in TYPES, line, "no such type")
                kinds[name] = rest
                check_name(name, rest, line)
            continue
        match = SAMPLE.fullmatch(line)
        check(match, line, "no sample")
        name = match.group(1)
        check(name == current and name in kinds and name in helps, line,
              "not behind its HELP and TYPE")
        labels = re.findall(LABEL, match.group(2) or "")
        check(len(dict(labels)) == len(labels), line, "a label twice")
        key = name, frozenset(labels)
        check(key not in samples, line, "a second time")
        samples[key] = check_value(match.groups()[-1], kinds[name], line)
    check(kinds.keys() == helps, sorted(kinds.keys() ^ helps), "HELP or TYPE is missing")
    return samples


def has(samples, wanted):
    name, _, labels = wanted.partition("{")
    labels = set(re.findall(LABEL, labels))
    return any(key[0] == name and labels <= key[1] and value > 0
               for key, value in samples.items())


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8", newline="") as file:
        samples = read(file.read())
    missing = [wanted for wanted in sys.argv[2:] if not has(samples, wanted)]
    if missing:
        sys.exit(f"prometheus.py: above 0 there is no {', '.join(missing)}")
    print(f"{len(samples)} samples")


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"prometheus.py: {error}")
