"""Nodes that have a network namespace each, joined by a bridge, so that single links can be cut.

Linux only, and root: who is not is told that the test is skipped."""

import os
import shutil
import subprocess

from harness import Failure, Skipped

NET = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"


def ip(*arguments):
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


class Network:
    """A bridge in this namespace, and a namespace for each node."""

    def __init__(self, nodes):
        if os.geteuid() != 0 or shutil.which("ip") is None:
            raise Skipped("needs root and iproute2")
        self.name = f"cm{os.getpid()}"
        self.hosts, self.blocked = [], set()
        try:
            ip("link", "add", self.name, "type", "bridge")
        except Failure as failure:
            raise Skipped(f"no bridge here: {failure}") from None
        try:
            ip("addr", "add", f"{NET}.254/24", "dev", self.name)
            ip("link", "set", self.name, "up")
            for number, node in enumerate(nodes):
                self.add(number, node)
        except BaseException:
            self.end()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def add(self, number, node):
        space, host, device = f"{self.name}n{number}", f"{NET}.{number + 1}", f"{self.name}v{number}"
        ip("netns", "add", space)
        self.hosts.append(host)
        ip("link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", space)
        ip("link", "set", device, "master", self.name, "up")
        ip("-n", space, "link", "set", "lo", "up")
        ip("-n", space, "addr", "add", f"{host}/24", "dev", "eth0")
        ip("-n", space, "link", "set", "eth0", "up")
        node.move_to(host, ["ip", "netns", "exec", space])

    def cut(self, source, target):
        """What node `source` sends to node `target` is lost; not what comes back."""
        ip("-n", f"{self.name}n{source}", "route", "add", "blackhole", f"{self.hosts[target]}/32")
        self.blocked.add((source, target))

    def cut_off(self, number):
        for other in range(len(self.hosts)):
            if other != number:
                self.cut(number, other)
                self.cut(other, number)

    def heal(self):
        for source, target in self.blocked:
            ip("-n", f"{self.name}n{source}", "route", "del", "blackhole", f"{self.hosts[target]}/32")
        self.blocked.clear()

    def slow(self, number, kbit):
        """What a node sends leaves it at most so fast, and waits up to 200 ms for it."""
        done = subprocess.run(["tc", "-n", f"{self.name}n{number}", "qdisc", "add", "dev", "eth0", "root", "tbf",
                               "rate", f"{kbit}kbit", "burst", "16kb", "latency", "200ms"],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise Skipped(f"tc: {done.stderr.strip()}")

    def end(self):
        for number in range(len(self.hosts)):
            # The nodes in it may live on for a moment, and so would it and its end of the link.
            subprocess.run(["ip", "link", "del", f"{self.name}v{number}"], capture_output=True)
            subprocess.run(["ip", "netns", "del", f"{self.name}n{number}"], capture_output=True)
        subprocess.run(["ip", "link", "del", self.name], capture_output=True)
