"""Double clicks on links without an id: counted as they come, or flagged where that is set."""

import json

from harness import check_equal, now_ms, wait_until

AD = {"advertiser_id": "adv_1", "ad_format": "banner", "redirect_url": "https://shop.example.com/"}
PHONE = {"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) Mobile/15E148"}
DESKTOP = {"User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/126.0.0.0"}


def span():
    return {"from_": now_ms() - 600_000, "to": now_ms() + 60_000}


def counted(node, ad):
    return node.metrics_clicks(ad_id=ad, granularity="total", **span())["total"]["click_count"]


def flagged(node, ad):
    clicks = node.get(f"/v1/review?ad_id={ad}&reason=double_click").json()["data"]
    return [click["id"] for click in clicks]


def link(node, ad, headers, query=""):
    answer = node.request("GET", f"/v1/click?ad_id={ad}{query}", headers=headers, listener="collector")
    check_equal(f"click of {ad}: {answer}", answer.status, 302)


def settle(node, received):
    wait_until(f"{received} clicks", lambda: node.check_invariant()["received"] == received)


def test_double_clicks(context):
    """with stream.double_click_ms the second click of a link is flagged, over restarts, and can be accepted"""
    # Wide enough for a slow machine.
    node = context.node({"stream": {"double_click_ms": 60_000}})
    node.upload_ads([{**AD, "ad_id": ad} for ad in ("one", "two", "ids")])
    link(node, "one", PHONE)
    link(node, "one", DESKTOP)  # another visitor
    link(node, "two", PHONE)  # another ad
    settle(node, 3)
    check_equal("counted", (counted(node, "one"), counted(node, "two")), (2, 1))
    node.kill()
    node.start()
    link(node, "one", PHONE)
    link(node, "one", PHONE, "&user_id=u-1")  # a visitor of its own
    settle(node, 5)
    check_equal("counted", counted(node, "one"), 3)
    check_equal("flagged", len(flagged(node, "one")), 1)

    # With ids nothing is guessed: the same one is a copy, another one another click.
    for number in (1, 1, 2):
        link(node, "ids", PHONE, f"&click_id=i-{number}")
    settle(node, 8)
    check_equal("with ids", (counted(node, "ids"), flagged(node, "ids")), (2, []))
    # After the kill some may have been sent again.
    check_equal("counters", {**node.check_invariant(), "resent": 0},
                {"received": 8, "counted": 6, "duplicate": 1, "review": 1, "resent": 0})

    recount = context.run("recount", "--node", f"http://127.0.0.1:{node.api_port}", "--from", str(span()["from_"]),
                          "--to", str(span()["to"]), timeout_s=120)
    check_equal(f"recount: {recount.stdout} {recount.stderr}", recount.returncode, 0)
    click_id = flagged(node, "one")[0]
    answer = node.request("POST", f"/v1/review/{click_id}", json.dumps({"decision": "accept"}))
    check_equal(f"accept: {answer}", answer.status, 200)
    check_equal("counted after that", counted(node, "one"), 4)
    check_equal("flagged after that", flagged(node, "one"), [])
    recount = context.run("recount", "--node", f"http://127.0.0.1:{node.api_port}", "--from", str(span()["from_"]),
                          "--to", str(span()["to"]), timeout_s=120)
    check_equal(f"recount after that: {recount.stdout} {recount.stderr}", recount.returncode, 0)

    # Turned off by the next start's config.
    node.stop()
    node.config["stream"]["double_click_ms"] = 0
    node.start()
    link(node, "one", PHONE)
    link(node, "one", PHONE)
    settle(node, 10)
    check_equal("counted when it is off", counted(node, "one"), 6)


def test_double_clicks_by_default(context):
    """without it every click of a link counts, and the log says that its id was made"""
    node = context.node({"log": {"partitions": 1}})
    node.upload_ads([{**AD, "ad_id": "one"}])
    link(node, "one", PHONE)
    link(node, "one", PHONE)
    link(node, "one", PHONE, "&click_id=mine")
    settle(node, 3)
    check_equal("counted", counted(node, "one"), 3)
    clicks = [json.loads(line) for line in node.get("/v1/log/raw-clicks/0").body.splitlines()]
    check_equal("id_made", [click.get("id_made", False) for click in clicks], [True, True, False])
