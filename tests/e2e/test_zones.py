"""Time zones and times as a person writes them."""

import json
import os
import shutil
import signal
from pathlib import Path

from harness import Skipped, check, check_equal, now_ms, wait_until

AD = {"ad_id": "ad_z", "advertiser_id": "adv_z", "ad_format": "banner", "redirect_url": "https://example.com/"}
SYSTEM = Path("/usr/share/zoneinfo")
NAMES = ("America/New_York", "America/Vancouver", "Asia/Tokyo", "Europe/Berlin", "Etc/GMT+5", "UTC")


def zones_of(context):
    """A copy of some zone files, which the test may change."""
    folder = context.directory / "zones"
    for name in NAMES:
        if not (SYSTEM / name).exists():
            raise Skipped(f"there is no {SYSTEM / name}")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SYSTEM / name, folder / name)
    (folder / "Canada").mkdir()
    os.symlink("../America/Vancouver", folder / "Canada" / "Pacific")
    (folder / "posix" / "Asia").mkdir(parents=True)
    for name in ("localtime", "posixrules", "Factory", "posix/Asia/Tokyo", "Asia/Copy"):
        shutil.copy(SYSTEM / "Asia/Tokyo", folder / name)
    (folder / "Asia" / "Note").write_text("no zone\n")
    (folder / "tzdata.zi").write_text("# version 2025b\n")
    return folder


def ask(node, **parameters):
    query = "&".join(f"{name.rstrip('_')}={value}" for name, value in parameters.items())
    return node.get(f"/v1/metrics/clicks?ad_id=ad_z&{query}")


def day(node, zone, date="2026-07-01", until="2026-07-02"):
    answer = ask(node, timezone=zone, from_=date, to=until, granularity="1d")
    check_equal(f"a day in {zone}: {answer}", answer.status, 200)
    return answer.json()


def test_zone_rules(context):
    """zone files are read again when they change, any case is taken, and what is no zone is refused by name"""
    folder = zones_of(context)
    node = context.node(start=False)
    node.environment = {"TZDIR": str(folder)}
    node.start()
    node.upload_ads([AD])
    check("clickmill_tzdata_info{version=\"2025b\"} 1" in node.get("/metrics").body.decode(), "no tzdata version")
    check_equal("tzdata", node.get("/v1/cluster").json()["nodes"][0]["tzdata"], "2025b")
    check_equal("warnings", node.get("/readyz").json()["warnings"], [])
    for typed, name in (("america/new_york", "America/New_York"), ("utc", "UTC"), ("UTC", "UTC"),
                        ("EUROPE/BERLIN", "Europe/Berlin"), ("etc/gmt%2B5", "Etc/GMT+5"),
                        ("canada/pacific", "Canada/Pacific")):
        check_equal(typed, day(node, typed)["timezone"], name)
    for typed in ("localtime", "posixrules", "Factory", "posix/Asia/Tokyo", "Asia/Note", "Asia", "tzdata.zi", "",
                  "../../etc/passwd", "Europe/Berln", "x" * 300):
        answer = ask(node, timezone=typed, from_="2026-07-01", to="2026-07-02", granularity="1d")
        check_equal(f"{typed}: {answer}", (answer.status, answer.json()["field"]), (400, "timezone"))
        check(typed[:40] in answer.json()["detail"] and str(folder) not in answer.json()["detail"], f"{answer}")
    check("Europe/Berlin" in ask(node, timezone="Europe/Berln", from_="2026-07-01", to="2026-07-02").json()["detail"],
          "the nearest isn't named")

    check_equal("Vancouver", day(node, "America/Vancouver")["from"], "2026-07-01T07:00:00Z")
    fresh = folder / "fresh"
    shutil.copy(SYSTEM / "Asia/Tokyo", fresh)
    os.rename(fresh, folder / "America" / "Vancouver")
    (folder / "tzdata.zi").write_text("# version 2026f\n")
    node.process.send_signal(signal.SIGHUP)
    wait_until("new rules", lambda: day(node, "America/Vancouver")["from"] == "2026-06-30T15:00:00Z")
    check_equal("its link", day(node, "Canada/Pacific")["from"], "2026-06-30T15:00:00Z")
    check_equal("tzdata", node.get("/v1/cluster").json()["nodes"][0]["tzdata"], "2026f")


def test_no_zone_data(context):
    """without zone data a node answers in UTC, says so, and warns"""
    node = context.node(start=False)
    node.environment = {"TZDIR": str(context.directory / "none")}
    node.start()
    node.upload_ads([AD])
    check_equal("UTC", day(node, "utc")["timezone"], "UTC")
    answer = ask(node, timezone="Europe/Berlin", from_="2026-07-01", to="2026-07-02", granularity="1d")
    check_equal(f"{answer}", (answer.status, answer.json()["field"]), (400, "timezone"))
    check("no time zone data" in answer.json()["detail"], f"{answer}")
    ready = node.get("/readyz")
    check_equal("readiness", (ready.status, ready.json()["ready"]), (200, True))
    check("time zone data" in ready.json()["warnings"][0], f"{ready}")


def test_times_as_written(context):
    """from and to take dates and local times, every from shown can be sent back, and seconds are told from ms"""
    folder = zones_of(context)
    node = context.node(start=False)
    node.environment = {"TZDIR": str(folder)}
    node.start()
    node.upload_ads([AD])
    at = now_ms() - 86_400_000
    body = json.dumps({"click_id": "c", "ad_id": "ad_z", "timestamp_ms": at})
    check_equal("backfill", node.request("POST", "/v1/clicks?mode=backfill", body).status, 202)
    node.wait_total(at - 60_000, at + 60_000, 1)

    # Both changes of New York's clock: a skipped time is the change, a repeated one its first.
    for from_, to, first, last in (
            ("2026-11-01", "2026-11-02", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
            ("2026-11-01T00:30", "2026-11-01T01:30", "2026-11-01T04:30:00Z", "2026-11-01T05:30:00Z"),
            ("2026-11-01T01:30", "2026-11-01T02:00:00", "2026-11-01T05:30:00Z", "2026-11-01T07:00:00Z"),
            ("2026-03-08T02:30", "2026-03-08T03:30", "2026-03-08T07:00:00Z", "2026-03-08T07:30:00Z"),
            ("2026-07-01T00:00Z", "2026-07-01T02:00:00-04:00", "2026-07-01T00:00:00Z", "2026-07-01T06:00:00Z")):
        answer = ask(node, timezone="America/New_York", from_=from_, to=to)
        check_equal(f"{from_} to {to}: {answer}", answer.status, 200)
        check_equal(f"{from_} to {to}", (answer.json()["from"], answer.json()["to"]), (first, last))
    utc = ask(node, from_="2026-11-01", to="2026-11-01T06:00", granularity="1h").json()
    check_equal("without a zone", (utc["from"], utc["to"]), ("2026-11-01T00:00:00Z", "2026-11-01T06:00:00Z"))
    top = node.get("/v1/metrics/top?from=2026-11-01&to=2026-11-02").json()
    check_equal("top", (top["from"], top["to"]), ("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"))
    for path in ("/v1/log/raw-clicks/0?from=2026-11-01", "/v1/review?from=2026-11-01&to=2026-11-02T10:00"):
        check_equal(path, node.get(path).status, 200)

    for zone in ("Asia/Tokyo", "America/Vancouver", "UTC"):
        for granularity in ("1m", "1h", "1d", "total"):
            shown = "1970-01-01"
            for _ in range(4):
                answer = ask(node, from_=shown, to="1970-01-03", granularity=granularity, timezone=zone)
                check_equal(f"{zone}, {granularity}, from={shown}: {answer}", answer.status, 200)
                shown = answer.json()["from"]
    check_equal("Tokyo's first day", ask(node, from_=0, to="1970-01-03", granularity="1d", timezone="Asia/Tokyo")
                .json()["from"], "1969-12-31T15:00:00Z")
    whole = ask(node, from_="1969-12-31T15:00:00Z", to="9999-12-31T23:59:59.999Z", granularity="total").json()
    check_equal("of all time", whole["total"]["click_count"], 1)
    again = ask(node, from_=whole["from"], to=whole["to"], granularity="total").json()
    check_equal("of all time again", again["total"]["click_count"], 1)

    for path in ("/v1/metrics/clicks?ad_id=ad_z&", "/v1/metrics/top?", "/v1/review?"):
        for field, query in (("from", "from=1795829153&to=2026-11-28"), ("from", "from=99999999999&to=2026-11-28"),
                             ("to", "from=2026-11-28&to=1795829153"), ("from", "from=2026-02-30&to=2026-11-28"),
                             ("from", "from=tomorrow&to=2026-11-28"), ("to", "from=2026-11-28&to=2026-11-27")):
            answer = node.get(path + query)
            check_equal(f"{path}{query}: {answer}", (answer.status, answer.json()["field"]), (400, field))
        detail = node.get(path + "from=1795829153&to=2026-11-28").json()["detail"]
        check("1795829153000" in detail and "seconds" in detail, detail)
    check_equal("10^11", node.get("/v1/metrics/top?from=100000000000&to=2026-11-28").status, 200)
