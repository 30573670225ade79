"""How the agents of public lists are read. The lists are npm packages and stay there."""

import collections
import json
import os

import world
from harness import Skipped, check, now_ms, wait_until

AD = {"ad_id": "agents", "advertiser_id": "adv_1", "ad_format": "banner", "redirect_url": "https://shop.example.com/"}


def read_by_node(context, agents):
    """What a node makes of each agent: its line of the raw log."""
    node = context.node({"log": {"partitions": 1}})
    node.upload_ads([AD])
    for begin in range(0, len(agents), 10_000):
        lines = [json.dumps({"click_id": str(begin + i), "ad_id": AD["ad_id"], "timestamp_ms": now_ms(), "user_agent": agent})
                 for i, agent in enumerate(agents[begin:begin + 10_000])]
        answer = node.request("POST", "/v1/clicks", "\n".join(lines)).json()
        check(answer["accepted"] == len(lines), f"{answer['rejected'][:3]}")
    wait_until("all in the log", lambda: node.check_invariant()["received"] == len(agents))
    got = {}
    for line in node.get("/v1/log/raw-clicks/0?limit=1000000").body.splitlines():
        click = json.loads(line)
        got[int(click["click_id"])] = click
    return [got[i] for i in range(len(agents))]


def judge(context, what, wanted, share):
    """wanted: (agent, device). At least so great a share of them is read as wanted."""
    wanted = [(agent, device) for agent, device in wanted if len(agent.encode()) <= 8192]
    got = [click["device_type"] for click in read_by_node(context, [agent for agent, _ in wanted])]
    table = collections.Counter((device, seen) for (_, device), seen in zip(wanted, got))
    right = sum(count for (device, seen), count in table.items() if device == seen)
    context.say(f"{what}: {right} of {len(wanted)} as expected, {100 * right / len(wanted):.1f} %")
    for (device, seen), count in sorted(table.items()):
        context.say(f"  {device:8} read as {seen:8} {count:6}")
    check(right >= share * len(wanted), f"{what}: fewer than {share:.0%} are read as expected")


def package(name, file):
    return json.loads((world.npm(name) / "node_modules" / name.split("@")[0] / file).read_text())


def test_browsers_agents(context):
    """the agents of npm user-agents are read as it says itself"""
    agents = package("user-agents@2", "dist/user-agents.json")
    judge(context, "user-agents", [(entry["userAgent"], entry["deviceCategory"]) for entry in agents], 0.99)


def test_robots_agents(context):
    """the agents of npm crawler-user-agents are other"""
    robots = package("crawler-user-agents@1", "crawler-user-agents.json")
    judge(context, "crawler-user-agents", [(agent, "other") for robot in robots for agent in robot["instances"]], 0.97)


def test_robots_are_machines(context):
    """clicks with the agents of npm crawler-user-agents are flagged as machines', those of npm user-agents are not"""
    robots = [agent for robot in package("crawler-user-agents@1", "crawler-user-agents.json") for agent in robot["instances"]]
    people = [entry["userAgent"] for entry in package("user-agents@2", "dist/user-agents.json")]
    machines = [click["user_agent"] for click in read_by_node(context, robots) if "automated" in click]
    context.say(f"crawler-user-agents: {len(machines)} of {len(robots)} are machines")
    check(len(machines) >= 0.9 * len(robots), "fewer than 90 % are machines")
    flagged = [click["user_agent"] for click in read_by_node(context, people) if "automated" in click]
    check(not flagged, f"{len(flagged)} of {len(people)} people: {flagged[:5]}")


def test_agents_of_a_file(context):
    """the agents of the file CLICKMILL_AGENTS are read as it says: DEVICE, a tab, the agent"""
    path = os.environ.get("CLICKMILL_AGENTS")
    if path is None:
        raise Skipped("CLICKMILL_AGENTS names no file")
    with open(path, encoding="utf-8") as file:
        wanted = [line.rstrip("\n").split("\t", 1)[::-1] for line in file]
    judge(context, path, wanted, 0.93)
