#!/usr/bin/env python3
"""How fast a new node takes the state of one whose log no longer reaches back: a node alone counts
uploads and drops its log, then becomes one of three; from the first byte of each state that comes
to the two new ones to the moment at which they go on from it, all on this machine.
Usage: bench/catch_up.py [thousands of clicks [partitions]], after a release build."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from failover import BINARY, ask

PARTITIONS = int(sys.argv[2]) if len(sys.argv) > 2 else 4
ADS = 5_000
UPLOAD = 50_000


def config_of(folder, n, cluster):
    ports = [18080 + 10 * at for at in range(3)]
    config = {"node_id": f"n{n + 1}", "data_dir": f"n{n + 1}", "catalog": {"file": "ads.ndjson"},
              "log": {"partitions": PARTITIONS, "segment_bytes": 1 << 20, "retention_bytes": 1 << 20},
              "listen": {"collector": f"127.0.0.1:{ports[n]}", "api": f"127.0.0.1:{ports[n] + 1}",
                         "peer": f"127.0.0.1:{ports[n] + 2}"}}
    if cluster:
        peers = [{"node_id": f"n{at + 1}", "peer": f"127.0.0.1:{port + 2}", "api": f"127.0.0.1:{port + 1}"}
                 for at, port in enumerate(ports)]
        config["cluster"] = {"peers": peers, "replication": 3, "secret_file": "secret"}
    path = folder / f"n{n + 1}.json"
    path.write_text(json.dumps(config))
    return path


def start(folder, n, cluster):
    path = config_of(folder, n, cluster)
    with open(folder / f"n{n + 1}.log", "ab") as log:
        return subprocess.Popen([BINARY, "serve", "--config", path], stdout=log, stderr=log)


def wait(what, condition):
    deadline = time.monotonic() + 100
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"{what}: not within 100 s")
        time.sleep(0.1)


def metric(n, name):
    try:
        text = ask(18081 + 10 * n, "GET", "/metrics")[1].decode()
    except OSError:
        return 0.0
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


def upload(clicks):
    at = int(time.time() * 1000)
    for first in range(0, clicks, UPLOAD):
        lines = []
        for number in range(first, min(first + UPLOAD, clicks)):
            noise = hashlib.md5(str(number).encode()).hexdigest()
            lines.append(f'{{"click_id":"{noise}","ad_id":"ad_{number % ADS}","timestamp_ms":{at},'
                         f'"user_id":"{noise[:12]}"}}')
        status, body = ask(18081, "POST", "/v1/clicks", "\n".join(lines))
        if status != 202:
            sys.exit(f"upload: {status} {body}")


def states_of(folder, n):
    """Bytes and seconds of each state that it took."""
    begun, out = {}, []
    line = re.compile(r"(\S+) info stream: partition (\d+): (its log can't.* (\d+) bytes|goes on from)")
    for text in (folder / f"n{n + 1}.log").read_text().splitlines():
        if found := line.match(text):
            when = datetime.fromisoformat(found[1].replace("Z", "+00:00")).timestamp()
            if found[4]:
                begun[found[2]] = (when, int(found[4]))
            else:
                since, size = begun[found[2]]
                out.append((size, when - since))
    return out


def main():
    clicks = 1000 * int(sys.argv[1] if len(sys.argv) > 1 else 1000)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "secret").write_text("a secret of this benchmark\n")
        (folder / "ads.ndjson").write_text("".join(
            json.dumps({"ad_id": f"ad_{n}", "advertiser_id": f"a{n % 100}", "ad_format": "banner",
                        "redirect_url": "https://example.com/"}) + "\n" for n in range(ADS)))
        processes = [start(folder, 0, cluster=False)]
        try:
            wait("a node", lambda: metric(0, "clickmill_ready") == 1)
            upload(clicks)
            wait("its counts", lambda: metric(0, "clickmill_clicks_counted_total") >= clicks)
            processes[0].send_signal(signal.SIGTERM)
            processes.pop().wait()
            subprocess.run([BINARY, "retention", "--now", folder / "n1"], check=True, stdout=subprocess.DEVNULL)
            processes = [start(folder, n, cluster=True) for n in range(3)]
            for n in (1, 2):
                wait("states", lambda: metric(n, "clickmill_peer_states_taken_total") == PARTITIONS)
            states = states_of(folder, 1) + states_of(folder, 2)
        finally:
            for process in processes:
                process.kill()
                process.wait()
        size, seconds = (sum(each[at] for each in states) for at in (0, 1))
        print(f"{len(states)} states of {size / len(states) / 1e6:.1f} MB: {seconds / len(states):.2f} s each, "
              f"{size / seconds / 1e6:.0f} MB/s")


if __name__ == "__main__":
    main()
