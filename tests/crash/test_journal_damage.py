"""A node alone whose journal was damaged: refused, recovered by force, and right about the rest.

Method: three rounds of clicks, each on an ad of its own; the node is stopped or killed;
bytes of the second round's journal groups are changed. The damaged groups hold both the
clicks as they were answered and their log entries, so that round is really gone. One
more click of its ad is sent last, since only what stands behind a gap makes it one.
"""

import json
import re

import journal
from harness import check, check_equal, now_ms

ROUNDS = ("before", "damaged", "after")
CLICKS = 200
ALL = {"before": CLICKS, "damaged": CLICKS + 1, "after": CLICKS}


def send(node, ad, click_ids):
    lines = "".join(json.dumps({"click_id": click_id, "ad_id": f"ad_{ad}", "timestamp_ms": now_ms()}) + "\n"
                    for click_id in click_ids)
    answer = node.request("POST", "/v1/clicks", lines)
    check_equal(f"accepted for {ad}", answer.json()["accepted"], len(click_ids))


def send_round(node, name):
    send(node, name, [f"{name}-{number}" for number in range(CLICKS)])


def counts(node, begin_ms):
    result = {}
    for name in ROUNDS:
        answer = node.metrics_clicks(ad_id=f"ad_{name}", from_=begin_ms - 60_000, to=now_ms() + 60_000,
                                     granularity="total", fill="none")
        result[name] = answer["total"]["click_count"]
    return result


def newest_journal(node):
    return sorted((node.data_dir / "journal").glob("*.journal"))[-1]


def three_rounds(node):
    """Sends the rounds; (begin, the second round's groups as (byte, length))."""
    node.upload_ads([{"ad_id": f"ad_{name}", "advertiser_id": "adv_1", "ad_format": "banner",
                      "redirect_url": "https://example.com/"} for name in ROUNDS])
    begin_ms, ends = now_ms(), []
    for number, name in enumerate(ROUNDS):
        send_round(node, name)
        node.wait_total(begin_ms - 60_000, now_ms() + 60_000, (number + 1) * CLICKS)
        node.wait_spool_empty()
        ends.append(max(at + length for at, length, _ in journal.groups(newest_journal(node))))
    send(node, "damaged", ["the-last"])
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, 3 * CLICKS + 1)
    node.wait_spool_empty()
    stretch = [(at, length) for at, length, records in journal.groups(newest_journal(node))
               if records and ends[0] <= at < ends[1]]
    check(len(stretch) >= 2, f"the second round took {len(stretch)} groups")
    return begin_ms, stretch


def damage(path, stretch):
    with open(path, "r+b") as file:
        for at, _ in stretch:
            file.seek(at + journal.GROUP.size + 10)
            byte = file.read(1)
            file.seek(at + journal.GROUP.size + 10)
            file.write(bytes([byte[0] ^ 0x40]))


def check_refused(node, path, at):
    node.spawn()
    check_equal("exit code of a start", node.process.wait(30), 2)
    said = node.log_since_start()
    for part in (str(path), f"byte {at}", "unreadable group", "recover --force-quorum"):
        check(part in said, f"the refusal does not say {part!r}: {said}")


def recover(context, node, want):
    result = context.run("recover", "--force-quorum", "--config", str(node.config_path))
    check_equal(f"exit code of recover ({result.stdout}{result.stderr})", result.returncode, want)
    return result.stdout


def recover_and_start(context, node, stretch):
    path = newest_journal(node)
    damage(path, stretch)
    check_refused(node, path, stretch[0][0])
    original = path.read_bytes()
    said = recover(context, node, 1)
    told = [(int(begin), int(end)) for begin, end in re.findall(re.escape(str(path)) + r": bytes (\d+) to (\d+)", said)]
    for at, length in stretch:
        check(any(begin <= at and at + length <= end for begin, end in told), f"byte {at} is not told: {said}")
    kept = path.with_name(path.name + ".damaged")
    check(str(kept) in said and kept.read_bytes() == original, "the damaged file was not kept as it was")
    node.start()
    node.wait_spool_empty()
    return said


def test_damage_after_a_kill(context):
    """a damaged stretch loses its own clicks only; they can be sent again and count once"""
    node = context.node({"stream": {"checkpoint_interval_s": 3600}})
    begin_ms, stretch = three_rounds(node)
    node.kill()
    said = recover_and_start(context, node, stretch)
    check("offsets" in said, f"no lost log entries are told: {said}")
    check_equal("counts", counts(node, begin_ms), {**ALL, "damaged": 1})
    node.check_invariant()
    send_round(node, "damaged")
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, 3 * CLICKS + 1)
    for again in (node.kill, node.stop):
        again()
        node.start()
        node.wait_spool_empty()
        check_equal("counts", counts(node, begin_ms), ALL)
    node.check_invariant()


def test_damage_after_a_stop(context):
    """what a checkpoint had counted stays counted, though its log entries are gone"""
    node = context.node()
    begin_ms, stretch = three_rounds(node)
    node.stop()
    said = recover_and_start(context, node, stretch)
    check("had been counted" in said, f"it is not told what was counted: {said}")
    check_equal("counts", counts(node, begin_ms), ALL)
    check_equal("received", node.check_invariant()["received"], 3 * CLICKS + 1)


def test_damage_of_entries_alone(context):
    """a lost log entry is made good by the clicks' own records"""
    node = context.node({"stream": {"checkpoint_interval_s": 3600}})
    begin_ms, stretch = three_rounds(node)
    node.kill()
    # Clicks are written before their entries, so the last group of the round has none of its clicks.
    recover_and_start(context, node, stretch[-1:])
    check_equal("counts", counts(node, begin_ms), ALL)
    node.check_invariant()


def test_newest_file_lost(context):
    """a node whose newest journal file is gone goes on behind what its checkpoint has seen"""
    node = context.node()
    begin_ms, _ = three_rounds(node)
    node.stop()
    newest_journal(node).unlink()
    node.spawn()
    check_equal("exit code of a start", node.process.wait(30), 2)
    check("the checkpoint is at offset" in node.log_since_start(), node.log_since_start())
    check("they had been counted" in recover(context, node, 1), "it is not told what was counted")
    node.start()
    node.wait_spool_empty()
    check_equal("counts", counts(node, begin_ms), ALL)
    send_round(node, "after")  # copies
    node.wait_spool_empty()
    check_equal("counts after copies", counts(node, begin_ms), ALL)


def test_recover_finds_nothing(context):
    """recover says so when nothing is damaged, and refuses a running node or a missing directory"""
    node = context.node(start=False)
    node.write_config()
    recover(context, node, 2)
    node.start()
    recover(context, node, 2)
    node.stop()
    check("nothing is damaged" in recover(context, node, 0), "it does not say so")
    result = context.run("recover", "--config", str(node.config_path))
    check_equal("exit code without --force-quorum", result.returncode, 2)
    node.start()
