"""The log on disk: dump, verify, compression and retention with the real binary."""

import hashlib
import json
import os
import re
import socket

from harness import check, check_equal, now_ms, wait_until

AD = {"ad_id": "log_1", "advertiser_id": "adv_log", "ad_format": "video", "redirect_url": "https://example.com/"}


def start_node(context, **log):
    node = context.node({"threads": 2, "log": {"partitions": 2, **log}, "stream": {"checkpoint_interval_s": 1}})
    node.upload_ads([AD, {**AD, "ad_id": "log_2"}, {**AD, "ad_id": "log_3"}])
    return node


def send(node, first, count):
    """Bulk clicks `first` to first + count - 1, each with an id that no codec shortens."""
    at = now_ms()
    lines = []
    for number in range(first, first + count):
        noise = hashlib.sha256(str(number).encode()).hexdigest()
        lines.append(json.dumps({"click_id": noise[:40], "ad_id": f"log_{number % 3 + 1}", "timestamp_ms": at,
                                 "user_id": noise[24:], "country": "FR", "device_type": "tablet",
                                 "referrer": f"https://news.example.com/{number % 7}"}))
    answer = node.request("POST", "/v1/clicks", "\n".join(lines))
    check_equal(f"bulk ({answer})", answer.status, 202)
    return [json.loads(line) for line in lines]


def files_of(node):
    """Path -> content of everything in the data directory."""
    return {path: path.read_bytes() for path in node.data_dir.rglob("*") if path.is_file()}


def segment_files(node):
    return sorted(path for path in (node.data_dir / "log").rglob("*.segment"))


def dump(context, node, *options):
    result = context.run("log", "dump", "--config", str(node.config_path), *options)
    check_equal(f"exit code of dump: {result.stderr}", result.returncode, 0)
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_dump_and_verify(context):
    """log dump prints every click, log verify finds damage, and neither changes a byte"""
    for compression in ("lz4", "zstd", "none"):
        node = start_node(context, compression=compression)
        # Sealed blocks and, behind them, entries that only the journal has.
        begin_ms = now_ms()
        sent = send(node, 0, 12_000)
        node.wait_total(begin_ms - 60_000, now_ms() + 60_000, len(sent))
        # The file alone may be one that is still being written.
        wait_until("a sealed block", lambda: node.metrics()["clickmill_log_sealed_bytes"] > 0)
        refused = context.run("log", "verify", str(node.data_dir))
        check_equal("exit code beside a running node", refused.returncode, 2)
        check("in use by another" in refused.stderr, refused.stderr)
        node.kill()

        before = files_of(node)
        verified = context.run("log", "verify", str(node.data_dir))
        check_equal(f"verify: {verified.stdout}{verified.stderr}", verified.returncode, 0)
        check("no damage" in verified.stdout and "partition 1 (2 of 2)" in verified.stderr, verified)
        lines = dump(context, node)
        check_equal("files that changed", [path for path, content in files_of(node).items()
                                           if before.get(path) != content], [])
        by_id = {line["click_id"]: line for line in lines}
        check_equal("lines", len(lines), len(sent))
        for click in sent:
            line = by_id[click["click_id"]]
            for field, value in click.items():
                check_equal(field, line[field], value)
            check_equal("ad", (line["advertiser_id"], line["ad_format"]), ("adv_log", "video"))
            check(begin_ms <= line["received_ms"] <= line["append_ms"] <= now_ms(), line)

        check_dump_ranges(context, node, lines)
        damage_one_file(context, node)
        node.clean_up()


def check_dump_ranges(context, node, lines):
    one = dump(context, node, "--partition", "0")
    other = dump(context, node, "--partition", "1")
    check_equal("both partitions", one + other, lines)
    longer = max((one, other), key=len)
    number = "0" if longer is one else "1"
    middle = longer[len(longer) // 2]
    check_equal("from an offset", dump(context, node, "--partition", number, "--from-offset", str(middle["offset"])),
                [line for line in longer if line["offset"] >= middle["offset"]])
    check_equal("by time", dump(context, node, "--from", str(middle["append_ms"])),
                [line for line in lines if line["append_ms"] >= middle["append_ms"]])
    check_equal("until a time", dump(context, node, "--to", str(middle["append_ms"])),
                [line for line in lines if line["append_ms"] < middle["append_ms"]])
    everything = dump(context, node, "--all")
    settings = [line for line in everything if line.get("kind") == "settings"]
    check_equal("settings entries", [(line["dedup_hours"], line["nodes"]) for line in settings], [(24, ["n1"])] * 2)
    check_equal("clicks among all", [line for line in everything if "kind" not in line], lines)
    for wrong in (["--partition", "2"], ["--from", "yesterday"], ["--offset", "1"], ["--from-offset"]):
        check_equal(f"{wrong}", context.run("log", "dump", str(node.data_dir), *wrong).returncode, 2)
    check_equal("no data", context.run("log", "verify", str(context.directory / "nowhere")).returncode, 2)


def damage_one_file(context, node):
    path = segment_files(node)[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    found = context.run("log", "verify", str(node.data_dir))
    check_equal("exit code with damage", found.returncode, 1)
    check(path.name in found.stdout and "1 places damaged" in found.stdout, found.stdout)
    check_equal("dump of damage", context.run("log", "dump", str(node.data_dir)).returncode, 1)


def stalled_reader(node, version):
    connection = socket.create_connection(("127.0.0.1", node.api_port), timeout=60)
    connection.sendall(f"GET /v1/log/raw-clicks/0?limit=1000000 HTTP/{version}\r\nHost: a\r\n\r\n".encode())
    received = b""
    while len(received) < 1000:
        received += connection.recv(1000)
    check(received.split(b"\r\n")[0].endswith(b"200 OK"), f"{received}")
    return connection


def check_cut(connection):
    """The rest of an answer breaks off: no last chunk, and where there are no chunks a reset."""
    tail, clean = b"", True
    try:
        while piece := connection.recv(1 << 16):
            tail = (tail + piece)[-100:]
    except ConnectionResetError:
        clean = False
    connection.close()
    check(not tail.endswith(b"0\r\n\r\n"), "the answer ends as if it were whole")
    check(not clean or b"\n\r\n" in tail, f"an answer without chunks ends as if it were whole: {tail}")


def check_gone(node, first):
    for offset in (1, first[0] - 1):
        answer = node.get(f"/v1/log/raw-clicks/0?offset={offset}&wait_ms=1000")
        check_equal(f"offset {offset} ({answer})", (answer.status, answer.json()["field"]), (410, "offset"))
        check(str(offset) in answer.json()["detail"] and str(first[0]) in answer.json()["detail"], f"{answer}")
    for query in (f"offset={first[0]}", "", "from=2020-01-01T00:00:00Z"):
        answer = node.get(f"/v1/log/raw-clicks/0?{query}&limit=1")
        check_equal(f"{query} ({answer})", answer.status, 200)
        check(json.loads(answer.body)["offset"] >= first[0], f"{query}: {answer}")


def check_gone_offline(context, node, first):
    gone = context.run("log", "dump", str(node.data_dir), "--partition", "0", "--from-offset", str(first - 1))
    check_equal("dump from an offset that is gone", (gone.returncode, gone.stdout), (1, ""))
    check(f"{first - 1} is not kept" in gone.stderr, gone.stderr)
    # What was sealed since may have brought another sweep.
    begins = re.search(r"begins at offset (\d+)", gone.stderr)
    check(begins and int(begins[1]) >= first, gone.stderr)
    first = int(begins[1])
    kept = context.run("log", "dump", str(node.data_dir), "--partition", "0", "--from-offset", str(first))
    check_equal(f"dump from the first kept: {kept.stderr}", kept.returncode, 0)
    check(kept.stdout, "nothing is kept")


def test_retention_by_bytes(context):
    """retention deletes the oldest segments while the node takes clicks, and what stays is whole"""
    node = start_node(context, retention_bytes=3 << 20, segment_bytes=1 << 20)
    begin_ms, sent = now_ms(), 0

    def dropped():
        return node.metrics()["clickmill_log_dropped_bytes_total"]

    for _ in range(8):
        send(node, sent, 20_000)
        sent += 20_000
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, sent)
    wait_until("segments to drop", lambda: node.metrics()["clickmill_log_sealed_bytes"] > 5 << 20)

    def swept():
        marked = context.run("retention", "--now", "--config", str(node.config_path))
        check_equal(f"retention --now: {marked.stderr}", marked.returncode, 0)
        wait_until("the node to take the marker", lambda: not os.path.exists(node.data_dir / "retention.now"))
        return node.metrics()["clickmill_log_sealed_bytes"] <= 5 << 20 and dropped() > 0

    # Two readers that stop after some bytes, one of them without chunks.
    stalled = [stalled_reader(node, version) for version in ("1.1", "1.0")]
    wait_until("a sweep", swept, timeout_s=60, interval_s=0.2)
    first = {item["partition"]: item["first_offset"] for item in node.get("/v1/log/raw-clicks").json()["data"]}
    check(first[0] > 1, f"nothing is gone: {first}")
    check_gone(node, first)
    for connection in stalled:
        check_cut(connection)
    send(node, sent, 100)
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, sent + 100)
    node.kill()
    verified = context.run("log", "verify", str(node.data_dir))
    check_equal(f"verify: {verified.stdout}", verified.returncode, 0)
    left = dump(context, node)
    check(0 < len(left) < sent, f"{len(left)} of {sent} clicks left")
    check_gone_offline(context, node, first[0])
    node.start()
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, sent + 100)
    check_equal("warnings", node.get("/readyz").json(), {"ready": True, "reasons": [], "warnings": []})
