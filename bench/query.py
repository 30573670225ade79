#!/usr/bin/env python3
"""See query.sh."""

import argparse
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
BUILD = TOP / os.environ.get("BUILD", "build/release")
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
ADS = 1000


def free_port():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return holder.getsockname()[1]


class Node:
    """One node alone; `folder` has its data, which outlives it."""

    def __init__(self, folder):
        self.api = free_port()
        config = folder / "node.json"
        # Checkpoints by what is held, not by the clock, so that the head is there to be asked.
        config.write_text(json.dumps({
            "data_dir": "data", "log_level": "warn", "stream": {"checkpoint_interval_s": 3600},
            "listen": {"collector": f"127.0.0.1:{free_port()}", "api": f"127.0.0.1:{self.api}",
                       "peer": f"127.0.0.1:{free_port()}"}}))
        self.process = subprocess.Popen([BUILD / "clickmill", "serve", "--config", config])
        self.wait("ready", lambda: self.ask("GET", "/readyz")[0] == 200)

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.api, timeout=120)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()

    def wait(self, what, condition, seconds=120):
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"query.py: the node is not {what}")
            time.sleep(0.05)

    def metric(self, name):
        page = self.ask("GET", "/metrics")[1].decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", page, re.MULTILINE))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def fill(node, history):
    node.ask("POST", "/v1/ads", (history / "ads.ndjson").read_bytes())
    begin, sent = time.monotonic(), 0
    for body in sorted(history.glob("clicks-*.ndjson")):
        text = body.read_bytes()
        while (answer := node.ask("POST", "/v1/clicks?mode=backfill", text))[0] == 503:
            time.sleep(0.2)
        if answer[0] != 202 or json.loads(answer[1])["rejected_count"] != 0:
            sys.exit(f"query.py: an import answers {answer[0]} {answer[1][:300]}")
        sent += json.loads(answer[1])["accepted"]
    node.wait("done counting", lambda: node.metric("clickmill_clicks_counted_total") >= sent)
    seconds = time.monotonic() - begin
    print(f"imported {sent} clicks in {seconds:.1f} s, {sent / seconds:.0f}/s", flush=True)


def kinds(until_ms):
    """What is asked: name, then what to ask about, a few times with other ads and times each."""
    pick = random.Random(1)
    day, week = until_ms - until_ms % DAY, 7 * DAY
    ads = [f"hist_{number:05}" for number in (0, 1, 2, 5, 10, 20, 50, 100, 200, 400)]
    advertisers = [f"adv_{number:03}" for number in range(10)]

    def clicks(name, length, granularity, zone="UTC", ids=ads, key="ad_id"):
        step = {"1m": HOUR, "1h": HOUR, "1d": DAY}[granularity]
        last = until_ms - until_ms % step
        for identifier in ids:
            to = last - (pick.randrange(24) * HOUR if granularity == "1m" else 0)
            yield {"name": name, key: identifier, "from": to - length, "to": to, "granularity": granularity,
                   "timezone": zone}

    def top(name, start, end, **more):
        yield {"name": name, "n": 100, "from": start, "to": end, **more}

    out = [*clicks("ad, 1 h by minute", HOUR, "1m")]
    for zone in ("UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/New_York"):
        where = "" if zone == "UTC" else f", {zone}"
        out += clicks(f"ad, 7 d by hour{where}", week, "1h", zone)
        out += clicks(f"ad, 30 d by hour{where}", 30 * DAY, "1h", zone)
        out += clicks(f"ad, 1 y by day{where}", 364 * DAY, "1d", zone)
    for zone in ("UTC", "Asia/Kolkata"):
        where = "" if zone == "UTC" else f", {zone}"
        out += clicks(f"advertiser (20 ads), 7 d by day{where}", week, "1d", zone, advertisers, "advertiser_id")
        out += clicks(f"advertiser (20 ads), 30 d by day{where}", 30 * DAY, "1d", zone, advertisers, "advertiser_id")
    odd = until_ms - 37 * MINUTE
    out += top("top 100 of 7 d", day - week, day)
    out += top("top 100 of 7 d, odd range", odd - week, odd)
    out += top("top 100 of 7 d, by device", odd - week, odd, device_type="mobile")
    out += top("top 100 of 7 d, by country", odd - week, odd, country="DE")
    return out


def target(question):
    parameters = "&".join(f"{key}={value}" for key, value in question.items() if key != "name")
    return f"/v1/metrics/{'top' if 'n' in question else 'clicks'}?{parameters}"


def ask_all(node, folder, clients, milliseconds, only):
    lines = [f"{question['name']}\t{target(question)}\n" for question in KINDS if only in question["name"]]
    (folder / "questions.tsv").write_text("".join(lines))
    answered = subprocess.run(
        [BUILD / "clickmill-bench", "questions", "--directory", folder, "--port", str(node.api), "--clients",
         str(clients), "--milliseconds", str(milliseconds), "--pid", str(node.process.pid)],
        check=True, capture_output=True, text=True).stdout
    return {line.split("\t")[0]: [float(cell) for cell in line.split("\t")[1:]] for line in answered.splitlines()}


def measure(node, folder, options, what):
    print(f"\n{what}: {node.metric('clickmill_head_rows'):.0f} rows in the head, "
          f"{node.metric('clickmill_parts'):.0f} parts")
    one, many = (ask_all(node, folder, clients, options.milliseconds, options.only) for clients in (1, 16))
    print("| question | 1 client: p50 | p99 ms | CPU µs | 16 clients: p50 | p99 ms |\n|---|---|---|---|---|---|")
    for name, row in one.items():
        print(f"| {name} | {row[2]:.2f} | {row[3]:.2f} | {row[5]:.0f} | {many[name][2]:.2f} | {many[name][3]:.2f} |",
              flush=True)
    return one


def peers(folder, history, options, ours):
    peer_folder = Path(os.environ.get("PEERS", folder / "peers"))
    if shutil.which("npm") is None:
        return print("\nno peers: npm is missing (apt-get install npm)")
    if not (peer_folder / "node_modules").exists():
        peer_folder.mkdir(exist_ok=True)
        shutil.copy(TOP / "bench/peers/package.json", peer_folder)
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=peer_folder, check=False)
        if done.returncode != 0:
            return print("\nno peers: npm can't install them")
    shutil.copy(TOP / "bench/peers/query_peers.cjs", peer_folder)
    (peer_folder / "questions.json").write_text(json.dumps([q for q in KINDS if options.only in q["name"]]))
    for peer in ("chdb", "duckdb"):
        done = subprocess.run(["node", "query_peers.cjs", peer, str(history), str(options.milliseconds)],
                              cwd=peer_folder, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            print(f"\nno {peer}: {done.stderr.strip()[-500:]}")
            continue
        answer = json.loads(done.stdout)
        print(f"\n{answer['version']}, in the process that asks (no HTTP); {answer['note']}\n"
              f"loaded in {answer['seconds']:.1f} s; {answer['size']}\n"
              "| question | p50 ms | p99 ms | clickmill's p50 through HTTP is less by |\n|---|---|---|---|")
        for name, (p50, p99) in answer["times"].items():
            print(f"| {name} | {p50:.2f} | {p99:.2f} | {p50 / ours[name][2]:.1f}× |")


def settled(node):
    """Merges have nothing left to do: the number of parts rests."""
    before, quiet = -1, 0
    for _ in range(240):
        parts = node.metric("clickmill_parts")
        quiet = quiet + 1 if parts == before else 0
        if quiet == 8:
            return
        before = parts
        time.sleep(0.25)


def run(folder, options):
    global KINDS
    history = folder / "history"
    if not history.exists():
        history.mkdir(parents=True)
        until = int(time.time()) - 300
        (folder / "until").write_text(str(until - until % 60))
        subprocess.run([BUILD / "clickmill-bench", "history", "--directory", history, "--rows", str(options.rows),
                        "--ads", str(ADS), "--until", (folder / "until").read_text()], check=True)
    KINDS = kinds(int((folder / "until").read_text()) * 1000)
    ours = {}
    if not (folder / "data").exists() or options.phase == "head":
        shutil.rmtree(folder / "data", ignore_errors=True)
        node = Node(folder)
        try:
            fill(node, history)
            ours = measure(node, folder, options, "in the head, as far as it goes back")
        finally:
            node.stop()
    if options.phase != "head":
        node = Node(folder)
        try:
            settled(node)
            store = sum(file.stat().st_size for file in (folder / "data").glob("store/*.part"))
            ours = measure(node, folder, options, f"in parts ({store / 1e6:.1f} MB)")
        finally:
            node.stop()
    if not options.no_peers:
        peers(folder, history, options, ours)


def main():
    parser = argparse.ArgumentParser(description="How long questions take; see query.sh.")
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--long", dest="rows", action="store_const", const=10_000_000)
    parser.add_argument("--milliseconds", type=int, default=1000, help="for each kind of question")
    parser.add_argument("--only", default="", help="kinds with this in their name")
    parser.add_argument("--phase", choices=("head", "parts", "all"), default="all")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--keep", help="a folder to work in, used again if it is there")
    options = parser.parse_args()
    print(f"{options.rows} minute rows of {ADS} ads, {os.cpu_count()} cores (asking runs on them too), "
          f"load before {os.getloadavg()[0]:.1f}", flush=True)
    if options.keep:
        return run(Path(options.keep), options)
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder), options)


if __name__ == "__main__":
    main()
