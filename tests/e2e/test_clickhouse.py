"""Sinks: the newest version of each minute row in ClickHouse is what the node answers, whatever becomes of both."""

import json
import threading

import three_nodes
from clickhouse import StandIn
from clicks import HOUR_MS, MINUTE_MS
from harness import NoAnswer, check, check_equal, iso, now_ms, pause, wait_until
from test_raw_log import ADS

PARTITIONS = 3
SPAN_MS = 6 * HOUR_MS


def config(house, **more):
    return {"log": {"partitions": PARTITIONS}, "stream": {"checkpoint_interval_s": 1}, "sinks": [house.sink(**more)]}


def past_clicks(random, count, name):
    """Clicks of the last hours, whose minutes have passed."""
    now = now_ms() - 2 * MINUTE_MS
    return [{"click_id": f"{name}-{i}", "ad_id": random.choice(ADS)["ad_id"],
             "timestamp_ms": now - random.randrange(SPAN_MS) // random.choice((1, 60)),
             "user_id": f"u-{random.randrange(50)}", "country": random.choice(("DE", "US", "FR")),
             "device_type": random.choice(("mobile", "desktop", "tablet", "other"))} for i in range(count)]


def send(node, clicks, path="/v1/clicks?mode=backfill"):
    answer = node.request("POST", path, "".join(json.dumps(click) + "\n" for click in clicks))
    check_equal(f"bulk ({answer})", answer.status, 202)


def answers(node):
    """(advertiser, ad, minute in ms) -> what the node answers for it, of minutes that have passed."""
    found = {}
    now = now_ms()
    for ad in ADS:
        for breakdown, name in (("device_type", "devices"), ("country", "countries")):
            answer = node.metrics_clicks(ad_id=ad["ad_id"], from_=iso(now - SPAN_MS - 20 * MINUTE_MS), to=iso(now),
                                         granularity="1m", fill="none", breakdown=breakdown)
            for bucket in answer["data"]:
                if not bucket["complete"]:
                    continue
                row = found.setdefault((ad["advertiser_id"], ad["ad_id"], bucket["window_start"]), {})
                row.update(clicks=bucket["click_count"], automated=bucket["automated_clicks"],
                           unique_users=bucket["unique_users"])
                row[name] = {key: count for key, count in bucket[breakdown].items() if count or name == "devices"}
    return {(*key[:2], parse(key[2])): row for key, row in found.items()}


def parse(instant):
    import calendar
    import time
    return calendar.timegm(time.strptime(instant, "%Y-%m-%dT%H:%M:%SZ")) * 1000


def check_arrived(node, house, clicks=None, timeout_s=60):
    """Waits until the table says what the node does, and holds so many clicks."""
    def differences():
        want, got = answers(node), house.newest()
        return [(key, want.get(key), got.get(key)) for key in sorted(set(want) | set(got))
                if want.get(key) != got.get(key)]
    left = []

    def same():
        left[:] = differences()
        return not left and clicks in (None, sum(row["clicks"] for row in house.newest().values()))
    try:
        wait_until("the same rows in the table", same, timeout_s, 0.3)
    except AssertionError as error:
        raise AssertionError(f"{error}: {len(left)} differ: {left[:2]}; {node.log_tail()}") from None
    return len(house.newest())


class Sending(threading.Thread):
    """Sends past clicks until it is told to stop, over restarts."""

    def __init__(self, node, random):
        super().__init__()
        self.node = node
        self.random = random
        self.sent = 0
        self.stopping = threading.Event()
        self.start()

    def run(self):
        while not self.stopping.is_set():
            try:
                send(self.node, past_clicks(self.random, 50, f"live-{self.sent}"))
                self.sent += 50
            except (NoAnswer, AssertionError):
                pass
            pause(0.05)

    def end(self):
        self.stopping.set()
        self.join()


def over_kills(context, house):
    node = context.node(config(house))
    node.upload_ads(ADS)
    sending = Sending(node, context.random)
    try:
        for _ in range(8 if context.soak else 3):
            before = sending.sent
            wait_until("clicks", lambda: sending.sent > before + 300)
            pause(context.random.random())
            node.kill()
            node.start()
    finally:
        sending.end()
    # Counted later than sent: what was late, and is accepted by somebody.
    late = [{**click, "timestamp_ms": click["timestamp_ms"] - 5 * MINUTE_MS}
            for click in past_clicks(context.random, 200, "late")]
    send(node, late, "/v1/clicks")
    node.wait_spool_empty()
    wait_until("late clicks", lambda: node.metrics()["clickmill_clicks_review_total"] >= 200)
    # Their rows were looked at before anything of them is counted.
    wait_until("no lag", lambda: node.metrics()["clickmill_sink_lag_offsets"] == 0)
    decided = node.request("POST", "/v1/review?reason=late", json.dumps({"decision": "accept"}))
    check_equal(f"decided ({decided})", decided.status, 200)
    rows = check_arrived(node, house)
    clicks = sum(row["clicks"] for row in house.newest().values())
    check_equal("clicks in the table", clicks, node.total(now_ms() - SPAN_MS - 20 * MINUTE_MS, now_ms()))
    wait_until("no lag", lambda: node.metrics()["clickmill_sink_lag_offsets"] == 0)
    context.say(f"{rows} rows of {clicks} clicks")
    return node


def test_clickhouse_over_kills(context):
    """sinks: each minute row in ClickHouse becomes what was counted, over kills of the node and failed inserts"""
    kinds = ("half", "cut", "header", "refused")
    with StandIn(context, lambda number: kinds[number // 2 % 4] if number % 2 else None) as house:
        node = over_kills(context, house)
        check(node.metrics()["clickmill_sink_errors_total"] > 0, "no failure was counted")
        # A clean stop leaves nothing to repeat.
        inserts = house.inserts
        node.stop()
        node.start()
        wait_until("no lag", lambda: node.metrics()["clickmill_sink_lag_offsets"] == 0)
        check_equal("inserts", house.inserts, inserts)


def test_clickhouse_away(context):
    """sinks: a ClickHouse that is away delays nothing, and has every row when it is back"""
    with StandIn(context) as house:
        house.down()
        node = context.node(config(house))
        node.upload_ads(ADS)
        for i in range(5):
            send(node, past_clicks(context.random, 200, f"away-{i}"))
        node.wait_spool_empty()
        node.wait_total(now_ms() - SPAN_MS - 20 * MINUTE_MS, now_ms(), 1000)
        wait_until("lag", lambda: node.metrics()["clickmill_sink_lag_offsets"] > 0)
        wait_until("errors", lambda: node.metrics()["clickmill_sink_errors_total"] > 0)
        node.kill()
        node.start()
        house.up()
        check_arrived(node, house, 1000)
        house.down()
        send(node, past_clicks(context.random, 200, "again"))
        node.stop()
        house.up()
        node.start()
        check_arrived(node, house, 1200)


def test_clickhouse_settings(context):
    """sinks: a password file that can't be read ends the start, naming the key; a lost place is told"""
    with StandIn(context) as house:
        node = context.node(config(house, password_file="/no/such/file"), start=False)
        node.spawn()
        check("sinks[0].password_file: /no/such/file: can't be read" in end_of(node), node.log_tail())
        checked = context.run("check-config", str(node.config_path))
        check(checked.returncode != 0 and "sinks[0].password_file" in checked.stderr, f"{checked}")
        node.config.update(config(house))
        node.start()
        node.upload_ads(ADS)
        send(node, past_clicks(context.random, 100, "some"))
        rows = check_arrived(node, house, 100)
        # A password that is changed is read again.
        house.password_file.write_text("wrong")
        check("s3cret" not in node.log_since_start(), "the password is in the log")
        node.stop()
        progress = node.data_dir / "sinks" / "clickhouse.progress"
        progress.write_bytes(progress.read_bytes()[:-1])
        node.spawn()
        check("clickhouse.progress" in end_of(node), node.log_tail())
        progress.unlink()
        node.start()
        wait_until("refused", lambda: "Wrong password" in node.log_since_start())
        house.password_file.write_text("s3cret pass")
        wait_until("all sent again", lambda: house.repeats + len(house.rows) >= rows
                   and node.metrics()["clickmill_sink_lag_offsets"] == 0)
        check_arrived(node, house, 100)


def end_of(node):
    check(node.process.wait(30) != 0, "exit code 0")
    return node.log_since_start()


def test_clickhouse_of_three(context):
    """sinks: of three nodes the leader sends minute rows, and who leads next goes on where it was"""
    with StandIn(context) as house:
        nodes = three_nodes.make(context, {"log": {"partitions": PARTITIONS}})
        for node in nodes:
            node.config["sinks"] = [house.sink()]
        three_nodes.start(nodes)
        three_nodes.wait_led(nodes)
        nodes[0].upload_ads(ADS)
        send(nodes[0], past_clicks(context.random, 500, "first"))
        check_arrived(nodes[0], house, 500)
        wait_until("no lag", lambda: all(node.metrics()["clickmill_sink_lag_offsets"] == 0 for node in nodes))
        for number, node in enumerate(nodes):
            node.kill()
            others = [other for other in nodes if other is not node]
            three_nodes.wait_led(others, by=others)
            send(others[0], past_clicks(context.random, 200, f"without-{number}"))
            check_arrived(others[0], house, 700 + 200 * number)
            node.start()
            three_nodes.wait_led(nodes)
        check_arrived(nodes[2], house, 1100)
        context.say(f"{len(house.rows)} rows in {house.inserts} inserts, {house.repeats} came twice")
