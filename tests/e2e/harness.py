"""Real nodes for black-box tests: start, kill and stop them, and talk HTTP to them.

Shares no code with src/. Nothing here sleeps to let something happen: wait_until
polls a condition until a deadline.
"""

import hashlib
import http.client
import json
import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Failure(AssertionError):
    """What the node did is wrong."""


class Skipped(Exception):
    """This machine doesn't allow the test; the text says why."""


class NoAnswer(Exception):
    """The connection ended without a whole answer. `sent`: the node may have taken the request."""

    def __init__(self, reason, sent):
        super().__init__(reason)
        self.sent = sent


def check(condition, what):
    if not condition:
        raise Failure(what)


def check_equal(what, got, want):
    if got != want:
        raise Failure(f"{what}: got {got!r}, want {want!r}")


def pause(seconds):
    """The one place that lets time pass: between two polls, or until a random kill."""
    threading.Event().wait(seconds)


def wait_until(what, condition, timeout_s=30.0, interval_s=0.02):
    """The first true value of condition(); Failure after the deadline."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"{what}: not within {timeout_s:g} s")
        pause(interval_s)


class StoredPart:
    """A part of the store: which bytes of which file are which partition's."""

    def __init__(self, path, partition, begin, size):
        self.path, self.partition, self.begin, self.size = path, partition, begin, size


def stored_parts(store):
    """All parts in the folder; formats: src/store/shelf_file.cpp and part_format.cpp."""
    found = []
    for path in sorted(store.iterdir()):
        if path.suffix == ".part":
            found.append(StoredPart(path, int(path.name[1:].split("-")[0]) % 65_536, 0, path.stat().st_size))
        elif path.suffix == ".parts":
            found += _shared_parts(path)
    return found


def _shared_parts(path):
    data = path.read_bytes() if path.exists() else b""
    if len(data) < 64 or data[-16:-8] != b"clkmshlf":
        return []  # being written
    count, list_bytes = struct.unpack("<QQ", data[-48:-32])
    at = len(data) - 48 - list_bytes

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            at += 1
            value |= (data[at - 1] & 0x7F) << shift
            shift += 7
            if data[at - 1] < 0x80:
                return value

    found, begin = [], 16
    for _ in range(count):
        slot, size = varint(), varint()
        at += 8
        found.append(StoredPart(path, slot % 65_536, begin, size))
        begin += size
    return found


def free_ports(count):
    """Ports that were free a moment ago, and that no outgoing connection is given (those begin at 32768)."""
    ports = []
    while len(ports) < count:
        port = random.SystemRandom().randrange(12_000, 32_000)
        with socket.socket() as holder:
            try:
                holder.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


def now_ms():
    return time.time_ns() // 1_000_000


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            raise Failure(f"not JSON: {self.status} {self.body[:300]!r}") from None

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


class Client:
    """One keep-alive connection; reconnects when it was lost. Not for two threads."""

    def __init__(self, port, timeout_s=60, tls=None, host="127.0.0.1"):
        if tls is None:
            self.connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        else:
            self.connection = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=tls)

    def request(self, method, path, body=None, headers=None):
        sent = False
        try:
            if self.connection.sock is None:
                self.connection.connect()
            sent = True
            if isinstance(body, str):
                body = body.encode()
            self.connection.request(method, path, body, headers or {})
            response = self.connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            raise NoAnswer(f"{type(error).__name__}: {error}", sent) from None

    def close(self):
        self.connection.close()


def raw_exchange(port, data, timeout_s=10):
    """Sends bytes as they are; everything that comes back until the other side closes or is silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        connection.sendall(data)
        received = b""
        try:
            while b"\r\n\r\n" not in received and (piece := connection.recv(65536)):
                received += piece
        except OSError:
            pass
        return received


def merged(base, changes):
    result = dict(base)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if nested else value
    return result


class Node:
    """One clickmill process with its own data directory and ports, kept over restarts."""

    def __init__(self, binary, directory, config=None):
        self.binary = str(binary)
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.collector_port, self.api_port, peer_port = free_ports(3)
        self.config = merged(
            {
                "data_dir": "data",
                "shutdown_delay_s": 0,
                "listen": {
                    "collector": f"127.0.0.1:{self.collector_port}",
                    "api": f"127.0.0.1:{self.api_port}",
                    "peer": f"127.0.0.1:{peer_port}",
                },
            },
            config or {},
        )
        self.config_path = self.directory / "config.json"
        self.log_path = self.directory / "stderr.txt"
        self.data_dir = self.directory / "data"
        self.environment = {}  # besides the test's own
        self.tls = None  # an ssl.SSLContext, where the node's listeners want one
        self.process = None
        self.starts = 0
        self.host, self.within, self.headers = "127.0.0.1", [], {}

    def move_to(self, host, within):
        """Listens at another address, by a command that runs it elsewhere (a network namespace)."""
        self.host, self.within = host, within
        # Its api listener is no loopback's, so it wants a key.
        self.headers = {"Authorization": "Bearer a-key-of-this-test"}
        self.config["auth"] = {"keys": [{"name": "test", "role": "admin", "sha256": hashlib.sha256(
            b"a-key-of-this-test").hexdigest()}]}
        for name, address in self.config["listen"].items():
            self.config["listen"][name] = f"{host}:{address.rsplit(':', 1)[1]}"

    def write_config(self):
        self.config_path.write_text(json.dumps(self.config))

    def spawn(self):
        """Starts the process and doesn't wait for it."""
        self.write_config()
        self.starts += 1
        self.log_begin = self.log_path.stat().st_size if self.log_path.exists() else 0
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*self.within, self.binary, "serve", "--config", str(self.config_path)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **self.environment})

    def start(self, timeout_s=60):
        """Starts the process and waits until /readyz is green."""
        self.spawn()
        self.wait_ready(timeout_s)
        return self

    def wait_ready(self, timeout_s=60):
        wait_until("readiness", self.is_ready, timeout_s)

    def is_ready(self):
        if self.process.poll() is not None:
            raise Failure(f"the node ended with {self.process.returncode}: {self.log_tail()}")
        try:
            return self.get("/readyz").status == 200
        except NoAnswer:
            return False

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """SIGKILL."""
        if self.process.poll() is not None:
            raise Failure(f"the node ended by itself with {self.process.returncode}: {self.log_tail()}")
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, timeout_s=30):
        """SIGTERM, which must end it with exit code 0."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise Failure(f"SIGTERM did not end the node within {timeout_s} s") from None
        check_equal("exit code after SIGTERM", code, 0)

    def clean_up(self):
        """Whatever state it is in: nothing of it goes on running."""
        if self.alive():
            self.process.kill()
            self.process.wait()

    def log_tail(self, lines=6):
        if not self.log_path.exists():
            return "(no output)"
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def log_since_start(self):
        with open(self.log_path, "rb") as log:
            log.seek(self.log_begin)
            return log.read().decode(errors="replace")

    def client(self, listener="api"):
        return Client(self.api_port if listener == "api" else self.collector_port, tls=self.tls, host=self.host)

    def get(self, path, **headers):
        return self.request("GET", path, headers=headers)

    def request(self, method, path, body=None, headers=None, listener="api"):
        """One request on a connection of its own."""
        client = self.client(listener)
        try:
            return client.request(method, path, body, {**self.headers, **(headers or {})})
        finally:
            client.close()

    def metrics(self):
        """Name -> sum over its labels."""
        values = {}
        for line in self.get("/metrics").body.decode().splitlines():
            if line and not line.startswith("#"):
                series, value = line.rsplit(" ", 1)
                name = series.split("{", 1)[0]
                values[name] = values.get(name, 0.0) + float(value)
        return values

    def upload_ads(self, ads):
        """ads: dicts as POST /v1/ads takes them."""
        body = "".join(json.dumps(ad) + "\n" for ad in ads)
        answer = self.request("POST", "/v1/ads", body)
        check_equal("POST /v1/ads", answer.status, 200)
        check_equal("ads accepted", answer.json()["accepted"], len(ads))

    def metrics_clicks(self, **parameters):
        return self.query("/v1/metrics/clicks", parameters)

    def metrics_top(self, **parameters):
        return self.query("/v1/metrics/top", parameters)

    def query(self, path, parameters):
        query = "&".join(f"{name.rstrip('_')}={value}" for name, value in parameters.items())
        answer = self.get(f"{path}?{query}")
        check(answer.status == 200, f"{path}?{query}: {answer}")
        return answer.json()

    def total(self, from_ms, to_ms):
        """Clicks of all ads in a range."""
        top = self.metrics_top(n=1, from_=from_ms, to=to_ms)
        return top["total"]["click_count"]

    def wait_total(self, from_ms, to_ms, want, timeout_s=60):
        """Until the clicks of all ads in a range are `want`. More is a failure at once."""
        seen = None

        def reached():
            nonlocal seen
            seen = self.total(from_ms, to_ms)
            check(seen <= want, f"{seen} clicks counted, only {want} were sent")
            return seen == want

        try:
            wait_until("count", reached, timeout_s, 0.1)
        except Failure as failure:
            raise Failure(f"{failure}; {seen} clicks counted, want {want}") from None

    def check_invariant(self):
        """received = counted + duplicate + review; gives the counters."""
        metrics = self.metrics()
        names = ("received", "counted", "duplicate", "review", "resent")
        values = {name: int(metrics[f"clickmill_clicks_{name}_total"]) for name in names}
        check_equal(f"received of {values}", values["received"],
                    values["counted"] + values["duplicate"] + values["review"])
        return values

    def wait_spool_empty(self):
        wait_until("empty spool", lambda: self.metrics()["clickmill_spool_clicks"] == 0)


class Context:
    """What a test is given: nodes in a folder of its own, a seeded random source, a log."""

    def __init__(self, binary, bench, directory, seed, soak):
        self.binary = binary
        self.bench = bench
        self.directory = Path(directory)
        self.random = random.Random(seed)
        self.soak = soak
        self.nodes = []

    def node(self, config=None, start=True):
        node = Node(self.binary, self.directory / f"node{len(self.nodes)}", config)
        self.nodes.append(node)
        return node.start() if start else node

    def say(self, text):
        print(f"  {text}", flush=True)

    def run(self, *arguments, timeout_s=30):
        """Runs the binary to its end."""
        return subprocess.run([self.binary, *arguments], capture_output=True, text=True,
                              timeout=timeout_s, cwd=self.directory)

    def clean_up(self):
        for node in self.nodes:
            node.clean_up()


def iso(milliseconds):
    """Epoch milliseconds of a whole second as the API writes them."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(milliseconds // 1000))


def journal_files(node):
    return sorted(os.listdir(node.data_dir / "journal"))
