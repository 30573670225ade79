#!/usr/bin/env python3
"""What users feel of other work on the same node: latency of redirects alone and beside each kind of it.

  bench/side_work.py [SECONDS [CLICKS_PER_SECOND]] [--hostile | --work]     default 15 1000

--hostile: beside clients that mean harm alone; --work: beside the node's own work alone.

Wants a release build (BUILD=build/dev for another one). Loopback only; a node of its own for each line.
"""

import argparse
import gzip
import hashlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path.append(str(TOP / "tests" / "e2e"))
from test_hostile import SMUGGLING  # noqa: E402

BUILD = TOP / os.environ.get("BUILD", "build/release")
ARGUMENTS = argparse.ArgumentParser(description=__doc__.splitlines()[0])
ARGUMENTS.add_argument("seconds", type=int, nargs="?", default=15)
ARGUMENTS.add_argument("clicks_per_second", type=int, nargs="?", default=1000)
WHICH = ARGUMENTS.add_mutually_exclusive_group()
WHICH.add_argument("--hostile", action="store_true")
WHICH.add_argument("--work", action="store_true")
GIVEN = ARGUMENTS.parse_args()
SECONDS, RATE = GIVEN.seconds, GIVEN.clicks_per_second
KEY = "a key for the bench"


def free_port():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return holder.getsockname()[1]


class Node:
    def __init__(self, folder, config, stuck_stderr=False):
        self.collector, self.api = free_port(), free_port()
        self.config = Path(folder) / "node.json"
        self.config.write_text(json.dumps({
            "data_dir": "data", "log_level": "debug" if stuck_stderr else "warn",
            "listen": {"collector": f"127.0.0.1:{self.collector}", "api": f"127.0.0.1:{self.api}",
                       "peer": f"127.0.0.1:{free_port()}"}, **config}))
        self.reader, writer = os.pipe()
        if stuck_stderr:
            os.set_blocking(writer, False)
            try:
                while True:
                    os.write(writer, b"x" * 4096)
            except BlockingIOError:
                os.set_blocking(writer, True)
        self.process = subprocess.Popen([str(BUILD / "clickmill"), "serve", "--config", str(self.config)],
                                        stderr=writer if stuck_stderr else None)
        os.close(writer)
        while self.ask("GET", "/readyz")[0] != 200:
            time.sleep(0.05)

    def ask(self, method, path, body=None, key=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.api, timeout=60)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {key}"} if key else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def stop(self):
        self.process.kill()
        self.process.wait()
        os.close(self.reader)


def lines(prefix, begin, count, timestamp_ms):
    return "".join(json.dumps({"click_id": f"{prefix}-{number}", "ad_id": f"side_{number % 200}",
                               "timestamp_ms": timestamp_ms(number), "user_id": f"u{number % 5000}",
                               "country": "US", "device_type": "mobile"}) + "\n"
                   for number in range(begin, begin + count))


def upload_ads(node):
    node.ask("POST", "/v1/ads", "".join(
        json.dumps({"ad_id": f"side_{number}", "advertiser_id": "side", "ad_format": "banner",
                    "redirect_url": "https://example.com/"}) + "\n" for number in range(200)))


# Each: what to do over and over beside the load; called with the node and a number that rises.
def nothing(node, _):
    time.sleep(0.1)


def reload_config(node, _):
    node.process.send_signal(1)
    time.sleep(0.05)


def long_zone_question(node, _):
    node.ask("GET", "/v1/metrics/clicks?ad_id=side_1&from=1970-01-01T00:00:00Z&to=2240-01-01T00:00:00Z"
                    "&granularity=1d&timezone=Asia/Kolkata")


def upload_without_key(node, _):
    node.ask("POST", "/v1/clicks", b"x" * (16 << 20))


def import_backfill(node, number):
    week_ago = (time.time_ns() // 1_000_000) - 7 * 86_400_000
    node.ask("POST", "/v1/clicks?mode=backfill",
             lines("past", number * 20_000, 20_000, lambda click: week_ago + click * 50))


def bulk_decision(node, number):
    hour_ago = (time.time_ns() // 1_000_000) - 3_600_000
    node.ask("POST", "/v1/clicks", lines("late", number * 5_000, 5_000, lambda click: hour_ago + click))
    node.ask("POST", "/v1/review?reason=late", '{"decision":"accept"}')


def recount_repair(node, number):
    if number == 0:
        for body in range(10):
            import_backfill(node, body)
    now_s = time.time()
    day = [time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(now_s - ago * 86_400)) for ago in (8, -1)]
    subprocess.run([str(BUILD / "clickmill"), "recount", "--node", f"http://127.0.0.1:{node.api}",
                    "--from", day[0], "--to", day[1], "--repair"], capture_output=True, check=False)


# What tests/e2e/test_hostile.py tries once, over and over.
def send_and_leave(node, requests, step_s=0.02):
    """A connection each; a second of whatever it says next, then all are given up."""
    held = []
    for begin, more in requests:
        try:
            connection = socket.create_connection(("127.0.0.1", node.collector), timeout=10)
            connection.sendall(begin)
            connection.setblocking(False)
            held.append((connection, more))
        except OSError:
            pass
    until = time.monotonic() + 1
    while time.monotonic() < until:
        for connection, more in held:
            try:
                connection.send(more)
            except OSError:
                pass
        time.sleep(step_s)
    for connection, _ in held:
        connection.close()


def slow_heads(node, _):
    send_and_leave(node, [(b"GET /v1/click?ad_id=side_1 HTTP/1.1\r\nHost: h\r\nX-Slow: ", b"x")] * 300, 0.5)


CHUNKED = b"POST /v1/click HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"


def tiny_chunks(node, _):
    send_and_leave(node, [(CHUNKED, b"1\r\nx\r\n" * 200)] * 100, 0.1)


def answers_unread(node, _):
    click = b"GET /v1/click?ad_id=side_1 HTTP/1.1\r\nHost: h\r\n\r\n"
    send_and_leave(node, [(click * 100, click * 100)] * 20)


def answer_to(node, request):
    try:
        with socket.create_connection(("127.0.0.1", node.collector), timeout=10) as connection:
            connection.sendall(request)
            while connection.recv(65536):
                pass
    except OSError:
        pass


def two_ends(node, number):
    answer_to(node, SMUGGLING[number % len(SMUGGLING)][1])


def post_of(body, path="/v1/click", encoding=""):
    return (f"POST {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
            f"{encoding}\r\n").encode() + body


BODIES = [post_of(body) for body in (
    b'{"a":' + b"[" * 8_000 + b"]" * 8_000 + b"}", b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
    b'{"timestamp_ms":' + b"9" * 15_000 + b"}",
    ("{" + ",".join(f'"f{number}":1' for number in range(1_500)) + "}").encode())]


def deep_json(node, number):
    answer_to(node, BODIES[number % len(BODIES)])


BOMB = gzip.compress(b"x" * (200 << 20))


def gzip_bomb(node, _):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", node.api, timeout=60)
        connection.request("POST", "/v1/clicks", BOMB, {"Content-Encoding": "gzip"})
        connection.getresponse().read()
        connection.close()
    except (OSError, http.client.HTTPException):
        pass


def come_and_go(node, _):
    try:
        socket.create_connection(("127.0.0.1", node.collector), timeout=10).close()
    except OSError:
        pass


KEYS = {"auth": {"keys": [{"name": "bench", "sha256": hashlib.sha256(KEY.encode()).hexdigest(), "role": "admin"}]}}
ALONE = [("alone", nothing, 1, {})]
WORK = [  # name, side work, how many at once, config
    ("stderr that nobody reads", reload_config, 1, {}),
    ("1970 to 2240 by day in Asia/Kolkata, 2 at once", long_zone_question, 2, {}),
    ("16 MiB bodies without a key, 8 at once", upload_without_key, 8, KEYS),
    ("a backfill import, 2 at once", import_backfill, 2, {}),
    ("late clicks and bulk decisions on them", bulk_decision, 1, {}),
    ("recount --repair of 9 days", recount_repair, 1, {}),
]
HOSTILE = [
    ("300 heads that never end", slow_heads, 1, {}),
    ("100 bodies of tiny chunks that never end", tiny_chunks, 1, {}),
    ("20 connections that ask on and on and read nothing", answers_unread, 1, {}),
    ("requests with two ends, 2 at once", two_ends, 2, {}),
    ("deep JSON and long numbers, 2 at once", deep_json, 2, {}),
    ("gzip bombs of 200 MiB in bulk, 2 at once", gzip_bomb, 2, {}),
    ("connections that come and go, 2 at once", come_and_go, 2, {}),
]
CASES = ALONE + ([] if GIVEN.hostile else WORK) + ([] if GIVEN.work else HOSTILE)


def load(node, checked):
    result = subprocess.run(
        [str(BUILD / "clickmill-bench"), "--collector", f"127.0.0.1:{node.collector}",
         "--api", f"127.0.0.1:{node.api}" if checked else "none", "--rate", str(RATE),
         "--seconds", str(SECONDS), "--connections", "64", "--ads", "1000"], capture_output=True, text=True)
    latency = re.search(r"latency .*: p50 (\S+)  p90 \S+  p99 (\S+)  p99.9 (\S+)  max (\S+)", result.stdout)
    if latency is None:
        sys.exit(result.stdout + result.stderr)
    exact = "exactly once: yes" in result.stdout if checked else "302" in result.stdout
    return [float(number) for number in latency.groups()], exact


def measure(name, work, at_once, config):
    with tempfile.TemporaryDirectory() as folder:
        checked = "auth" not in config
        if not checked:
            config = {**config, "collector": {"default_redirect": "https://example.com/"}}
        node = Node(folder, config, stuck_stderr="stderr" in name)
        done = [0] * at_once
        stopping = threading.Event()
        upload_ads(node)

        def side(worker):
            number = worker
            while not stopping.is_set():
                work(node, number)
                done[worker] += 1
                number += at_once

        threads = [threading.Thread(target=side, args=(worker,)) for worker in range(at_once)]
        for thread in threads:
            thread.start()
        try:
            (p50, p99, p999, most), exact = load(node, checked)
        finally:
            stopping.set()
            for thread in threads:
                thread.join()
            node.stop()
        print(f"| {name} | {p50:.2f} | {p99:.2f} | {p999:.2f} | {most:.1f} | {sum(done)} | "
              f"{'yes' if exact else 'NO'} |", flush=True)


print(f"{RATE} clicks/s for {SECONDS} s, ms from the intended send")
print("| beside | p50 | p99 | p99.9 | max | done | exact |")
print("|---|---|---|---|---|---|---|", flush=True)
for case in CASES:
    measure(*case)
