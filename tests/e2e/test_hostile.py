"""Clients that mean harm, against the real binary: its memory stays what it was, and others are served."""

import json
import socket
import threading

from harness import NoAnswer, check, check_equal, now_ms, wait_until

AD = {"ad_id": "ad_1", "advertiser_id": "adv_1", "ad_format": "banner", "redirect_url": "https://example.com/1"}
CLICK = "/v1/click?ad_id=ad_1"
MIB = 1 << 20


def memory(node):
    return node.metrics()["process_resident_memory_bytes"]


class Crowd:
    """Others, who click all the while; none may be refused or left waiting."""

    def __init__(self, node):
        self.node, self.stop, self.clicks, self.trouble = node, False, 0, []
        self.thread = threading.Thread(target=self.click_on)

    def click_on(self):
        client = self.node.client("collector")
        while not self.stop:
            try:
                answer = client.request("GET", CLICK)
                if answer.status != 302:
                    self.trouble.append(answer)
            except NoAnswer as error:
                self.trouble.append(error)
            self.clicks += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop = True
        self.thread.join()

    def goes_on(self, clicks=50):
        want = self.clicks + clicks
        wait_until("others' clicks", lambda: self.clicks >= want)
        check_equal("others' trouble", self.trouble[:3], [])


def slow_heads(ports):
    """Heads that never end, a byte at a time."""
    return [(port, b"GET /v1/click?ad_id=ad_1 HTTP/1.1\r\nHost: h\r\nX-Slow: ") for port in ports for _ in range(150)]


def endless_bodies(ports):
    return [(port, b"POST /v1/click HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n") for port in ports
            for _ in range(50)]


def test_slow_and_endless(context):
    """heads and bodies that never end, and answers that nobody reads, cost neither memory nor others' clicks"""
    node = context.node({"idle_timeout_s": 1})
    node.upload_ads([AD])
    ports = (node.collector_port, node.api_port)
    with Crowd(node) as crowd:
        crowd.goes_on()
        before = memory(node)
        held = []
        for port, begin in slow_heads(ports) + endless_bodies(ports):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(begin)
            held.append(connection)
        # A chunked body of very many small chunks, and one chunk that claims the world.
        for connection in held[-100:]:
            try:
                connection.sendall(b"1\r\nx\r\n" * 2_000)
                connection.sendall(b"ffffffffffffffff\r\n")
            except OSError:
                pass
        # Requests whose answers are not read.
        for _ in range(20):
            connection = socket.create_connection(("127.0.0.1", node.collector_port))
            connection.settimeout(0.5)
            try:
                for _ in range(200):
                    connection.sendall(f"GET {CLICK} HTTP/1.1\r\nHost: h\r\n\r\n".encode() * 100)
            except OSError:
                pass
            held.append(connection)
        crowd.goes_on()
        grown = memory(node) - before
        context.say(f"memory: {before / MIB:.0f} MiB, and {grown / MIB:.1f} more with {len(held)} such connections")
        check(grown < 64 * MIB, f"memory grew by {grown / MIB:.0f} MiB")
        # A byte now and then prolongs nothing.
        slow = [connection for connection in held[:300]]

        def all_closed():
            open_ones = []
            for connection in slow:
                try:
                    connection.setblocking(False)
                    connection.send(b"x")
                    if connection.recv(1) != b"":
                        open_ones.append(connection)
                except BlockingIOError:
                    open_ones.append(connection)
                except OSError:
                    pass
            slow[:] = open_ones
            return not open_ones

        wait_until("slow heads to be closed", all_closed, interval_s=0.2)
        crowd.goes_on()
        for connection in held:
            connection.close()


SMUGGLING = [
    ("two lengths", b"POST /v1/click HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"),
    ("a list of lengths", b"POST /v1/click HTTP/1.1\r\nHost: h\r\nContent-Length: 4, 5\r\n\r\nabcde"),
    ("a signed length", b"POST /v1/click HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nabcde"),
    ("a negative length", b"POST /v1/click HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\nabcde"),
    ("a length in hex", b"POST /v1/click HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\nabcde"),
    ("a length beyond 64 bits", b"POST /v1/click HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n"),
    ("length and chunks", b"POST /v1/click HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("chunks that are not last", b"POST /v1/click HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    ("a coding like chunked", b"POST /v1/click HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("a blank before the colon", b"POST /v1/click HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    ("a folded line", b"POST /v1/click HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    ("a chunk size that is none", b"POST /v1/click HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n"),
    ("a chunk without an end", b"POST /v1/click HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n"),
    ("a NUL in a header", b"GET / HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n"),
    ("a bare line feed", b"GET / HTTP/1.1\nHost: h\n\n"),
    ("two hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("a version of the future", b"GET / HTTP/3.7\r\nHost: h\r\n\r\n"),
    ("another protocol", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
]


def until_closed(port, data):
    """The answers, without the words in front, that come until the node closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except TimeoutError:
            return [b"not closed"]
        except OSError:
            pass  # reset, with bytes unread
        return received.split(b"HTTP/1.1 ")[1:]


def test_smuggling(context):
    """requests whose end two programs could see in two places are refused, never 5xx, and nothing behind them is read"""
    node = context.node()
    node.upload_ads([AD])
    behind = f"GET {CLICK}&click_id=smuggled HTTP/1.1\r\nHost: h\r\n\r\n".encode()
    wrong = []
    for port in (node.collector_port, node.api_port):
        for what, request in SMUGGLING:
            answers = until_closed(port, request + behind)
            if len(answers) != 1 or not answers[0].startswith(b"4"):
                wrong.append((what, [answer[:40] for answer in answers]))
    check_equal("answers", wrong, [])
    node.wait_spool_empty()
    check_equal("clicks", node.check_invariant()["received"], 0)


def test_hostile_bodies(context):
    """deep JSON, huge numbers, very many fields and bombs of gzip are refused at the cost of their own bytes"""
    import gzip
    node = context.node()
    node.upload_ads([AD])
    begin_ms = now_ms()
    good = {"click_id": "c", "ad_id": "ad_1", "timestamp_ms": now_ms()}
    bodies = {
        "deep lists": b'{"a":' + b"[" * 8_000 + b"]" * 8_000 + b"}",
        "deep objects": b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
        "a number of 15,000 digits": b'{"timestamp_ms":' + b"9" * 15_000 + b"}",
        "an exponent": b'{"click_id":"c","ad_id":"ad_1","timestamp_ms":1e999999999}',
        "very many fields": ("{" + ",".join(f'"f{number}":1' for number in range(1_500)) + "}").encode(),
        "the same field again": ('{"ad_id":"ad_1","ad_id":"' + "x" * 60 + '","click_id":"c","timestamp_ms":1e3}').encode(),
        "half an escape": b'{"ad_id":"\\ud800","click_id":"c","timestamp_ms":1}',
    }
    bomb = gzip.compress(b"x" * (200 * MIB))
    with Crowd(node) as crowd:
        before = memory(node)
        for listener in ("collector", "api"):
            for what, body in bodies.items():
                for _ in range(20):
                    answer = node.request("POST", "/v1/click", body, {"Content-Type": "application/json"}, listener)
                    check(400 <= answer.status < 500, f"{what}: {answer}")
            for _ in range(20):
                answer = node.request("POST", "/v1/click", bomb[:16_000], {"Content-Encoding": "gzip"}, listener)
                check(400 <= answer.status < 500, f"a bomb: {answer}")
        answer = node.request("POST", "/v1/clicks", bomb, {"Content-Encoding": "gzip"})
        check_equal("a bomb in bulk", answer.status, 413)
        crowd.goes_on()
        grown = memory(node) - before
        context.say(f"memory: {before / MIB:.0f} MiB, and {grown / MIB:.1f} more afterwards")
        check(grown < 64 * MIB, f"memory grew by {grown / MIB:.0f} MiB")
    check_equal("a good click", node.request("POST", "/v1/click", json.dumps(good), listener="collector").status, 302)
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, crowd.clicks + 1)
