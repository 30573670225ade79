"""A cluster of five with three copies of each partition: any node takes any click and any question."""

import json
import threading

from harness import check, check_equal, iso, now_ms, wait_until
from three_nodes import Crowd, cluster, make, start, wait_counted, wait_led

PARTITIONS = 10
CHANGES = {"log": {"partitions": PARTITIONS}, "collector": {"default_redirect": "https://example.com/"}}


def make_five(context, count=5):
    return make(context, CHANGES, [context.node({"node_id": f"n{number + 1}"}, start=False)
                                   for number in range(count)])


def minute_begin():
    return now_ms() // 60_000 * 60_000


def wait_copies_equal(nodes):
    """Until the three copies of each partition have applied the same, which must have come out the same."""
    def copies():
        out = {}
        for node in nodes:
            for partition in cluster(node)["partitions"]:
                if partition["here"]:
                    out.setdefault(partition["partition"], []).append(
                        (partition["committed_offset"], partition["applied_offset"], partition["digest"]["offset"],
                         partition["digest"]["value"]))
        return out

    def equal():
        return all(len(of) == 3 and all(c == a for c, a, _, _ in of) and len({each[0] for each in of}) == 1
                   for of in copies().values())

    wait_until("equal copies", equal, 60)
    for partition, of in copies().items():
        check_equal(f"digests of partition {partition}", len(set(of)), 1)


def answers(node, begin, end, logs):
    """What it says to the questions that advertisers and operators ask, with their tags."""
    out = {}
    for query in (f"clicks?ad_id=ad_7&granularity=1m&from={begin}&to={end}",
                  f"clicks?advertiser_id=adv_1&granularity=1m&from={begin}&to={end}&breakdown=device_type",
                  f"clicks?advertiser_id=adv_1&granularity=total&from={begin}&to={end}",
                  f"clicks?advertiser_id=adv_1&granularity=1d&timezone=Asia/Kolkata&from={begin}&to={end}",
                  f"clicks?advertiser_id=*&granularity=total&from={begin}&to={end}",
                  f"top?n=50&from={begin}&to={end}", f"top?n=5&country=DE&from={begin}&to={end}"):
        answer = node.get(f"/v1/metrics/{query}")
        check(answer.status == 200, f"{query}: {answer}")
        body = answer.json()
        del body["as_of"]
        out[query] = body
    for partition in range(PARTITIONS if logs else 0):
        answer = node.get(f"/v1/log/raw-clicks/{partition}?limit=100000")
        check(answer.status == 200, f"raw clicks of {partition}: {answer}")
        out[f"log {partition}"] = answer.body
    out["extents"] = [(item["partition"], item["committed_offset"])
                      for item in node.get("/v1/log/raw-clicks").json()["data"]]
    out["review"] = node.get("/v1/review?limit=1000").json()
    out["decisions"] = node.get(f"/v1/review/decisions?from={begin - 3_600_000}").json()
    return out


def check_same_answers(nodes, begin, logs=True):
    end = begin + 600_000
    def same():
        first = answers(nodes[0], begin, end, logs)
        return next((f"{node.config['node_id']}: {what}" for node in nodes[1:]
                     for what, said in answers(node, begin, end, logs).items() if said != first[what]), None)
    # A minute may have become complete meanwhile.
    different = []
    def agree():
        different[:] = [same()]
        return different[0] is None
    try:
        wait_until("one answer", agree, 20, 0.2)
    finally:
        check_equal("another answer", different, [None])


def test_five_nodes_agree(context):
    """each partition is on three of five nodes; clicks of everything are taken at each, counted once, and each gives the same answers"""
    nodes = make_five(context)
    begin = minute_begin()
    start(nodes)
    wait_led(nodes)
    held = {node.config["node_id"]: 0 for node in nodes}
    for node in nodes:
        for partition in cluster(node)["partitions"]:
            check_equal(f"placed: {partition}", len(partition["placed"]), 3)
            check_equal(f"voters: {partition}", sorted(partition["voters"]), sorted(partition["placed"]))
            held[node.config["node_id"]] += partition["here"]
    check_equal("partitions on each node", set(held.values()), {PARTITIONS * 3 // 5})
    crowd = Crowd(nodes, "calm")
    crowd.wait_for(2000)
    crowd.end()
    check_equal("unanswered", crowd.unanswered, 0)
    wait_counted(nodes, crowd, begin)
    # Late ones, of partitions that are anywhere.
    late = [{"click_id": f"late-{i}", "ad_id": f"ad_{i}", "timestamp_ms": begin - 1_800_000, "country": "DE",
             "device_type": "tablet"} for i in range(50)]
    sent = nodes[3].request("POST", "/v1/clicks", "".join(json.dumps(click) + "\n" for click in late))
    check_equal("accepted", sent.json()["accepted"], 50)
    for node in nodes:
        wait_until("all in review", lambda: len(node.get("/v1/review?limit=1000").json()["data"]) == 50)
    wait_copies_equal(nodes)
    check_same_answers(nodes, begin)
    for node, click in zip(nodes, nodes[0].get("/v1/review?limit=5").json()["data"]):
        done = node.request("POST", f"/v1/review/{click['id']}", '{"decision":"accept"}')
        check_equal(f"accepted: {done}", done.status, 200)
        again = nodes[0].request("POST", f"/v1/review/{click['id']}", '{"decision":"reject"}')
        check_equal(f"the first decision stands: {again}", again.status, 409)
    done = nodes[2].request("POST", "/v1/review?reason=late", '{"decision":"reject"}')
    check_equal(f"all decided: {done}", (done.status, done.json()["decided"]), (200, 45))
    check_equal("what was accepted", nodes[4].total(begin - 1_860_000, begin - 1_740_000), 5)
    wait_copies_equal(nodes)
    check_same_answers(nodes, begin)
    # A tag of one node is the other's too.
    query = f"/v1/metrics/top?n=50&from={iso(begin - 3_600_000)}&to={iso(begin - 600_000)}"
    tag = nodes[0].get(query).headers["etag"]
    check_equal("not modified", nodes[1].get(query, **{"If-None-Match": tag}).status, 304)
    position = nodes[0].get(query).headers["clickmill-position"]
    check_equal("a position is met", nodes[1].get(query, **{"Clickmill-Position": position}).status, 200)


def test_five_nodes_wait_at_tail(context):
    """a reader that waits at a partition's tail hears of the next click at a node that doesn't hold it"""
    nodes = make_five(context)
    start(nodes)
    wait_led(nodes)
    apart = [partition["partition"] for partition in cluster(nodes[0])["partitions"] if not partition["here"]]
    ids = {}
    nodes[1].request("POST", "/v1/clicks", "".join(
        json.dumps({"click_id": f"t-{i}", "ad_id": f"ad_{i}", "timestamp_ms": now_ms()}) + "\n" for i in range(50)))
    for number in apart:
        def first_line():
            lines = nodes[0].get(f"/v1/log/raw-clicks/{number}").body.splitlines()
            return lines and json.loads(lines[-1])
        wait_until("clicks of each partition", first_line)
        ids[number] = first_line()
    number, last = next(iter(ids.items()))
    heard = []
    reader = threading.Thread(target=lambda: heard.append(nodes[0].get(
        f"/v1/log/raw-clicks/{number}?offset={last['offset'] + 1}&wait_ms=20000")))
    reader.start()
    sent = nodes[2].request("POST", "/v1/clicks", json.dumps(
        {"click_id": "next", "ad_id": last["ad_id"], "timestamp_ms": now_ms()}) + "\n")
    check_equal(f"sent: {sent}", sent.json()["accepted"], 1)
    reader.join()
    check_equal("what it heard", [json.loads(line)["click_id"] for line in heard[0].body.splitlines()], ["next"])


def test_five_nodes_killed(context):
    """kill -9 of one node, then of two at once: the others redirect, count what has a quorum, answer or name what they can't; all is counted once in the end"""
    nodes = make_five(context)
    begin = minute_begin()
    start(nodes)
    wait_led(nodes)
    crowd = Crowd(nodes, "killed")
    crowd.wait_for(300)
    crowd.away.add(0)
    nodes[0].kill()
    rest = nodes[1:]
    wait_led(rest, by=rest)
    crowd.wait_for(300)
    # Everything is answered still.
    for node in rest:
        check(node.total(begin, now_ms() + 60_000) > 0, "nothing is counted")
    nodes[0].start()
    crowd.away.discard(0)
    wait_led(nodes)
    crowd.wait_for(300)
    crowd.away.update({1, 2})
    nodes[1].kill()
    nodes[2].kill()
    crowd.wait_for(300)
    alive = [nodes[0], nodes[3], nodes[4]]
    kept = {"n1", "n4", "n5"}
    for partition in cluster(nodes[0])["partitions"]:
        check(kept & set(partition["placed"]), f"two took all copies of {partition}")

    def leaders_where_there_is_a_quorum():
        return all((partition["leader"] in kept) or len(kept & set(partition["placed"])) < 2
                   for node in alive for partition in cluster(node)["partitions"])

    wait_until("leaders where there is a quorum", leaders_where_there_is_a_quorum)
    for node in alive:
        answer = node.get(f"/v1/metrics/top?n=1&from={begin}&to={now_ms() + 60_000}")
        # One copy is left of some, which may be behind and says so.
        check_equal(f"an answer of what is left: {answer}", answer.status, 200)
    crowd.end()
    nodes[1].start()
    nodes[2].start()
    for node in nodes:
        node.wait_spool_empty()
    wait_counted(nodes, crowd, begin)
    wait_copies_equal(nodes)
    check_same_answers(nodes, begin)
    # With three gone some partitions have no copy that answers: they are named.
    for node in nodes[2:]:
        node.kill()
    gone = [partition["partition"] for partition in cluster(nodes[0])["partitions"]
            if set(partition["placed"]) <= {"n3", "n4", "n5"}]
    check(gone, "there is a partition of these three")

    def named():
        answer = nodes[0].get(f"/v1/metrics/top?n=1&from={begin}&to={now_ms() + 60_000}")
        return answer.status == 503 and f"{gone[0]}" in answer.json()["detail"] and answer
    wait_until("a refusal that names what can't be had", named)


def with_peers(nodes, all_nodes):
    """These nodes started again, one after the other, with all of those in their configs."""
    peers = [{"node_id": node.config["node_id"], "peer": node.config["listen"]["peer"],
              "api": node.config["listen"]["api"]} for node in all_nodes]
    for node in nodes:
        node.stop()
        node.config["cluster"] = {**node.config["cluster"], "peers": peers}
        node.start()
    return peers


def run(context, node, *words, timeout_s=150):
    sure = [] if words[0] in ("add", "replication") else ["--yes"]
    return context.run("cluster", *words, "--config", str(node.config_path), *sure, timeout_s=timeout_s)


def wait_placed(nodes):
    """Until each partition is on three nodes, those that it is placed on, and nothing is left elsewhere."""
    def placed():
        for node in nodes:
            for partition in cluster(node)["partitions"]:
                if sorted(partition["voters"]) != sorted(partition["placed"]) or partition["learners"]:
                    return False
                if partition["here"] != (node.config["node_id"] in partition["placed"]):
                    return False
        return True

    wait_until("partitions where they are placed", placed, 90, 0.2)


def test_five_nodes_come_and_go(context):
    """a fifth node takes its share of four nodes' partitions under load, and when it is gone for good the others have three copies again"""
    nodes = make_five(context, 4)
    begin = minute_begin()
    start(nodes)
    wait_led(nodes)
    crowd = Crowd(nodes, "grow")
    crowd.wait_for(500)
    crowd.end()
    wait_counted(nodes, crowd, begin)
    fifth = context.node({"node_id": "n5"}, start=False)
    fifth.config = {**nodes[0].config, **{key: fifth.config[key] for key in ("node_id", "data_dir", "listen")}}
    five = [*nodes, fifth]
    peers = with_peers(nodes, five)
    fifth.config["cluster"] = {**nodes[0].config["cluster"], "peers": peers}
    fifth.spawn()
    wait_until("n5 is there", lambda: any(item["node_id"] == "n5" and item["state"] == "up"
                                          for item in cluster(nodes[0])["nodes"]))
    second = Crowd(nodes, "grows")
    second.wait_for(100)
    added = run(context, nodes[0], "add", "n5")
    check_equal(f"add: {added}", added.returncode, 0)
    wait_placed(five)
    fifth.wait_ready()
    wait_until("equal shares", lambda: all(
        sum(partition["here"] for partition in cluster(node)["partitions"]) == PARTITIONS * 3 // 5 for node in five))
    second.end()
    crowd.answered |= second.answered
    crowd.unanswered += second.unanswered
    for node in five:
        node.wait_spool_empty()
    wait_counted(five, crowd, begin)
    wait_copies_equal(five)
    check_same_answers(five, begin)
    # The second goes for good.
    nodes[1].kill()
    left = [nodes[0], nodes[2], nodes[3], fifth]
    refused = run(context, nodes[0], "forget", "n2")
    check_equal(f"it is configured still: {refused}", refused.returncode, 2)
    with_peers(left, left)
    gone = run(context, nodes[0], "forget", "n2")
    check_equal(f"forget: {gone}", gone.returncode, 0)
    wait_placed(left)
    for node in left:
        node.wait_ready()
    check_equal("well", context.run("cluster", "status", "--config", str(nodes[0].config_path)).returncode, 0)
    wait_counted(left, crowd, begin)
    wait_copies_equal(left)
    # Who holds a partition for the second time has taken a state, behind which its raw log begins.
    check_same_answers(left, begin, logs=False)
    # A backup of what one of them holds is whole.
    copy = context.directory / "copy"
    made = context.run("backup", str(copy), "--config", str(nodes[0].config_path), timeout_s=120)
    check_equal(f"backup: {made}", made.returncode, 0)
    read = context.run("backup", "verify", str(copy), timeout_s=120)
    check_equal(f"verify: {read}", read.returncode, 0)
