"""The ways in which a click and an ad may come, and what is answered."""

import json
from urllib.parse import urlencode

from harness import check, check_equal, now_ms, wait_until

TARGET = "https://shop.example.com/landing?utm_source=ad&x=%20y"
AD = {"ad_id": "way", "advertiser_id": "adv_1", "ad_format": "video", "redirect_url": TARGET}
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) " \
        "Version/17.4 Mobile/15E148 Safari/604.1"
DESKTOP = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"


def click(**changes):
    return {"click_id": "way-1", "ad_id": "way", "timestamp_ms": now_ms(), **changes}


def check_redirect(what, answer, target=TARGET):
    check_equal(f"{what} ({answer})", answer.status, 302)
    check_equal(f"{what}: Location", answer.headers.get("location"), target)
    check_equal(f"{what}: Cache-Control", answer.headers.get("cache-control"), "no-store")
    check(answer.headers.get("referrer-policy"), f"{what}: no Referrer-Policy")


def counted(node, **parameters):
    return node.metrics_clicks(ad_id="way", from_=now_ms() - 300_000, to=now_ms() + 60_000, granularity="total",
                               **parameters)["total"]


def wait_counted(node, want):
    wait_until(f"{want} clicks of the ad", lambda: counted(node)["click_count"] == want)


def test_ways_of_a_click(context):
    """JSON, text/plain, a form and a plain link each count; HEAD, prefetch and preflight don't"""
    node = context.node()
    node.upload_ads([AD])
    body = lambda **changes: json.dumps(click(**changes))
    form = urlencode(click(click_id="form", country="DE", device_type="tablet"))
    ways = [
        ("JSON", "POST", "/v1/click", body(click_id="json"), {"Content-Type": "application/json"}),
        ("sendBeacon", "POST", "/v1/click", body(click_id="beacon"), {"Content-Type": "text/plain;charset=UTF-8"}),
        ("unknown type", "POST", "/v1/click", body(click_id="odd"), {"Content-Type": "application/x-odd"}),
        ("JSON as curl -d sends it", "POST", "/v1/click", body(click_id="curl"), {"Content-Type": "application/x-www-form-urlencoded"}),
        ("form", "POST", "/v1/click", form, {"Content-Type": "application/x-www-form-urlencoded"}),
        ("link", "GET", "/v1/click?ad_id=way", None, {"User-Agent": PHONE}),
        ("link again", "GET", "/v1/click?ad_id=way", None, {"User-Agent": DESKTOP}),
        ("link with all", "GET", f"/v1/click?ad_id=way&click_id=link&timestamp_ms={now_ms()}&country=FR&device_type=other"
                                 "&user_id=u%201&colour=red", None, {}),
    ]
    for count, (what, method, path, content, headers) in enumerate(ways, 1):
        listener = ("collector", "api")[count % 2]
        check_redirect(what, node.request(method, path, content, headers, listener))
        wait_counted(node, count)
    check_equal("devices", counted(node, breakdown="device_type")["device_type"],
                {"mobile": 1, "desktop": 1, "tablet": 1, "other": 5})
    countries = counted(node, breakdown="country")["country"]
    check_equal("countries", {key: value for key, value in countries.items() if value}, {"ZZ": 6, "DE": 1, "FR": 1})

    # The same click again, in another way: redirected, not counted.
    check_redirect("copy", node.request("GET", "/v1/click?ad_id=way&click_id=json", listener="collector"))
    check_redirect("HEAD", node.request("HEAD", "/v1/click?ad_id=way&click_id=head", listener="collector"))
    for name, value in (("Sec-Purpose", "prefetch"), ("Sec-Purpose", "prefetch;prerender"), ("Purpose", "prefetch"),
                        ("X-Moz", "prefetch")):
        answer = node.request("GET", "/v1/click?ad_id=way&click_id=pre", headers={name: value}, listener="collector")
        check_equal(f"{name}: {value} ({answer})", answer.status, 409)
        check("no-store" in answer.headers.get("cache-control", ""), f"{name}: {value}: {answer.headers}")
    preflight = node.request("OPTIONS", "/v1/click", headers={
        "Origin": "https://news.example.com", "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type"}, listener="collector")
    check(preflight.status in (200, 204), f"preflight: {preflight}")
    check(preflight.headers.get("access-control-allow-origin") in ("*", "https://news.example.com"),
          f"preflight: {preflight.headers}")
    check("POST" in preflight.headers.get("access-control-allow-methods", ""), f"preflight: {preflight.headers}")
    check("content-type" in preflight.headers.get("access-control-allow-headers", "").lower(),
          f"preflight: {preflight.headers}")
    answer = node.request("POST", "/v1/click", body(click_id="cors"),
                          {"Content-Type": "text/plain", "Origin": "https://news.example.com"}, "collector")
    check_redirect("with Origin", answer)
    check(answer.headers.get("access-control-allow-origin"), f"with Origin: {answer.headers}")

    wait_counted(node, len(ways) + 1)
    wait_until("the copy to be seen", lambda: node.check_invariant()["duplicate"] == 1)
    node.wait_spool_empty()
    check_equal("counters", {name: count for name, count in node.check_invariant().items() if count},
                {"received": len(ways) + 2, "counted": len(ways) + 1, "duplicate": 1})
    # Two links without click_id came from one address with two agents.
    check_equal("visitors", counted(node)["unique_users"] >= 2, True)


def test_default_redirect(context):
    """an unknown ad goes to the default redirect when there is one, and to review"""
    fallback = "https://example.com/sorry"
    node = context.node({"collector": {"default_redirect": fallback}})
    check_redirect("unknown ad", node.request("POST", "/v1/click", json.dumps(click(ad_id="nobody")),
                                              listener="collector"), fallback)
    wait_until("review", lambda: node.check_invariant()["review"] == 1)
    bulk = node.request("POST", "/v1/clicks", json.dumps(click(ad_id="nobody", click_id="bulk")))
    check_equal("bulk with a default redirect", bulk.json()["accepted"], 1)
    wait_until("review", lambda: node.check_invariant()["review"] == 2)


def test_late_and_early_clicks(context):
    """a click long after its minute or far ahead of the clock is redirected and goes to review"""
    node = context.node()
    node.upload_ads([AD])
    late = click(click_id="late", timestamp_ms=now_ms() - 3_600_000)
    early = click(click_id="early", timestamp_ms=now_ms() + 3_600_000)
    for what in (late, early, late):
        check_redirect("late or early", node.request("POST", "/v1/click", json.dumps(what), listener="collector"))
    node.wait_spool_empty()
    want = {"received": 3, "counted": 0, "duplicate": 1, "review": 2, "resent": 0}
    wait_until("review of two, and a copy", lambda: node.check_invariant() == want)
    # The same hour by backfill is on time.
    past = click(click_id="past", timestamp_ms=now_ms() - 3_600_000)
    check_equal("backfill", node.request("POST", "/v1/clicks?mode=backfill", json.dumps(past)).json()["accepted"], 1)
    node.wait_total(now_ms() - 7_200_000, now_ms() + 7_200_000, 1)


def test_ads(context):
    """ads are put, read, listed, changed and deleted; a click follows the change at once"""
    node = context.node()
    other = {**AD, "ad_id": "other", "advertiser_id": "adv_2"}
    body = {name: value for name, value in AD.items() if name != "ad_id"}
    check_equal("first PUT", node.request("PUT", "/v1/ads/way", json.dumps(body)).status, 201)
    check_equal("second PUT", node.request("PUT", "/v1/ads/way", json.dumps(AD)).status, 200)
    check_equal("another PUT", node.request("PUT", "/v1/ads/other", json.dumps(other)).status, 201)
    check_equal("GET", node.get("/v1/ads/way").json(), AD)
    listed = lambda query="": [ad["ad_id"] for ad in node.get(f"/v1/ads{query}").json()["data"]]
    check_equal("list", listed(), ["other", "way"])
    check_equal("list of one advertiser", listed("?advertiser_id=adv_2"), ["other"])
    check_equal("first page", listed("?limit=1"), ["other"])
    check_equal("second page", listed("?limit=1&after=other"), ["way"])

    moved = {**AD, "redirect_url": "https://example.com/moved"}
    check_redirect("before", node.request("POST", "/v1/click", json.dumps(click()), listener="collector"))
    check_equal("move", node.request("PUT", "/v1/ads/way", json.dumps(moved)).status, 200)
    check_redirect("after", node.request("POST", "/v1/click", json.dumps(click(click_id="way-2")), listener="collector"),
                   moved["redirect_url"])
    wait_counted(node, 2)
    check_equal("DELETE", node.request("DELETE", "/v1/ads/way").status, 204)
    check_equal("GET of a deleted ad", node.get("/v1/ads/way").status, 404)
    answer = node.request("POST", "/v1/click", json.dumps(click(click_id="way-3")), listener="collector")
    check_equal("click on a deleted ad", answer.status, 404)
    check_equal("its metrics stay", counted(node)["click_count"], 2)
    # All of this is durable.
    node.kill()
    node.start()
    check_equal("list after SIGKILL", listed(), ["other"])
    check_equal("metrics after SIGKILL", counted(node)["click_count"], 2)
