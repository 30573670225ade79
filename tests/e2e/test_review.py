"""Clicks in review: listed, decided one by one and in bulk, counted once, whatever is killed."""

import json
import threading
from collections import Counter
from hashlib import sha256

from clicks import HOUR_MS, MINUTE_MS
from harness import NoAnswer, check, check_equal, iso, now_ms, wait_until

AD = {"ad_id": "shoes", "advertiser_id": "adv_1", "ad_format": "video", "redirect_url": "https://example.com/shoes"}
LATE_MS = 2 * HOUR_MS
DEFAULT_REDIRECT = {"collector": {"default_redirect": "https://example.com/"}, "stream": {"checkpoint_interval_s": 1}}


def send(node, clicks):
    answer = node.request("POST", "/v1/clicks", "".join(json.dumps(click) + "\n" for click in clicks))
    check_equal("accepted", answer.json()["accepted"], len(clicks))


def late_clicks(count, ads=1, name="late"):
    """Clicks of two hours ago that arrive now."""
    begin = now_ms() - LATE_MS
    return [{"click_id": f"{name}-{i}", "ad_id": "shoes" if ads == 1 else f"ad_{i % ads}", "timestamp_ms": begin + i,
             "user_id": f"u-{i}", "country": "DE", "device_type": "tablet"} for i in range(count)]


def upload_ads(node, ads):
    node.upload_ads([AD] + [{**AD, "ad_id": f"ad_{i}", "advertiser_id": f"adv_{i % 3}"} for i in range(ads)])


def wait_flagged(node, want):
    wait_until(f"{want} clicks in review", lambda: node.metrics()["clickmill_clicks_review_total"] == want)


def page(node, path="/v1/review", **parameters):
    query = "&".join(f"{name.rstrip('_')}={value}" for name, value in parameters.items())
    answer = node.get(f"{path}?{query}")
    check(answer.status == 200, f"{path}?{query}: {answer}")
    return answer.json()


def listed(node, path="/v1/review", **parameters):
    """All pages."""
    rows, after = [], {}
    while True:
        found = page(node, path, **parameters, **after)
        rows += found["data"]
        if found["next"] is None:
            return rows
        after = {"after": found["next"]}


def decisions(node, **parameters):
    return listed(node, "/v1/review/decisions", **parameters)


def decide(node, click_id, decision, client=None):
    ask = client or node
    return ask.request("POST", f"/v1/review/{click_id}", json.dumps({"decision": decision}))


def decide_all(node, query, decision):
    answer = node.request("POST", f"/v1/review?{query}", json.dumps({"decision": decision}))
    check(answer.status == 200, f"{query}: {answer}")
    check_equal("failed_partitions", answer.json()["failed_partitions"], [])
    return answer.json()


def counted(node, ad_id, **parameters):
    return node.metrics_clicks(ad_id=ad_id, from_=now_ms() - 24 * HOUR_MS, to=now_ms() + 24 * HOUR_MS,
                               granularity="total", **parameters)["total"]


def test_review_decides_each(context):
    """late, clock_ahead and unknown_ad clicks are listed, and count in their own minute once accepted"""
    node = context.node(DEFAULT_REDIRECT)
    node.upload_ads([AD])
    now = now_ms()
    late = {"click_id": "was-late", "ad_id": "shoes", "timestamp_ms": now - LATE_MS, "user_id": "jo",
            "country": "DE", "device_type": "tablet"}
    ahead = {**late, "click_id": "ahead", "timestamp_ms": now + LATE_MS, "user_id": "zoe"}
    unknown = {**late, "click_id": "unknown", "ad_id": "boots", "timestamp_ms": now}
    for click in (late, ahead, unknown):
        answer = node.request("POST", "/v1/click", json.dumps(click), {"User-Agent": "curl/8"}, "collector")
        check_equal(f"{click['click_id']}: {answer}", answer.status, 302)
    wait_flagged(node, 3)
    rows = {row["click_id"]: row for row in listed(node)}
    check_equal("reasons", {name: row["reason"] for name, row in rows.items()},
                {"was-late": "late", "ahead": "clock_ahead", "unknown": "unknown_ad"})
    for click in (late, ahead, unknown):
        row = rows[click["click_id"]]
        check_equal("fields", {name: row[name] for name in click}, click)
        check_equal("user_agent", (row["user_agent"], row["automated"]), ("curl/8", True))
        check(row["received_ms"] >= now, f"received_ms: {row}")
    check_equal("advertiser of the known and the unknown", [rows[name]["advertiser_id"] for name in ("was-late", "unknown")],
                ["adv_1", ""])
    for query, want in (({"reason": "late"}, ["was-late"]), ({"ad_id": "boots"}, ["unknown"]),
                        ({"from_": iso(now + HOUR_MS)}, ["ahead"]), ({"to": now - HOUR_MS}, ["was-late"]),
                        ({"reason": "stale"}, [])):
        check_equal(f"{query}", [row["click_id"] for row in listed(node, **query)], want)
    check_equal("counted before", counted(node, "shoes")["click_count"], 0)

    check_equal("accept late", decide(node, rows["was-late"]["id"], "accept").status, 200)
    total = counted(node, "shoes", breakdown="country")
    check_equal("counted", (total["click_count"], total["unique_users"], total["country"]), (1, 1, {"DE": 1}))
    check_equal("as a machine's", total["automated_clicks"], 1)
    minutes = node.metrics_clicks(ad_id="shoes", from_=now - 3 * HOUR_MS, to=now, fill="none")["data"]
    check_equal("its own minute", [(row["window_start"], row["click_count"], row["complete"]) for row in minutes],
                [(iso(late["timestamp_ms"] // MINUTE_MS * MINUTE_MS), 1, True)])
    again = decide(node, rows["was-late"]["id"], "reject")
    check_equal(f"second decision: {again}", (again.status, again.json()["field"]), (409, "id"))
    check_equal("reject", decide(node, rows["ahead"]["id"], "reject").status, 200)

    refused = decide(node, rows["unknown"]["id"], "accept")
    check_equal(f"no such ad yet: {refused}", (refused.status, refused.json()["field"]), (409, "ad_id"))
    check_equal("still listed", [row["click_id"] for row in listed(node)], ["unknown"])
    node.upload_ads([{**AD, "ad_id": "boots", "advertiser_id": "adv_9"}])
    check_equal("accept unknown", decide(node, rows["unknown"]["id"], "accept").status, 200)
    check_equal("left", listed(node), [])
    advertiser = node.metrics_clicks(advertiser_id="adv_9", from_=now - HOUR_MS, to=now + HOUR_MS, granularity="total")
    check_equal("counted for the advertiser that the ad has now", advertiser["total"]["click_count"], 1)

    for restart in (None, node.kill, node.stop):
        if restart:
            restart()
            node.start()
        done = decisions(node)
        check_equal("decided, in order", [(row["id"], row["decision"], row["reason"]) for row in done],
                    [(rows["was-late"]["id"], "accept", "late"), (rows["ahead"]["id"], "reject", "clock_ahead"),
                     (rows["unknown"]["id"], "accept", "unknown_ad")])
        check_equal("kind and who", {(row["kind"], row["by"]) for row in done}, {("review", "loopback")})
        check_equal("effects", [row["effect"] for row in done],
                    [{"advertiser_id": "adv_1", "window_start": iso(late["timestamp_ms"] // MINUTE_MS * MINUTE_MS),
                      "click_count": 1}, None,
                     {"advertiser_id": "adv_9", "window_start": iso(now // MINUTE_MS * MINUTE_MS), "click_count": 1}])
        check_equal("listed", listed(node), [])
        check_equal("again", decide(node, rows["ahead"]["id"], "accept").status, 409)
        check_equal("counted", [counted(node, ad)["click_count"] for ad in ("shoes", "boots")], [1, 1])
        counters, metrics = node.check_invariant(), node.metrics()
        check_equal("first verdicts", (counters["counted"], counters["review"]), (0, 3))
        check_equal("accepted, rejected", [metrics[f"clickmill_review_{what}_total"] for what in ("accepted", "rejected")],
                    [2, 1])


def test_review_bulk(context):
    """thousands of late clicks are paged without a gap while checkpoints pass, and accepted at once"""
    node, ads, count = context.node(DEFAULT_REDIRECT), 40, 6000
    upload_ads(node, ads)
    clicks = late_clicks(count, ads)
    send(node, clicks)
    strangers = [{**click, "ad_id": "nobody", "click_id": f"nobody-{i}", "timestamp_ms": now_ms()}
                 for i, click in enumerate(clicks[:5])]
    send(node, strangers)
    wait_flagged(node, count + 5)
    for _ in range(3):
        seen = Counter(row["click_id"] for row in listed(node, reason="late", limit=700))
        check_equal("each once", (len(seen), max(seen.values())), (count, 1))
    order = [tuple(map(int, row["id"].split("-"))) for row in listed(node, limit=1000)]
    check_equal("order", order, sorted(order))
    one_ad = [row["click_id"] for row in listed(node, ad_id="ad_7", limit=10)]
    check_equal("of one ad", sorted(one_ad), sorted(click["click_id"] for click in clicks if click["ad_id"] == "ad_7"))

    check_equal("reject one ad", decide_all(node, "ad_id=ad_7", "reject")["decided"], count // ads)
    check_equal("a time range", decide_all(node, f"reason=late&to={clicks[100]['timestamp_ms']}", "accept")["decided"],
                sum(click["ad_id"] != "ad_7" for click in clicks[:100]))
    answer = decide_all(node, "", "accept")
    check_equal("the rest", answer["decided"], sum(click["ad_id"] != "ad_7" for click in clicks[100:]))
    check_equal("clicks of no ad stay", answer.get("skipped"), 5)
    check_equal("nothing is left to decide", decide_all(node, "reason=late", "reject"), {"decided": 0, "failed_partitions": []})
    check_equal("left", [row["reason"] for row in listed(node)], ["unknown_ad"] * 5)

    begin = now_ms() - 24 * HOUR_MS
    node.wait_total(begin, now_ms() + HOUR_MS, count - count // ads)
    want = Counter((click["ad_id"], iso(click["timestamp_ms"] // MINUTE_MS * MINUTE_MS)) for click in clicks)
    for ad in ("ad_0", "ad_7", "ad_39"):
        rows = node.metrics_clicks(ad_id=ad, from_=begin, to=now_ms(), fill="none", breakdown="device_type")["data"]
        check_equal(f"minutes of {ad}", {row["window_start"]: row["device_type"]["tablet"] for row in rows},
                    {} if ad == "ad_7" else {at: n for (of, at), n in want.items() if of == ad})
    done = decisions(node, limit=333)
    check_equal("decisions", Counter(row["decision"] for row in done),
                {"accept": count - count // ads, "reject": count // ads})
    check_equal("each once", len({row["id"] for row in done}), count)
    times = [row["at"] if "." in row["at"] else row["at"].replace("Z", ".000Z") for row in done]
    check_equal("in order of time", times, sorted(times))
    check_equal("none later", decisions(node, from_=now_ms() + HOUR_MS), [])
    check_equal("none earlier", decisions(node, to=now_ms() - HOUR_MS), [])
    node.check_invariant()


def test_review_survives_kills(context):
    """kill -9 between a decision and its answer: decided once or not at all"""
    node, count = context.node(DEFAULT_REDIRECT), 1200
    upload_ads(node, 8)
    send(node, late_clicks(count, 8))
    wait_flagged(node, count)
    node.wait_spool_empty()
    answered = {}
    for round_number in range(3):
        todo = [row["id"] for row in listed(node)]
        kill_after = context.random.randint(20, 80)
        enough = threading.Event()

        def decide_some(ids):
            client = node.client()
            try:
                for click_id in ids:
                    decision = "accept" if int(click_id.split("-")[1]) % 3 else "reject"
                    answer = decide(node, click_id, decision, client)
                    check_equal(f"{click_id}: {answer}", answer.status, 200)
                    answered[click_id] = decision
                    if len(answered) >= kill_after + before:
                        enough.set()
            except NoAnswer:
                pass

        before = len(answered)
        threads = [threading.Thread(target=decide_some, args=(todo[i::4],)) for i in range(4)]
        for thread in threads:
            thread.start()
        check(enough.wait(60), f"only {len(answered) - before} decisions in a minute")
        node.kill()
        for thread in threads:
            thread.join()
        node.start()
        done = {row["id"]: row["decision"] for row in decisions(node, limit=1000)}
        check_equal("answered decisions that are gone", {i: d for i, d in answered.items() if done.get(i) != d}, {})
        check_equal("decided and listed", done.keys() & {row["id"] for row in listed(node, limit=1000)}, set())
        accepted = sum(decision == "accept" for decision in done.values())
        check_equal("counted", node.total(now_ms() - 24 * HOUR_MS, now_ms() + HOUR_MS), accepted)
        check_equal("accepted", node.metrics()["clickmill_review_accepted_total"], accepted)
        answered.update(done)

    # The same in bulk: what the kill cut off, the next request does.
    def accept_the_rest():
        try:
            node.request("POST", "/v1/review", '{"decision":"accept"}')
        except NoAnswer:
            pass

    sweep = threading.Thread(target=accept_the_rest)
    sweep.start()
    wait_until("the sweep has begun", lambda: len(decisions(node, limit=1000)) > len(answered))
    node.kill()
    sweep.join()
    node.start()
    decide_all(node, "", "accept")
    check_equal("left", listed(node), [])
    done = Counter(row["decision"] for row in decisions(node, limit=1000))
    check_equal("each decided once", done.total(), count)
    check_equal("counted", node.total(now_ms() - 24 * HOUR_MS, now_ms() + HOUR_MS), done["accept"])
    node.check_invariant()


def test_review_bad_input(context):
    """bad ids, parameters and bodies of /v1/review name the field; only admins get in"""
    node = context.node(DEFAULT_REDIRECT)
    upload_ads(node, 1)
    send(node, late_clicks(1))
    wait_flagged(node, 1)
    only = listed(node)[0]["id"]
    accept = '{"decision":"accept"}'
    cases = [
        ("GET", "/v1/review?reason=early", None, 400, "reason"),
        ("GET", "/v1/review?ad_id=a%20b", None, 400, "ad_id"),
        ("GET", "/v1/review?ad_id=", None, 400, "ad_id"),
        ("GET", "/v1/review?from=yesterday", None, 400, "from"),
        ("GET", "/v1/review?from=2026-06-24&to=1782259200000", None, 400, "to"),
        ("GET", "/v1/review?limit=0", None, 400, "limit"),
        ("GET", "/v1/review?limit=1001", None, 400, "limit"),
        ("GET", "/v1/review?limit=1e2", None, 400, "limit"),
        ("GET", "/v1/review?after=12", None, 400, "after"),
        ("GET", "/v1/review?after=64-1", None, 400, "after"),
        ("GET", "/v1/review?after=1--1", None, 400, "after"),
        ("GET", "/v1/review?reasons=late", None, 400, "reasons"),
        ("GET", "/v1/review?reason=late&reason=stale", None, 400, "reason"),
        ("GET", "/v1/review?ad_id=%zz", None, 400, None),
        ("POST", "/v1/review?limit=5", accept, 400, "limit"),
        ("POST", "/v1/review?after=" + only, accept, 400, "after"),
        ("POST", "/v1/review?reason=early", accept, 400, "reason"),
        ("POST", "/v1/review", "", 400, None),
        ("POST", "/v1/review", "{}", 400, "decision"),
        ("POST", "/v1/review", '{"decision":"Accept"}', 400, "decision"),
        ("POST", "/v1/review", '{"decision":true}', 400, "decision"),
        ("POST", f"/v1/review/{only}", "[]", 400, None),
        ("POST", f"/v1/review/{only}", '{"decision":null}', 400, "decision"),
        ("POST", f"/v1/review/{only}?force=1", accept, 400, "force"),
        ("POST", f"/v1/review/{only}1", accept, 404, "id"),
        ("POST", "/v1/review/0-0", accept, 404, "id"),
        ("POST", "/v1/review/99-1", accept, 404, "id"),
        ("POST", "/v1/review/1-18446744073709551615", accept, 404, "id"),
        ("POST", "/v1/review/one", accept, 404, "id"),
        ("GET", "/v1/review/decisions?after=12-5", None, 400, "after"),
        ("GET", "/v1/review/decisions?from=x", None, 400, "from"),
        ("GET", "/v1/review/decisions?from=2026-06-25&to=2026-06-24", None, 400, "to"),
        ("GET", "/v1/review/decisions?from=1795829153", None, 400, "from"),
        ("GET", "/v1/review/decisions?limit=-1", None, 400, "limit"),
        ("GET", "/v1/review/decisions?reason=late", None, 400, "reason"),
    ]
    for method, path, body, status, field in cases:
        answer = node.request(method, path, body)
        check_equal(f"{method} {path} {body}: {answer}", (answer.status, answer.json().get("field")), (status, field))
        check_equal("type", answer.headers["content-type"].split(";")[0], "application/problem+json")
    for method, path, allow in (("PUT", "/v1/review", "POST"), ("DELETE", f"/v1/review/{only}", "POST"),
                                ("GET", f"/v1/review/{only}", "POST"), ("PUT", "/v1/review/decisions", "GET")):
        answer = node.request(method, path, accept if method == "PUT" else None)
        check_equal(f"{method} {path}: {answer}", answer.status, 405)
        check(allow in answer.headers.get("allow", ""), f"{method} {path}: Allow {answer.headers.get('allow')}")
    check_equal("nothing was decided", [row["id"] for row in listed(node)], [only])

    keys = {role: f"secret-{role}" for role in ("advertiser", "ingest", "admin")}
    node.stop()
    node.config["auth"] = {"keys": [
        {"name": f"the {role}", "sha256": sha256(key.encode()).hexdigest(), "role": role,
         **({"advertiser_id": "adv_1"} if role == "advertiser" else {})} for role, key in keys.items()]}
    node.start()
    requests = [("GET", "/v1/review", None), ("POST", "/v1/review", accept), ("POST", f"/v1/review/{only}", accept),
                ("GET", "/v1/review/decisions", None)]
    for method, path, body in requests:
        check_equal("without a key", node.request(method, path, body).status, 401)
        for role in ("advertiser", "ingest"):
            answer = node.request(method, path, body, {"Authorization": f"Bearer {keys[role]}"})
            check_equal(f"{role}: {method} {path}", answer.status, 403)
    admin = {"Authorization": f"Bearer {keys['admin']}"}
    check_equal("admin", node.request("POST", f"/v1/review/{only}", accept, admin).status, 200)
    rows = node.request("GET", "/v1/review/decisions", headers=admin).json()["data"]
    check_equal("signed", [(row["id"], row["by"]) for row in rows], [(only, "the admin")])
