"""store.retention_days: what is deleted, and what is answered of it."""

import json

from harness import check, check_equal, iso, now_ms, wait_until

AD = {"ad_id": "ad_r", "advertiser_id": "adv_r", "ad_format": "banner", "redirect_url": "https://example.com/"}
DAY_MS, HOUR_MS, MINUTE_MS = 86_400_000, 3_600_000, 60_000


def ask(node, **parameters):
    query = "&".join(f"{name.rstrip('_')}={value}" for name, value in parameters.items())
    return node.get(f"/v1/metrics/clicks?ad_id=ad_r&{query}")


def deleted_rows(node):
    rows = {}
    for line in node.get("/metrics").body.decode().splitlines():
        if line.startswith("clickmill_store_deleted_rows_total{"):
            rows[line.split('"')[1]] = int(float(line.rsplit(" ", 1)[1]))
    return rows


def test_store_retention(context):
    """minutes, hours and days are deleted apart by whole days; what is left answers, the rest is refused by name"""
    node = context.node({"log": {"partitions": 1}, "stream": {"checkpoint_interval_s": 1}, "threads": 2,
                         "store": {"retention_days": {"minute": 2, "hour": 5, "day": 9}}})
    node.upload_ads([AD])
    today = now_ms() // DAY_MS * DAY_MS
    # Every quarter of an hour of twelve days, so that closed rows become parts.
    times = list(range(today - 12 * DAY_MS, today, 15 * MINUTE_MS))
    body = "".join(json.dumps({"click_id": f"c-{at}", "ad_id": "ad_r", "timestamp_ms": at, "user_id": f"u-{at}"}) + "\n"
                   for at in times)
    answer = node.request("POST", "/v1/clicks?mode=backfill", body)
    check_equal("accepted", (answer.status, answer.json()["accepted"]), (202, len(times)))
    node.wait_spool_empty()
    # An hour's and a day's rows may stand in two parts.
    least = {"minute": 10 * 96, "hour": 7 * 24, "day": 3}
    wait_until(f"{least} deleted", lambda: all(deleted_rows(node)[table] >= rows for table, rows in least.items()),
               timeout_s=60, interval_s=0.2)
    check_equal("minutes deleted", deleted_rows(node)["minute"], least["minute"])
    check("retention deleted " in node.log_since_start() and "minute rows from before" in node.log_since_start(),
          node.log_tail())

    for _ in range(2):
        check_answers(node, today)
        node.kill()
        node.start()


def check_answers(node, today):
    at = lambda days, ms=0: iso(today - days * DAY_MS + ms)

    def counted(want, shown=None, **parameters):
        answer = ask(node, **parameters)
        check_equal(f"{parameters}: {answer}", answer.status, 200)
        answer = answer.json()
        check_equal(f"{parameters}", answer["total"]["click_count"], want)
        check_equal(f"{parameters}", sum(bucket["click_count"] for bucket in answer["data"]), want)
        check(0.95 * want <= answer["total"]["unique_users"] <= want, f"{parameters}: {answer['total']}")
        if shown:
            check_equal(f"range of {parameters}", (answer["from"], answer["to"]), shown)

    def refused(table, before, do, **parameters):
        answer = ask(node, **parameters)
        check_equal(f"{parameters}: {answer}", (answer.status, answer.json()["field"]), (400, "from"))
        detail = answer.json()["detail"]
        for text in (f"store.retention_days.{table}", before, do):
            check(text in detail, f"{parameters}: {detail}")

    counted(192, granularity="1m", from_=at(2), to=at(0))
    refused("minute", at(2), "granularity=1h", granularity="1m", from_=at(3), to=at(2))
    refused("minute", at(2), "from then on", granularity="1m", from_=at(3), to=at(1))
    counted(480, granularity="1h", from_=at(5), to=at(0))
    refused("hour", at(5), "granularity=1d", granularity="1h", from_=at(6), to=at(0))
    counted(864, granularity="1d", from_=at(9), to=at(0))
    refused("day", at(9), "from then on", granularity="1d", from_=at(10), to=at(0))
    refused("day", at(9), "from then on", granularity="total", from_=0, to=at(0))
    refused("day", at(9), "store", granularity="total", from_=at(11), to=at(10))
    # A total may have any edges: they go outward to what is left.
    counted(96, (at(4, 9 * HOUR_MS), at(3, 9 * HOUR_MS)), granularity="total",
            from_=at(4, 9 * HOUR_MS + 600_000), to=at(3, 8 * HOUR_MS + 1_800_000))
    counted(864, (at(9), at(0)), granularity="total", from_=at(9, 9 * HOUR_MS + 600_000), to=at(0))
    top = node.get(f"/v1/metrics/top?from={at(9, 1_000_000)}&to={at(0)}").json()
    check_equal("top", (top["from"], top["total"]["click_count"]), (at(9), 864))
    answer = node.get(f"/v1/metrics/top?from={at(10)}&to={at(0)}")
    check_equal(f"top: {answer}", (answer.status, answer.json()["field"]), (400, "from"))
    answer = node.request("POST", f"/v1/recounts?from={at(3)}&to={at(0)}", "")
    check_equal(f"recount: {answer}", (answer.status, answer.json()["field"]), (400, "from"))
