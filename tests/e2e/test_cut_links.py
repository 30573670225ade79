"""Three nodes with a network each: links that are cut, both ways and one way, under load."""

import three_nodes
from harness import check, check_equal, now_ms, pause, wait_until
from networks import Network
from three_nodes import Crowd, cluster, leaders, start, unmade, wait_counted, wait_equal, wait_led


def make(context, nodes):
    return three_nodes.make(context, {"log": {"partitions": 6}}, nodes)


def hears(node, other):
    state = next(item for item in cluster(node)["nodes"] if item["node_id"] == other.config["node_id"])
    return state["linked"]


def begun(context, nodes):
    make(context, nodes)
    begin = now_ms() // 60_000 * 60_000
    start(nodes)
    wait_led(nodes)
    return begin, Crowd(nodes, "cut")


def test_cut_off_and_back(context):
    """each node in turn is cut off for seconds and back: all three redirect throughout, nothing is lost or doubled"""
    nodes = unmade(context)
    with Network(nodes) as network:
        begin, crowd = begun(context, nodes)
        for at, node in enumerate(nodes):
            crowd.wait_for(200)
            network.cut_off(at)
            rest = [other for other in nodes if other is not node]
            wait_led(rest, by=rest)
            # It answers as before, and what it answers waits in its spool.
            wait_until("its spool to grow", lambda: node.metrics()["clickmill_spool_clicks"] >= 50)
            crowd.wait_for(300)
            network.heal()
            # Clicks come on, so that it is never empty for long.
            wait_until("its spool to shrink", lambda: node.metrics()["clickmill_spool_clicks"] < 50)
            wait_led(nodes)
        crowd.end()
        check_equal("unanswered", crowd.unanswered, 0)
        wait_counted(nodes, crowd, begin)
        wait_equal(nodes)


def test_links_cut_one_way(context):
    """what one node sends to another is lost, for each pair in turn: clicks are counted on at the third meanwhile"""
    nodes = unmade(context)
    with Network(nodes) as network:
        begin, crowd = begun(context, nodes)
        for source in range(3):
            for target in range(3):
                if source == target:
                    continue
                third = nodes[3 - source - target]
                network.cut(source, target)
                wait_until("the link to be given up", lambda: not hears(nodes[target], nodes[source]))
                before = third.total(begin, now_ms() + 60_000)
                crowd.wait_for(150)
                # With that link gone, a leader that both others hear is enough.
                wait_until("the third counts on", lambda: third.total(begin, now_ms() + 60_000) >= before + 150)
                network.heal()
                wait_until("the link again", lambda: hears(nodes[target], nodes[source]))
        crowd.end()
        check_equal("unanswered", crowd.unanswered, 0)
        wait_counted(nodes, crowd, begin)
        wait_equal(nodes)


def test_one_pair_cut(context):
    """two nodes that can't reach each other while the third reaches both: leads settle, and all count on"""
    nodes = unmade(context)
    with Network(nodes) as network:
        begin, crowd = begun(context, nodes)
        network.cut(0, 1)
        network.cut(1, 0)
        wait_until("the link to be given up", lambda: not hears(nodes[0], nodes[1]))
        crowd.wait_for(300)
        pause(5)  # for elections that would not end, as one node never hears of the other's
        terms = [partition["term"] for partition in cluster(nodes[2])["partitions"]]
        leads = leaders(nodes[2])
        crowd.wait_for(300)
        check_equal("leaders, a moment later", leaders(nodes[2]), leads)
        check_equal("terms, a moment later", [partition["term"] for partition in cluster(nodes[2])["partitions"]], terms)
        check(set(leads) <= {"n1", "n2", "n3"}, leads)
        network.heal()
        crowd.end()
        check_equal("unanswered", crowd.unanswered, 0)
        wait_counted(nodes, crowd, begin)
        wait_equal(nodes)


def test_slow_uplink(context):
    """a node whose link carries a few hundred kbit/s: the others don't wait for it, and it comes after"""
    nodes = unmade(context)
    with Network(nodes) as network:
        begin, crowd = begun(context, nodes)
        network.slow(2, 400)
        before = nodes[0].total(begin, now_ms() + 60_000)
        crowd.wait_for(600)
        wait_until("the others count on", lambda: nodes[0].total(begin, now_ms() + 60_000) >= before + 300)
        crowd.end()
        check_equal("unanswered", crowd.unanswered, 0)
        wait_counted(nodes, crowd, begin)
        wait_equal(nodes)
