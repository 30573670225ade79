"""The disk fills under a running node, on a small file system of its own."""

import contextlib
import json
import os
import subprocess
import threading

from harness import Skipped, check, check_equal, now_ms, wait_until

MIB = 1 << 20
DISK_BYTES = 640 * MIB
JOURNAL_BYTES = 256 * MIB
# Less than the reserve, a quarter of journal_bytes, even with the journal's spare files.
LEFT_BYTES = 24 * MIB
BUFFER_BYTES = 1 * MIB
BODY_LINES = 200


@contextlib.contextmanager
def small_disk(directory):
    """A tmpfs at `directory`; Skipped where mounting is not allowed."""
    directory.mkdir(parents=True)
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(directory)],
                           capture_output=True, text=True)
    if mount.returncode != 0:
        raise Skipped(f"can't mount a tmpfs here: {mount.stderr.strip()}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def free_bytes(directory):
    space = os.statvfs(directory)
    return space.f_bavail * space.f_frsize


def bulk_body(begin):
    at_ms = now_ms()
    referrer = "https://news.example.com/" + "x" * 950
    return "".join(f'{{"click_id":"bulk-{number}","ad_id":"ad_{number % 50}","timestamp_ms":{at_ms},'
                   f'"user_id":"u{number % 500}","country":"US","device_type":"mobile","referrer":"{referrer}"}}\n'
                   for number in range(begin, begin + BODY_LINES))


def send_users(node, prefix, threads, clicks_each):
    """Clicks of many users at once; how many were redirected, which must be all."""
    redirected = [0] * threads

    def user(thread):
        client = node.client("collector")
        for number in range(clicks_each):
            body = json.dumps({"click_id": f"{prefix}-{thread}-{number}", "ad_id": f"ad_{number % 50}",
                               "timestamp_ms": now_ms(), "user_id": f"v{number}"})
            if client.request("POST", "/v1/click", body).status == 302:
                redirected[thread] += 1
        client.close()

    workers = [threading.Thread(target=user, args=(thread,)) for thread in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    check_equal("users redirected", sum(redirected), threads * clicks_each)
    return sum(redirected)


def send_users_until_dropped(node):
    """More than the buffer holds."""
    total = 0
    for number in range(20):
        total += send_users(node, f"full{number}", threads=16, clicks_each=40)
        if node.metrics()["clickmill_collector_dropped_total"] > 0:
            break
    return total


def fill_disk(disk):
    """Leaves LEFT_BYTES to everything but a ballast file, which it gives."""
    ballast = disk / "ballast"
    with open(ballast, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, free_bytes(disk) - LEFT_BYTES)
    return ballast


def test_full_disk(context):
    """a full disk: users are redirected, readiness says why, and nothing answered is lost but what is counted as dropped"""
    with small_disk(context.directory / "disk") as disk:
        node = context.node({"data_dir": str(disk / "data"), "threads": 2,
                             "log": {"partitions": 4, "journal_bytes": JOURNAL_BYTES},
                             "collector": {"buffer_bytes": BUFFER_BYTES, "redirect_deadline_ms": 5},
                             "stream": {"checkpoint_interval_s": 1}}, start=False)
        node.data_dir = disk / "data"
        try:
            fill_and_empty(context, node.start(), disk)
        finally:
            node.clean_up()


def fill_and_empty(context, node, disk):
    node.upload_ads([{"ad_id": f"ad_{number}", "advertiser_id": "adv_1", "ad_format": "banner",
                      "redirect_url": "https://example.com/"} for number in range(50)])
    begin_ms = now_ms()
    answered = send_users(node, "before", threads=2, clicks_each=20)
    wait_until("the journal's spare file", lambda: len(list((disk / "data/journal").glob("spare-*"))) >= 1)
    ballast = fill_disk(disk)

    # The file that the journal has begun still takes clicks; then only the reserve is left.
    bulk = 0
    while node.is_ready():
        answer = node.request("POST", "/v1/clicks", bulk_body(bulk))
        check(answer.status in (202, 503), f"bulk: {answer}")
        bulk += BODY_LINES if answer.status == 202 else 0
        check(bulk < 200_000, "the disk never got full")
    ready = node.get("/readyz")
    check_equal("/readyz on a full disk", ready.status, 503)
    check(any("clicks wait in memory" in reason for reason in ready.json()["reasons"]), f"reasons: {ready}")
    refusal = node.request("POST", "/v1/clicks", bulk_body(bulk))
    check_equal("a bulk body on a full disk", refusal.status, 503)
    check("retry-after" in refusal.headers, "503 without Retry-After")

    # Everybody is redirected; what the buffer can't hold is dropped and counted.
    answered += send_users_until_dropped(node)
    dropped = int(node.metrics()["clickmill_collector_dropped_total"])
    check(dropped > 0, "the buffer of 1 MiB took everything")
    check(dropped < answered, "everything was dropped")
    check_equal("partitions that stopped", [reason for reason in node.get("/readyz").json()["reasons"]
                                            if "stopped" in reason], [])

    ballast.unlink()
    node.wait_ready()
    answer = node.request("POST", "/v1/clicks", bulk_body(bulk))
    check_equal(f"bulk sent again ({answer})", answer.status, 202)
    bulk += BODY_LINES
    want = answered + bulk - dropped
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, want)
    node.wait_spool_empty()
    check_equal("dropped since", int(node.metrics()["clickmill_collector_dropped_total"]), dropped)
    node.check_invariant()
    context.say(f"{answered} users redirected, {bulk} bulk clicks; {dropped} dropped, {want} counted")
    node.kill()
    node.start()
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, want)
