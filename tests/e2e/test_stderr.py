"""What becomes of the log lines must never be a user's trouble."""

import json
import os
import subprocess

from harness import check, check_equal, now_ms
from users import ADS, Users


def start_with_stderr(node, end):
    """Starts the node with the given descriptor as its stderr."""
    node.write_config()
    node.process = subprocess.Popen([node.binary, "serve", "--config", str(node.config_path)],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=end)
    os.close(end)


def test_stderr_that_nobody_reads(context):
    """a full pipe as stderr stops no redirect, is counted, and SIGTERM ends the node all the same"""
    node = context.node({"log_level": "debug"}, start=False)
    reader, writer = os.pipe()
    # Full from the first line on.
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    start_with_stderr(node, writer)
    node.wait_ready()
    node.upload_ads(ADS)
    begin_ms = now_ms()
    users = Users(node)
    users.wait_for(500)
    # Each reload says a line; together they are more than pipe and memory take.
    for _ in range(50):
        node.process.send_signal(1)
    users.wait_for(1000)
    redirected = users.end()
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, redirected)
    node.stop()
    os.close(reader)


def test_closed_stderr(context):
    """a stderr whose reader has gone stops nothing"""
    node = context.node(start=False)
    reader, writer = os.pipe()
    os.close(reader)
    start_with_stderr(node, writer)
    node.wait_ready()
    node.upload_ads(ADS)
    begin_ms = now_ms()
    users = Users(node)
    users.wait_for(500)
    redirected = users.end()
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, redirected)
    node.stop()


def test_json_log_lines(context):
    """with log_format json each line is a JSON object in UTF-8, whatever it quotes"""
    node = context.node({"log_format": "json", "catalog": {"file": "caf\u00e9\n.ndjson"}}, start=False)
    (node.directory / "caf\u00e9\n.ndjson").write_text("".join(json.dumps(ad) + "\n" for ad in ADS))
    node.start()
    node.stop()
    lines = node.log_path.read_bytes().decode("utf-8").splitlines()
    for line in lines:
        check_equal(f"fields of {line}", sorted(json.loads(line)), ["area", "level", "message", "time"])
    check(any("caf\u00e9\n.ndjson" in json.loads(line)["message"] for line in lines), f"no line names the file: {lines}")
