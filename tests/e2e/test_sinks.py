"""Sinks: every recorded click arrives at a Kafka topic, whatever becomes of node and broker."""

import json
import threading
from pathlib import Path

import three_nodes
from harness import NoAnswer, check, check_equal, now_ms, pause, wait_until
from kafka import Kafka
from test_raw_log import ADS, random_click

PARTITIONS = 3


def config(kafka, **more):
    return {"log": {"partitions": PARTITIONS}, "sinks": [kafka.sink(**more)]}


def logged(node):
    """(partition, offset) -> the click as the raw log shows it."""
    found = {}
    for partition in range(PARTITIONS):
        answer = node.get(f"/v1/log/raw-clicks/{partition}?limit=1000000")
        check_equal(f"raw log ({answer.status})", answer.status, 200)
        for line in answer.body.decode().splitlines():
            click = json.loads(line)
            found[partition, click["offset"]] = click
    return found


def send(node, random, count):
    clicks = [random_click(random) for _ in range(count)]
    answer = node.request("POST", "/v1/clicks", "".join(json.dumps(click) + "\n" for click in clicks))
    check_equal(f"bulk ({answer})", answer.status, 202)
    node.wait_spool_empty()


def check_arrived(node, kafka):
    """Waits until what is logged has arrived; then it is the same."""
    # A node that doesn't lead hears a moment later what is committed.
    wait_until("the same clicks in the topic", lambda: set(logged(node)) == set(kafka.clicks()), 60, 0.1)
    want = logged(node)
    got = kafka.clicks()
    check_equal("places", set(got), set(want))
    for place, click in want.items():
        key, value = got[place]
        check_equal("key", key, click["ad_id"])
        check_equal(f"message of {place}", value, {"partition": place[0], **click})
    return len(want)


class Clicking(threading.Thread):
    """Clicks at the node until it is told to stop, over its restarts."""

    def __init__(self, node):
        super().__init__()
        self.node = node
        self.answered = set()
        self.stopping = threading.Event()
        self.start()

    def run(self):
        number = 0
        while not self.stopping.is_set():
            click_id = f"click-{number}"
            number += 1
            body = json.dumps({"click_id": click_id, "ad_id": ADS[number % len(ADS)]["ad_id"],
                               "timestamp_ms": now_ms()})
            try:
                answer = self.node.request("POST", "/v1/click", body, listener="collector")
            except NoAnswer:
                pause(0.05)
                continue
            if answer.status == 302:
                self.answered.add(click_id)
            pause(0.002)

    def end(self):
        self.stopping.set()
        self.join()
        return self.answered


def test_kafka_over_kills(context):
    """sinks: each click arrives once per (partition, offset) at a Kafka topic, over kills of the node"""
    with Kafka(context) as kafka:
        node = context.node(config(kafka))
        node.upload_ads(ADS)
        send(node, context.random, 500)
        clicking = Clicking(node)
        for _ in range(8 if context.soak else 3):
            before = len(clicking.answered)
            wait_until("clicks", lambda: len(clicking.answered) > before + 100)
            pause(context.random.random())
            node.kill()
            node.start()
        answered = clicking.end()
        node.wait_spool_empty()
        count = check_arrived(node, kafka)
        repeats = len(kafka.messages()) - count
        ids = {value["click_id"] for _, value in kafka.clicks().values()}
        check(answered <= ids, f"{len(answered - ids)} answered clicks never arrived")
        context.say(f"{count} clicks, {repeats} messages repeated")
        # A clean stop leaves nothing to repeat.
        wait_until("no lag", lambda: node.metrics()["clickmill_sink_lag_offsets"] == 0)
        sent = len(kafka.messages())
        node.stop()
        node.start()
        send(node, context.random, 10)
        check_arrived(node, kafka)
        check_equal("messages", len(kafka.messages()), sent + 10)


def test_kafka_away(context):
    """sinks: a Kafka cluster that is away delays no click, and gets all of them when it is back"""
    with Kafka(context) as kafka:
        kafka.tell("down")
        node = context.node(config(kafka))
        node.upload_ads(ADS)
        clicking = Clicking(node)
        begin = now_ms()
        wait_until("clicks", lambda: len(clicking.answered) > 300)
        clicking.end()
        send(node, context.random, 1000)
        node.wait_total(begin - 60_000, now_ms() + 60_000, node.check_invariant()["counted"])
        check_equal("messages", kafka.messages(), [])
        wait_until("lag", lambda: node.metrics()["clickmill_sink_lag_offsets"] >= 1300)
        wait_until("errors", lambda: node.metrics()["clickmill_sink_errors_total"] > 0)
        # What waits is in the log: a restart keeps it.
        node.kill()
        node.start()
        kafka.tell("up")
        check_arrived(node, kafka)
        kafka.tell("down")
        send(node, context.random, 100)
        kafka.tell("up")
        check_arrived(node, kafka)
        wait_until("no lag", lambda: node.metrics()["clickmill_sink_lag_offsets"] == 0)
        kafka.tell("down")
        send(node, context.random, 100)
        node.stop()
        kafka.tell("up")
        node.start()
        check_arrived(node, kafka)


def test_sink_settings(context):
    """sinks: settings that librdkafka refuses end the start, naming the key; a lost position is told"""
    with Kafka(context) as kafka:
        node = context.node(config(kafka, options=["lingr.ms=1"]), start=False)
        node.spawn()
        check_equal("exit code", node.process.wait(30) != 0, True)
        check("sinks[0].options[0]: No such configuration property" in node.log_since_start(), node.log_tail())
        check(not node.data_dir.exists(), "a refused config made a data directory")
        checked = context.run("check-config", str(node.config_path))
        check(checked.returncode != 0 and "sinks[0].options[0]" in checked.stderr, f"{checked}")
        node.config.update(config(kafka))
        node.start()
        node.upload_ads(ADS)
        send(node, context.random, 10)
        check_arrived(node, kafka)
        node.stop()
        positions = node.data_dir / "sinks" / "kafka.positions"
        positions.write_bytes(positions.read_bytes()[:-1])
        node.spawn()
        check_equal("exit code", node.process.wait(30) != 0, True)
        check("kafka.positions" in node.log_since_start(), node.log_tail())
        positions.unlink()
        node.start()
        wait_until("all sent again", lambda: len(kafka.messages()) == 20)
        check_arrived(node, kafka)


def test_no_sinks(context):
    """sinks: without any nothing of them is there: no library, no thread, no folder"""
    node = context.node()
    send(node, context.random, 10)
    process = f"/proc/{node.process.pid}"
    with open(f"{process}/maps") as maps:
        check("rdkafka" not in maps.read(), "librdkafka is loaded")
    names = [(thread / "comm").read_text().strip() for thread in Path(f"{process}/task").iterdir()]
    check("journal" in names and "sink" not in names, f"threads: {names}")
    check(not (node.data_dir / "sinks").exists(), "there is a folder for sinks")
    check(not any("sink" in name for name in node.metrics()), "there are metrics of sinks")


def positions(node):
    """How far each partition has arrived, as the node keeps it; see src/sinks/positions.cpp."""
    path = node.data_dir / "sinks" / "kafka.positions"
    if not path.exists():
        return [0] * PARTITIONS
    values, value, shift = [], 0, 0
    for byte in path.read_bytes()[12:-8]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            values.append(value)
            value = shift = 0
    check_equal("partitions", values[0], PARTITIONS)
    return values[1:]


def test_kafka_of_three(context):
    """sinks: of three nodes the leader sends, and who leads next goes on where it was"""
    with Kafka(context) as kafka:
        nodes = three_nodes.make(context, {"log": {"partitions": PARTITIONS}})
        for node in nodes:
            node.config["sinks"] = [kafka.sink()]
        three_nodes.start(nodes)
        three_nodes.wait_led(nodes)
        crowd = three_nodes.Crowd(nodes, "people")
        try:
            crowd.wait_for(500)
        finally:
            crowd.end()
        for node in nodes:
            node.wait_spool_empty()
        count = check_arrived(nodes[0], kafka)
        last = [max(offset for partition, offset in kafka.clicks() if partition == which)
                for which in range(PARTITIONS)]
        # Then nobody has a reason to send any of them again.
        wait_until("positions on all nodes", lambda: all(
            arrived >= offset for node in nodes for arrived, offset in zip(positions(node), last)))
        before = kafka.messages()
        for node in nodes:
            node.kill()
            others = [other for other in nodes if other is not node]
            three_nodes.wait_led(others, by=others)
            body = "".join(json.dumps({"ad_id": f"ad_{number % 50}", "click_id": f"{node.config['node_id']}-{number}",
                                       "timestamp_ms": now_ms()}) + "\n" for number in range(200))
            answer = others[0].request("POST", "/v1/clicks", body)
            check_equal(f"bulk ({answer})", answer.status, 202)
            others[0].wait_spool_empty()
            check_arrived(others[0], kafka)
            node.start()
            three_nodes.wait_led(nodes)
        known = {message[:2] for message in before}
        again = [message[:2] for message in kafka.messages()[len(before):] if message[:2] in known]
        check_equal("messages of before that came again", again, [])
        context.say(f"{count} clicks, then {len(kafka.messages()) - len(before)} messages over three kills")
