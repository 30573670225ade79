"""What the node tells a service manager, and what the unit lets it do."""

import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from harness import ROOT, Skipped, check, check_equal, now_ms, wait_until

UNIT = ROOT / "conf" / "clickmill.service"
AD = {"ad_id": "ad_1", "advertiser_id": "adv_1", "ad_format": "banner", "redirect_url": "https://example.com/1"}


class Manager:
    """A service manager's socket: what was told, line by line."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(b"\0" + address[1:].encode() if address.startswith("@") else address)
        self.socket.settimeout(30)
        self.address = address

    def next(self, want):
        """The next state; the status lines before it are left out."""
        while True:
            lines = self.socket.recv(8192).decode().splitlines()
            states = [line for line in lines if not line.startswith("STATUS=")]
            if states:
                check_equal("told", states[0], want)
                return states

    def wait_status(self, holds):
        while True:
            for line in self.socket.recv(8192).decode().splitlines():
                if line.startswith("STATUS=") and holds(line):
                    return line

    def nothing_more(self):
        self.socket.setblocking(False)
        try:
            return [line for line in self.socket.recv(8192).decode().splitlines() if not line.startswith("STATUS=")] == []
        except BlockingIOError:
            return True


def live(context, address):
    """A life of a node under a manager at this address."""
    manager = Manager(address)
    node = context.node(start=False)
    node.environment = {"NOTIFY_SOCKET": address}
    node.spawn()
    manager.next("READY=1")
    # Ready means that a person is redirected: no second try here.
    check_equal("a redirect once ready", node.request("GET", "/v1/click?ad_id=x", listener="collector").status, 404)
    manager.wait_status(lambda line: line == "STATUS=ready")
    node.process.send_signal(signal.SIGHUP)
    reloading = manager.next("RELOADING=1")
    check(re.fullmatch(r"MONOTONIC_USEC=\d+", reloading[1]), f"{reloading}")
    manager.next("READY=1")
    node.stop()
    manager.next("STOPPING=1")
    check(manager.nothing_more(), "it told more after it had stopped")


def test_tells_its_states(context):
    """READY once it redirects, RELOADING and READY around SIGHUP, STOPPING; by path and by abstract name"""
    live(context, str(context.directory / "notify"))
    live(context, f"@clickmill-e2e-{os.getpid()}")


def test_tells_what_readiness_lacks(context):
    """READY doesn't wait for the counts; STATUS says what readiness lacks"""
    node = context.node({"log": {"partitions": 4}})
    node.upload_ads([AD])
    node.stop()
    # Damaged, and not to be rebuilt, since the log is too.
    (node.data_dir / "state" / "CURRENT").write_text("nonsense\n")
    (node.data_dir / "log" / "0" / "manifest").write_text("nonsense")
    manager = Manager(str(context.directory / "notify"))
    node.environment = {"NOTIFY_SOCKET": manager.address}
    node.spawn()
    manager.next("READY=1")
    check_equal("a redirect", node.request("GET", "/v1/click?ad_id=ad_1", listener="collector").status, 302)
    said = manager.wait_status(lambda line: "manifest" in line)
    check("not ready" in said, said)
    node.stop()
    manager.next("STOPPING=1")


def test_nobody_listens(context):
    """a manager that is gone, or whose address is no address, harms nothing"""
    for address in (str(context.directory / "gone"), "nonsense", "vsock:2:1"):
        node = context.node(start=False)
        node.environment = {"NOTIFY_SOCKET": address}
        node.start()
        node.process.send_signal(signal.SIGHUP)
        wait_until("the reload", lambda: "taken in again" in node.log_since_start())
        node.stop()


def test_failed_start_is_not_ready(context):
    """a start that fails tells nothing"""
    holder = context.node()
    manager = Manager(str(context.directory / "notify"))
    node = context.node({"listen": holder.config["listen"]}, start=False)
    node.environment = {"NOTIFY_SOCKET": manager.address}
    node.spawn()
    check_equal("exit code", node.process.wait(30), 2)
    check(manager.nothing_more(), "it told something")


def settings():
    """Key -> values of the unit."""
    found = {}
    for line in UNIT.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def allowed_calls(names):
    """System calls of a SystemCallFilter, with its groups and theirs."""
    calls, seen = set(), set()
    while names:
        name = names.pop()
        if not name.startswith("@"):
            calls.add(name)
        elif name not in seen:
            seen.add(name)
            listed = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True)
            names += [line.strip() for line in listed.stdout.splitlines()[1:] if line.strip() and "#" not in line]
    return calls


def test_unit_is_sound(context):
    """systemd-analyze finds nothing wrong with the unit"""
    if not shutil.which("systemd-analyze"):
        raise Skipped("systemd-analyze is not installed")
    # It wants the program and the page to be there.
    text = UNIT.read_text().replace("/usr/bin/clickmill", context.binary).replace("Documentation=man:clickmill(1)\n", "")
    unit = context.directory / "clickmill.service"
    unit.write_text(text)
    checked = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit],
                             capture_output=True, text=True)
    said = [line for line in checked.stderr.splitlines() if "clickmill" in line]
    check_equal(f"systemd-analyze verify: {said}", (checked.returncode, said), (0, []))


def test_unit_allows_what_the_node_calls(context):
    """the unit's filter has every system call that a life of the node makes"""
    if not shutil.which("strace") or not shutil.which("systemd-analyze"):
        raise Skipped("strace or systemd-analyze is not installed")
    trace = context.directory / "trace"
    tried = subprocess.run(["strace", "-f", "-o", trace, "true"], capture_output=True, text=True)
    if tried.returncode != 0:
        raise Skipped(f"strace can't trace here: {tried.stderr.strip()}")
    allowed = allowed_calls(settings()["SystemCallFilter"][0].split())
    wrapper = context.directory / "traced"
    wrapper.write_text(f'#!/bin/sh\nexec strace -f -I 2 -c -S name -U name -o "{trace}" "{context.binary}" "$@"\n')
    wrapper.chmod(0o755)
    node = context.node(start=False)
    node.binary = str(wrapper)
    node.start(timeout_s=120)
    traced = int(Path(f"/proc/{node.process.pid}/task/{node.process.pid}/children").read_text().split()[0])
    try:
        node.upload_ads([AD])
        begin_ms = now_ms()
        for _ in range(50):
            check_equal("a click", node.request("GET", "/v1/click?ad_id=ad_1", listener="collector").status, 302)
        node.wait_total(begin_ms - 60_000, now_ms() + 60_000, 50)
        os.kill(traced, signal.SIGHUP)
        wait_until("the reload", lambda: "taken in again" in node.log_since_start())
    finally:
        # strace ends with what it traces.
        os.kill(traced, signal.SIGTERM)
        node.process.wait(60)
    called = set(re.findall(r"^([a-z_0-9]+)$", trace.read_text(), re.M)) - {"syscall", "total", "execve"}
    check({"fdatasync", "sendto", "openat"} <= called, f"the trace shows only {sorted(called)}")
    check_equal("not allowed", sorted(called - allowed), [])
