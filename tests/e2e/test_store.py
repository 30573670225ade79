"""The parts on disk: store dump and store verify with the real binary."""

import json

from harness import check, check_equal, now_ms, stored_parts, wait_until

MINUTE_MS = 60_000
DAY_MS = 86_400_000


def test_store_dump_and_verify(context):
    """store dump prints what parts hold, store verify finds damage, and neither changes a byte"""
    node = context.node({"threads": 2, "log": {"partitions": 2}, "stream": {"checkpoint_interval_s": 1}})
    node.upload_ads([{"ad_id": f"part_{n}", "advertiser_id": f"adv_{n % 2}", "ad_format": "banner",
                      "redirect_url": "https://example.com/"} for n in range(8)])
    begin = now_ms() // DAY_MS * DAY_MS - 5 * DAY_MS
    sent = 12_000
    answer = node.request("POST", "/v1/clicks?mode=backfill", "".join(
        json.dumps({"click_id": f"c-{n}", "ad_id": f"part_{n % 8}", "timestamp_ms": begin + n // 10 * MINUTE_MS,
                    "user_id": f"u-{n % 77}", "country": ("FR", "DE")[n % 2], "device_type": "tablet"}) + "\n"
        for n in range(sent)))
    check_equal("backfill", (answer.status, answer.json()["accepted"]), (202, sent))
    node.wait_total(begin, begin + 5 * DAY_MS, sent)
    wait_until("a flush", lambda: node.metrics()["clickmill_parts"] >= 3)
    refused = context.run("store", "verify", str(node.data_dir))
    check_equal("exit code beside a running node", refused.returncode, 2)
    check("in use by another" in refused.stderr, refused.stderr)
    node.stop()

    files = {path: path.read_bytes() for path in node.data_dir.rglob("*") if path.is_file()}
    verified = context.run("store", "verify", "--config", str(node.config_path))
    check_equal(f"verify: {verified.stdout}{verified.stderr}", verified.returncode, 0)
    check("no damage" in verified.stdout and not verified.stdout.startswith("0 parts"), verified.stdout)
    dumped = context.run("store", "dump", str(node.data_dir))
    check_equal(f"dump: {dumped.stderr}", dumped.returncode, 0)
    changed = [path for path in node.data_dir.rglob("*") if path.is_file() and path.read_bytes() != files.get(path)]
    check_equal("files that changed", changed, [])
    clicks = {}
    for row in map(json.loads, dumped.stdout.splitlines()):
        clicks[row["table"]] = clicks.get(row["table"], 0) + row["click_count"]
        check_equal("devices", row["device_type"], {"mobile": 0, "desktop": 0, "tablet": row["click_count"], "other": 0})
        check_equal("countries", sum(row["country"].values()), row["click_count"])
        check(1 <= row["unique_users"] <= row["click_count"], row)
    check_equal("clicks of each table", len(set(clicks.values())), 1)
    check_equal("tables", sorted(clicks), ["day", "hour", "minute"])
    check(0 < clicks["day"] <= sent, clicks)

    largest = max(stored_parts(node.data_dir / "store"), key=lambda stored: stored.size)
    part = largest.path
    damaged = bytearray(files[part])
    damaged[largest.begin + largest.size // 3] ^= 0x10
    part.write_bytes(damaged)
    for command in ("verify", "dump"):
        found = context.run("store", command, str(node.data_dir))
        check_equal(f"{command} of damage: {found.stderr}", found.returncode, 1)
        check(part.name in (found.stdout if command == "verify" else found.stderr), found)
    for wrong in (["store"], ["store", "mend"], ["store", "verify", "--partition", "1"], ["store", "dump", "a", "b"]):
        check_equal(" ".join(wrong), context.run(*wrong).returncode, 2)


def test_shared_files(context):
    """parts of all partitions come to stand in few files; a restart, a backup and damage leave all counts"""
    node = context.node({"threads": 2, "log": {"partitions": 32}, "stream": {"checkpoint_interval_s": 1}})
    node.upload_ads([{"ad_id": f"shared_{n}", "advertiser_id": f"adv_{n % 3}", "ad_format": "banner",
                      "redirect_url": "https://example.com/"} for n in range(150)])
    # Of a year that is over, so that the parts of every table are of a period that is.
    begin = now_ms() // DAY_MS * DAY_MS - 400 * DAY_MS
    sent = 60_000
    for first in range(0, sent, 20_000):
        answer = node.request("POST", "/v1/clicks?mode=backfill", "".join(
            json.dumps({"click_id": f"s-{n}", "ad_id": f"shared_{n % 150}", "timestamp_ms": begin + n // 150 * MINUTE_MS,
                        "user_id": f"u-{n % 999}"}) + "\n" for n in range(first, first + 20_000)))
        check_equal("backfill", (answer.status, answer.json()["accepted"]), (202, 20_000))
    node.wait_total(begin, begin + DAY_MS, sent)
    wait_until("files that partitions share", lambda: node.metrics()["clickmill_shelf_files"] >= 3, 60)
    day = {"advertiser_id": "adv_1", "from": begin, "to": begin + DAY_MS, "granularity": "1h"}

    def answer():
        return node.metrics_clicks(**day)["data"]
    counted = answer()
    check_equal("clicks", node.total(begin, begin + DAY_MS), sent)
    folder = node.data_dir / "store"

    def shared():
        return sorted(folder.glob("shelf-*-whole.parts"))
    check(len(shared()) >= 3, [path.name for path in folder.iterdir()])
    # The parts that they were made of go with a checkpoint.
    loose = [path for path in folder.iterdir() if path not in shared()]
    wait_until("a checkpoint that names them", lambda: not all(path.exists() for path in loose), 60)
    wait_until("few files", lambda: len(list(folder.iterdir())) < 96, 60)
    backup = node.directory / "backup"
    made = context.run("backup", str(backup), "--config", str(node.config_path), timeout_s=60)
    check_equal(f"backup: {made.stderr}", made.returncode, 0)
    check_equal("its check", context.run("backup", "verify", str(backup), timeout_s=60).returncode, 0)
    node.kill()
    node.start()
    check_equal("after a kill", answer(), counted)
    node.stop()
    verified = context.run("store", "verify", str(node.data_dir))
    check_equal(f"verify: {verified.stdout}{verified.stderr}", verified.returncode, 0)
    dumped = [json.loads(line) for line in context.run("store", "dump", str(node.data_dir)).stdout.splitlines()]
    for table in ("minute", "hour", "day"):
        rows = [row for row in dumped if row["table"] == table]
        check_equal(f"dumped {table} rows", len({(row["ad_id"], row["window_start"], row["part"]) for row in rows}), len(rows))
        check(sum(row["click_count"] for row in rows) <= sent, table)

    minutes = next(path for path in shared() if "-minute-" in path.name)
    damaged = bytearray(minutes.read_bytes())
    damaged[len(damaged) // 2] ^= 0x10
    minutes.write_bytes(damaged)
    found = context.run("store", "verify", str(node.data_dir))
    check_equal(f"verify of damage: {found.stdout}", found.returncode, 1)
    check(minutes.name in found.stdout and "partition " in found.stdout, found.stdout)
    node.start()
    # Whoever asks for the rows first meets it; that one partition is built anew from its log.
    every = f"/v1/metrics/clicks?advertiser_id=*&from={begin}&to={begin + DAY_MS}&granularity=1m"
    # Whatever the byte belongs to is read by one of these.
    for columns in ("", "&breakdown=country", "&breakdown=device_type"):
        wait_until("every minute can be read", lambda: node.get(every + columns).status == 200, 60)
    check("it is rebuilt from the log" in node.log_since_start(), node.log_tail())
    check_equal("after damage", answer(), counted)
    check_equal("clicks", node.total(begin, begin + DAY_MS), sent)
