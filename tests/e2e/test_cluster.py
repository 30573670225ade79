"""GET /v1/cluster of a node alone."""

import json
import re

from harness import NoAnswer, check, check_equal, now_ms, wait_until

AD = {"ad_id": "one", "advertiser_id": "adv_1", "ad_format": "banner", "redirect_url": "https://example.com/one"}
MEMBERS = {"partition", "leader", "voters", "learners", "term", "committed_offset", "applied_offset", "log_time", "low_water", "digest", "catching_up"}


def cluster(node):
    answer = node.get("/v1/cluster")
    check_equal(f"/v1/cluster ({answer})", answer.status, 200)
    return answer.json()


def check_shape(state, partitions, led=True):
    check_equal("node", state["node_id"], "n7")
    check_equal("nodes", [(item["node_id"], item["state"]) for item in state["nodes"]], [("n7", "up")])
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", state["nodes"][0]["last_seen"]), state["nodes"])
    check_equal("partitions", [item["partition"] for item in state["partitions"]], list(range(partitions)))
    for item in state["partitions"]:
        check_equal("members", set(item), MEMBERS)
        # A start has no leader before its vote is synced.
        check(item["leader"] == "n7" or not led and item["leader"] is None, item)
        check(item["term"] >= 1 and item["applied_offset"] <= item["committed_offset"], item)
        check(re.fullmatch("[0-9a-f]{16}", item["digest"]["value"]), item)
        check(item["digest"]["offset"] <= item["applied_offset"], item)


def digests(node):
    return [item["digest"] for item in cluster(node)["partitions"]]


def test_cluster_of_one(context):
    """the cluster page of a node alone shows offsets and digests, which a kill and a replay don't change"""
    node = context.node({"node_id": "n7", "log": {"partitions": 2}, "stream": {"checkpoint_interval_s": 3600}})
    node.upload_ads([AD])
    check_shape(cluster(node), 2)
    for batch in range(5):
        body = "".join(json.dumps({"click_id": f"{batch}-{number}", "ad_id": "one", "timestamp_ms": now_ms()}) + "\n"
                       for number in range(4000))
        check_equal("bulk", node.request("POST", "/v1/clicks", body).status, 202)
    node.wait_spool_empty()
    applied = lambda: all(item["applied_offset"] == item["committed_offset"] for item in cluster(node)["partitions"])
    wait_until("everything applied", applied)
    check_shape(cluster(node), 2)
    before = digests(node)
    check(max(digest["offset"] for digest in before) >= 4095, f"no digest after 20,000 clicks: {before}")

    node.kill()
    node.spawn()
    asked_early = 0

    def ready():
        nonlocal asked_early
        try:
            is_ready = node.get("/readyz").status == 200
            state = cluster(node)
        except NoAnswer:
            check(node.alive(), node.log_tail())
            return False
        check_shape(state, 2, led=is_ready)
        asked_early += not is_ready
        return is_ready

    wait_until("readiness", ready, interval_s=0)
    node.wait_spool_empty()
    wait_until("everything applied", applied)
    for old, new in zip(before, digests(node)):
        # Resends may have brought the log past a further multiple.
        check(new["offset"] > old["offset"] or new == old, f"digest {new}, before the kill {old}")
    context.say(f"answered {asked_early} times while replaying")
