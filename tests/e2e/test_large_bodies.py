"""Large bodies: who may send them is asked first, and they wait for nobody else's work."""

import json
import select
import socket

from harness import check, check_equal, wait_until
from test_command_line import KEYS, key_entry
from test_requests import AD, check_redirect, click, wait_counted

MIB = 1 << 20


def announce(node, path, length, key=None):
    """A connection that has announced a body and sent nothing of it."""
    connection = socket.create_connection(("127.0.0.1", node.api_port), timeout=20)
    authorization = f"Authorization: Bearer {KEYS.get(key, key)}\r\n" if key else ""
    size = f"Content-Length: {length}" if length else "Transfer-Encoding: chunked"
    connection.sendall(f"POST {path} HTTP/1.1\r\nHost: a\r\n{authorization}{size}\r\n\r\n".encode())
    return connection


def status_of(connection):
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        check(piece, f"closed after {received!r}")
        received += piece
    return int(received[9:12])


def test_keys_before_bodies(context):
    """a large body without the right key is refused before it is sent"""
    node = context.node({"auth": {"keys": [key_entry("admin", "admin"), key_entry("ingest", "ingest"),
                                           key_entry("adv_1", "advertiser", advertiser_id="adv_1")]}})
    for path in ("/v1/clicks", "/v1/ads"):
        for length in (16 * MIB, 20_000, None):
            for key, want in ((None, 401), ("wrong", 401), ("adv_1", 403)):
                with announce(node, path, length, key) as connection:
                    check_equal(f"{path}, {length} bytes, key {key}", status_of(connection), want)
    with announce(node, "/v1/ads", 16 * MIB, "ingest") as connection:
        check_equal("ads with an ingest key", status_of(connection), 403)
    with announce(node, "/v1/clicks", 16 * MIB + 1, "ingest") as connection:
        check_equal("too large", status_of(connection), 413)


def test_bodies_share_a_budget(context):
    """announced bodies beyond the node's budget are told to come again; clicks go on"""
    node = context.node()
    node.upload_ads([AD])
    announced = [announce(node, "/v1/clicks", 16 * MIB) for _ in range(12)]
    refused = lambda: select.select(announced, [], [], 0)[0]
    wait_until("four refusals", lambda: len(refused()) == 4)
    check_equal("beyond the budget", [status_of(connection) for connection in refused()], [503] * 4)
    check_redirect("a click", node.request("POST", "/v1/click", json.dumps(click()), listener="collector"))
    line = json.dumps(click(click_id="small")).encode()
    check_equal("a small bulk body", node.request("POST", "/v1/clicks", line).json()["accepted"], 1)
    for connection in announced:
        connection.close()
    whole = b"\n".join(json.dumps(click(click_id=f"large{n}")).encode() for n in range(300))
    large = whole + b"\n" * (16 * MIB - len(whole))
    answers = []

    def taken():
        answers.append(node.request("POST", "/v1/clicks", large))
        return answers[-1].status == 202

    wait_until("room", taken)
    check_equal("accepted", answers[-1].json()["accepted"], 300)
    wait_counted(node, 302)


def test_bulk_beyond_the_buffer(context):
    """a bulk body far above half of collector.buffer_bytes is taken in one go"""
    node = context.node({"collector": {"buffer_bytes": MIB}})
    node.upload_ads([AD])
    count = 20_000
    agent = "x" * 500
    lines = "\n".join(json.dumps(click(click_id=f"c{n}", user_agent=agent)) for n in range(count))
    check(len(lines) > 10 * MIB, "a small body")
    answer = node.request("POST", "/v1/clicks", lines)
    check_equal(f"{answer}", answer.status, 202)
    check_equal("accepted", answer.json()["accepted"], count)
    wait_counted(node, count)
    check_equal("dropped", node.metrics()["clickmill_collector_dropped_total"], 0)
