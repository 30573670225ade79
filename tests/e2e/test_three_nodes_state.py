"""Logs that don't reach back any more: who needs what they held takes a state, and counts the same."""

import hashlib
import json
import os

from harness import check, check_equal, now_ms, wait_until
from three_nodes import cluster, make, start, wait_equal, wait_led

SHORT_LOG = {"log": {"partitions": 2, "segment_bytes": 1 << 20, "retention_bytes": 1 << 20},
             "stream": {"checkpoint_interval_s": 1}}


class Clicks:
    """Uploads of clicks with ids that no codec shortens."""

    def __init__(self):
        self.begin = now_ms() // 60_000 * 60_000
        self.count = 0

    def lines(self, first, count):
        for number in range(first, first + count):
            noise = hashlib.sha256(str(number).encode()).hexdigest()
            yield json.dumps({"click_id": noise[:40], "ad_id": f"ad_{number % 50}", "timestamp_ms": self.begin,
                              "user_id": noise[24:]})

    def send(self, node, count):
        self.again(node, self.count, count)
        self.count += count

    def again(self, node, first, count):
        answer = node.request("POST", "/v1/clicks", "\n".join(self.lines(first, count)))
        check_equal(f"upload ({answer})", answer.status, 202)

    def wait(self, nodes):
        for node in nodes:
            wait_until(f"{node.config['node_id']} to count {self.count}",
                       lambda: node.total(self.begin, now_ms() + 60_000) >= self.count, 120, 0.1)
            check_equal("counted", node.total(self.begin, now_ms() + 60_000), self.count)


def ends(node):
    """Of each log: where it ends."""
    return [item["last_offset"] for item in node.get("/v1/log/raw-clicks").json()["data"]]


def trim(context, nodes, clicks, beyond=(1, 1)):
    """Until each log of these nodes begins beyond these offsets."""
    def trimmed(node):
        marked = context.run("retention", "--now", "--config", str(node.config_path))
        check_equal(f"retention --now: {marked.stderr}", marked.returncode, 0)
        wait_until("the node to take the marker", lambda: not os.path.exists(node.data_dir / "retention.now"))
        first = [item["first_offset"] for item in node.get("/v1/log/raw-clicks").json()["data"]]
        return all(offset > end + 1 for offset, end in zip(first, beyond))

    for _ in range(5):
        clicks.send(nodes[0], 20_000)
    clicks.wait(nodes)
    for node in nodes:
        wait_until(f"{node.config['node_id']} to drop what is old", lambda: trimmed(node), 120, 0.3)


def left_behind(context):
    """Three nodes, of which the third is down and the others' logs begin behind where its own end."""
    nodes = make(context, SHORT_LOG)
    clicks = Clicks()
    start(nodes)
    wait_led(nodes)
    clicks.send(nodes[0], 10_000)
    clicks.wait(nodes)
    known = ends(nodes[2])
    nodes[2].kill()
    trim(context, nodes[:2], clicks, known)
    return nodes, clicks, known


def states_taken(node):
    return node.metrics().get("clickmill_peer_states_taken_total", 0)


def wait_voting(nodes):
    wait_until("all vote everywhere", lambda: all(
        sorted(partition["voters"]) == ["n1", "n2", "n3"] and not partition["learners"]
        for partition in cluster(nodes[0])["partitions"]), 120)


def test_three_nodes_away_too_long(context):
    """who was away longer than the logs reach back takes states, killed meanwhile too, and knows every id"""
    nodes, clicks, known = left_behind(context)
    for _ in range(3):
        nodes[2].start()
        nodes[2].kill()
    nodes[2].start()
    clicks.wait(nodes)
    wait_equal(nodes)
    first = [item["first_offset"] for item in nodes[2].get("/v1/log/raw-clicks").json()["data"]]
    check(all(offset > end + 1 for offset, end in zip(first, known)), f"its logs begin at {first}")
    check(all(partition["catching_up"] is None for partition in cluster(nodes[2])["partitions"]), "it is there")
    # What was counted before the state was taken is known to who has taken it.
    nodes[0].kill()
    wait_led(nodes[1:], by=nodes[1:])
    for first in (0, 10_000, 60_000):
        clicks.again(nodes[2], first, 2_000)
    clicks.send(nodes[2], 1_000)
    nodes[2].wait_spool_empty()
    clicks.wait(nodes[1:])
    for node in nodes[1:]:
        node.check_invariant()


def test_three_nodes_lost_disk_short_log(context):
    """a node whose data directory is gone takes states where the logs don't reach back, and votes again"""
    nodes = make(context, SHORT_LOG)
    clicks = Clicks()
    start(nodes)
    wait_led(nodes)
    clicks.send(nodes[0], 5_000)
    clicks.wait(nodes)
    nodes[1].wait_spool_empty()
    nodes[1].kill()
    nodes[1].data_dir.rename(nodes[1].data_dir.with_name("lost"))
    trim(context, [nodes[0], nodes[2]], clicks)
    nodes[1].spawn()
    nodes[1].wait_ready()
    wait_voting(nodes)
    check(states_taken(nodes[1]) >= 2, nodes[1].log_tail())
    clicks.wait(nodes)
    wait_equal(nodes)
    nodes[0].kill()
    wait_led(nodes[1:], by=nodes[1:])
    clicks.again(nodes[1], 0, 5_000)
    clicks.send(nodes[1], 1_000)
    nodes[1].wait_spool_empty()
    clicks.wait(nodes[1:])


def test_three_nodes_grow_short_log(context):
    """a node with counts whose log has lost its beginning becomes one of three"""
    nodes = make(context, SHORT_LOG)
    alone = {**nodes[0].config}
    del nodes[0].config["cluster"]
    clicks = Clicks()
    nodes[0].start()
    trim(context, nodes[:1], clicks)
    nodes[0].stop()
    nodes[0].config = alone
    start(nodes)
    wait_voting(nodes)
    for node in nodes[1:]:
        check(states_taken(node) >= 2, node.log_tail())
    clicks.wait(nodes)
    wait_equal(nodes)
    nodes[0].kill()
    wait_led(nodes[1:], by=nodes[1:])
    clicks.again(nodes[1], 0, 5_000)
    clicks.send(nodes[1], 1_000)
    nodes[1].wait_spool_empty()
    clicks.wait(nodes[1:])
    nodes[0].start()
    clicks.wait(nodes)
    wait_equal(nodes)


def logs(node):
    """Of each log: its first offset, and all of its lines."""
    parts = node.get("/v1/log/raw-clicks").json()["data"]
    return [(part["first_offset"], node.request(
        "GET", f"/v1/log/raw-clicks/{part['partition']}?offset={part['first_offset']}&limit=1000000").body)
        for part in parts]


def test_three_nodes_older_log(context):
    """who took a state gets the raw clicks of before it from the others, killed meanwhile too"""
    nodes, clicks, _ = left_behind(context)
    nodes[2].start()
    clicks.wait(nodes)
    # What the others hold right before the state is sealed by that.
    clicks.send(nodes[0], 40_000)
    clicks.wait(nodes)
    wait_equal(nodes)
    begins = [first for first, _ in logs(nodes[2])]
    check(any(mine > theirs for mine, (theirs, _) in zip(begins, logs(nodes[0]))),
          f"with a bound of bytes nothing older is got: {begins}")
    # From here on age decides.
    for node in nodes:
        node.stop()
        node.config["log"]["retention_bytes"] = 0
    start(nodes)
    wait_led(nodes)
    for _ in range(2):
        nodes[2].kill()
        nodes[2].start()
    wait_until("its logs to begin where the others' do",
               lambda: [first for first, _ in logs(nodes[2])] == [first for first, _ in logs(nodes[0])], 120, 0.2)
    for node in nodes:
        node.wait_spool_empty()
    wait_equal(nodes)
    check(logs(nodes[2]) == logs(nodes[0]), "the raw clicks are equal")
    check(nodes[2].metrics()["clickmill_peer_older_log_bytes_total"] > 0, "and came over the link")
    nodes[2].stop()
    verified = context.run("log", "verify", str(nodes[2].data_dir))
    check_equal(f"log verify: {verified.stdout}{verified.stderr}", verified.returncode, 0)
