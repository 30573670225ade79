#!/usr/bin/env python3
"""CPU that a node spends on a click, by kind of thread; queries are the generator's own.

  bench/cpu.py [CLICKS_PER_SECOND [SECONDS [CONNECTIONS]]]     default 10000 10 64; 0: as fast as possible

Wants a release build (BUILD=build/dev for another one). Loopback only. With PERF=FILE it is sampled there by perf.
"""

import collections
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
BUILD = TOP / os.environ.get("BUILD", "build/release")
RATE, SECONDS, CONNECTIONS = (sys.argv[1:] + ["10000", "10", "64"][len(sys.argv) - 1:])[:3]


def free_port():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return holder.getsockname()[1]


def answers(url):
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def spent(pid):
    """Microseconds of CPU by thread name, without its number."""
    sum_us = collections.Counter()
    for task in Path(f"/proc/{pid}/task").iterdir():
        stat = (task / "stat").read_text()
        name = re.sub(r"-\d+$", "", stat[stat.index("(") + 1:stat.rindex(")")])
        fields = stat[stat.rindex(")") + 2:].split()
        sum_us[name] += (int(fields[11]) + int(fields[12])) * 1_000_000 // os.sysconf("SC_CLK_TCK")
    return sum_us


def main():
    collector, api = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "node.json"
        config.write_text(json.dumps({
            "data_dir": "data", "log_level": "warn",
            "listen": {"collector": f"127.0.0.1:{collector}", "api": f"127.0.0.1:{api}",
                       "peer": f"127.0.0.1:{free_port()}"}}))
        node = subprocess.Popen([str(BUILD / "clickmill"), "serve", "--config", str(config)])
        perf = None
        try:
            while not answers(f"http://127.0.0.1:{api}/readyz"):
                time.sleep(0.05)
            if file := os.environ.get("PERF"):
                perf = subprocess.Popen(["perf", "record", "-q", "-F", "997", "-g", "-o", file, "-p", str(node.pid)])
            before = spent(node.pid)
            done = subprocess.run([str(BUILD / "clickmill-bench"), "--collector", f"127.0.0.1:{collector}",
                                   "--api", f"127.0.0.1:{api}", "--rate", RATE, "--seconds", SECONDS,
                                   "--connections", CONNECTIONS], capture_output=True, text=True)
            after = spent(node.pid)
            print(done.stdout, end="")
            if done.returncode != 0:
                sys.exit(done.stderr)
            clicks = int(re.search(r"clicks: (\d+)", done.stdout).group(1))
            each = {name: (after[name] - before[name]) / clicks for name in after}
            parts = sorted(each.items(), key=lambda part: -part[1])
            print(f"CPU a click, us: {sum(each.values()):.1f}: " +
                  ", ".join(f"{name} {us:.1f}" for name, us in parts if us >= 0.05))
        finally:
            if perf:
                perf.send_signal(signal.SIGINT)
                perf.wait()
            node.terminate()
            node.wait()


main()
