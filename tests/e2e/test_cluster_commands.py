"""`clickmill cluster …` and a forced recovery, on three real nodes."""

import json

from harness import NoAnswer, check, check_equal, now_ms, wait_until
from three_nodes import Crowd, cluster, leaders, make, start, wait_counted, wait_equal, wait_led, wait_shared


def run(context, node, *words):
    """A command with the node's config."""
    return context.run(*words, "--config", str(node.config_path))


def status(context, node):
    return run(context, node, "cluster", "status")


def reasons(node):
    """What its readiness lacks; nothing while it starts."""
    try:
        return node.get("/readyz").json()["reasons"]
    except NoAnswer:
        return []


def wait_voters(node, names):
    wait_until(f"{names} vote in every partition", lambda: all(
        sorted(partition["voters"]) == names and not partition["learners"]
        for partition in cluster(node)["partitions"]), 60)


def test_cluster_status(context):
    """cluster status says who is there and who leads, exits 1 over a dead node, and asks another one where its own is dead"""
    nodes = make(context, {"log": {"partitions": 8}})
    start(nodes)
    wait_led(nodes)
    well = wait_until("all is well", lambda: (lambda shown: shown if shown.returncode == 0 else None)(status(context, nodes[0])))
    for word in ("3 nodes, as n1 sees them", "8 partitions, each has a leader", "all is well"):
        check(word in well.stdout, well.stdout)
    asked = json.loads(run(context, nodes[1], "cluster", "status", "--json").stdout)
    check_equal("json", (asked["well"], asked["problems"], asked["cluster"]["node_id"]), (True, [], "n2"))
    nodes[2].kill()
    wait_led(nodes[:2], by=nodes[:2])
    # It may have led nothing, and then nobody has missed it yet.
    shown = wait_until("n3 to be missed", lambda: (lambda shown: shown if shown.returncode != 0 else None)(
        status(context, nodes[0])))
    check_equal(f"a dead node: {shown.stdout}", shown.returncode, 1)
    check("not well: n3 is down" in shown.stdout, shown.stdout)
    other = status(context, nodes[2])
    check_equal(f"asked through the dead one: {other.stdout}", other.returncode, 1)
    check(nodes[2].config["listen"]["api"] in other.stderr and "as n1 sees them" in other.stdout, other)
    nodes[0].kill()
    nodes[1].kill()
    nobody = status(context, nodes[0])
    check_equal(f"nobody answers: {nobody}", (nobody.returncode, nobody.stdout), (2, ""))
    alone = context.node({"node_id": "n7", "log": {"partitions": 2}})
    alone.wait_ready()
    shown = status(context, alone)
    check_equal(f"a node alone: {shown.stdout}", shown.returncode, 0)
    check("n7, a node alone" in shown.stdout, shown.stdout)


def test_cluster_forced_quorum(context):
    """two of three gone for good: the third goes on by force; the two coming back win nothing, and rejoin with every click"""
    nodes = make(context, {"log": {"partitions": 4}})
    begin = now_ms() // 60_000 * 60_000
    start(nodes)
    wait_led(nodes)
    crowd = Crowd(nodes, "forced")
    crowd.wait_for(300)
    refused = run(context, nodes[2], "recover", "--force-quorum")
    check_equal(f"while it runs: {refused}", refused.returncode, 2)
    check("answers at" in refused.stderr, refused.stderr)
    crowd.away.update({0, 1})
    nodes[0].kill()
    nodes[1].kill()
    crowd.wait_for(200)
    refused = run(context, nodes[2], "recover", "--force-quorum")
    check("in use by another" in refused.stderr, refused.stderr)
    crowd.away.add(2)
    nodes[2].stop()
    plan = run(context, nodes[2], "recover", "--force-quorum")
    check_equal(f"the plan: {plan}", plan.returncode, 2)
    for word in ("n3 becomes the only voter of 4 partitions", "n1 and n2", "May be lost", "Nothing was changed"):
        check(word in plan.stdout, plan.stdout)
    done = context.run("recover", "--force-quorum", "--config", str(nodes[2].config_path), "--yes")
    check_equal(f"by force: {done}", done.returncode, 0)
    nodes[2].start()
    wait_until("n3 leads all", lambda: set(leaders(nodes[2])) == {"n3"})
    nodes[2].wait_spool_empty()
    crowd.away.discard(2)
    crowd.wait_for(200)

    for node in nodes[:2]:
        node.spawn()
    for at, node in enumerate(nodes[:2]):
        wait_until("it says that it was left behind",
                   lambda: any("cluster rejoin" in reason for reason in reasons(node)))
        line = f"n{at + 1} was left behind by a forced recovery"
        for other in (node, nodes[2]):
            wait_until("one line on both sides", lambda: line in other.log_since_start())
    crowd.away.clear()
    crowd.wait_for(200)
    check_equal("who was left behind leads", [leader for node in nodes[:2] for leader in leaders(node) if leader], [])
    wait_until("what they answer waits", lambda: nodes[0].metrics()["clickmill_spool_clicks"] > 0)
    check_equal("n3 has no need of it", run(context, nodes[2], "cluster", "rejoin").returncode, 2)

    for at, node in enumerate(nodes[:2]):
        crowd.away.add(at)
        node.stop()
        plan = run(context, node, "cluster", "rejoin")
        check_equal(f"the plan: {plan}", plan.returncode, 2)
        check("Nothing was changed" in plan.stdout and "sent again" in plan.stdout, plan.stdout)
        done = context.run("cluster", "rejoin", "--config", str(node.config_path), "--yes")
        check_equal(f"rejoin: {done}", done.returncode, 0)
        check((node.data_dir / "left-behind-epoch-1" / "journal").is_dir(), "what there was is gone")
        node.spawn()
        wait_voters(nodes[2], ["n1", "n3"] if at == 0 else ["n1", "n2", "n3"])
        crowd.away.discard(at)
    crowd.wait_for(200)
    crowd.end()
    wait_counted(nodes, crowd, begin)
    wait_equal(nodes)
    # A member of three once more: any may go.
    nodes[2].kill()
    wait_led(nodes[:2], by=nodes[:2])
    none = run(context, nodes[2], "cluster", "rejoin")
    check_equal(f"nobody left it behind: {none}", none.returncode, 2)
    check("nobody has left this node behind" in none.stderr, none.stderr)


def test_cluster_drain(context):
    """a drained node leads nothing, is not ready and is as before once it is started again; not where it is needed"""
    nodes = make(context, {"log": {"partitions": 4}})
    start(nodes)
    wait_shared(nodes)
    plan = run(context, nodes[1], "cluster", "drain", "n1")
    check_equal(f"the plan: {plan}", plan.returncode, 2)
    check("n1" in leaders(nodes[1]), "the plan changes something")
    done = run(context, nodes[1], "cluster", "drain", "n1", "--yes")
    check_equal(f"drain: {done}", done.returncode, 0)
    wait_led(nodes, by=nodes[1:])
    check(any("drained" in reason for reason in reasons(nodes[0])), reasons(nodes[0]))
    nodes[0].stop()
    refused = run(context, nodes[1], "cluster", "drain", "n2", "--yes")
    check_equal(f"needed: {refused}", refused.returncode, 2)
    check("count nothing" in refused.stderr, refused.stderr)
    gone = run(context, nodes[1], "cluster", "drain", "n1", "--yes")
    check("leads nothing" in gone.stderr, gone)
    nodes[0].start()


def test_cluster_replace(context):
    """a dead node is replaced by one of another name and address, and then any may die; unsafe steps are refused"""
    nodes = make(context, {"log": {"partitions": 4}})
    begin = now_ms() // 60_000 * 60_000
    start(nodes)
    wait_led(nodes)
    crowd = Crowd(nodes, "replace")
    crowd.wait_for(300)
    crowd.end()
    nodes[2].wait_spool_empty()
    nodes[2].kill()
    fourth = context.node({"node_id": "n4"}, start=False)
    fourth.config = {**nodes[2].config, **{key: fourth.config[key] for key in ("node_id", "data_dir", "listen")}}
    peers = [peer for peer in nodes[0].config["cluster"]["peers"] if peer["node_id"] != "n3"]
    peers.append({"node_id": "n4", "peer": fourth.config["listen"]["peer"], "api": fourth.config["listen"]["api"]})
    fourth.config["cluster"] = {**nodes[0].config["cluster"], "peers": peers}

    def replace(node):
        return context.run("cluster", "replace", "n3", "n4", "--config", str(node.config_path), "--yes", timeout_s=150)

    for word, node in (("in cluster.peers of this config still", nodes[0]), ("still has n3", nodes[1])):
        refused = replace(node)
        check_equal(f"{word}: {refused}", refused.returncode, 2)
        check(word in refused.stderr, refused.stderr)
        other = nodes[1] if node is nodes[0] else nodes[0]
        other.stop()
        other.config["cluster"] = {**other.config["cluster"], "peers": peers}
        other.start()
        wait_led(nodes[:2], by=nodes[:2])
    refused = replace(nodes[0])
    check("n4 does not answer" in refused.stderr, refused)
    forgotten = run(context, nodes[0], "cluster", "forget", "n3")
    check("cluster.replication asks for 3" in forgotten.stderr, forgotten)
    fourth.spawn()
    wait_until("n4 is there", lambda: any(item["node_id"] == "n4" and item["state"] == "up"
                                          for item in cluster(nodes[0])["nodes"]))
    done = replace(nodes[0])
    check_equal(f"replace: {done}", done.returncode, 0)
    wait_voters(nodes[0], ["n1", "n2", "n4"])
    fourth.wait_ready()
    added = run(context, nodes[0], "cluster", "add", "n4")
    check_equal(f"add: {added}", (added.returncode, "already" in added.stdout), (0, True))
    now = [nodes[0], nodes[1], fourth]
    well = wait_until("all is well", lambda: status(context, nodes[0]).returncode == 0)
    check(well, "it is not well")
    wait_counted(now, crowd, begin)
    wait_equal(now)
    nodes[0].kill()
    wait_led(now[1:], by=now[1:])
