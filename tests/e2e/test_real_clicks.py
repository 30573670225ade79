"""Days of real ad clicks, duplicated, shuffled and interrupted by kills, against a naive count."""

import math
import threading
from collections import Counter

import clicks as model
import journal
from clicks import DAY_MS, HOUR_MS, MINUTE_MS
from harness import Failure, NoAnswer, check, check_equal, iso, now_ms, pause

CHUNK_LINES = 1000
DUPLICATE_SHARE = 0.2


def test_real_clicks(context):
    """real clicks, shuffled with 20 % duplicates over SIGKILLs, give every minute's count"""
    source, clicks = model.load()
    context.say(f"{len(clicks)} {source}")
    node = context.node({"threads": 2, "stream": {"checkpoint_interval_s": 1}})
    node.upload_ads(model.distinct_ads(clicks))

    duplicates = context.random.sample(clicks, int(len(clicks) * DUPLICATE_SHARE))
    lines = [click.line() for click in clicks + duplicates]
    context.random.shuffle(lines)
    resent = send_with_kills(context, node, lines, kills=24 if context.soak else 6)

    begin_ms = min(click.timestamp_ms for click in clicks) // DAY_MS * DAY_MS
    end_ms = max(click.timestamp_ms for click in clicks) // DAY_MS * DAY_MS + DAY_MS
    node.wait_total(begin_ms, end_ms, len(clicks))
    node.wait_spool_empty()
    check_counters(context, node, len(clicks), len(duplicates), resent)

    compare_minutes(context, node, clicks, begin_ms, end_ms)
    sample = busiest_and_others(context, clicks)
    compare_coarser(context, node, clicks, sample, begin_ms, end_ms)
    compare_breakdowns_and_filters(context, node, clicks, sample, begin_ms, end_ms)
    compare_visitors(context, node, clicks, begin_ms, end_ms)
    compare_top(node, clicks, begin_ms, end_ms)
    compare_advertisers(node, clicks, begin_ms, end_ms)
    compare_csv(node, clicks, sample[0], begin_ms, end_ms)


def send_with_kills(context, node, lines, kills):
    """Sends all lines in chunks until each is answered; gives the lines sent again after a kill."""
    chunks = ["\n".join(lines[at:at + CHUNK_LINES]) + "\n" for at in range(0, len(lines), CHUNK_LINES)]
    sizes = [len(lines[at:at + CHUNK_LINES]) for at in range(0, len(lines), CHUNK_LINES)]
    moments = set(context.random.sample(range(2, len(chunks)), min(kills, len(chunks) - 2)))
    client, latency_s, resent, hits, owed = node.client(), 0.01, 0, 0, 0
    for number, chunk in enumerate(chunks):
        owed += number in moments
        while True:
            begin = now_ms()
            # A kill that came after the answer is owed to a later chunk.
            kill_after_s = context.random.random() * latency_s if owed else None
            answer = send_chunk(node, client, chunk, kill_after_s)
            if kill_after_s is not None:
                where = f"chunk {number + 1} of {len(chunks)}, {kill_after_s * 1000:.1f} ms after its start"
                where += f", {journal.unsynced_bytes(node.data_dir)} journal bytes not recorded as synced"
                node.start()
                client.close()
                hits += answer is None
                owed -= answer is None
                phase = "a chunk in flight" if answer is None else "after the chunk's answer, not counted as a kill"
                context.say(f"SIGKILL at {where}: {phase}")
            if answer is not None:
                break
            resent += sizes[number]
        if kill_after_s is None:
            latency_s = 0.8 * latency_s + 0.2 * (now_ms() - begin) / 1000
        check_equal(f"chunk {number}", answer.status, 202)
        check_equal(f"chunk {number}", answer.json(),
                    {"accepted": sizes[number], "rejected_count": 0, "rejected": []})
    check(hits > 0, "no kill hit a chunk in flight")
    context.say(f"{hits} kills hit a chunk in flight, {resent} lines were sent again")
    return resent


def send_chunk(node, client, chunk, kill_after_s):
    """The answer, or None when the node was killed before it."""
    outcome = []

    def send():
        try:
            outcome.append(client.request("POST", "/v1/clicks?mode=backfill", chunk,
                                          {"Content-Type": "application/x-ndjson"}))
        except NoAnswer as reason:
            outcome.append(reason)

    if kill_after_s is None:
        send()
    else:
        sender = threading.Thread(target=send)
        sender.start()
        pause(kill_after_s)
        node.kill()
        sender.join()
    if isinstance(outcome[0], NoAnswer):
        check(kill_after_s is not None, f"a chunk got no answer: {outcome[0]}")
        return None
    return outcome[0]


def check_counters(context, node, distinct, duplicates, resent):
    counters = node.check_invariant()
    context.say(f"counters: {counters}")
    check_equal("counted", counters["counted"], distinct)
    check_equal("review", counters["review"], 0)
    # The spool's own resends after a kill may hold copies that clients made: those count as resent.
    check(counters["duplicate"] + counters["resent"] >= duplicates, f"of {duplicates} duplicates some are missing")
    check(counters["duplicate"] <= duplicates + resent, f"more duplicates than the {duplicates + resent} sent")


def compare_minutes(context, node, clicks, begin_ms, end_ms):
    """Every minute of every ad."""
    minutes = model.naive_buckets(clicks, lambda c: (c.ad_id, c.timestamp_ms // MINUTE_MS * MINUTE_MS))
    by_ad = {}
    for (ad_id, at), bucket in minutes.items():
        by_ad.setdefault(ad_id, {})[iso(at)] = bucket.click_count
    advertisers = {click.ad_id: click.advertiser_id for click in clicks}
    client, differences = node.client(), []
    for ad_id, want in sorted(by_ad.items()):
        answer = client.request("GET", f"/v1/metrics/clicks?ad_id={ad_id}&from={begin_ms}&to={end_ms}"
                                       "&granularity=1m&fill=none")
        check(answer.status == 200, f"{ad_id}: {answer}")
        result = answer.json()
        check_equal(f"{ad_id} advertiser_id", result["advertiser_id"], advertisers[ad_id])
        got = {row["window_start"]: row["click_count"] for row in result["data"]}
        check_equal(f"{ad_id} rows", len(result["data"]), len(got))
        check_equal(f"{ad_id} total", result["total"]["click_count"], sum(want.values()))
        differences += [(ad_id, at, got.get(at, 0), want.get(at, 0))
                        for at in sorted(got.keys() | want.keys()) if got.get(at, 0) != want.get(at, 0)]
    if differences:
        raise Failure(f"{len(differences)} (ad, minute) pairs differ; the first as (ad, minute, got, want): "
                      f"{differences[:5]}")
    context.say(f"{len(minutes)} minute buckets of {len(by_ad)} ads are equal")


def busiest_and_others(context, clicks):
    order = [ad_id for ad_id, _ in Counter(click.ad_id for click in clicks).most_common()]
    return order[:8] + context.random.sample(order[8:], min(22, len(order) - 8))


def compare_coarser(context, node, clicks, sample, begin_ms, end_ms):
    """Hours, days, days of a time zone off by half an hour, and the total."""
    # Kolkata is at +05:30 all year, so its days begin at 18:30 UTC and the range widens outward to them.
    offset_ms = 11 * HOUR_MS // 2
    shapes = [("1h", "", lambda ms: ms // HOUR_MS * HOUR_MS),
              ("1d", "", lambda ms: ms // DAY_MS * DAY_MS),
              ("1d", "&timezone=Asia/Kolkata", lambda ms: (ms + offset_ms) // DAY_MS * DAY_MS - offset_ms)]
    for ad_id in sample:
        own = [click for click in clicks if click.ad_id == ad_id]
        for granularity, more, bucket_of in shapes:
            want = model.naive_buckets(own, lambda click: iso(bucket_of(click.timestamp_ms)))
            result = node.get(f"/v1/metrics/clicks?ad_id={ad_id}&from={begin_ms}&to={end_ms}"
                              f"&granularity={granularity}&fill=none{more}").json()
            got = {row["window_start"]: row["click_count"] for row in result["data"]}
            check_equal(f"{ad_id} by {granularity}{more}", got,
                        {at: bucket.click_count for at, bucket in want.items()})
            for row in result["data"]:
                check_visitors(f"{ad_id} {granularity} {row['window_start']}", row["unique_users"],
                               len(want[row["window_start"]].visitors))
        total = node.metrics_clicks(ad_id=ad_id, from_=begin_ms, to=end_ms, granularity="total")
        check_equal(f"{ad_id} total rows", len(total["data"]), 1)
        check_equal(f"{ad_id} total", total["data"][0]["click_count"], len(own))
        check_equal(f"{ad_id} total twice", total["total"]["click_count"], len(own))
    filled = node.metrics_clicks(ad_id=sample[0], from_=begin_ms, to=end_ms, granularity="1h")
    check_equal("zero-filled hours", [row["window_start"] for row in filled["data"]],
                [iso(at) for at in range(begin_ms, end_ms, HOUR_MS)])
    check(all(row["complete"] for row in filled["data"] if row["window_start"] < iso(now_ms() - DAY_MS)),
          "a bucket of two days ago is not complete")
    context.say(f"hours, days, days in Asia/Kolkata and totals of {len(sample)} ads are equal")


def without_zeros(counts):
    return {key: count for key, count in counts.items() if count}


def compare_breakdowns_and_filters(context, node, clicks, sample, begin_ms, end_ms):
    span = {"from_": begin_ms, "to": end_ms}
    for ad_id in sample:
        want = model.naive_buckets((click for click in clicks if click.ad_id == ad_id),
                                   lambda click: click.timestamp_ms // HOUR_MS * HOUR_MS)
        for breakdown, counts_of in (("device_type", lambda b: b.devices), ("country", lambda b: b.countries)):
            result = node.metrics_clicks(ad_id=ad_id, granularity="1h", fill="none", breakdown=breakdown, **span)
            got = {row["window_start"]: without_zeros(row[breakdown]) for row in result["data"]}
            check_equal(f"{ad_id} by hour and {breakdown}", got,
                        {iso(at): dict(counts_of(bucket)) for at, bucket in want.items()})
            whole = sum((counts_of(bucket) for bucket in want.values()), Counter())
            check_equal(f"{ad_id} total by {breakdown}", without_zeros(result["total"][breakdown]), dict(whole))
            value, count = whole.most_common(1)[0]
            filtered = node.metrics_clicks(ad_id=ad_id, granularity="total", **{breakdown: value}, **span)
            check_equal(f"{ad_id} only {value}", filtered["total"]["click_count"], count)
            check("unique_users" not in filtered["total"], f"{ad_id} only {value}: has unique_users")
    context.say(f"devices and countries by hour of {len(sample)} ads are equal")


def check_visitors(what, got, want):
    """Few visitors are exact but for a collision; 7 % is over four standard errors (1.6 %)."""
    if abs(got - want) > max(2, 0.07 * want):
        raise Failure(f"{what}: unique_users {got}, exactly {want}")


def compare_visitors(context, node, clicks, begin_ms, end_ms):
    want = model.naive_buckets(clicks, lambda click: click.ad_id)
    errors = []
    for ad_id, bucket in want.items():
        result = node.metrics_clicks(ad_id=ad_id, from_=begin_ms, to=end_ms, granularity="total")
        got, exact = result["total"]["unique_users"], len(bucket.visitors)
        check_visitors(ad_id, got, exact)
        if exact >= 300:
            errors.append((got - exact) / exact)
    # Single estimates may stray; all together they must keep the promised 2 %.
    spread = math.sqrt(sum(error * error for error in errors) / len(errors))
    check(spread <= 0.03, f"unique_users of {len(errors)} busy ads are off by {spread:.1%} (root mean square)")
    context.say(f"unique_users of {len(want)} ads fit; {len(errors)} busy ones off by {spread:.2%} (root mean square)")


def compare_top(node, clicks, begin_ms, end_ms):
    country = clicks[0].country
    for n, more, chosen in ((10, {}, clicks),
                            (1000, {}, clicks),
                            (5, {"country": country}, [c for c in clicks if c.country == country]),
                            (3, {"device_type": "mobile"}, [c for c in clicks if c.device_type == "mobile"])):
        counts = Counter((click.ad_id, click.advertiser_id) for click in chosen)
        order = sorted(counts.items(), key=lambda item: (-item[1], item[0][0]))[:n]
        want = [{"ad_id": ad_id, "advertiser_id": advertiser_id, "click_count": count, "automated_clicks": 0}
                for (ad_id, advertiser_id), count in order]
        result = node.metrics_top(n=n, from_=begin_ms, to=end_ms, **more)
        check_equal(f"top {n} {more}", result["data"], want)
        check_equal(f"top {n} {more} total", result["total"]["click_count"], len(chosen))
        check_equal(f"top {n} {more} other", result["other"]["click_count"],
                    len(chosen) - sum(row["click_count"] for row in want))


def compare_advertisers(node, clicks, begin_ms, end_ms):
    want = model.naive_buckets(clicks, lambda click: click.advertiser_id)
    for advertiser_id, bucket in sorted(want.items())[:25]:
        result = node.metrics_clicks(advertiser_id=advertiser_id, from_=begin_ms, to=end_ms, granularity="total")
        check_equal(f"{advertiser_id} total", result["total"]["click_count"], bucket.click_count)
        check_visitors(advertiser_id, result["total"]["unique_users"], len(bucket.visitors))


def compare_csv(node, clicks, ad_id, begin_ms, end_ms):
    answer = node.get(f"/v1/metrics/clicks?ad_id={ad_id}&from={begin_ms}&to={end_ms}&granularity=1d&fill=none"
                      "&format=csv&breakdown=device_type")
    check(answer.headers.get("content-type", "").startswith("text/csv"), f"csv: {answer.headers}")
    header, *rows = [line.split(",") for line in answer.body.decode().splitlines()]
    check_equal("csv columns", header[:4], ["window_start", "click_count", "unique_users", "complete"])
    own = model.naive_buckets((click for click in clicks if click.ad_id == ad_id),
                              lambda click: iso(click.timestamp_ms // DAY_MS * DAY_MS))
    check_equal("csv counts", {row[0]: int(row[1]) for row in rows},
                {at: bucket.click_count for at, bucket in own.items()})
    mobile = header.index("mobile")
    check_equal("csv mobile", {row[0]: int(row[mobile]) for row in rows},
                {at: bucket.devices["mobile"] for at, bucket in own.items()})
