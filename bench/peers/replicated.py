#!/usr/bin/env python3
"""clickmill, NATS JetStream and etcd, three processes of each on this machine, by one generator:
see replicated.sh."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import failover  # noqa: E402
from generator import PAYLOAD, Connection, Etcd, Http, JetStream, ask, run, until_acknowledged  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(process):
    stat = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(stat[11]) + int(stat[12])) / TICKS


def wait(what, condition, limit_s=60):
    deadline = time.monotonic() + limit_s
    while True:
        try:
            if condition():
                return
        except (OSError, ValueError):
            pass
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {limit_s} s")
        time.sleep(0.05)


class Three:
    """Three processes, started by command(n)."""

    def begin(self, folder):
        self.folder, self.processes = Path(folder), [None] * 3
        for n in range(3):
            self.start(n)

    def start(self, n):
        with open(self.folder / f"{n}.log", "ab") as log:
            self.processes[n] = subprocess.Popen(self.command(n), stdout=log, stderr=log, cwd=self.folder)

    def kill(self, n):
        self.processes[n].send_signal(signal.SIGKILL)
        self.processes[n].wait()

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()


class Nats(Three):
    name = "NATS JetStream, 3 replicas"
    synced = "nothing before the answer (sync_interval: 2 minutes, its default)"

    def __init__(self, binary, folder):
        self.binary, self.ports, self.protocol = binary, [14222, 14223, 14224], JetStream("clicks.one")
        routes = ", ".join(f"nats://127.0.0.1:{port + 100}" for port in self.ports)
        for n, port in enumerate(self.ports):
            (Path(folder) / f"{n}.conf").write_text(
                f'server_name: s{n}\nlisten: 127.0.0.1:{port}\nhttp: 127.0.0.1:{port + 200}\n'
                f'jetstream {{ store_dir: "{folder}/data{n}" }}\n'
                f'cluster {{ name: c, listen: 127.0.0.1:{port + 100}, routes: [{routes}] }}\n')
        self.begin(folder)
        wait("NATS", lambda: all(self.well(n) for n in range(3)))
        wait("the stream", self.make)

    def command(self, n):
        return [self.binary, "-c", f"{n}.conf"]

    def version(self):
        return subprocess.run([self.binary, "--version"], capture_output=True, text=True).stdout.strip()

    def well(self, n):
        return ask(self.ports[n] + 200, "/healthz")[0] == 200

    def request(self, subject, body):
        connection = Connection(self.protocol, self.ports[0], 0)
        self.protocol.pub(connection, subject, json.dumps(body).encode())
        connection.socket.settimeout(2)
        data = b""
        while not data.endswith(b"}\r\n"):
            data += connection.socket.recv(65_536)
        connection.socket.close()
        return json.loads(data[data.index(b"{"):])

    def make(self):
        answer = self.request("$JS.API.STREAM.CREATE.CLICKS", {
            "name": "CLICKS", "subjects": ["clicks.*"], "storage": "file", "num_replicas": 3, "retention": "limits",
            "discard": "old", "max_msgs": -1, "max_bytes": -1, "max_consumers": -1})
        return "error" not in answer or answer["error"].get("err_code") == 10058

    def leader(self):
        for n in range(3):
            for account in ask(self.ports[n] + 200, "/jsz?streams=true")[1].get("account_details", []):
                for stream in account.get("stream_detail", []):
                    if leader := stream.get("cluster", {}).get("leader"):
                        return int(leader[1])
        raise ValueError("no leader yet")

    def whole(self, n):
        return self.well(n) and all(self.well(m) for m in range(3))


class EtcdThree(Three):
    name = "etcd, 3 members"
    synced = "the log of two of three"

    def __init__(self, binary, folder):
        self.binary, self.ports, self.protocol = binary, [13379, 13479, 13579], Etcd()
        self.begin(folder)
        wait("etcd", lambda: all(self.well(n) for n in range(3)))

    def command(self, n):
        peers = ",".join(f"m{m}=http://127.0.0.1:{port + 1}" for m, port in enumerate(self.ports))
        here = f"http://127.0.0.1:{self.ports[n]}"
        there = f"http://127.0.0.1:{self.ports[n] + 1}"
        return [self.binary, "--name", f"m{n}", "--data-dir", f"m{n}", "--listen-client-urls", here,
                "--advertise-client-urls", here, "--listen-peer-urls", there, "--initial-advertise-peer-urls", there,
                "--initial-cluster", peers, "--log-level", "error", "--quota-backend-bytes", str(8 << 30)]

    def version(self):
        return subprocess.run([self.binary, "--version"], capture_output=True, text=True).stdout.splitlines()[0]

    def well(self, n):
        return ask(self.ports[n], "/health")[1].get("health") == "true"

    def leader(self):
        for n in range(3):
            status = ask(self.ports[n], "/v3/maintenance/status", "{}")[1]
            if status["header"]["member_id"] == status.get("leader"):
                return n
        raise ValueError("no leader yet")

    whole = well


class Clickmill:
    def __init__(self, durability, folder):
        self.name = f"clickmill, {durability}"
        self.synced = {"synced": "the journal of the node that was asked",
                       "replicated": "the logs of two of three"}[durability]
        # No click is answered at the deadline: each waits for its copies.
        self.cluster = failover.Cluster(folder, {"durability": durability, "redirect_deadline_ms": 5_000})
        self.ports, self.processes = self.cluster.ports, self.cluster.processes
        filler = "x" * (PAYLOAD - 100)
        self.protocol = Http("/v1/click", lambda number: json.dumps({
            "click_id": f"{time.time_ns()}-{number}", "ad_id": f"ad_{number % 200}",
            "timestamp_ms": int(time.time() * 1000), "x": filler})[:-1] + "}", 302)
        self.cluster.wait("start", lambda: all(self.cluster.ready(n) for n in range(3)))
        self.start, self.kill, self.stop, self.well = (self.cluster.start, self.cluster.kill, self.cluster.stop,
                                                       self.cluster.ready)
        self.whole = self.well

    def version(self):
        return subprocess.run([failover.BINARY, "--version"], capture_output=True, text=True).stdout.strip()

    def leader(self):
        leads = self.cluster.leaders(0)
        return max(range(3), key=lambda n: leads.count(f"n{n + 1}"))


def measure(make, seconds, kills):
    folder = tempfile.mkdtemp(prefix="clickmill-peers-")
    three = None
    try:
        three = make(folder)
        print(f"\n{three.name} ({three.version()}); synced before the answer: {three.synced}", flush=True)
        time.sleep(5)
        before = [cpu_s(process) for process in three.processes]
        time.sleep(10)
        idle = [(cpu_s(process) - b) * 10 for process, b in zip(three.processes, before)]
        run(three.protocol, three.ports, 64, 2)
        before = sum(cpu_s(process) for process in three.processes)
        rate, refused, latencies = run(three.protocol, three.ports, 64, seconds)
        cpu = sum(cpu_s(process) for process in three.processes) - before
        at = lambda part: latencies[int(part * (len(latencies) - 1))] * 1000  # noqa: E731
        print(f"  {rate:,.0f} acknowledged/s ({refused} refused); p50 {at(.5):.1f}, p99 {at(.99):.1f}, "
              f"p99.9 {at(.999):.1f} ms; CPU {cpu / len(latencies) * 1e6:.0f} us a message over the three", flush=True)
        print(f"  idle: {', '.join(f'{one:.1f} %' for one in idle)} of a core", flush=True)
        outages, refused = [], 0
        for _ in range(kills):
            wait("a leader", lambda: three.leader() >= 0)
            victim = three.leader()
            three.kill(victim)
            outage, bad = until_acknowledged(three.protocol, three.ports[(victim + 1) % 3])
            outages.append(outage)
            refused += bad
            three.start(victim)
            wait("the killed one's return", lambda: three.whole(victim))
            time.sleep(1)
        if outages:
            outages.sort()
            print(f"  leader killed {kills} times: next acknowledgement by another after median "
                  f"{outages[len(outages) // 2]:.2f} s, worst {outages[-1]:.2f} s; {refused} refused meanwhile", flush=True)
        return rate, at(.99)
    finally:
        if three is not None:
            three.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nats", required=True)
    parser.add_argument("--etcd", required=True)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--only", default="", help="those whose name contains this")
    options = parser.parse_args()
    made = {"synced": lambda folder: Clickmill("synced", folder),
            "replicated": lambda folder: Clickmill("replicated", folder),
            "nats": lambda folder: Nats(options.nats, folder),
            "etcd": lambda folder: EtcdThree(options.etcd, folder)}
    print(f"messages of {PAYLOAD} bytes, 64 connections over the three, one outstanding on each; {os.cpu_count()} cores, "
          "which the generator shares. Not comparable: clickmill parses, deduplicates and counts each message (of a "
          "durable count later), NATS and etcd keep it; clickmill's is one of 64 groups, theirs is one.")
    results = {name: measure(make, options.seconds, options.kills) for name, make in made.items() if options.only in name}
    print()
    for mine, other in (("synced", "nats"), ("replicated", "nats"), ("replicated", "etcd")):
        if mine in results and other in results:
            (rate, p99), (their_rate, their_p99) = results[mine], results[other]
            print(f"{mine} / {other}: rate {rate / their_rate:.2f}x, p99 {p99 / their_p99:.2f}x")


if __name__ == "__main__":
    main()
