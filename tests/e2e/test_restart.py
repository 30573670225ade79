"""What a node has counted, it still has after a stop and after a kill."""

import json

import clicks as model
from clicks import DAY_MS, HOUR_MS
from harness import check_equal, now_ms

PATHS = [
    "/v1/metrics/clicks?ad_id={ad}&from={begin}&to={end}&granularity=1m&fill=none&breakdown=country",
    "/v1/metrics/clicks?ad_id={ad}&from={begin}&to={end}&granularity=1h&breakdown=device_type",
    "/v1/metrics/clicks?ad_id={ad}&from={begin}&to={end}&granularity=1d&timezone=America/New_York",
    "/v1/metrics/clicks?ad_id={ad}&from={begin}&to={end}&granularity=total",
    "/v1/metrics/clicks?advertiser_id={advertiser}&from={begin}&to={end}&granularity=1h",
    "/v1/metrics/top?n=1000&from={begin}&to={end}",
    "/v1/ads?limit=1000",
]


def answers(node, clicks, begin_ms, end_ms):
    """Path -> what doesn't change with time alone."""
    found = {}
    for click in clicks[:8]:
        for path in PATHS:
            path = path.format(ad=click.ad_id, advertiser=click.advertiser_id, begin=begin_ms, end=end_ms)
            result = node.get(path).json()
            result.pop("as_of", None)
            for row in result["data"]:
                row.pop("complete", None)
            found[path] = result
    return found


def test_restart_keeps_answers(context):
    """queries give the same after SIGTERM and after SIGKILL, for old and for running minutes"""
    _, clicks = model.load()
    clicks = context.random.sample(clicks, 5000)
    node = context.node({"stream": {"checkpoint_interval_s": 2}})
    node.upload_ads(model.distinct_ads(clicks))
    begin_ms, total = min(click.timestamp_ms for click in clicks) // DAY_MS * DAY_MS, 0
    for round_number, restart in enumerate((node.stop, node.kill, node.kill, node.stop)):
        past = clicks[round_number * 1000:(round_number + 1) * 1000]
        send(node, "?mode=backfill", [json.loads(click.line()) for click in past])
        # The same ads and visitors again, now: these minutes are still open.
        send(node, "", [{**json.loads(click.line()), "click_id": f"live-{click.click_id}", "timestamp_ms": now_ms()}
                        for click in past])
        total += 2 * len(past)
        end_ms = now_ms() + HOUR_MS
        node.wait_total(begin_ms, end_ms, total)
        node.wait_spool_empty()
        before, counters = answers(node, clicks, begin_ms, end_ms), node.check_invariant()
        restart()
        node.start()
        after = answers(node, clicks, begin_ms, end_ms)
        for path, want in before.items():
            check_equal(f"after {restart.__name__}: {path}", after[path], want)
        # A kill may bring a batch back that was committed already: resent, which counts nowhere else.
        kept = lambda values: {name: count for name, count in values.items() if name != "resent"}
        check_equal(f"counters after {restart.__name__}", kept(node.check_invariant()), kept(counters))
    context.say(f"{len(before)} answers equal over 4 restarts, {total} clicks")


def send(node, mode, clicks):
    answer = node.request("POST", f"/v1/clicks{mode}", "".join(json.dumps(click) + "\n" for click in clicks))
    check_equal("accepted", answer.json()["accepted"], len(clicks))
