# SPDX-License-Identifier: MIT
"""
What vm_npustat.sh sees of npustat --watch in the VM, whose fourth serial line is its terminal. The
guest starts it once for each "ready" that it says there, when it gets a line.

usage: vm_npustat.py TERMINAL-SOCKET QMP-SOCKET
"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from terminal import COLOUR, Serial, run_cases  # noqa: E402

NUMBER = r"\d+(?:\.\d+)?"
HEALTHY = 4294967295    # fault-hang-layer: none
RATE = rf"{NUMBER}(?: [kMGTP])?/s"
BYTES = rf"{NUMBER} [kMGTP]?B/s"
FACTS = {
    "mean live batch": NUMBER, "jobs": RATE, "failed jobs": "0/s", "samples": RATE,
    "layers run": RATE, "preemptions": RATE, "injected jobs": RATE, "merged batches": RATE,
    "yielded samples": RATE, "DRAM read": BYTES, "weights read": BYTES, "DRAM written": BYTES,
    "MMU faults": "0/s", "resets seen": "0", "interrupts": RATE, "late events": RATE,
}
AT_WORK = re.compile(r"^busy +(?!0\.0)\d+\.\d %  \[[▏▎▍▌▋▊▉█#:.]+ *\]$", re.M)
CLIENT = r"^ +\d+  {} +\d+\.\d %  *\d+\.\d KiB"

line = Serial(sys.argv[1], 80, 24)


def begin(columns, lines):
    """The next npustat, on a screen of this size; one that a failed case has left ends first."""
    line.press("q")
    line.wait_for_text("ready")
    line.set_size(columns, lines)
    line.press("\n")


def end():
    line.wait_for_text(" q quit")
    line.press("q")
    line.wait_for_text("status 0")


def qmp(*command):
    subprocess.run(["tests/qmp.py", sys.argv[2], *command], check=True, stdout=subprocess.DEVNULL)


def facts_hold(text):
    return AT_WORK.search(text) and all(
        re.search(rf"(?:^|  ){name} +{value}(?:  |$)", text, re.M)
        for name, value in FACTS.items())


def check_screen(columns, lines):
    line.wait_for(facts_hold, "figures of an NPU at work")
    shown = line.lines()
    assert re.match(r" FluidNPU /dev/fluidnpu  fluidnpu \d+\.\d+\.\d+  800 MHz  active", shown[0]), \
        shown[0]
    assert shown[0].endswith("every 0.5 s") and len(shown[0]) == columns - 1, shown[0]
    assert len(shown) == lines and shown[-1].startswith(" q quit  p pause"), shown[-1]
    line.wait_for(lambda text: re.search(CLIENT.format("first"), text, re.M), "client")
    line.wait_for(lambda text: re.search(r"jobs by queue +\d+ \d+ \d+ \d+(?:  |$)", text, re.M),
                  "depth of the queues, which root may see")


def an_npu_at_work_on_80_x_24():
    begin(80, 24)
    check_screen(80, 24)
    line.wait_for(lambda text: re.search(r"^live batch, %.*left at exit, %$", text, re.M) and
                  re.search(r"^ 1  2  3 .* 16      0  1  2  3  4  5  6  7$", text, re.M),
                  "histograms")
    end()


def an_npu_at_work_on_200_x_60_without_colours():
    begin(200, 60)
    check_screen(200, 60)
    assert not COLOUR.search(line.raw.rpartition(b"ready")[2]), "colours on a vt100"
    line.wait_for(lambda text: all(re.search(CLIENT.format(name), text, re.M)
                                   for name in ("first", "npurun")), "both clients")
    line.press("s")
    line.wait_for_text("sort: memory")
    with open("out/tests/npustat/screen", "w", encoding="utf-8") as file:
        file.write(line.text())
    end()


def a_user_sees_clients_of_his_own_and_is_told_so():
    begin(80, 24)
    line.wait_for(lambda text: AT_WORK.search(text) and
                  re.search(CLIENT.format("first"), text, re.M), "his own client")
    line.wait_for_text("other users' clients: as root")
    line.wait_for(lambda text: re.search(r"jobs by queue +root only", text), "word of the queues")
    clients = re.findall(CLIENT.format(r"\S+"), line.text(), re.M)
    assert len(clients) == 1, clients
    end()


def a_user_without_permission_is_told_what_to_do():
    begin(80, 24)
    line.wait_for_text("no permission to open /dev/fluidnpu", "render")
    end()


def resets_are_told():
    begin(80, 24)
    line.wait_for(AT_WORK.search, "an NPU at work")
    line.wait_for(lambda text: re.search(r"resets seen +0(?:  |$)", text, re.M), "word of resets")
    qmp("qom-set", "path=/machine/peripheral/npu", "property=fault-hang-layer", "value=4")
    line.wait_for(lambda text: re.search(r"resets seen +[1-9]", text), "reset")
    qmp("qom-set", "path=/machine/peripheral/npu", "property=fault-hang-layer", f"value={HEALTHY}")
    end()


def it_goes_on_when_the_npu_goes_and_comes_back():
    begin(80, 24)
    line.wait_for_text("mean live batch")
    qmp("unplug", "npu")
    line.wait_for_text("is gone: it was unplugged", "looking again every 0.5 s")
    qmp("device_add", "driver=fluidnpu", "id=npu", "bus=slot0")
    line.wait_for_text("is back", "mean live batch")
    end()


def another_npu_can_be_chosen():
    qmp("device_add", "driver=fluidnpu", "id=npu1", "bus=slot1", "max-stack=2")
    begin(80, 24)
    line.wait_for_text("(1 of 2)", "n next NPU")
    line.press("n")
    line.wait_for_text("FluidNPU /dev/fluidnpu1 (2 of 2)")
    line.press("n")
    line.wait_for_text("FluidNPU /dev/fluidnpu0 (1 of 2)")
    end()


if __name__ == "__main__":
    run_cases([an_npu_at_work_on_80_x_24, an_npu_at_work_on_200_x_60_without_colours,
               a_user_sees_clients_of_his_own_and_is_told_so,
               a_user_without_permission_is_told_what_to_do,
               resets_are_told, it_goes_on_when_the_npu_goes_and_comes_back, another_npu_can_be_chosen])
