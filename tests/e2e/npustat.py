# SPDX-License-Identifier: MIT
"""What npustat.sh sees on terminals: npustat --watch of the emulated NPU, and without any NPU."""
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from terminal import COLOUR, Pty, run_cases  # noqa: E402

NPUSTAT = "out/bin/npustat"
EMULATED = ["--backend", "emu", "--interval", "0.1"]
MEASURED = "no clients"    # stands below all figures


def watch(*options, columns=80, lines=24, term="xterm-256color", **env):
    return Pty([NPUSTAT, "--watch", *options], columns, lines,
               {"TERM": term, "LANG": "C.UTF-8", **env})


def quit_of(terminal):
    terminal.press("q")
    status = terminal.end()
    assert status == 0, f"status {status}"
    assert terminal.restored(), "the terminal is not as it was"


def check_whole(terminal):
    """All facts stand there, and each with its unit: nothing is cut."""
    text = terminal.text()
    for pattern in (r"busy +0\.0 %  \[ *\]", r"PE utilisation +0\.0 %", r"DRAM bandwidth +0\.0 %",
                    r"stalled on DRAM +0\.0 %", r"\b100 %", r"mean live batch +-",
                    r"\bjobs +0/s", r"failed jobs +0/s", r"samples +0/s", r"layers run +0/s",
                    r"preemptions +0/s", r"injected jobs +0/s", r"merged batches +0/s",
                    r"yielded samples +0/s", r"DRAM read +0 B/s", r"weights read +0 B/s",
                    r"DRAM written +0 B/s", r"MMU faults +0/s", r"interrupts +0/s",
                    r"late events +0/s", r"resets seen +0", r"jobs by queue +-",
                    r"live batch, % of busy time +left at exit, %",
                    r"\b1 +2 +3 .*\b15 +16 +0 +1 +2 .* 7$", r"pid  process +busy +memory",
                    r"no clients"):
        assert re.search(pattern, text, re.M), f"no {pattern} in\n{text}"
    lines = terminal.lines()
    assert lines[0].startswith(" FluidNPU emulated") and lines[0].endswith("every 0.1 s"), lines[0]
    assert lines[-1].startswith(" q quit  p pause  h help  s sort: busy  +/- interval"), lines[-1]


def all_facts_stand_on_80_x_24():
    terminal = watch(*EMULATED)
    terminal.wait_for_text(MEASURED)
    check_whole(terminal)
    quit_of(terminal)


def all_facts_stand_on_200_x_60():
    terminal = watch(*EMULATED, columns=200, lines=60)
    terminal.wait_for_text(MEASURED)
    check_whole(terminal)
    quit_of(terminal)


def a_resize_is_followed_at_once():
    """Paused it draws for nothing else: no reading helps."""
    terminal = watch(*EMULATED)
    terminal.wait_for_text(MEASURED)
    terminal.press("p")
    terminal.wait_for_text("p go on")
    terminal.feed(0.2)
    for columns, lines in ((200, 60), (80, 24), (132, 43), (80, 24)):
        terminal.resize(columns, lines)
        terminal.wait_for(lambda _: terminal.lines()[-1].startswith(" q quit") and
                          terminal.lines()[0].endswith("paused"), f"screen of {columns} x {lines}")
        assert len(terminal.lines()[0]) == columns - 1, terminal.lines()[0]
        assert terminal.text().count("q quit") == 1, terminal.text()
    quit_of(terminal)


def every_small_size_is_fit_for_use():
    terminal = watch(*EMULATED)
    terminal.wait_for_text(MEASURED)
    for columns, lines in ((79, 23), (60, 16), (45, 12), (40, 8), (41, 9), (120, 8), (40, 50)):
        terminal.resize(columns, lines)
        for pattern in (r"\A FluidNPU emulated.*every 0\.1 s\n", r"^busy +0\.0 %  \[ *\]$",
                        r"^mean live batch +-", "pid  process +busy +memory$", r"\n q quit.*\Z"):
            terminal.wait_for(lambda text, pattern=pattern: re.search(pattern, text, re.M),
                              f"{pattern} at {columns} x {lines}")
    quit_of(terminal)


def a_terminal_too_small_is_told():
    terminal = watch(*EMULATED, columns=39, lines=8)
    terminal.wait_for_text("too small")
    for columns, lines in ((80, 7), (20, 3), (1, 1), (5, 2), (30, 24)):
        terminal.resize(columns, lines)
        terminal.feed(0.3)
    terminal.wait_for_text("too small", "40 x 8")
    terminal.resize(80, 24)
    terminal.wait_for_text("mean live batch", "h help")
    quit_of(terminal)


def colours_are_used_where_there_are_any():
    terminal = watch("--backend", "kmd", "--device", "/nowhere/npu")
    terminal.wait_for_text("there is no NPU")
    assert COLOUR.search(terminal.raw), terminal.raw
    quit_of(terminal)


def no_color_means_no_colour():
    terminal = watch("--backend", "kmd", "--device", "/nowhere/npu", NO_COLOR="1")
    terminal.wait_for_text("there is no NPU")
    assert not COLOUR.search(terminal.raw), terminal.raw
    quit_of(terminal)


def a_terminal_without_colours_shows_the_same():
    terminal = watch(*EMULATED, term="vt100")
    terminal.wait_for_text(MEASURED)
    check_whole(terminal)
    assert not COLOUR.search(terminal.raw), terminal.raw
    quit_of(terminal)


def without_utf_8_all_is_ascii():
    terminal = watch(*EMULATED, LANG="C")
    terminal.wait_for_text(MEASURED)
    check_whole(terminal)
    assert terminal.raw.isascii(), terminal.raw
    quit_of(terminal)


def without_an_npu_it_says_so_and_looks_again():
    terminal = watch("--interval", "0.1", columns=60)
    terminal.wait_for_text("there is no NPU at /dev/fluidnpu", "modprobe", "looking again every 0.1")
    quit_of(terminal)


def keys_do_what_the_last_line_says():
    terminal = watch(*EMULATED)
    terminal.wait_for_text(MEASURED, "sort: busy")
    for keys, shown in (("s", "sort: memory"), ("s", "sort: pid"), ("s", "sort: busy"),
                        ("+", "every 0.2 s"), ("+", "every 0.5 s"), ("-", "every 0.2 s"),
                        ("p", "paused"), ("p", "every 0.2 s"), ("h", "share of the time"),
                        ("h", MEASURED), ("\x1b[Ax?", MEASURED), ("----", "every 0.1 s"),
                        ("+" * 20, "every 3600 s")):
        terminal.press(keys)
        terminal.wait_for_text(shown)
    quit_of(terminal)


def signals_end_it_and_the_terminal_is_restored():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        terminal = watch(*EMULATED)
        terminal.wait_for_text(MEASURED)
        status = terminal.end(number)
        assert status == 0 and terminal.restored(), f"signal {number}: status {status}"


def ctrl_c_ends_it():
    terminal = watch(*EMULATED)
    terminal.wait_for_text(MEASURED)
    terminal.press("\x03")
    assert terminal.end() == 0 and terminal.restored()


def a_terminal_that_hangs_up_ends_it():
    terminal = watch(*EMULATED)
    terminal.wait_for_text(MEASURED)
    os.close(terminal.slave)
    os.close(terminal.fd)
    terminal.fd = os.open("/dev/null", os.O_RDONLY)
    assert terminal.end() == 0


def count_ends_it_after_so_many_screens():
    terminal = watch(*EMULATED, "--count", "3")
    assert terminal.end() == 0 and terminal.restored()
    # the alternate screen has gone with it
    raw = terminal.raw.rpartition(b"\x1b[?1049l")[0]
    terminal.screen.reset()
    terminal.stream.feed(raw)
    assert "last 3 intervals" in terminal.text(), terminal.text()


def a_terminal_that_cannot_place_text_is_an_error():
    for term, text in (("dumb", "cannot place text"), ("no-such-terminal", "is not known here")):
        terminal = watch(*EMULATED, term=term)
        status = terminal.end()
        shown = terminal.text().replace("\n", "")
        assert status == 1 and text in shown and terminal.restored(), f"status {status}: {shown}"


if __name__ == "__main__":
    run_cases([value for value in list(globals().values())
               if callable(value) and value.__module__ == "__main__" and
               not value.__name__.startswith(("watch", "quit_of", "check_"))])
