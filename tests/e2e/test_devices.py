"""The kind of device: as sent, else by the agent and what else the browser says of itself."""

import json

from harness import check_equal, now_ms

AD = {"ad_id": "things", "advertiser_id": "adv_1", "ad_format": "banner", "redirect_url": "https://shop.example.com/"}
ANDROID = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 {}Safari/537.36"
PHONE, TABLET = ANDROID.format("Mobile "), ANDROID.format("")
DESKTOP = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
STICK = "Mozilla/5.0 (Linux; Android 9; AFTMM) AppleWebKit/537.36 (KHTML, like Gecko) Silk/120.1 like Chrome/120 Safari/537.36"
ROBOT = PHONE + " (compatible; AdsBot-Google-Mobile; +http://www.google.com/mobile/adsbot.html)"
MOBILE, FACTORS = "Sec-CH-UA-Mobile", "Sec-CH-UA-Form-Factors"

# (device_type of the click, headers, what is counted)
CLICKS = [
    (None, {"User-Agent": PHONE}, "mobile"),
    (None, {"User-Agent": PHONE.lower()}, "mobile"),
    (None, {"User-Agent": TABLET}, "tablet"),
    (None, {"User-Agent": DESKTOP}, "desktop"),
    (None, {"User-Agent": STICK}, "other"),
    (None, {"User-Agent": ROBOT}, "other"),
    (None, {}, "other"),
    (None, {"User-Agent": TABLET, MOBILE: "?1"}, "mobile"),
    (None, {"User-Agent": PHONE, MOBILE: "?0"}, "tablet"),
    (None, {"User-Agent": DESKTOP, MOBILE: "?0"}, "desktop"),
    (None, {"User-Agent": PHONE, MOBILE: "?1", FACTORS: '"Tablet"'}, "tablet"),
    (None, {"User-Agent": DESKTOP, FACTORS: '"Desktop", "XR"'}, "other"),
    (None, {"User-Agent": ROBOT, MOBILE: "?1", FACTORS: '"Mobile"'}, "other"),
    (None, {MOBILE: "?1"}, "mobile"),
    ("desktop", {"User-Agent": PHONE, MOBILE: "?1"}, "desktop"),
]


def test_devices(context):
    """a click without device_type is told by its agent and hints, a bulk line by its own agent alone"""
    node = context.node({"log": {"partitions": 1}})
    node.upload_ads([AD])
    want = []
    for number, (device, headers, expected) in enumerate(CLICKS):
        click = {"click_id": str(number), "ad_id": "things", "timestamp_ms": now_ms(), "device_type": device}
        answer = node.request("POST", "/v1/click", json.dumps(click), headers, "collector")
        check_equal(f"{headers}: {answer}", answer.status, 302)
        want.append(expected)
    lines = [{"click_id": f"bulk-{i}", "ad_id": "things", "timestamp_ms": now_ms(), "user_agent": agent}
             for i, agent in enumerate((PHONE, TABLET, DESKTOP, ""))]
    answer = node.request("POST", "/v1/clicks", "\n".join(map(json.dumps, lines)), {MOBILE: "?1", "User-Agent": PHONE})
    check_equal("bulk", answer.json()["accepted"], 4)
    want += ["mobile", "tablet", "desktop", "other"]

    node.wait_total(now_ms() - 300_000, now_ms() + 60_000, len(want))
    clicks = [json.loads(line) for line in node.get("/v1/log/raw-clicks/0").body.splitlines()]
    seen = {click["click_id"]: click["device_type"] for click in clicks}
    for number, (device, headers, expected) in enumerate(CLICKS):
        check_equal(f"{device} {headers}", seen[str(number)], expected)
    shown = node.metrics_clicks(ad_id="things", from_=now_ms() - 300_000, to=now_ms() + 60_000, granularity="total",
                                breakdown="device_type")["total"]["device_type"]
    check_equal("breakdown", shown, {device: want.count(device) for device in ("mobile", "desktop", "tablet", "other")})
