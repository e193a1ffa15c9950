#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
qmp.py - talks to a QEMU that vm-run started with --qmp SOCKET.

usage: tests/qmp.py SOCKET COMMAND [NAME=VALUE...]     VALUE: JSON, or else a string
       tests/qmp.py SOCKET stop-in-mid-job SAMPLES
       tests/qmp.py SOCKET save FILE
       tests/qmp.py SOCKET load FILE
       tests/qmp.py SOCKET unplug ID
       tests/qmp.py SOCKET register OFFSET

A QMP command prints what it returns. Those that are not QEMU's:

  stop-in-mid-job  stops the VM while the NPU runs a job, once it has started SAMPLES
  save             writes the stopped VM to FILE and ends QEMU
  load             reads FILE into a QEMU started with -incoming defer, and lets it run
  unplug           asks the guest to let device ID go, and waits until it has
  register         prints one of the NPU's, once the firmware has mapped them
"""
import json
import socket
import sys
import time

VENDOR, DEVICE = 0x1234, 0xF1D0
NUM_QUEUES = 4
QSTATUS, QUEUE_STRIDE, QSTATUS_RUNNING = 0x214, 0x40, 2
SAMPLES_COUNTER = 0x2000 + 8 * 9

START_SECONDS = 60
UNMAPPED = -1  # what query-pci says of such a BAR; the device may sleep, in D3hot


def connect(path):
    """Nothing tells when a QEMU that is just starting listens: ask again and again."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        client = socket.socket(socket.AF_UNIX)
        try:
            client.connect(path)
            return client
        except OSError as error:
            client.close()
            if time.monotonic() > deadline:
                sys.exit(f"qmp: {path}: {error.strerror}")
            time.sleep(0.05)


class Qmp:
    def __init__(self, path):
        self.socket = connect(path)
        self.lines = self.socket.makefile("r", encoding="utf-8")
        self.events = []
        self.receive()  # the greeting
        self.run("qmp_capabilities")

    def receive(self):
        try:
            line = self.lines.readline()
        except ConnectionResetError:
            line = ""
        if not line:
            sys.exit("qmp: QEMU has gone")
        return json.loads(line)

    def run(self, command, **arguments):
        request = {"execute": command, "arguments": arguments}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            reply = self.receive()
            if "error" in reply:
                sys.exit(f"qmp: {command}: {reply['error']['desc']}")
            if "return" in reply:
                return reply["return"]
            self.events.append(reply)

    def wait(self, event, of_interest):
        """Waits for an event whose data is @of_interest."""
        while True:
            reply = self.events.pop(0) if self.events else self.receive()
            if reply.get("event") == event and of_interest(reply["data"]):
                return reply["data"]

    def read_registers(self, address, count):
        text = self.run("human-monitor-command", **{"command-line": f"xp /{count}wx {address:#x}"})
        return [int(word, 16) for line in text.splitlines() for word in line.split()[1:]]


def register_bar(qmp):
    """UNMAPPED also before the firmware has counted the buses: query-pci shows no device then."""
    def devices(found):
        for device in found:
            yield device
            yield from devices(device.get("pci_bridge", {}).get("devices", []))

    for bus in qmp.run("query-pci"):
        for device in devices(bus["devices"]):
            if (device["id"]["vendor"], device["id"]["device"]) == (VENDOR, DEVICE):
                return device["regions"][0]["address"]
    return UNMAPPED


def mapped_register_bar(qmp):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        bar = register_bar(qmp)
        if bar != UNMAPPED:
            return bar
        time.sleep(0.1)
    sys.exit("qmp: there is no NPU, or the firmware does not map it")


def stop_in_mid_job(qmp, samples):
    while True:
        qmp.run("stop")
        bar = register_bar(qmp)
        if bar == UNMAPPED:
            qmp.run("cont")
            continue
        status = [qmp.read_registers(bar + QSTATUS + q * QUEUE_STRIDE, 1)[0]
                  for q in range(NUM_QUEUES)]
        low, high = qmp.read_registers(bar + SAMPLES_COUNTER, 2)
        if any(s & QSTATUS_RUNNING for s in status) and (high << 32 | low) >= samples:
            print(f"stopped: queues {status}, {low} samples started")
            return
        qmp.run("cont")


def migrate(qmp, command, path):
    qmp.run("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
    qmp.run("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
    qmp.run(command, uri=f"file:{path}")
    data = qmp.wait("MIGRATION", lambda data: data["status"] in ("completed", "failed"))
    if data["status"] != "completed":
        sys.exit(f"qmp: {command} failed: {qmp.run('query-migrate').get('error-desc')}")


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__.strip())
    qmp, command, arguments = Qmp(sys.argv[1]), sys.argv[2], sys.argv[3:]
    if command == "stop-in-mid-job":
        stop_in_mid_job(qmp, int(arguments[0]))
    elif command == "save":
        migrate(qmp, "migrate", arguments[0])
        qmp.run("quit")
    elif command == "load":
        migrate(qmp, "migrate-incoming", arguments[0])
        qmp.run("cont")
    elif command == "unplug":
        qmp.run("device_del", id=arguments[0])
        qmp.wait("DEVICE_DELETED", lambda data: data.get("device") == arguments[0])
    elif command == "register":
        print(f"{qmp.read_registers(mapped_register_bar(qmp) + int(arguments[0], 0), 1)[0]:#x}")
    else:
        pairs = [argument.split("=", 1) for argument in arguments]
        print(json.dumps(qmp.run(command, **{name: value_of(text) for name, text in pairs})))


def value_of(text):
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


main()
