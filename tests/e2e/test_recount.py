"""clickmill recount: the raw log counted anew, beside what is stored."""

import json

from harness import check, check_equal, iso, now_ms

ADS = [{"ad_id": f"rc_{number}", "advertiser_id": f"adv_{number % 2}", "ad_format": "video",
        "redirect_url": f"https://shop.example.com/{number}"} for number in range(5)]


def recount(context, node, from_ms, to_ms, *more):
    return context.run("recount", "--config", str(node.config_path), "--from", iso(from_ms), "--to", iso(to_ms), *more)


def send(node, clicks):
    answer = node.request("POST", "/v1/clicks", "\n".join(json.dumps(click) for click in clicks))
    check_equal(f"{answer}", (answer.status, answer.json()["rejected_count"]), (202, 0))


def test_recount_after_kills(context):
    """recount: agrees with what is stored after kills, restarts, duplicates and flagged clicks"""
    node = context.node({"stream": {"checkpoint_interval_s": 1}})
    node.upload_ads(ADS)
    begin = now_ms() - 300_000
    sent = set()
    for round_ in range(4):
        clicks = []
        for number in range(500):
            ad = ADS[context.random.randrange(5)]["ad_id"]
            click_id = f"c-{context.random.randrange(1500)}"
            # One identity has one timestamp; some of them are late, some far ahead.
            age = (hash((ad, click_id)) % 200_000) - 80_000
            clicks.append({"click_id": click_id, "ad_id": ad, "timestamp_ms": now_ms() - age,
                           "device_type": context.random.choice(["mobile", "desktop", "tablet", "other"]),
                           "country": context.random.choice(["US", "DE", "FR"]), "user_id": f"u-{context.random.randrange(90)}"})
            sent.add((ad, click_id))
        send(node, clicks)
        if round_ % 2 == 0:
            node.kill()
            node.start()
            send(node, clicks)
    node.wait_spool_empty()
    tally = node.check_invariant()
    check_equal("each identity once", tally["counted"] + tally["review"], len(sent))
    check(tally["duplicate"] > 0 and tally["review"] > 0 and tally["counted"] > 0, f"a dull mixture: {tally}")

    running = recount(context, node, begin, now_ms() + 120_000)
    check_equal(f"while the node runs ({running})", running.returncode, 2)
    check("in use by another" in running.stderr, running.stderr)
    for more in ([], ["--ad", "rc_3"], ["--repair"]):
        online = context.run("recount", "--node", f"http://127.0.0.1:{node.api_port}", "--from", iso(begin),
                             "--to", iso(now_ms() + 120_000), *more)
        check_equal(f"by the node itself {more} ({online})", (online.returncode, online.stdout), (0, ""))
        check(" 0 differ" in online.stderr and "can't be judged" not in online.stderr, online.stderr)
    check_equal("changes made by hand", node.get("/v1/review/decisions").json()["data"], [])
    node.stop()
    before = sorted(path for path in node.data_dir.rglob("*"))
    done = recount(context, node, begin, now_ms() + 120_000)
    check_equal(f"exit code ({done})", (done.returncode, done.stdout), (0, ""))
    check(" 0 differ" in done.stderr and "can't be judged" not in done.stderr, done.stderr)
    compared = int(done.stderr.rsplit(" minutes of ads compared", 1)[0].rsplit(" ", 1)[1])
    check(compared >= 5, done.stderr)
    check_equal("files afterwards", sorted(path for path in node.data_dir.rglob("*")), before)

    # Killed at any moment, the last checkpoint is what is compared.
    node.start()
    send(node, [{"click_id": f"k-{number}", "ad_id": "rc_1", "timestamp_ms": now_ms()} for number in range(100)])
    node.kill()
    done = recount(context, node, begin, now_ms() + 120_000, "--ad", "rc_1")
    check_equal(f"exit code after a kill ({done})", (done.returncode, done.stdout), (0, ""))
    node.start()
    node.stop()


def test_recount_arguments(context):
    """recount: wrong arguments and directories are refused with a message and exit code 2"""
    times = ["--from", "2026-06-24T10:00:00Z", "--to", "2026-06-24T11:00:00Z"]
    there = ["--data-dir", str(context.directory)]
    for what, arguments, word in [
        ("nothing", [], "--data-dir"),
        ("no times", there, "--from"),
        ("no to", there + times[:2], "--to"),
        ("empty range", there + ["--from", "5", "--to", "5"], "--from"),
        ("no time", there + ["--from", "noon", "--to", "5"], "noon"),
        ("no value", there + times + ["--ad"], "--ad"),
        ("bad ad", there + times + ["--ad", "a b"], "--ad"),
        ("unknown option", there + times + ["--fast", "1"], "--fast"),
        ("no data directory", there + times, "not a data directory"),
        ("a repair without a node", there + times + ["--repair"], "--node"),
        ("two places", there + times + ["--node", "http://127.0.0.1:1"], "--node"),
        ("no node", times + ["--node", "http://127.0.0.1:1"], "127.0.0.1:1"),
        ("no key file", times + ["--node", "http://127.0.0.1:1", "--key-file", "none"], "none"),
        ("no config", ["--config", "none.json"] + times, "none.json"),
    ]:
        done = context.run("recount", *arguments)
        check_equal(f"{what} ({done})", done.returncode, 2)
        check(word in done.stderr, f"{what}: {done.stderr}")
