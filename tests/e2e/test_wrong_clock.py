"""A start with a clock that is ahead, then the right time."""

import json
import shutil
import subprocess

from harness import ROOT, NoAnswer, Skipped, check, check_equal, now_ms, wait_until

AD = {"ad_id": "ad_1", "advertiser_id": "adv_1", "ad_format": "banner", "redirect_url": "https://example.com/1"}


def node_with_clock(context):
    library = context.directory / "wrong_clock.so"
    built = subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library),
                            str(ROOT / "tests/e2e/wrong_clock.c"), "-ldl"], capture_output=True, text=True)
    if built.returncode != 0:
        raise Skipped(f"can't build the library that sets the clock: {built.stderr.strip()}")
    node = context.node({"log": {"partitions": 4}}, start=False)
    node.environment = {"LD_PRELOAD": str(library), "WRONG_CLOCK_S": "0"}
    return node


def click(node, click_id):
    body = json.dumps({"click_id": click_id, "ad_id": "ad_1", "timestamp_ms": now_ms()})
    check_equal("a click", node.request("POST", "/v1/click", body, listener="collector").status, 302)


def counts(node):
    """Counted and in review; they are left out until a start has caught up."""
    metrics = node.metrics()
    return tuple(metrics.get(f"clickmill_clicks_{name}_total") for name in ("counted", "review"))


def listens(node):
    check(node.alive(), f"the node ended: {node.log_tail()}")
    try:
        return node.get("/healthz").status == 200
    except NoAnswer:
        return False


def test_two_hours_ahead(context):
    """after a run with a clock two hours ahead, clicks count in the minute in which they were made, each once"""
    node = node_with_clock(context)
    node.start()
    node.upload_ads([AD])
    begin_ms = now_ms() - 60_000
    for number in range(20):
        click(node, f"before-{number}")
    node.wait_total(begin_ms, now_ms() + 60_000, 20)
    node.stop()

    # By its clock they are all late.
    node.environment["WRONG_CLOCK_S"] = "7200"
    node.start()
    for number in range(20):
        click(node, f"ahead-{number}")
    wait_until("20 late clicks", lambda: counts(node) == (20, 20))
    node.stop()

    node.environment["WRONG_CLOCK_S"] = "0"
    node.spawn()
    wait_until("a reason in /readyz", lambda: clock_is_told(node))
    for number in range(30):
        click(node, f"after-{number}")
    node.wait_total(begin_ms, now_ms() + 60_000, 50)
    # Copies of all three runs change nothing.
    for name, last in (("before", 20), ("ahead", 20), ("after", 30)):
        for number in range(last):
            click(node, f"{name}-{number}")
    node.wait_spool_empty()
    wait_until("the copies", lambda: int(node.metrics()["clickmill_clicks_duplicate_total"]) == 70)
    check_equal("counted and in review", counts(node), (50, 20))
    node.check_invariant()
    node.kill()
    node.spawn()
    wait_until("the counts of before", lambda: listens(node) and counts(node) == (50, 20))


def clock_is_told(node):
    if not listens(node):
        return False
    reasons = node.get("/readyz").json()["reasons"]
    return len(reasons) == 1 and "behind what was recorded" in reasons[0]


def test_way_back_from_400_days_ahead(context):
    """after a run whose clock was believed 400 days ahead, the recipe of README counts every click once, in its minute"""
    node = node_with_clock(context)
    node.start()
    node.upload_ads([AD])
    begin_ms = now_ms() - 60_000
    for number in range(20):
        click(node, f"before-{number}")
    node.wait_total(begin_ms, now_ms() + 60_000, 20)
    node.stop()
    node.environment["WRONG_CLOCK_S"] = str(400 * 86_400)
    node.spawn()
    wait_until("an answer", lambda: listens(node))
    check_equal("vouched for", context.run("retention", "--now", str(node.data_dir)).returncode, 0)
    wait_until("a clock that is believed", node.is_ready)
    for number in range(20):
        click(node, f"ahead-{number}")
    check_equal("a plain link", node.get("/v1/click?ad_id=ad_1").status, 302)
    wait_until("20 late clicks", lambda: counts(node) == (21, 20))
    node.stop()

    ahead = node.data_dir.with_name("data.ahead")
    node.data_dir.rename(ahead)
    node.data_dir.mkdir()
    shutil.copy(ahead / "catalog", node.data_dir)
    node.environment["WRONG_CLOCK_S"] = "0"
    node.start()
    # A copy that comes before the import is done, and a new click.
    click(node, "before-0")
    click(node, "after")
    lines = context.run("log", "dump", str(ahead)).stdout
    answer = node.request("POST", "/v1/clicks?mode=backfill", lines).json()
    check_equal("accepted", answer["accepted"], 40)
    # The plain link had nothing but the clock's time.
    check_equal("rejected", [each["field"] for each in answer["rejected"]], ["timestamp_ms"])
    node.wait_total(begin_ms, now_ms() + 60_000, 41)
    node.wait_spool_empty()
    wait_until("the copy", lambda: int(node.metrics()["clickmill_clicks_duplicate_total"]) == 1)
    check_equal("counted and in review", counts(node), (41, 0))
