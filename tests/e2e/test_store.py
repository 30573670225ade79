"""The parts on disk: store dump and store verify with the real binary."""

import json

from harness import check, check_equal, now_ms, wait_until

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

    part = max((path for path in files if path.suffix == ".part"), key=lambda path: len(files[path]))
    damaged = bytearray(files[part])
    damaged[len(damaged) // 3] ^= 0x10
    part.write_bytes(damaged)
    for command in ("verify", "dump"):
        found = context.run("store", command, str(node.data_dir))
        check_equal(f"{command} of damage: {found.stderr}", found.returncode, 1)
        check(part.name in (found.stdout if command == "verify" else found.stderr), found)
    for wrong in (["store"], ["store", "mend"], ["store", "verify", "--partition", "1"], ["store", "dump", "a", "b"]):
        check_equal(" ".join(wrong), context.run(*wrong).returncode, 2)
