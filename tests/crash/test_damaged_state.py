"""A killed node whose state is damaged on disk rebuilds it from its log.

Goal: whatever file of state/ or store/ is damaged or gone, the node counts right
after a start. Method: clicks that fill parts, head rows and review entries; kill;
damage one file; start; every total and a sample of answers are as before.
"""

import json
import os
import shutil

from harness import check, check_equal, now_ms, stored_parts, wait_until

ADS = [{"ad_id": f"state_{number}", "advertiser_id": f"adv_{number % 7}", "ad_format": "banner",
        "redirect_url": "https://example.com/"} for number in range(1500)]
MINUTE_MS, DAY_MS = 60_000, 86_400_000


def flip(path, share):
    """Turns one byte over, a share of the way into the file."""
    flip_byte(path, int(os.path.getsize(path) * share))


def flip_byte(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x55]))


def flip_magic(path):
    """The number at the very end by which RocksDB knows its tables."""
    size = os.path.getsize(path)
    flip(path, (size - 3.5) / size)


def files_of(folder, suffix="", prefix=""):
    found = sorted(path for path in folder.iterdir() if path.name.endswith(suffix) and path.name.startswith(prefix))
    check(found, f"no {prefix}*{suffix} in {folder}")
    return found


def flip_footer_of_a_part(store):
    part = stored_parts(store)[0]
    flip_byte(part.path, part.begin + part.size - 3)


def largest(paths):
    return max(paths, key=os.path.getsize)


# What is damaged, and whether the start must notice (a write-ahead log that ends early
# is an older, whole state; RocksDB goes on from there).
DAMAGES = [
    ("CURRENT with nonsense", True, lambda data: (data / "state" / "CURRENT").write_text("nonsense\n")),
    ("CURRENT gone", True, lambda data: (data / "state" / "CURRENT").unlink()),
    ("a bit of MANIFEST", True, lambda data: flip(files_of(data / "state", prefix="MANIFEST-")[-1], 0.5)),
    ("a table file gone", True, lambda data: largest(files_of(data / "state", ".sst")).unlink()),
    ("a table file's footer", True, lambda data: flip_magic(largest(files_of(data / "state", ".sst")))),
    ("a bit of every table file", True, lambda data: [flip(path, 0.3) for path in files_of(data / "state", ".sst")]),
    ("a bit of the write-ahead log", False, lambda data: flip(largest(files_of(data / "state", ".log")), 0.5)),
    ("a part's footer", True, lambda data: flip_footer_of_a_part(data / "store")),
    ("a part gone", True, lambda data: stored_parts(data / "store")[-1].path.unlink()),
    ("state/ gone", False, lambda data: shutil.rmtree(data / "state")),
    ("state/ and store/ gone", False, lambda data: [shutil.rmtree(data / name) for name in ("state", "store")]),
]


def send(node, clicks, mode=""):
    answer = node.request("POST", f"/v1/clicks{mode}", "".join(json.dumps(click) + "\n" for click in clicks))
    check_equal("accepted", answer.json().get("accepted"), len(clicks))


def answers(node, begin_ms, end_ms):
    found = {}
    for ad in ADS[::150]:
        # Damage that shows only now is healed first; until then it is 503.
        wait_until("an answer", lambda: node.get(f"/v1/metrics/clicks?ad_id={ad['ad_id']}&from={begin_ms}&to={end_ms}")
                   .status == 200)
        answer = node.metrics_clicks(ad_id=ad["ad_id"], from_=begin_ms, to=end_ms, granularity="1h", fill="none",
                                     breakdown="country")
        found[ad["ad_id"]] = [{**row, "complete": None} for row in answer["data"]]
    return found


def test_damaged_state(context):
    """a damaged or missing file of state/ or store/ is noticed, and all counts come back from the log"""
    # Two partitions, so that parts are written without hours of traffic.
    node = context.node({"log": {"partitions": 2}, "stream": {"checkpoint_interval_s": 1}})
    node.upload_ads(ADS)
    now = now_ms()
    begin_ms = (now - 2 * DAY_MS) // DAY_MS * DAY_MS
    total = 0
    for round_number in range(3):
        past = [{"click_id": f"past-{round_number}-{number}", "ad_id": ad["ad_id"], "user_id": f"u{number % 90}",
                 "timestamp_ms": now - (number % 300) * MINUTE_MS - 5 * MINUTE_MS, "country": "DE"}
                for number, ad in enumerate(ADS * 2)]
        send(node, past, "?mode=backfill")
        total += len(past)
    # Too late: these go to review.
    send(node, [{"click_id": f"late-{number}", "ad_id": "state_1", "timestamp_ms": now - DAY_MS} for number in range(50)])
    node.wait_total(begin_ms, now + DAY_MS, total)
    rebuilt = 0
    for at, (damage, must_notice, do) in enumerate(DAMAGES):
        live = [{"click_id": f"live-{at}-{number}", "ad_id": ad["ad_id"], "timestamp_ms": now_ms(), "country": "FR"}
                for number, ad in enumerate(ADS[:300])]
        send(node, live[:150])
        node.wait_total(begin_ms, now + DAY_MS, total + 150)
        # A start flushes the write-ahead log to table files; with the clicks after it there are both.
        node.stop()
        node.start()
        checkpoints = node.metrics()["clickmill_checkpoints_total"]
        send(node, live[150:])
        total += len(live)
        node.wait_total(begin_ms, now + DAY_MS, total)
        node.wait_spool_empty()
        wait_until("a checkpoint", lambda: node.metrics()["clickmill_checkpoints_total"] > checkpoints)
        before, counters = answers(node, begin_ms, now + DAY_MS), node.check_invariant()
        node.kill()
        do(node.data_dir)
        node.start()
        log = node.log_since_start()
        if must_notice:
            check("the stream's state is damaged" in log, f"{damage}: the node noticed nothing: {log}")
        rebuilt += "the stream's state is damaged" in log
        node.wait_total(begin_ms, now + DAY_MS, total)
        check_equal(f"{damage}: answers", answers(node, begin_ms, now + DAY_MS), before)
        # A kill may bring a batch back that was committed already: resent, which counts nowhere else.
        counters_now = {**node.check_invariant(), "resent": counters["resent"]}
        check_equal(f"{damage}: counters", counters_now, counters)
        # What was counted stays known: copies change nothing.
        send(node, live)
        node.wait_spool_empty()
        check_equal(f"{damage}: total after copies", node.total(begin_ms, now + DAY_MS), total)
    check_equal("review", counters["review"], 50)
    context.say(f"{len(DAMAGES)} damages, {rebuilt} rebuilt from the log, {total} clicks")


def test_part_damaged_while_running(context):
    """a part that rots under a running node is rebuilt from the log, and the other partition answers throughout"""
    node = context.node({"log": {"partitions": 2}, "stream": {"checkpoint_interval_s": 1}})
    node.upload_ads(ADS)
    now = now_ms()
    begin_ms, end_ms = (now - 2 * DAY_MS) // DAY_MS * DAY_MS, now + DAY_MS
    past = [{"click_id": f"past-{number}", "ad_id": ad["ad_id"], "user_id": f"u{number % 90}",
             "timestamp_ms": now - (number % 300) * MINUTE_MS - 5 * MINUTE_MS, "country": "DE"}
            for number, ad in enumerate(ADS * 3)]
    send(node, past, "?mode=backfill")
    node.wait_total(begin_ms, end_ms, len(past))
    store = node.data_dir / "store"
    wait_until("parts", lambda: any(part.partition == 0 for part in stored_parts(store)))
    before = answers(node, begin_ms, end_ms)
    # What has been read is kept in memory, and would not be read again.
    node.stop()
    node.start()
    damaged = [part for part in stored_parts(store) if part.partition == 0]
    check(damaged, "partition 0 has no part")
    for part in damaged:
        # All of its blocks; what is read when it is opened stands behind them.
        for at in range(16, int(part.size * 0.6), 40):
            flip_byte(part.path, part.begin + at)
    places = {(part.path, part.partition) for part in damaged}
    refused, right = 0, 0

    def all_answer():
        nonlocal refused, right
        answered = 0
        for ad_id, want in before.items():
            answer = node.request("GET", f"/v1/metrics/clicks?ad_id={ad_id}&from={begin_ms}&to={end_ms}"
                                         "&granularity=1h&fill=none&breakdown=country")
            if answer.status == 200:
                got = [{**row, "complete": None} for row in answer.json()["data"]]
                check_equal(f"answer of {ad_id}", got, want)
                answered += 1
                continue
            refused += 1
            check_equal(f"{ad_id}: {answer}", answer.status, 503)
            check("partition 0" in answer.json()["detail"], f"it names no partition: {answer}")
        right += answered
        return answered == len(before) and refused > 0

    wait_until("an answer for all", all_answer, 60)
    live = [{"click_id": f"live-{number}", "ad_id": ad["ad_id"], "timestamp_ms": now_ms()}
            for number, ad in enumerate(ADS[:300])]
    send(node, live)
    node.wait_total(begin_ms, end_ms, len(past) + len(live))
    send(node, live)
    node.wait_spool_empty()
    check_equal("total after copies", node.total(begin_ms, end_ms), len(past) + len(live))
    node.check_invariant()
    node.kill()
    node.start()
    node.wait_total(begin_ms, end_ms, len(past) + len(live))
    check(not any("damaged" in name for name in os.listdir(node.data_dir)), "it set the state aside")
    ours = [part for part in stored_parts(store) if (part.path, part.partition) in places]
    alone = [part.path for part in ours if part.path.suffix == ".part"]
    check(not alone, f"damaged parts are still there: {alone}")
    context.say(f"{refused} answers refused, {right} right ones beside them")


def test_strangers_in_store(context):
    """what is no part file of ours in store/ stays, and keeps no node from starting"""
    node = context.node({"log": {"partitions": 2}})
    node.stop()
    store = node.data_dir / "store"
    (store / "lost+found").mkdir()
    (store / "notes.txt").write_text("mine")
    (store / "p0-99-minute.part").write_text("left by a crash")
    node.start()
    check((store / "lost+found").is_dir(), "a folder is gone")
    check_equal("a file", (store / "notes.txt").read_text(), "mine")
    check(not (store / "p0-99-minute.part").exists(), "a part that no checkpoint names is still there")


def test_checkpoint_ahead_of_log(context):
    """a state that is ahead of its log is refused by name, never continued"""
    node = context.node({"log": {"partitions": 2}, "stream": {"checkpoint_interval_s": 1}})
    node.upload_ads(ADS[:10])
    node.stop()
    shutil.copytree(node.data_dir / "journal", context.directory / "journal-before")
    node.start()
    clicks = [{"click_id": f"c{number}", "ad_id": ADS[number % 10]["ad_id"], "timestamp_ms": now_ms()}
              for number in range(500)]
    send(node, clicks)
    node.wait_total(now_ms() - DAY_MS, now_ms() + DAY_MS, len(clicks))
    node.stop()
    shutil.rmtree(node.data_dir / "journal")
    shutil.move(context.directory / "journal-before", node.data_dir / "journal")
    node.spawn()
    check_equal("exit code", node.process.wait(30), 2)
    log = node.log_since_start()
    check("the checkpoint is at offset" in log and "but the log ends at" in log, f"it said: {log}")
    check(not any("damaged" in name for name in os.listdir(node.data_dir)), "it set the state aside")


def test_damaged_log_manifest(context):
    """a damaged list of a partition's segments is made anew from them, told, and costs no count and no click of the log"""
    node = context.node({"log": {"partitions": 2}, "stream": {"checkpoint_interval_s": 1}})
    node.upload_ads(ADS)
    begin_ms, end_ms = now_ms() - DAY_MS, now_ms() + DAY_MS
    clicks = [{"click_id": f"c{number}", "ad_id": ADS[number % 1500]["ad_id"], "timestamp_ms": now_ms()}
              for number in range(30_000)]
    logs = [node.data_dir / "log" / str(partition) for partition in range(2)]
    # Sealed at two times: only what a later entry of the list stands behind can't be a torn write.
    before = [0, 0]
    for half in (clicks[:15_000], clicks[15_000:]):
        send(node, half)
        wait_until("sealed blocks", lambda: all((log / "manifest").exists() and
                                                (log / "manifest").stat().st_size > max(size, 32)
                                                for log, size in zip(logs, before)))
        before = [(log / "manifest").stat().st_size for log in logs]
    node.wait_total(begin_ms, end_ms, len(clicks))
    node.stop()
    raw = context.run("log", "dump", str(node.data_dir), "--all").stdout
    whole = (logs[0] / "manifest").read_bytes()
    for damage in ("a bit", "gone", "nonsense"):
        if damage == "a bit":
            flip(logs[0] / "manifest", (32 + 20.5) / len(whole))
        elif damage == "gone":
            (logs[0] / "manifest").unlink()
        else:
            (logs[0] / "manifest").write_text("nonsense")
        verified = context.run("log", "verify", str(node.data_dir))
        check_equal(f"{damage}: exit code of log verify ({verified})", verified.returncode, 1)
        check("manifest" in verified.stdout + verified.stderr, f"{damage}: {verified}")
        node.start()
        warnings = " ".join(node.get("/readyz").json()["warnings"])
        check("partition 0" in warnings and "manifest" in warnings, f"{damage}: /readyz says {warnings!r}")
        check_equal(f"{damage}: total", node.total(begin_ms, end_ms), len(clicks))
        send(node, clicks[:100])
        node.wait_spool_empty()
        check_equal(f"{damage}: total after copies", node.total(begin_ms, end_ms), len(clicks))
        node.stop()
        dumped = context.run("log", "dump", str(node.data_dir), "--all").stdout
        check(dumped.startswith(raw.splitlines()[0]), f"{damage}: another log")
        check_equal(f"{damage}: clicks", sum('"click_id"' in line and '"partition":0' in line for line in dumped.splitlines())
                    >= sum('"click_id"' in line and '"partition":0' in line for line in raw.splitlines()), True)
    check_equal("log verify in the end", context.run("log", "verify", str(node.data_dir)).returncode, 0)
