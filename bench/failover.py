#!/usr/bin/env python3
"""How long a cluster of three on this machine counts nothing when a node is killed: kill -9 of a
node, then one click for a partition that it led at another node; from the kill to its count there,
and how many redirects failed meanwhile. The next is killed when all have been up for five seconds,
with `--at-once` when the former one has just come back.
Usage: bench/failover.py [kills] [--at-once], after a release build."""

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BINARY = os.environ.get("CLICKMILL_BINARY", ROOT / "build/release/clickmill")


def ask(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class Cluster:
    def __init__(self, folder, collector=None):
        self.folder = Path(folder)
        (self.folder / "secret").write_text("a secret of this benchmark\n")
        ads = [{"ad_id": f"ad_{n}", "advertiser_id": "a", "ad_format": "banner", "redirect_url": "https://example.com/"}
               for n in range(200)]
        (self.folder / "ads.ndjson").write_text("".join(json.dumps(ad) + "\n" for ad in ads))
        self.ports = [18080 + 10 * n for n in range(3)]
        peers = [{"node_id": f"n{n + 1}", "peer": f"127.0.0.1:{port + 2}", "api": f"127.0.0.1:{port + 1}"}
                 for n, port in enumerate(self.ports)]
        self.processes = [None] * 3
        for n, port in enumerate(self.ports):
            config = {"node_id": f"n{n + 1}", "data_dir": f"n{n + 1}", "catalog": {"file": "ads.ndjson"},
                      "listen": {"collector": f"127.0.0.1:{port}", "api": f"127.0.0.1:{port + 1}",
                                 "peer": f"127.0.0.1:{port + 2}"},
                      "cluster": {"peers": peers, "replication": 3, "secret_file": "secret"},
                      "collector": collector or {}}
            (self.folder / f"n{n + 1}.json").write_text(json.dumps(config))
            self.start(n)

    def start(self, n):
        with open(self.folder / f"n{n + 1}.log", "ab") as log:
            self.processes[n] = subprocess.Popen([BINARY, "serve", "--config", self.folder / f"n{n + 1}.json"],
                                                 stdout=log, stderr=log)

    def kill(self, n):
        self.processes[n].send_signal(signal.SIGKILL)
        self.processes[n].wait()

    def wait(self, what, condition):
        deadline = time.monotonic() + 60
        while not condition():
            if time.monotonic() > deadline:
                raise SystemExit(f"{what}: not within 60 s")
            time.sleep(0.02)

    def ready(self, n):
        try:
            return ask(self.ports[n] + 1, "GET", "/readyz")[0] == 200
        except OSError:
            return False

    def leaders(self, n):
        return [p["leader"] for p in json.loads(ask(self.ports[n] + 1, "GET", "/v1/cluster")[1])["partitions"]]

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()


def total(port, ad):
    now = int(time.time() * 1000)
    status, body = ask(port + 1, "GET", f"/v1/metrics/clicks?ad_id={ad}&from={now - 7_200_000}&to={now + 60_000}"
                       "&granularity=total")
    return json.loads(body)["total"]["click_count"] if status == 200 else -1


def click(port, ad, number):
    body = json.dumps({"click_id": f"f{number}-{time.time_ns()}", "ad_id": ad, "timestamp_ms": int(time.time() * 1000)})
    return ask(port, "POST", "/v1/click", body)[0] == 302


def main():
    numbers = [argument for argument in sys.argv[1:] if argument != "--at-once"]
    kills, at_once = int(numbers[0]) if numbers else 20, "--at-once" in sys.argv
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(folder)
        try:
            cluster.wait("start", lambda: all(cluster.ready(n) for n in range(3)))
            seconds, failed, sent = [], 0, 0
            for number in range(kills):
                if not at_once:
                    time.sleep(5)
                leads = cluster.leaders(0)
                victim = max(range(3), key=lambda n: leads.count(f"n{n + 1}"))
                other = (victim + 1) % 3
                # Of so many ads some are in partitions that it led.
                ads = [f"ad_{n}" for n in range(200)]
                before = {ad: total(cluster.ports[other], ad) for ad in ads[:40]}
                cluster.kill(victim)
                begin = time.monotonic()
                waiting = {}
                for ad in ads[:40]:
                    sent += 1
                    if click(cluster.ports[other], ad, sent):
                        waiting[ad] = before[ad] + 1
                    else:
                        failed += 1
                while waiting:
                    for ad in list(waiting):
                        if total(cluster.ports[other], ad) >= waiting[ad]:
                            del waiting[ad]
                    if time.monotonic() - begin > 30:
                        raise SystemExit("not counted within 30 s")
                seconds.append(time.monotonic() - begin)
                cluster.start(victim)
                cluster.wait("restart", lambda: cluster.ready(victim))
            seconds.sort()
            print(f"{kills} kills of the node that led most; {sent} clicks at another, {failed} not redirected")
            print(f"all 40 clicks of 40 ads counted after: median {seconds[len(seconds) // 2]:.2f} s, "
                  f"worst {seconds[-1]:.2f} s")
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
