"""A cluster of three: what any node answers counts once on all of them, whichever is killed."""

import json
import os
import signal

from harness import check, check_equal, now_ms, pause, wait_until
from three_nodes import Crowd, cluster, make, start, wait_counted, wait_equal, wait_led, wait_shared


def minute_begin():
    return now_ms() // 60_000 * 60_000


def test_three_nodes_agree(context):
    """three nodes found one cluster, share the leads, take clicks anywhere, and count the same"""
    nodes = make(context, {"log": {"partitions": 8}})
    begin = minute_begin()
    start(nodes)
    wait_shared(nodes)
    crowd = Crowd(nodes, "calm")
    crowd.wait_for(1500)
    crowd.end()
    check_equal("unanswered", crowd.unanswered, 0)
    wait_counted(nodes, crowd, begin)
    wait_equal(nodes)
    names = [(item["node_id"], item["state"]) for item in cluster(nodes[1])["nodes"]]
    check_equal("nodes", sorted(names), [("n1", "up"), ("n2", "up"), ("n3", "up")])


def test_three_nodes_killed_in_turn(context):
    """kill -9 of each node in turn under load: the others redirect and count on; all agree in the end"""
    nodes = make(context, {"log": {"partitions": 8}})
    begin = minute_begin()
    start(nodes)
    wait_led(nodes)
    crowd = Crowd(nodes, "killed")
    for at, node in enumerate(nodes):
        crowd.wait_for(300)
        crowd.away.add(at)
        node.kill()
        rest = [other for other in nodes if other is not node]
        wait_led(rest, by=rest)
        crowd.wait_for(300)
        node.start()
        crowd.away.discard(at)
    crowd.wait_for(300)
    crowd.end()
    wait_counted(nodes, crowd, begin)
    wait_equal(nodes)


def test_three_nodes_stopped_process(context):
    """a node stopped for 10 s and let go on (SIGSTOP, SIGCONT) neither leads nor counts on its own"""
    nodes = make(context, {"log": {"partitions": 4}})
    begin = minute_begin()
    start(nodes)
    wait_led(nodes)
    crowd = Crowd(nodes, "stopped")
    crowd.wait_for(200)
    crowd.away.add(2)
    nodes[2].process.send_signal(signal.SIGSTOP)
    wait_led(nodes[:2], by=nodes[:2])
    crowd.wait_for(300)
    pause(10)
    nodes[2].process.send_signal(signal.SIGCONT)
    crowd.away.discard(2)
    crowd.wait_for(300)
    crowd.end()
    wait_counted(nodes, crowd, begin)
    wait_equal(nodes)


def test_three_nodes_all_killed(context):
    """all three killed at once and started again have every click that was answered"""
    nodes = make(context, {"log": {"partitions": 4}})
    begin = minute_begin()
    start(nodes)
    wait_led(nodes)
    crowd = Crowd(nodes, "all")
    crowd.wait_for(500)
    crowd.away.update({0, 1, 2})
    for node in nodes:
        node.kill()
    crowd.end()
    start(nodes)
    wait_counted(nodes, crowd, begin)
    wait_equal(nodes)


def test_three_nodes_two_gone(context):
    """with two of three gone the third redirects and keeps what it answers; it counts when one is back"""
    nodes = make(context, {"log": {"partitions": 4}})
    begin = minute_begin()
    start(nodes)
    wait_led(nodes)
    crowd = Crowd(nodes, "two")
    crowd.wait_for(200)
    crowd.away.update({0, 1})
    nodes[0].kill()
    nodes[1].kill()
    crowd.wait_for(200)
    before = nodes[2].total(begin, now_ms() + 60_000)
    check(before < crowd.total(), "it counts what no quorum has")
    wait_until("the spool holds them", lambda: nodes[2].metrics()["clickmill_spool_clicks"] >= 200)
    nodes[0].start()
    crowd.end()
    nodes[2].wait_spool_empty()
    check(nodes[2].total(begin, now_ms() + 60_000) > before, "two of three count nothing")
    # What the other one had answered last stands in its spool.
    nodes[1].start()
    wait_counted(nodes, crowd, begin)
    wait_equal(nodes)


def test_three_nodes_lost_disk(context):
    """a node whose data directory is gone comes back by itself, with everything, and votes again"""
    nodes = make(context, {"log": {"partitions": 4}})
    begin = minute_begin()
    start(nodes)
    wait_led(nodes)
    crowd = Crowd(nodes, "disk")
    crowd.wait_for(500)
    crowd.away.add(1)
    nodes[1].wait_spool_empty()
    nodes[1].kill()
    nodes[1].data_dir.rename(nodes[1].data_dir.with_name("lost"))
    crowd.wait_for(200)
    nodes[1].spawn()
    nodes[1].wait_ready()
    wait_until("its new disk votes", lambda: not any(
        partition["learners"] or "n2" not in partition["voters"] for partition in cluster(nodes[0])["partitions"]))
    crowd.end()
    wait_counted(nodes, crowd, begin)
    wait_equal(nodes)
    # It votes: with it alone beside n3, n1 is not missed.
    nodes[0].kill()
    wait_led(nodes[1:], by=nodes[1:])


def test_three_nodes_wrong_secret(context):
    """a node with another secret is refused with one clear line on both sides"""
    nodes = make(context, {"log": {"partitions": 4}})
    other = context.directory / "other"
    other.write_text("another secret, as long as one.\n")
    nodes[2].config["cluster"] = {**nodes[2].config["cluster"], "secret_file": str(other)}
    for node in nodes:
        node.spawn()
    for at in (0, 2):
        wait_until("a line about the secret", lambda: "secret" in nodes[at].log_since_start())
    reasons = nodes[0].get("/readyz").json()["reasons"]
    check(any("n3" in reason for reason in reasons), reasons)


def test_three_nodes_replicated(context):
    """with durability "replicated" an answered click survives the loss of its node's disk, in the spool or not"""
    nodes = make(context, {"log": {"partitions": 4},
                           "collector": {"durability": "replicated", "redirect_deadline_ms": 5000}})
    begin = minute_begin()
    start(nodes)
    wait_led(nodes)
    crowd = Crowd(nodes, "replicated")
    crowd.wait_for(300)
    crowd.away.add(0)
    # At once, whatever its spool holds.
    nodes[0].kill()
    nodes[0].data_dir.rename(nodes[0].data_dir.with_name("lost"))
    crowd.wait_for(100)
    crowd.end()
    late = sum(int(node.metrics().get("clickmill_collector_answered_unreplicated_total", 0)) for node in nodes[1:])
    check_equal("answered at the deadline", late, 0)
    wait_counted(nodes[1:], crowd, begin)
    wait_equal(nodes[1:])


def test_three_nodes_decide_anywhere(context):
    """a late click that came to one node is found in review at another, and accepted at a third"""
    nodes = make(context, {"log": {"partitions": 4}})
    start(nodes)
    wait_led(nodes)
    late_ms = now_ms() - 600_000
    answer = nodes[0].request("POST", "/v1/click", json.dumps(
        {"click_id": "late-1", "ad_id": "ad_7", "timestamp_ms": late_ms}), listener="collector")
    check_equal("the late click", answer.status, 302)

    def listed(node):
        return node.get("/v1/review").json()["data"]

    clicks = [wait_until("the click in review", lambda: listed(node), 30, 0.1) for node in nodes]
    for other in clicks[1:]:
        check_equal("review", other, clicks[0])
    # At a node that doesn't lead its partition, whichever that is.
    leader = next(p["leader"] for p in cluster(nodes[0])["partitions"] if str(p["partition"]) ==
                  clicks[0][0]["id"].split("-")[0])
    other = next(node for node in nodes if node.config["node_id"] != leader)
    decided = other.request("POST", f"/v1/review/{clicks[0][0]['id']}", json.dumps({"decision": "accept"}))
    check_equal(f"the decision ({decided})", decided.status, 200)
    for node in nodes:
        wait_until("the accepted click counts", lambda: node.total(late_ms - 60_000, late_ms + 60_000) == 1)
    wait_equal(nodes)


def test_three_nodes_grow(context):
    """a node with data becomes one of three: the two empty ones get all of it, and then any may die"""
    nodes = make(context, {"log": {"partitions": 4}})
    alone = {**nodes[0].config}
    del nodes[0].config["cluster"]
    begin = minute_begin()
    nodes[0].start()
    crowd = Crowd(nodes[:1], "before")
    crowd.wait_for(500)
    crowd.end()
    nodes[0].wait_spool_empty()
    nodes[0].stop()
    nodes[0].config = alone
    start(nodes)
    wait_until("all vote everywhere", lambda: all(
        partition["voters"] and sorted(partition["voters"]) == ["n1", "n2", "n3"]
        for partition in cluster(nodes[0])["partitions"]), 60)
    more = Crowd(nodes, "after")
    more.wait_for(500)
    more.away.add(0)
    nodes[0].kill()
    wait_led(nodes[1:], by=nodes[1:])
    more.wait_for(100)
    more.end()
    nodes[0].start()
    both = crowd.total() + more.total()
    for node in nodes:
        wait_until("all clicks of both times", lambda: node.total(begin, now_ms() + 60_000) >= both, 60, 0.1)
        check(node.total(begin, now_ms() + 60_000) <= both + more.unanswered, "too many are counted")
    wait_equal(nodes)


def test_three_nodes_ads_anywhere(context):
    """an ad put at one node redirects at another at once, and stays when its node is gone"""
    nodes = make(context, {"log": {"partitions": 4}})
    start(nodes)
    wait_led(nodes)
    for number in range(30):
        at, other = nodes[number % 3], nodes[(number + 1) % 3]
        target = f"https://example.com/new/{number}"
        answer = at.request("PUT", f"/v1/ads/new_{number}", json.dumps(
            {"advertiser_id": "adv_2", "ad_format": "banner", "redirect_url": target}))
        check_equal(f"PUT ({answer})", answer.status, 201)
        answer = other.request("GET", f"/v1/click?ad_id=new_{number}", listener="collector")
        check_equal(f"a click at another node ({answer})", (answer.status, answer.headers.get("location")), (302, target))
    check_equal("an unknown ad", nodes[1].request("GET", "/v1/click?ad_id=none", listener="collector").status, 404)
    nodes[0].kill()
    wait_led(nodes[1:], by=nodes[1:])
    answer = nodes[1].request("DELETE", "/v1/ads/new_3")
    check_equal(f"DELETE ({answer})", answer.status, 204)
    listed = [node.get("/v1/ads?advertiser_id=adv_2&limit=100").json()["data"] for node in nodes[1:]]
    check_equal("ads at both", [len(ads) for ads in listed], [29, 29])
    nodes[0].start()
    wait_until("the third has them", lambda: len(
        nodes[0].get("/v1/ads?advertiser_id=adv_2&limit=100").json()["data"]) == 29)


def test_three_nodes_position(context):
    """who brings an answer's position to another node sees no less there; a node without a leader says so"""
    nodes = make(context, {"log": {"partitions": 4}})
    begin = minute_begin()
    start(nodes)
    wait_led(nodes)
    crowd = Crowd(nodes, "position", pause_s=0.001)
    crowd.wait_for(100)
    path = f"/v1/metrics/top?n=1&from={begin}&to={begin + 600_000}"
    seen, position = 0, ""
    for turn in range(60):
        answer = nodes[turn % 3].get(path, **({"Clickmill-Position": position} if position else {}))
        check_equal(f"turn {turn} ({answer})", answer.status, 200)
        position = answer.headers["clickmill-position"]
        now = answer.json()["total"]["click_count"]
        check(now >= seen, f"turn {turn}: {now} after {seen}")
        check("stale" not in answer.json(), answer)
        seen = now
    crowd.end()
    for wrong in ("x", "4:1", "0:-1", "0:1,"):
        answer = nodes[0].get(path, **{"Clickmill-Position": wrong})
        check_equal(f"{wrong} ({answer})", (answer.status, answer.json()["field"]), (400, "Clickmill-Position"))
    ahead = nodes[0].get(path, **{"Clickmill-Position": "0:99999999"})
    check_equal(f"a position that nobody has ({ahead})", ahead.status, 503)
    nodes[0].kill()
    nodes[1].kill()
    wait_until("the last one says that it may be behind", lambda: nodes[2].get(path).json().get("stale"))


def level(node):
    return cluster(node)["feature_level"]


def test_three_nodes_upgraded(context):
    """nodes started again one after the other under load; the level is held, is let go, rises after a minute, and stays"""
    nodes = make(context, {"log": {"partitions": 4}, "cluster": {"hold_feature_level": 1}})
    begin = minute_begin()
    start(nodes)
    wait_led(nodes)
    crowd = Crowd(nodes, "upgraded", pause_s=0.02)
    for at, node in enumerate(nodes):
        crowd.wait_for(50)
        crowd.away.add(at)
        node.stop()
        node.start()
        crowd.away.discard(at)
        wait_led(nodes)
    held = wait_until("each to be seen to hold it", lambda: (lambda seen: seen if len(seen["waits_for"]) == 3 and all(
        "holds it at 1 (cluster.hold_feature_level)" == each["why"] for each in seen["waits_for"]) else None)(
            level(nodes[0])))
    check_equal("level", (held["level"], held["next"]), (1, 2))
    check_equal("levels", [node["feature_levels"] for node in cluster(nodes[1])["nodes"]],
                [{"lowest": 1, "highest": 2, "held_at": 1}] * 3)
    for node in nodes:
        node.config["cluster"] = {**node.config["cluster"], "hold_feature_level": 0}
        node.write_config()
        node.process.send_signal(signal.SIGHUP)
    wait_until("a level that rises", lambda: all(level(node)["level"] == 2 for node in nodes), timeout_s=120)
    check_equal("nothing to wait for", level(nodes[2]), {"level": 2, "next": None, "waits_for": []})
    crowd.wait_for(50)
    crowd.end()
    wait_counted(nodes, crowd, begin)
    wait_equal(nodes)
    for node in nodes:
        node.kill()
    start(nodes)
    wait_until("the level again", lambda: all(level(node)["level"] == 2 for node in nodes))


def test_three_nodes_earlier_version(context):
    """from the version in CLICKMILL_EARLIER to this one, back, and on again, a node at a time under load"""
    earlier = os.environ.get("CLICKMILL_EARLIER")
    if not earlier:
        return context.say("CLICKMILL_EARLIER names no binary: left out")
    nodes = make(context, {"log": {"partitions": 4}})
    now = nodes[0].binary

    def install(at, binary):
        crowd.wait_for(30)
        crowd.away.add(at)
        nodes[at].stop()
        nodes[at].binary = binary
        nodes[at].start()
        crowd.away.discard(at)
        wait_led(nodes)

    for node in nodes:
        node.binary = earlier
    begin = minute_begin()
    start(nodes)
    wait_led(nodes)
    crowd = Crowd(nodes, "earlier", pause_s=0.02)
    install(0, now)
    install(1, now)
    waits = wait_until("n3 to be waited for", lambda: level(nodes[0])["waits_for"])
    check({"node_id": "n3", "why": "runs 1 at most"} in waits, waits)
    install(0, earlier)
    install(1, earlier)
    for at in range(3):
        install(at, now)
    wait_until("a level that rises", lambda: all(level(node)["level"] == 2 for node in nodes), timeout_s=120)
    # Now it can't go back: it says so, keeps what it answers, and counts it when it is right again.
    crowd.away.add(2)
    nodes[2].stop()
    nodes[2].binary = earlier
    nodes[2].spawn()
    line = "runs feature level 1, and the cluster is at 2"
    for at in (0, 2):
        wait_until("a line about the level", lambda: line in nodes[at].log_since_start())
    check(any(line in warning for warning in nodes[0].get("/readyz").json()["warnings"]), nodes[0].get("/readyz").json())
    wait_led(nodes[:2], by=nodes[:2])
    crowd.away.discard(2)
    crowd.wait_for(200)
    install(2, now)
    crowd.end()
    wait_counted(nodes, crowd, begin)
    wait_equal(nodes)
