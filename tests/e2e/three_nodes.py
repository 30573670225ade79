"""Three nodes of one cluster on this machine, and people who click at all of them."""

import json
import threading

from harness import Failure, NoAnswer, check_equal, now_ms, pause, wait_until
from users import ADS


def unmade(context):
    return [context.node({"node_id": f"n{number}"}, start=False) for number in (1, 2, 3)]


def make(context, changes=None, nodes=None):
    """Three nodes that know of each other; not started."""
    nodes = nodes or unmade(context)
    secret = context.directory / "secret"
    secret.write_text("a secret of this test, 32 bytes.\n")
    ads = context.directory / "ads.ndjson"
    ads.write_text("".join(json.dumps(ad) + "\n" for ad in ADS))
    peers = [{"node_id": node.config["node_id"], "peer": node.config["listen"]["peer"],
              "api": node.config["listen"]["api"]} for node in nodes]
    for node in nodes:
        node.config["cluster"] = {"peers": peers, "replication": 3, "secret_file": str(secret)}
        node.config["catalog"] = {"file": str(ads)}
        for section, value in (changes or {}).items():
            node.config[section] = {**node.config.get(section, {}), **value}
    return nodes


def start(nodes, timeout_s=60):
    for node in nodes:
        node.spawn()
    for node in nodes:
        node.wait_ready(timeout_s)


def cluster(node):
    return node.request("GET", "/v1/cluster").json()


def leaders(node):
    return [partition["leader"] for partition in cluster(node)["partitions"]]


def wait_led(nodes, by=None):
    """Until every partition has a leader, one of `by`, as all these nodes see it."""
    names = [node.config["node_id"] for node in by or nodes]
    wait_until("a leader for every partition",
               lambda: all(set(leaders(node)) <= set(names) for node in nodes))


def wait_shared(nodes):
    """Until each of these nodes leads something: who was there first leads at first, and hands over after a minute."""
    names = {node.config["node_id"] for node in nodes}
    wait_until("a share of the leads for each node",
               lambda: all(set(leaders(node)) == names for node in nodes), timeout_s=90)


def wait_equal(nodes):
    """Until all of them have applied the same, which must have come out the same."""
    def states():
        return [[(p["committed_offset"], p["applied_offset"]) for p in cluster(node)["partitions"]]
                for node in nodes]

    def equal():
        seen = states()
        return all(each == seen[0] for each in seen) and all(c == a for c, a in seen[0])

    wait_until("equal logs", equal)
    digests = [[p["digest"] for p in cluster(node)["partitions"]] for node in nodes]
    for node, digest in zip(nodes, digests):
        check_equal(f"digests of {node.config['node_id']}", digest, digests[0])


class Crowd:
    """People who click at each node; who is not answered goes to another, with the same click."""

    def __init__(self, nodes, name, pause_s=0.003, away=()):
        self.nodes = nodes
        self.name = name
        self.pause_s = pause_s
        self.answered = set()
        self.unanswered = 0
        self.wrong = []
        self.away = set(away)  # nodes that the test has taken away
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.click, args=(at,)) for at in range(len(nodes))]
        for thread in self.threads:
            thread.start()

    def click(self, home):
        clients = [node.client("collector") for node in self.nodes]
        starts = [node.starts for node in self.nodes]
        number = 0
        while not self.stopping.is_set():
            click_id = f"{self.name}-{home}-{number}"
            body = json.dumps({"click_id": click_id, "ad_id": f"ad_{number % 50}", "timestamp_ms": now_ms(),
                               "user_id": f"v{number % 100}"})
            number += 1
            for turn in range(len(self.nodes)):
                at = (home + turn) % len(self.nodes)
                if at in self.away:
                    continue
                if starts[at] != self.nodes[at].starts:
                    # The connection of its life before is none any more.
                    clients[at].close()
                    starts[at] = self.nodes[at].starts
                try:
                    answer = clients[at].request("POST", "/v1/click", body)
                except NoAnswer as lost:
                    if at not in self.away:
                        self.wrong.append(f"n{at + 1}: {lost}")
                    with self.lock:
                        self.unanswered += 1
                    continue
                if answer.status == 302:
                    with self.lock:
                        self.answered.add(click_id)
                else:
                    self.wrong.append(f"n{at + 1}: {answer!r}")
                break
            pause(self.pause_s)

    def total(self):
        with self.lock:
            return len(self.answered)

    def wait_for(self, more):
        want = self.total() + more
        wait_until(f"{more} more clicks", lambda: self.total() >= want)

    def end(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        check_equal("answers of nodes that are there", self.wrong, [])
        return self.total()


def wait_counted(nodes, crowd, begin_ms):
    """Until every node counts every answered click. What was recorded and not answered any more
    may count besides."""
    least, most = crowd.total(), crowd.total() + crowd.unanswered

    def counted(node):
        seen = node.total(begin_ms, now_ms() + 60_000)
        if seen > most:
            raise Failure(f"{seen} clicks are counted, at most {most} were sent")
        return seen >= least

    for node in nodes:
        wait_until(f"{node.config['node_id']} counts {least} clicks", lambda: counted(node), 60, 0.1)
        node.check_invariant()
