"""Clicks of machines: redirected and recorded like any other, flagged, and counted beside the people's."""

import json
import shutil
import subprocess

from harness import Skipped, check, check_equal, now_ms, wait_until
from three_nodes import make, start, wait_led

AD = {"ad_id": "bots", "advertiser_id": "adv_1", "ad_format": "banner", "redirect_url": "https://shop.example.com/"}
OTHER = dict(AD, ad_id="quiet")
PHONE = ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile "
         "Safari/537.36")
DESKTOP = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
SLACK = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"
WHATSAPP = "WhatsApp/2.23.20.0 A"
GOOGLE = PHONE + " (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

# What comes to /v1/click by GET: headers, and whether a machine sent it.
LINKS = [
    ({"User-Agent": PHONE}, False),
    ({"User-Agent": DESKTOP, "Sec-CH-UA": '"Chromium";v="126", "Not/A)Brand";v="8"'}, False),
    ({"User-Agent": DESKTOP, "Sec-CH-UA": '"HeadlessChrome";v="126", "Not/A)Brand";v="8"'}, True),
    ({"User-Agent": SLACK}, True),
    ({"User-Agent": WHATSAPP}, True),
    ({"User-Agent": GOOGLE}, True),
    ({"User-Agent": "okhttp/4.12.0"}, False),
    ({"User-Agent": "Go-http-client/2.0"}, True),
    ({}, False),
]
# Lines of a bulk upload: more fields, and whether a machine clicked.
LINES = [
    ({"user_agent": PHONE}, False),
    ({"user_agent": GOOGLE}, True),
    ({"user_agent": PHONE, "automated": True}, True),
    ({"user_agent": GOOGLE, "automated": False}, False),
    ({}, False),
]


def span():
    return {"from_": now_ms() - 300_000, "to": now_ms() + 60_000}


def curl(node):
    """One click by the real curl, with the agent that it has by itself."""
    if shutil.which("curl") is None:
        raise Skipped("there is no curl")
    done = subprocess.run(["curl", "-s", "-o", "-", "-D", "-", f"http://127.0.0.1:{node.collector_port}/v1/click?ad_id=bots"],
                          capture_output=True, text=True, timeout=30)
    check(done.stdout.startswith("HTTP/1.1 302 "), done.stdout + done.stderr)
    check("location: https://shop.example.com/" in done.stdout.lower(), done.stdout)


def send_all(node):
    """Gives click_id -> automated of all that have an id, and the number of clicks."""
    want = {}
    for number, (headers, automated) in enumerate(LINKS):
        answer = node.request("GET", f"/v1/click?ad_id=bots&click_id=link-{number}&country=DE", headers=headers,
                              listener="collector")
        check_equal(f"{headers}: {answer}", (answer.status, answer.headers.get("location")), (302, AD["redirect_url"]))
        want[f"link-{number}"] = automated
    # A client can't say of itself what a server may.
    said = {"click_id": "said", "ad_id": "bots", "timestamp_ms": now_ms(), "country": "DE", "automated": True}
    answer = node.request("POST", "/v1/click", json.dumps(said), {"User-Agent": DESKTOP}, "collector")
    check_equal(f"{answer}", answer.status, 302)
    want["said"] = False
    lines = []
    for number, (fields, automated) in enumerate(LINES):
        lines.append({"click_id": f"line-{number}", "ad_id": "bots", "timestamp_ms": now_ms(), "country": "FR", **fields})
        want[f"line-{number}"] = automated
    # The connection's own agent says nothing of a line.
    answer = node.request("POST", "/v1/clicks", "\n".join(map(json.dumps, lines)), {"User-Agent": "curl/8.1.2"})
    check_equal("bulk", answer.json()["accepted"], len(lines))
    wrong = dict(lines[0], click_id="wrong", automated="yes")
    verdict = node.request("POST", "/v1/clicks", json.dumps(wrong)).json()["rejected"][0]
    check_equal("a wrong field", (verdict["field"], verdict["detail"]), ("automated", '"yes" is neither true nor false'))
    quiet = {"click_id": "q", "ad_id": "quiet", "timestamp_ms": now_ms(), "user_agent": SLACK}
    node.request("POST", "/v1/clicks", json.dumps(quiet))
    # Twice the same click is one, whoever sends it first.
    node.request("GET", "/v1/click?ad_id=bots&click_id=link-0", headers={"User-Agent": SLACK}, listener="collector")
    return want


def raw_clicks(node):
    clicks = []
    for extent in node.get("/v1/log/raw-clicks").json()["data"]:
        body = node.get(f"/v1/log/raw-clicks/{extent['partition']}?limit=1000").body
        clicks += [json.loads(line) for line in body.splitlines()]
    return clicks


def check_counts(node, want):
    """want: click_id -> automated, of the ad `bots`."""
    machines, gross = sum(want.values()), len(want)
    net = gross - machines
    numbers = {"include": gross, "exclude": net, "only": machines}
    for granularity in ("1m", "1h", "1d", "total"):
        for automated, clicks in [(None, gross), *numbers.items()]:
            more = {} if automated is None else {"automated": automated}
            answer = node.metrics_clicks(ad_id="bots", granularity=granularity, **more, **span())
            what = f"{granularity} {automated}: {answer['total']}"
            check_equal(what, (answer["total"]["click_count"], answer["total"]["automated_clicks"]), (clicks, machines))
            check_equal(what, sum(bucket["click_count"] for bucket in answer["data"]), clicks)
            check_equal(what, sum(bucket["automated_clicks"] for bucket in answer["data"]), machines)
            check(1 <= answer["total"]["unique_users"] <= clicks, what)
            check_equal(what, answer.get("automated"), automated if automated in ("exclude", "only") else None)
    uniques = {automated: node.metrics_clicks(ad_id="bots", granularity="total", automated=automated,
                                              **span())["total"]["unique_users"] for automated in numbers}
    check(max(uniques.values()) == uniques["include"] <= uniques["exclude"] + uniques["only"], uniques)
    # By country and by device, as filters and as breakdowns, the parts add up.
    for breakdown in ("country", "device_type"):
        whole = {automated: node.metrics_clicks(ad_id="bots", granularity="total", breakdown=breakdown,
                                                automated=automated, **span())["total"] for automated in numbers}
        for automated, clicks in numbers.items():
            check_equal(f"{breakdown} {automated}", sum(whole[automated][breakdown].values()), clicks)
        for value, clicks in whole["include"][breakdown].items():
            split = [whole[automated][breakdown].get(value, 0) for automated in ("exclude", "only")]
            check_equal(f"{value}", sum(split), clicks)
            filtered = node.metrics_clicks(ad_id="bots", granularity="total", automated="exclude", **{breakdown: value},
                                           **span())["total"]
            check_equal(f"only {value}", [filtered["click_count"], filtered["automated_clicks"]], split)
    check_equal("devices of machines", node.metrics_clicks(ad_id="bots", granularity="total", automated="only",
                                                           breakdown="device_type", **span())["total"]["device_type"]["other"],
                machines - 2)  # two say that they are a desktop and a phone
    check_top(node, machines, gross)
    check_csv(node, machines, net)
    empty = node.metrics_clicks(ad_id="quiet", granularity="1m", automated="exclude", fill="none", **span())
    check_equal("an ad that machines alone clicked", (empty["data"], empty["total"]["click_count"],
                                                      empty["total"]["automated_clicks"]), ([], 0, 1))


def check_top(node, machines, gross):
    top = node.metrics_top(n=1, **span())
    check_equal("top", [(ad["ad_id"], ad["click_count"], ad["automated_clicks"]) for ad in top["data"]],
                [("bots", gross, machines)])
    check_equal("top's rest", (top["other"], top["total"]), ({"click_count": 1, "automated_clicks": 1},
                                                             {"click_count": gross + 1, "automated_clicks": machines + 1}))
    top = node.metrics_top(automated="exclude", **span())
    check_equal("top of people", [(ad["ad_id"], ad["click_count"]) for ad in top["data"]], [("bots", gross - machines)])
    check_equal("top of people", (top["automated"], top["other"], top["total"]["automated_clicks"]),
                ("exclude", {"click_count": 0, "automated_clicks": 1}, machines + 1))
    top = node.metrics_top(automated="only", country="DE", **span())
    check_equal("top of machines", [(ad["ad_id"], ad["click_count"]) for ad in top["data"]], [("bots", 5)])


def check_csv(node, machines, net):
    times = "&".join(f"{name.rstrip('_')}={at}" for name, at in span().items())
    header, *lines = node.get(f"/v1/metrics/clicks?ad_id=bots&granularity=total&format=csv&{times}").body.decode().splitlines()
    check_equal("CSV as ever", header, "window_start,click_count,unique_users,complete")
    header, line = node.get(f"/v1/metrics/clicks?ad_id=bots&granularity=total&format=csv&automated=exclude"
                            f"&breakdown=device_type&{times}").body.decode().splitlines()
    check_equal("CSV", header, "window_start,click_count,unique_users,complete,automated_clicks,mobile,desktop,tablet,other")
    cells = line.split(",")
    check_equal("CSV", (int(cells[1]), int(cells[4]), sum(map(int, cells[5:]))), (net, machines, net))


def rebuilt_from_log(node):
    """Every count anew from the log, as after a loss of all that is stored of them."""
    node.stop()
    for name in ("state", "store", "ids"):
        shutil.rmtree(node.data_dir / name, ignore_errors=True)
    node.start()


def check_recount(node):
    begun = node.request("POST", f"/v1/recounts?from={now_ms() - 3_600_000}&to={now_ms() + 60_000}")
    place = begun.headers["location"]
    wait_until("the recount", lambda: node.get(place).json()["state"] == "done")
    report = node.get(place).json()
    check_equal(f"{report}", (report["differ"], report["compared"] >= 2), (0, True))


def test_automated(context):
    """machines' clicks are redirected, flagged, and counted apart in every question; a kill and a rebuild change nothing"""
    node = context.node({"log": {"partitions": 4}, "stream": {"checkpoint_interval_s": 1}})
    node.upload_ads([AD, OTHER])
    want = send_all(node)
    curl(node)
    node.wait_total(now_ms() - 300_000, now_ms() + 60_000, len(want) + 2)
    clicks = [click for click in raw_clicks(node) if click["ad_id"] == "bots"]
    check_equal("in the raw log", len(clicks), len(want) + 2)  # with curl's and one copy
    for click in clicks:
        if click["user_agent"].startswith("curl/"):
            want[click["click_id"]] = True
    seen = {}
    for click in clicks:
        check(click.get("automated", True) is True, click)
        seen.setdefault(click["click_id"], click.get("automated", False))
    check_equal("flags", seen, want)
    check_equal("counter", int(node.metrics()["clickmill_collector_automated_total"]),
                sum(click.get("automated", False) for click in clicks) + 1)
    check_counts(node, want)
    answer = node.get("/v1/metrics/clicks?ad_id=bots&from=0&to=60000&automated=maybe")
    check_equal(f"{answer}", (answer.status, answer.json()["field"]), (400, "automated"))
    node.kill()
    node.start()
    check_counts(node, want)
    check_recount(node)
    rebuilt_from_log(node)
    check_counts(node, want)
    check_recount(node)


def test_automated_prefetches_and_previews(context):
    """what a browser fetches for itself is no click of a machine: refused, or shown the way, and not recorded"""
    node = context.node({"log": {"partitions": 1}})
    node.upload_ads([AD])
    for headers, status in [({"Sec-Purpose": "prefetch"}, 409), ({"Purpose": "preview"}, 302), ({"X-Firefox-Ai": "1"}, 302)]:
        answer = node.request("GET", "/v1/click?ad_id=bots", headers={"User-Agent": PHONE, **headers}, listener="collector")
        check_equal(f"{headers}: {answer}", answer.status, status)
    node.request("GET", "/v1/click?ad_id=bots&click_id=c", headers={"User-Agent": PHONE}, listener="collector")
    node.wait_total(now_ms() - 300_000, now_ms() + 60_000, 1)
    check_equal("recorded", [click["click_id"] for click in raw_clicks(node)], ["c"])


def test_three_nodes_automated(context):
    """three nodes count machines alike, whichever of them was asked to redirect"""
    nodes = make(context, {"log": {"partitions": 4}})
    start(nodes)
    wait_led(nodes)
    for number in range(63):
        agent = (PHONE, SLACK, GOOGLE)[number // 3 % 3]
        answer = nodes[number % 3].request("GET", f"/v1/click?ad_id=ad_{number % 5}&click_id=c-{number}",
                                           headers={"User-Agent": agent}, listener="collector")
        check_equal(f"{answer}", answer.status, 302)
    for node in nodes:
        node.wait_total(now_ms() - 300_000, now_ms() + 60_000, 63)
        seen = {}
        for automated in ("include", "exclude", "only"):
            total = node.metrics_clicks(advertiser_id="*", granularity="total", automated=automated, **span())["total"]
            seen[automated] = (total["click_count"], total["automated_clicks"])
        check_equal(node.config["node_id"], seen, {"include": (63, 42), "exclude": (21, 42), "only": (42, 42)})
