"""A start with a clock that is ahead, then the right time."""

import json
import shutil
import subprocess

from harness import ROOT, NoAnswer, Skipped, check, check_equal, now_ms, pause, wait_until

AD = {"ad_id": "ad_1", "advertiser_id": "adv_1", "ad_format": "banner", "redirect_url": "https://example.com/1"}


MANY = 10_000


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


def set_back(context, node, code=0, yes=("--yes",)):
    done = context.run("recover", "--clock", *yes, "--config", str(node.config_path))
    check_equal(f"recover --clock: {done.stdout}{done.stderr}", done.returncode, code)
    return done


def way_back(context, seconds_ahead):
    """A run that is so far ahead, then recover --clock: afterwards all is as if it had not been."""
    node = node_with_clock(context)
    node.start()
    node.upload_ads([AD])
    begin_ms = now_ms() - 60_000
    for number in range(20):
        click(node, f"before-{number}")
    node.wait_total(begin_ms, now_ms() + 60_000, 20)
    node.stop()
    check("nothing is ahead" in set_back(context, node).stdout, "a clock that is right is left alone")
    node.environment["WRONG_CLOCK_S"] = str(seconds_ahead)
    node.spawn()
    wait_until("an answer", lambda: listens(node))
    if not node.is_ready():
        check_equal("vouched for", context.run("retention", "--now", str(node.data_dir)).returncode, 0)
    wait_until("a clock that is believed", node.is_ready)
    for number in range(20):
        click(node, f"ahead-{number}")
    check_equal("a plain link", node.get("/v1/click?ad_id=ad_1").status, 302)
    # So many that blocks are sealed with the wrong time.
    many = "".join(json.dumps({"click_id": f"many-{number}", "ad_id": "ad_1", "timestamp_ms": begin_ms}) + "\n"
                   for number in range(MANY))
    check_equal("many", node.request("POST", "/v1/clicks?mode=backfill", many).json()["accepted"], MANY)
    wait_until("20 late clicks", lambda: counts(node) == (MANY + 21, 20))
    wait_until("a sealed block", lambda: node.metrics()["clickmill_log_sealed_bytes"] > 0)
    busy = set_back(context, node, 2)
    check("in use" in busy.stderr, busy.stderr)
    # Some of it is in the last checkpoint, some is read again from the log, some in the spool.
    node.kill()

    planned = set_back(context, node, 1, ())
    check("ahead of the clock" in planned.stdout and "--yes" in planned.stdout, planned.stdout)
    check("is set back" in set_back(context, node).stdout, "it says that it did it")
    check("nothing is ahead" in set_back(context, node).stdout, "once is enough")
    node.environment["WRONG_CLOCK_S"] = "0"
    node.start()
    for number in range(30):
        click(node, f"after-{number}")
    node.wait_total(begin_ms, now_ms() + 60_000, MANY + 50)
    # Copies of all three runs change nothing, those included whose ids the wrong time had forgotten.
    for name, last in (("before", 20), ("ahead", 20), ("after", 30)):
        for number in range(last):
            click(node, f"{name}-{number}")
    node.request("POST", "/v1/clicks?mode=backfill", many)
    node.wait_spool_empty()
    wait_until("the copies", lambda: int(node.metrics()["clickmill_clicks_duplicate_total"]) == MANY + 70)
    check_equal("counted and in review", counts(node), (MANY + 51, 20))
    node.check_invariant()
    minute = node.metrics_clicks(ad_id="ad_1", from_=now_ms(), to=now_ms() + 1)["data"]
    check_equal("the present minute", [each["complete"] for each in minute], [False])
    accepted = node.request("POST", "/v1/review?reason=late", json.dumps({"decision": "accept"})).json()
    check_equal("accepted", accepted["decided"], 20)
    node.wait_total(begin_ms, now_ms() + 60_000, MANY + 70)
    node.stop()
    # What the log gives is what is stored: a replay would find the same.
    recount = context.run("recount", "--config", str(node.config_path), "--from", str(begin_ms // 60_000 * 60_000),
                          "--to", str(now_ms() // 60_000 * 60_000 + 120_000 + seconds_ahead * 1000))
    check_equal(f"a recount: {recount.stdout}{recount.stderr}", recount.returncode, 0)
    verify = context.run("log", "verify", str(node.data_dir))
    check_equal(f"the log: {verify.stdout}{verify.stderr}", verify.returncode, 0)
    # So it is: the state is lost, and built anew.
    shutil.rmtree(node.data_dir / "state")
    node.start()
    node.wait_total(begin_ms, now_ms() + 60_000, MANY + 70)


def test_way_back_from_two_hours_ahead(context):
    """after a run two hours ahead, recover --clock sets the time back, and every click counts once, in its minute"""
    way_back(context, 7200)


def test_way_back_from_400_days_ahead(context):
    """the same after a run whose clock was believed 400 days ahead, so that all ids were forgotten"""
    way_back(context, 400 * 86_400)


def test_way_back_that_is_killed(context):
    """a recover --clock that is killed again and again keeps the node from starting, and comes to the same end"""
    node = node_with_clock(context)
    node.environment["WRONG_CLOCK_S"] = "7200"
    node.start()
    node.upload_ads([AD])
    begin_ms = now_ms() - 60_000
    for half in range(2):
        many = "".join(json.dumps({"click_id": f"many-{half}-{number}", "ad_id": "ad_1", "timestamp_ms": begin_ms})
                       + "\n" for number in range(MANY))
        check_equal("many", node.request("POST", "/v1/clicks?mode=backfill", many).json()["accepted"], MANY)
        node.wait_total(begin_ms, now_ms(), (half + 1) * MANY)
    wait_until("a sealed block", lambda: node.metrics()["clickmill_log_sealed_bytes"] > 0)
    click(node, "late")
    wait_until("a late click", lambda: counts(node) == (2 * MANY, 1))
    node.kill()
    killed = 0
    for _ in range(12):
        run = subprocess.Popen([node.binary, "recover", "--clock", "--yes", "--config", str(node.config_path)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        pause(context.random.random() * 0.25)
        run.kill()
        run.wait()
        if (node.data_dir / "setting-clock").exists():
            killed += 1
            node.spawn()
            check_equal("a start", node.process.wait(30), 2)
            check("recover --clock was interrupted" in node.log_tail(), node.log_tail())
    set_back(context, node)
    node.environment["WRONG_CLOCK_S"] = "0"
    node.start()
    check_equal("total", node.total(begin_ms, now_ms()), 2 * MANY)
    click(node, "right")
    node.request("POST", "/v1/clicks?mode=backfill", many)
    node.wait_spool_empty()
    wait_until("the copies", lambda: int(node.metrics()["clickmill_clicks_duplicate_total"]) == MANY)
    check_equal("counted and in review", counts(node), (2 * MANY + 1, 1))
    node.stop()
    verify = context.run("log", "verify", str(node.data_dir))
    check_equal(f"the log: {verify.stdout}{verify.stderr}", verify.returncode, 0)
    recount = context.run("recount", "--config", str(node.config_path), "--from", str(begin_ms // 60_000 * 60_000),
                          "--to", str(now_ms() // 60_000 * 60_000 + 120_000))
    check_equal(f"a recount: {recount.stdout}{recount.stderr}", recount.returncode, 0)
    context.say(f"killed {killed} times in its work")


def test_no_way_back_for_a_member(context):
    """a member of a cluster is told that its time can't be set back alone"""
    node = node_with_clock(context)
    node.start()
    node.stop()
    (node.data_dir / "cluster").write_text("")
    refused = set_back(context, node, 2)
    check("member of a cluster" in refused.stderr, refused.stderr)
