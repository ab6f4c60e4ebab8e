"""Another host on this machine: a network namespace with one line to us, which can be cut. Linux, as root."""

import ctypes
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CLONE_NEWNET = 0x40000000


class Host:
    """`address` is ours on the line to it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.outer, self.inner = f"{name}-o"[:15], f"{name}-i"[:15]
        number = os.getpid() % 250
        self.address, self._theirs = f"10.213.{number}.1", f"10.213.{number}.2"

    def make(self) -> None:
        ip("netns", "add", self.name)
        ip("link", "add", self.outer, "type", "veth", "peer", "name", self.inner, "netns", self.name)
        ip("addr", "add", f"{self.address}/30", "dev", self.outer)
        ip("link", "set", self.outer, "up")
        ip("-n", self.name, "addr", "add", f"{self._theirs}/30", "dev", self.inner)
        ip("-n", self.name, "link", "set", self.inner, "up")

    def cut(self) -> None:
        """From now on nothing gets through, and neither end is told."""
        ip("link", "set", self.outer, "down")

    def mend(self) -> None:
        ip("link", "set", self.outer, "up")

    def connect(self, port: int) -> socket.socket:
        """A line of that host to a port of ours. A socket stays in the namespace it was made in."""
        made: list[socket.socket | OSError] = []

        def dial() -> None:
            try:
                with open(f"/var/run/netns/{self.name}") as namespace:
                    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                made.append(socket.create_connection((self.address, port), timeout=5))
            except OSError as error:
                made.append(error)

        thread = threading.Thread(target=dial)  # the namespace is the thread's, and ends with it
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        made[0].setblocking(False)
        return made[0]

    def remove(self) -> None:
        for rest in (["link", "del", self.outer], ["netns", "del", self.name]):
            with suppress(OSError):
                ip(*rest)


def ip(*arguments: str) -> None:
    """Raises OSError with what `ip` says."""
    program = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise FileNotFoundError("there is no `ip` (Debian: iproute2)")
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


@contextmanager
def another_host() -> Iterator[Host]:
    """Raises OSError where this machine lets us make none."""
    host = Host(f"ev{os.getpid()}")
    try:
        host.make()
        yield host
    finally:
        host.remove()
