# SPDX-License-Identifier: MIT
"""
terminal.py - a terminal for tests: a program on a pty, and pyte to see what it shows.
"""
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time

import pyte

DEADLINE_SECONDS = 60


class Terminal:
    """Runs a program; feed() what it says to a screen of columns x lines."""

    def __init__(self, command, columns, lines, env):
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.master, self.slave = pty.openpty()
        self.set_size(columns, lines)
        self.before = termios.tcgetattr(self.slave)
        self.pid = os.fork()
        if not self.pid:
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
            for fd in range(3):
                os.dup2(self.slave, fd)
            os.closerange(3, 64)
            os.execvpe(command[0], command, {"PATH": os.environ["PATH"], **env})

    def set_size(self, columns, lines):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns, lines):
        """As a terminal emulator: its own screen first, then the program is told."""
        self.screen.resize(lines, columns)
        self.set_size(columns, lines)

    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def text(self):
        return "\n".join(self.lines())

    def feed(self, seconds):
        """What comes until nothing has for so long; False: the program has closed its side."""
        while select.select([self.master], [], [], seconds)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return False
            if not data:
                return False
            self.raw += data
            self.stream.feed(data)
        return True

    def wait_for(self, condition, what):
        """Until condition(self) holds."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition(self):
            alive = self.feed(0.05)
            if condition(self):
                break
            if not alive or time.monotonic() > deadline:
                raise AssertionError(f"no {what} on the screen:\n{self.text()}")

    def wait_for_text(self, text):
        self.wait_for(lambda t: text in t.text(), f'"{text}"')

    def press(self, keys):
        os.write(self.master, keys.encode())

    def end(self, send=None):
        """The exit status, once the program has ended; send: a signal that makes it."""
        if send:
            os.kill(self.pid, send)
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
        """The line discipline is as it was, the cursor is back."""
        return termios.tcgetattr(self.slave) == self.before and not self.screen.cursor.hidden
