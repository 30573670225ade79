"""What an answer says: uniques that only grow, an advertiser's own rows."""

import hashlib
import json

from harness import check, check_equal, iso, now_ms, wait_until

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
GRANULARITIES = ("1m", "1h", "1d", "total")


def ad(ad_id, advertiser_id):
    return {"ad_id": ad_id, "advertiser_id": advertiser_id, "ad_format": "banner",
            "redirect_url": "https://example.com/"}


def backfill(node, clicks, **headers):
    body = "".join(json.dumps(click) + "\n" for click in clicks)
    answer = node.request("POST", "/v1/clicks?mode=backfill", body, headers)
    check_equal("backfill", (answer.status, answer.json()["accepted"]), (202, len(clicks)))


def uniques(node, begin, ad_id="ad_u"):
    """granularity -> answer, each with the two days from `begin` on"""
    return {granularity: node.metrics_clicks(ad_id=ad_id, from_=begin, to=begin + 2 * DAY_MS,
                                             granularity=granularity, fill="none")
            for granularity in GRANULARITIES}


def test_uniques_only_grow(context):
    """unique_users never exceeds click_count, never falls, and no whole is below its part"""
    node = context.node()
    node.upload_ads([ad("ad_u", "adv_u")])
    begin = now_ms() // DAY_MS * DAY_MS - 3 * DAY_MS
    sent = 0
    last = {}
    # Where the sketch changes its form (1,024) the steps are small.
    for step in [900, 100] + [5] * 24 + [100, 500, 3000, 8000]:
        # Most in one minute, some in another of the hour, of the day, and on the next day.
        backfill(node, [{"click_id": f"c-{i}", "ad_id": "ad_u", "user_id": f"u-{i}",
                         "timestamp_ms": begin + (0, 0, 0, 0, 0, 0, 0, 0, 0, 70_000, 2 * HOUR_MS, DAY_MS)[i % 12]}
                        for i in range(sent, sent + step)])
        sent += step
        node.wait_total(begin, begin + 2 * DAY_MS, sent)
        answers = uniques(node, begin)
        part = 0
        for granularity, answer in answers.items():
            for bucket in answer["data"] + [answer["total"]]:
                what = f"after {sent}, {granularity}: {bucket}"
                check(bucket["unique_users"] <= bucket["click_count"], what)
                check(bucket["unique_users"] <= answer["total"]["unique_users"], f"{what} of {answer['total']}")
                key = (granularity, bucket.get("window_start"))
                check(bucket["unique_users"] >= last.get(key, 0), f"{what}: {last.get(key)} before")
                last[key] = bucket["unique_users"]
            first = answer["data"][0]["unique_users"]
            check(first >= part, f"after {sent}, {granularity}: {first} of a part's {part}")
            part = first
        totals = {answer["total"]["unique_users"] for answer in answers.values()}
        check_equal(f"totals after {sent}", len(totals), 1)
        check(totals.pop() >= 0.95 * sent, f"after {sent}: {answers['total']['total']}")


KEYS = {"ops": ("admin", None), "key-a": ("advertiser", "adv_a"), "key-b": ("advertiser", "adv_b"),
        "key-c": ("advertiser", "adv_c")}


def guarded(context):
    keys = []
    for key, (role, advertiser_id) in KEYS.items():
        entry = {"name": key, "role": role, "sha256": hashlib.sha256(key.encode()).hexdigest()}
        if advertiser_id:
            entry["advertiser_id"] = advertiser_id
        keys.append(entry)
    return context.node({"auth": {"keys": keys}})


def asked(node, key, path, **parameters):
    query = "&".join(f"{name.rstrip('_')}={value}" for name, value in parameters.items())
    return node.get(f"{path}?{query}", Authorization=f"Bearer {key}")


def test_own_rows(context):
    """an advertiser's key sees what its advertiser paid for, also of an ad that moved or was deleted"""
    node = guarded(context)
    ops = {"Authorization": "Bearer ops"}
    begin = now_ms() // HOUR_MS * HOUR_MS - 6 * HOUR_MS
    sent = 0

    def put(ad_id, advertiser_id):
        answer = node.request("PUT", f"/v1/ads/{ad_id}", json.dumps(ad(ad_id, advertiser_id)), ops)
        check(answer.status in (200, 201), f"PUT: {answer}")

    def click(ad_id, count, country, device):
        nonlocal sent
        backfill(node, [{"click_id": f"c-{sent + i}", "ad_id": ad_id, "timestamp_ms": begin, "user_id": f"u{i}",
                         "country": country, "device_type": device} for i in range(count)], **ops)
        sent += count
        wait_until("the clicks", lambda: asked(node, "ops", "/v1/metrics/top", from_=begin, to=begin + 60_000)
                   .json()["total"]["click_count"] == sent)

    for gone in ("moved", "deleted"):
        put(gone, "adv_a")
        click(gone, 3, "DE", "mobile")
        put(gone, "adv_b")
        click(gone, 2, "US", "tablet")
    check_equal("DELETE", node.request("DELETE", "/v1/ads/deleted", headers=ops).status, 204)

    parameters = {"from_": begin, "to": begin + 60_000, "fill": "none"}
    for ad_id in ("moved", "deleted"):
        for granularity in GRANULARITIES:
            for key, count, country, device in (("key-a", 3, "DE", "mobile"), ("key-b", 2, "US", "tablet")):
                what = f"{ad_id} for {key} by {granularity}"
                ask = lambda **more: asked(node, key, "/v1/metrics/clicks", ad_id=ad_id, granularity=granularity,
                                           **parameters, **more)
                for more in ({}, {"breakdown": "country"}, {"breakdown": "device_type"}):
                    answer = ask(**more)
                    check_equal(f"{what}: {answer}", answer.status, 200)
                    answer = answer.json()
                    check_equal(what, (answer["advertiser_id"], answer["total"]["click_count"],
                                       answer["total"]["unique_users"], answer["data"][0]["click_count"]),
                                ("adv_" + key[-1], count, count, count))
                by_country = ask(breakdown="country").json()["total"]["country"]
                check_equal(f"{what}: countries", by_country, {country: count})
                devices = ask(breakdown="device_type").json()["total"]["device_type"]
                check_equal(f"{what}: devices", {name: n for name, n in devices.items() if n}, {device: count})
                for other in ({"country": "US" if country == "DE" else "DE"},
                              {"device_type": "tablet" if device == "mobile" else "mobile"}):
                    check_equal(f"{what}: {other}", ask(**other).json()["total"]["click_count"], 0)
                lines = ask(format="csv", breakdown="country").body.decode().splitlines()
                check(lines[0].endswith(f",{country}") and lines[1].split(",")[1] == str(count), f"{what}: {lines}")
            answer = asked(node, "key-c", "/v1/metrics/clicks", ad_id=ad_id, granularity=granularity, **parameters)
            check_equal(f"{ad_id} for key-c: {answer}", answer.status, 404)
            whole = asked(node, "ops", "/v1/metrics/clicks", ad_id=ad_id, granularity=granularity, **parameters)
            check_equal(f"{ad_id} for ops", whole.json()["total"]["click_count"], 5)
    for key, want in (("key-a", 3), ("key-b", 2)):
        top = asked(node, key, "/v1/metrics/top", from_=begin, to=begin + 60_000).json()
        check_equal(f"top for {key}", sorted((item["ad_id"], item["advertiser_id"], item["click_count"])
                                             for item in top["data"]),
                    [("deleted", "adv_" + key[-1], want), ("moved", "adv_" + key[-1], want)])
        check_equal(f"top for {key}", top["total"]["click_count"], 2 * want)
        mine = asked(node, key, "/v1/metrics/clicks", advertiser_id="adv_" + key[-1], granularity="total", **parameters)
        check_equal(f"all of {key}", mine.json()["total"]["click_count"], 2 * want)
        for other in ("adv_c", "adv_b" if key == "key-a" else "adv_a"):
            answer = asked(node, key, "/v1/metrics/clicks", advertiser_id=other, **parameters)
            check_equal(f"{other} for {key}", answer.status, 404)
    # An ad that is theirs now and has no clicks of theirs: known, and zero; the one before has none of it.
    put("fresh", "adv_a")
    put("fresh", "adv_b")
    fresh = asked(node, "key-b", "/v1/metrics/clicks", ad_id="fresh", granularity="total", **parameters)
    check_equal("fresh for key-b", (fresh.status, fresh.json()["total"]["click_count"]), (200, 0))
    check_equal("fresh for key-a", asked(node, "key-a", "/v1/metrics/clicks", ad_id="fresh", **parameters).status, 404)


def test_unchanged_answer(context):
    """who asks for counts again is told when nothing has changed, and what has"""
    node = context.node()
    node.upload_ads([ad("ad_e", "adv_e")])
    begin = now_ms() // DAY_MS * DAY_MS - 3 * DAY_MS
    backfill(node, [{"click_id": "c-1", "ad_id": "ad_e", "timestamp_ms": begin}])
    node.wait_total(begin, begin + DAY_MS, 1)
    paths = (f"/v1/metrics/clicks?ad_id=ad_e&from={begin}&to={begin + DAY_MS}&granularity=1h",
             f"/v1/metrics/clicks?ad_id=ad_e&from={begin}&to={begin + DAY_MS}&granularity=1h&format=csv",
             f"/v1/metrics/top?from={begin}&to={begin + DAY_MS}")
    tags = {}
    for path in paths:
        first = node.request("GET", path)
        check_equal("kept by nobody else, asked for again", first.headers["cache-control"], "private, no-cache")
        tags[path] = first.headers["etag"]
        # as_of goes on with every click anywhere, and is no change.
        for known in (tags[path], f'"other", {tags[path]}', tags[path].removeprefix("W/")):
            again = node.request("GET", path, headers={"If-None-Match": known})
            check_equal(f"{path}, {known}", (again.status, again.body, again.headers["etag"]), (304, b"", tags[path]))
        check_equal("unknown tag", node.request("GET", path, headers={"If-None-Match": '"x"'}).status, 200)
    backfill(node, [{"click_id": "c-2", "ad_id": "ad_e", "timestamp_ms": begin}])
    node.wait_total(begin, begin + DAY_MS, 2)
    for path in paths:
        changed = node.request("GET", path, headers={"If-None-Match": tags[path]})
        check_equal(path, changed.status, 200)
        check(changed.headers["etag"] != tags[path], f"{path}: another answer has the same tag")
