# SPDX-License-Identifier: MIT
"""
terminal.py - a terminal for tests: pyte shows what a program draws, on a pty that it runs on or
behind a serial line of a VM. Cases run as TAP.
"""
import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
import traceback

import pyte

DEADLINE_SECONDS = 60
COLOUR = re.compile(rb"\x1b\[(?:\d+;)*(?:3[0-7]|4[0-7]|38;5;\d+)m")    # what sets one


class Terminal:
    """What comes from file descriptor fd is drawn on a screen of columns x lines."""

    def __init__(self, fd, columns, lines):
        self.fd = fd
        self.raw = b""
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)

    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def text(self):
        return "\n".join(self.lines())

    def feed(self, seconds):
        """Draws what there is, waiting so long for it; False: the other side has gone."""
        while select.select([self.fd], [], [], seconds)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                return False
            if not data:
                return False
            self.raw += data
            self.stream.feed(data)
            seconds = 0
        return True

    def wait_for(self, condition, what):
        """Until condition(self.text()) is true; returns its value."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not (value := condition(self.text())):
            if not self.feed(0.1) and not (value := condition(self.text())):
                raise AssertionError(f"the program has ended without {what}:\n{self.text()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"no {what} on the screen:\n{self.text()}")
        return value

    def wait_for_text(self, *texts):
        for text in texts:
            self.wait_for(lambda shown, text=text: text in shown, f'"{text}"')

    def press(self, keys):
        os.write(self.fd, keys.encode())


class Pty(Terminal):
    """A program on a pty of its own."""

    def __init__(self, command, columns, lines, env):
        master, self.slave = pty.openpty()
        super().__init__(master, columns, lines)
        self.tell_size(columns, lines)
        self.before = termios.tcgetattr(self.slave)
        self.pid = os.fork()
        if not self.pid:
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
            for fd in range(3):
                os.dup2(self.slave, fd)
            os.closerange(3, 256)
            os.execvpe(command[0], command, {"PATH": os.environ["PATH"], **env})

    def tell_size(self, columns, lines):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns, lines):
        """As terminal emulators do it: the screen first, then the program is told."""
        self.screen.resize(lines, columns)
        self.tell_size(columns, lines)

    def end(self, number=None):
        """The exit status once the program has ended, after signal number if there is one."""
        if number:
            os.kill(self.pid, number)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            self.feed(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.feed(0)
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(f"it does not end:\n{self.text()}")

    def restored(self):
        """The line discipline is as it was, and the cursor is back."""
        return termios.tcgetattr(self.slave) == self.before and not self.screen.cursor.hidden


class Serial(Terminal):
    """A serial line of a VM, behind a Unix socket where QEMU listens."""

    def __init__(self, path, columns, lines):
        self.socket = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:    # nothing tells when QEMU begins to listen
            try:
                self.socket.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        super().__init__(self.socket.fileno(), columns, lines)

    def set_size(self, columns, lines):
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)


def run_cases(cases):
    """Runs functions named after what they show, in order; exits 1 when one fails."""
    failed = False
    for number, case in enumerate(cases, 1):
        name = case.__name__.replace("_", " ")
        try:
            case()
            print(f"ok {number} - {name}", flush=True)
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            failed = True
            print(f"not ok {number} - {name}")
            where = traceback.extract_tb(error.__traceback__)[-1]
            for line in f"{where.name}:{where.lineno} {error}".splitlines():
                print(f"# {line}", flush=True)
    print(f"1..{len(cases)}")
    sys.exit(failed)
