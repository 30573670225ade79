"""What browsers are served: the page, its files, the publisher's script, and who one is."""

import gzip
import re
from hashlib import sha256

from harness import check, check_equal, now_ms, wait_until

HOUR_MS = 3_600_000
KEYS = [{"name": "ops", "sha256": sha256(b"k-ops").hexdigest(), "role": "admin"},
        {"name": "board", "sha256": sha256(b"k-adv").hexdigest(), "role": "advertiser", "advertiser_id": "adv_1"},
        {"name": "none yet", "sha256": sha256(b"k-new").hexdigest(), "role": "advertiser", "advertiser_id": "adv_9"},
        {"name": "shop", "sha256": sha256(b"k-in").hexdigest(), "role": "ingest"}]


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def page_files(node):
    index = node.get("/").body.decode()
    return ["/", *[f"/{name}" for name in sorted(set(re.findall(r'(?:src|href)="(page/[^"]+)"', index)))]]


def test_page_is_served(context):
    """the api listener serves the page: small, guarded, asked for again with its tag; the collector's / stays"""
    node = context.node()
    check_equal("the collector's /", node.request("GET", "/", listener="collector").body, b"")
    check_equal("the page's files on the collector",
                node.request("GET", "/page/x/app.js", listener="collector").status, 404)
    paths = page_files(node)
    cached = {path: node.get(path).headers["cache-control"] for path in paths}
    check_equal("asked again", cached.pop("/"), "no-cache")
    check_equal("kept", set(cached.values()), {"public, max-age=31536000, immutable"})
    check_equal("of another version", node.get("/page/x/app.js").headers["cache-control"], "no-cache")
    check(len(paths) >= 11, paths)
    plain = packed = 0
    for path in paths:
        answer = node.get(path)
        check_equal(path, answer.status, 200)
        plain += len(answer.body)
        policy = answer.headers["content-security-policy"]
        check("default-src 'none'" in policy and "unsafe" not in policy, policy)
        check_equal("sniffing", answer.headers["x-content-type-options"], "nosniff")
        again = node.get(path, **{"If-None-Match": answer.headers["etag"]})
        check_equal(f"{path} again", (again.status, again.body), (304, b""))
        small = node.get(path, **{"Accept-Encoding": "gzip"})
        packed += len(small.body)
        check_equal(f"{path} packed", gzip.decompress(small.body), answer.body)
    check(plain <= 60 * 1024, f"the page has {plain} bytes")
    index = node.get("/").body.decode()
    check("<script>" not in index and "style=" not in index and " on" not in re.sub(r">[^<]*<", "><", index), index)
    check('data-keys="none"' in index, index[:200])
    check_equal("HEAD /", (node.request("HEAD", "/").status, node.request("HEAD", "/").body), (200, b""))
    context.say(f"{plain} bytes, {packed} as gzip")


def test_snippet_is_served(context):
    """the publisher's script is on both listeners: below 3 KB, cached for a day, asked for again with its tag"""
    node = context.node({"auth": {"keys": KEYS}})
    for listener in ("collector", "api"):
        answer = node.request("GET", "/v1/click.js", listener=listener)
        check_equal("status", answer.status, 200)
        check(len(answer.body) < 3000, f"{len(answer.body)} bytes")
        check_equal("type", answer.headers["content-type"], "text/javascript; charset=utf-8")
        check_equal("cache", answer.headers["cache-control"], "public, max-age=86400")
        check_equal("who may load it", answer.headers["cross-origin-resource-policy"], "cross-origin")
        check("set-cookie" not in answer.headers, answer.headers)
        again = node.request("GET", "/v1/click.js", headers={"If-None-Match": answer.headers["etag"]},
                             listener=listener)
        check_equal("again", (again.status, again.body), (304, b""))
        check_equal("POST", node.request("POST", "/v1/click.js", "", listener=listener).status, 405)
    context.say(f"{len(answer.body)} bytes")


def test_who_asks(context):
    """/v1/whoami tells a key what it may; the page says whether one is needed"""
    node = context.node({"auth": {"keys": KEYS}})
    check('data-keys="needed"' in node.get("/").body.decode(), "the page asks for a key")
    check_equal("no key", node.get("/v1/whoami").status, 401)
    check_equal("a wrong key", node.get("/v1/whoami", **bearer("k-wrong")).status, 401)
    check_equal("a parameter", node.get("/v1/whoami?a=1", **bearer("k-ops")).status, 400)
    for key, want in (("k-ops", ("ops", "admin", None)), ("k-adv", ("board", "advertiser", "adv_1")),
                      ("k-in", ("shop", "ingest", None))):
        who = node.get("/v1/whoami", **bearer(key)).json()
        check_equal(key, (who["name"], who["role"], who["advertiser_id"], who["keys"]), (*want, True))
    open_node = context.node()
    check_equal("without keys", open_node.get("/v1/whoami").json(),
                {"name": "loopback", "role": "admin", "advertiser_id": None, "keys": False})


def test_every_advertiser(context):
    """advertiser_id=* sums all advertisers for an operator, and its own alone for an advertiser"""
    node = context.node({"auth": {"keys": KEYS}})
    begin = now_ms() // HOUR_MS * HOUR_MS - HOUR_MS
    ads = "".join(f'{{"ad_id":"a{i}","advertiser_id":"adv_{i}","ad_format":"banner","redirect_url":"https://a.b/"}}\n'
                  for i in (1, 2))
    check_equal("ads", node.request("POST", "/v1/ads", ads, bearer("k-ops")).status, 200)
    lines = "".join(f'{{"click_id":"c{i}","ad_id":"a{1 + i % 2}","timestamp_ms":{begin + i},"user_id":"u{i // 2}"}}\n'
                    for i in range(10))
    check_equal("clicks", node.request("POST", "/v1/clicks?mode=backfill", lines, bearer("k-ops")).status, 202)

    def asked(key, whose="advertiser_id=*"):
        query = f"{whose}&from={begin}&to={begin + HOUR_MS}&granularity=1h"
        return node.get(f"/v1/metrics/clicks?{query}", **bearer(key))

    wait_until("10 clicks", lambda: asked("k-ops").json()["total"]["click_count"] == 10)
    answer = asked("k-ops").json()
    check_equal("of all", (answer["advertiser_id"], answer["total"]),
                ("*", {"click_count": 10, "unique_users": 5, "automated_clicks": 0}))
    own, named = asked("k-adv").json(), asked("k-adv", "advertiser_id=adv_1").json()
    for each in (own, named):
        del each["as_of"]
    check_equal("its own", own, named)
    check_equal("clicks of its own", own["total"]["click_count"], 5)
    nothing = asked("k-new").json()
    check_equal("one without ads", (nothing["advertiser_id"], nothing["total"]["click_count"]), ("adv_9", 0))
    check_equal("both", asked("k-ops", "ad_id=a1&advertiser_id=*").status, 400)


def test_state_of_the_node(context):
    """/metrics tells how full the disk is and how old the oldest checkpoint"""
    node = context.node({"stream": {"checkpoint_interval_s": 1}})
    values = node.metrics()
    check(0 < values["clickmill_disk_free_bytes"] < values["clickmill_disk_bytes"], values)
    check(values["clickmill_disk_reserve_bytes"] > 0, values)
    wait_until("a young checkpoint", lambda: node.metrics()["clickmill_checkpoint_age_seconds"] < 3)
