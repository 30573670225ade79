"""Nodes of a cluster with more nodes than copies leave it, are replaced and drained, under load and kills."""

import shutil
import subprocess

from harness import NoAnswer, check, check_equal, iso, now_ms, wait_until
from test_five_nodes import check_same_answers, make_five, minute_begin, run, wait_copies_equal, wait_placed, with_peers
from test_cluster_commands import reasons
from three_nodes import Crowd, cluster, leaders, start, wait_counted, wait_led


def begin_command(context, node, *words):
    """A command that goes on beside the test."""
    log = open(context.directory / "command.txt", "ab")
    return subprocess.Popen([context.binary, "cluster", *words, "--config", str(node.config_path), "--yes"],
                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=context.directory)


def said(context):
    return (context.directory / "command.txt").read_text()


def wait_end(context, command):
    wait_until("the command's end", lambda: command.poll() is not None, 150, 0.1)
    check_equal(f"the command: {said(context)}", command.returncode, 0)


def sixth(context, nodes, name):
    """A fresh node that knows what these know."""
    node = context.node({"node_id": name}, start=False)
    node.config = {**nodes[0].config, **{key: node.config[key] for key in ("node_id", "data_dir", "listen")}}
    return node


def wait_up(node, name):
    wait_until(f"{name} is there", lambda: any(item["node_id"] == name and item["state"] == "up"
                                               for item in cluster(node)["nodes"]))


def places(node, name, place):
    return sum(name in partition[place] for partition in cluster(node)["partitions"])


def die_for_good(crowd, nodes, at):
    """Killed, with nothing in its spool that only it had."""
    crowd.away.add(at)
    nodes[at].wait_spool_empty()
    nodes[at].kill()


def check_end(context, nodes, crowd, begin):
    """Each partition on its three, well, and every answered click counted once, in the same way everywhere."""
    wait_placed(nodes)
    for node in nodes:
        node.wait_ready()
        node.wait_spool_empty()
    wait_until("all is well", lambda: context.run("cluster", "status", "--config", str(nodes[0].config_path)).returncode == 0)
    wait_counted(nodes, crowd, begin)
    wait_copies_equal(nodes)
    check_same_answers(nodes, begin, logs=False)


def test_five_nodes_replace_killed(context):
    """a dead node of five is replaced under load, with kill -9 of the newcomer, of a member and of the command on the way"""
    nodes = make_five(context)
    begin = minute_begin()
    start(nodes)
    wait_led(nodes)
    fresh = sixth(context, nodes, "n6")
    crowd = Crowd([*nodes, fresh], "replace", away={5})
    crowd.wait_for(500)
    die_for_good(crowd, nodes, 1)
    left = [nodes[0], *nodes[2:]]
    now = [*left, fresh]
    for node in left:
        crowd.away.add(nodes.index(node))
        peers = with_peers([node], now)
        crowd.away.discard(nodes.index(node))
    fresh.config["cluster"] = {**nodes[0].config["cluster"], "peers": peers}
    early = run(context, nodes[0], "replace", "n2", "n6")
    check_equal(f"nobody is there yet: {early}", early.returncode, 2)
    check("n6 does not answer" in early.stderr, early)
    fresh.spawn()
    wait_up(nodes[0], "n6")
    command = begin_command(context, nodes[0], "replace", "n2", "n6")
    wait_until("the newcomer learns", lambda: places(nodes[2], "n6", "learners") + places(nodes[2], "n6", "voters"))
    fresh.kill()
    command.kill()
    command.wait()
    crowd.wait_for(200)
    fresh.spawn()
    wait_up(nodes[0], "n6")
    command = begin_command(context, nodes[2], "replace", "n2", "n6")
    wait_until("it votes somewhere", lambda: places(nodes[2], "n6", "voters"))
    crowd.away.add(3)
    nodes[3].kill()
    crowd.wait_for(200)
    nodes[3].start()
    crowd.away.discard(3)
    wait_end(context, command)
    for node in now:
        check_equal("its place", [places(node, "n2", place) for place in ("voters", "learners", "placed")], [0, 0, 0])
    fresh.wait_ready()
    crowd.away.discard(5)
    crowd.wait_for(300)
    crowd.end()
    check_end(context, now, crowd, begin)
    # Any two may be gone for a moment again: each partition has three.
    nodes[0].kill()
    wait_led(now[1:], by=now[1:])


def test_five_nodes_forgotten_to_three(context):
    """five nodes become four and then three under load and kills, each partition with three copies; fewer than copies are refused"""
    nodes = make_five(context)
    begin = minute_begin()
    start(nodes)
    wait_led(nodes)
    crowd = Crowd(nodes, "forget")
    crowd.wait_for(500)
    for at, hit in ((4, 0), (3, 1)):
        die_for_good(crowd, nodes, at)
        left = nodes[:at]
        for number, node in enumerate(left):
            crowd.away.add(number)
            before = node.total(begin, now_ms() + 60_000)
            with_peers([node], left)
            # It is to hold what the others, who have not been told yet, don't give it: it asks them.
            after = node.total(begin, now_ms() + 60_000)
            check(after >= before, f"n{number + 1} counts {after} where it has counted {before}")
            crowd.away.discard(number)
        crowd.wait_for(100)
        held = places(left[-1], f"n{at + 1}", "voters")
        command = begin_command(context, left[-1], "forget", f"n{at + 1}")
        # By then the command has seen all that are left: with one of them dead it would refuse.
        wait_until("it leaves", lambda: places(left[-1], f"n{at + 1}", "voters") < held or command.poll() is not None)
        crowd.away.add(hit)
        nodes[hit].kill()
        crowd.wait_for(100)
        nodes[hit].start()
        crowd.away.discard(hit)
        wait_end(context, command)
        wait_placed(left)
        crowd.wait_for(200)
    crowd.end()
    check_end(context, nodes[:3], crowd, begin)
    # Two nodes can't have three copies: the config says so before anything is done.
    nodes[0].stop()
    nodes[0].config["cluster"]["peers"] = nodes[0].config["cluster"]["peers"][:2]
    nodes[0].write_config()
    refused = context.run("check-config", str(nodes[0].config_path))
    check(refused.returncode != 0 and "3 copies of each partition, but cluster.peers names 2 nodes" in refused.stderr, refused)


def test_five_nodes_drained(context):
    """a node of five is drained under load while another is killed; killed itself it is as before; refused where partitions would stand"""
    nodes = make_five(context)
    begin = minute_begin()
    start(nodes)
    wait_led(nodes)
    crowd = Crowd(nodes, "drain")
    crowd.wait_for(300)
    command = begin_command(context, nodes[0], "drain", "n2")
    wait_until("it is drained", lambda: any("drained" in reason for reason in reasons(nodes[1])))
    crowd.away.add(3)
    nodes[3].kill()
    crowd.wait_for(200)
    nodes[3].start()
    crowd.away.discard(3)
    crowd.away.add(1)
    wait_end(context, command)
    wait_led(nodes, by=[nodes[0], *nodes[2:]])
    # Killed, it is a member as before once it is started.
    nodes[1].kill()
    crowd.wait_for(200)
    nodes[1].start()
    crowd.away.discard(1)
    crowd.wait_for(200)
    # With two gone the third of their partitions is needed.
    placed = [set(partition["placed"]) for partition in cluster(nodes[0])["partitions"]]
    needed = next(name for name in ("n1", "n2", "n3") if any({name, "n4"} <= of for of in placed))
    crowd.away.add(3)
    nodes[3].kill()
    other = next(node for node in nodes[:3] if node.config["node_id"] != needed)
    wait_until("it is missed", lambda: any(item["node_id"] == "n4" and item["state"] != "up" for item in cluster(other)["nodes"]))
    refused = run(context, other, "drain", needed)
    check_equal(f"needed: {refused}", refused.returncode, 2)
    check("would have no quorum" in refused.stderr, refused)
    nodes[3].start()
    crowd.away.discard(3)
    crowd.wait_for(200)
    crowd.end()
    check_end(context, nodes, crowd, begin)


def is_there(node):
    try:
        return node.get("/healthz").status == 200
    except NoAnswer:
        return False


def force(context, node, *words):
    return context.run("recover", "--force-quorum", "--config", str(node.config_path), *words, timeout_s=60)


def check_refused(what, done, word):
    check_equal(f"{what}: {done}", done.returncode, 2)
    check(word in done.stderr, f"{what}: {done}")


def test_five_nodes_forced(context):
    """three of five are gone: two go on together by force, what nobody has begins empty only when told to; one comes back with its clicks, two as empty disks"""
    nodes = make_five(context)
    begin = minute_begin()
    start(nodes)
    wait_led(nodes)
    crowd = Crowd(nodes, "before")
    crowd.wait_for(500)
    crowd.end()
    for node in nodes:
        node.wait_spool_empty()
    wait_copies_equal(nodes)
    placed = {partition["partition"]: set(partition["placed"]) for partition in cluster(nodes[0])["partitions"]}
    gone = [number for number, of in placed.items() if of <= {"n3", "n4", "n5"}]
    check(gone, "there is a partition of these three")
    # With nothing on its way: their disks will be gone, and what two of three copies have committed
    # is lost with these two until the third has it.
    nodes[3].kill()
    nodes[4].kill()
    second = Crowd(nodes, "after", away={3, 4})
    second.wait_for(300)
    second.away.add(2)
    nodes[2].kill()
    second.wait_for(200)
    second.away.update({0, 1})
    left = nodes[:2]
    nodes[0].stop()
    check_refused("alone", force(context, nodes[0]), f"answers at http://127.0.0.1:{nodes[1].api_port}")
    nodes[1].stop()
    check_refused("alone", force(context, nodes[0]), "--survey")
    surveys = [context.directory / f"{node.config['node_id']}.json" for node in left]
    with_all = [word for path in surveys for word in ("--with", str(path))]
    # A survey of what was once is none.
    check_equal("survey", force(context, nodes[0], "--survey", str(surveys[0])).returncode, 0)
    check_equal("survey", force(context, nodes[1], "--survey", str(surveys[1])).returncode, 0)
    for node in left:
        node.spawn()
    wait_until("they lead what they can", lambda: all(is_there(node) for node in left) and any(leaders(nodes[0])))
    for node in left:
        node.stop()
    check_refused("as it was", force(context, nodes[0], *with_all, "--begin-empty", "--yes"), "is not as its survey says")
    check_equal("survey", force(context, nodes[1], "--survey", str(surveys[1])).returncode, 0)
    made = force(context, nodes[0], "--survey", str(surveys[0]))
    check_equal(f"survey: {made}", made.returncode, 0)
    check("6 of 10 partitions" in made.stdout, made)
    check_refused("without its own", force(context, nodes[0], "--with", str(surveys[1])), "no survey of n1")
    check_refused("all that is counted there", force(context, nodes[0], *with_all, "--yes"), f"{gone[0]}")
    plan = force(context, nodes[0], *with_all, "--begin-empty")
    check_equal(f"the plan: {plan}", plan.returncode, 2)
    for word in ("n1 and n2 go on in epoch 2", "Left behind: n3 and n4 and n5", f"partition {gone[0]}: no copy is left",
                 "goes on from the copy of", "Nothing was changed"):
        check(word in plan.stdout, f"{word}: {plan.stdout}")
    for node in (*left, nodes[1]):
        done = force(context, node, *with_all, "--begin-empty", "--yes")
        check_equal(f"by force: {done}", done.returncode, 0)
    check("is in that epoch already" in done.stdout, done)
    for node in left:
        node.spawn()
    wait_until("they are there", lambda: all(is_there(node) for node in left))
    wait_led(left, by=left)
    for node in left:
        node.wait_spool_empty()
    second.away.difference_update({0, 1})
    second.wait_for(200)
    # One comes back of the old epoch: it is refused, and joins anew with what it had.
    nodes[2].spawn()
    wait_until("it says that it was left behind",
               lambda: any("cluster rejoin" in reason for reason in reasons(nodes[2])))
    check_equal("who was left behind leads", [name for name in leaders(nodes[2]) if name == "n3"], [])
    nodes[2].stop()
    done = context.run("cluster", "rejoin", "--config", str(nodes[2].config_path), "--yes", timeout_s=60)
    check_equal(f"rejoin: {done}", done.returncode, 0)
    nodes[2].spawn()
    # The disks of two are gone.
    for node in nodes[3:]:
        shutil.rmtree(node.data_dir)
        node.spawn()
    for node in nodes:
        node.wait_ready(90)
    second.away.clear()
    second.wait_for(200)
    second.end()
    crowd.answered |= second.answered
    crowd.unanswered += second.unanswered
    check_end(context, nodes, crowd, begin)
    nodes[0].kill()
    nodes[1].kill()


def test_five_nodes_restored(context):
    """all five are lost: a backup of each, made at different times, brings back every partition, each from its newest copy"""
    nodes = make_five(context)
    begin = minute_begin()
    start(nodes)
    wait_led(nodes)
    crowd = Crowd(nodes, "backups")
    crowd.wait_for(300)
    copies = []
    for node in nodes[:4]:
        copies.append(context.directory / f"copy-{node.config['node_id']}")
        made = context.run("backup", str(copies[-1]), "--config", str(node.config_path), timeout_s=120)
        check_equal(f"backup: {made}", made.returncode, 0)
        crowd.wait_for(100)
    crowd.end()
    for node in nodes:
        node.wait_spool_empty()
    wait_copies_equal(nodes)
    # The last one has all that its partitions have; of the others what was committed there until then.
    copies.append(context.directory / "copy-n5")
    check_equal("backup", context.run("backup", str(copies[-1]), "--config", str(nodes[4].config_path),
                                      timeout_s=120).returncode, 0)
    counted = nodes[0].total(begin, now_ms() + 60_000)
    for node in nodes:
        node.kill()
        node.data_dir.rename(node.directory / "old")
    other = context.run("restore", str(copies[1]), "--config", str(nodes[0].config_path), "--new-cluster", timeout_s=60)
    check_refused("of another node", other, "the backup is of node n2, the config of n1")
    surveys = []
    for node, copy in zip(nodes, copies):
        restored = context.run("restore", str(copy), "--config", str(node.config_path), "--new-cluster", timeout_s=60)
        check_equal(f"restore: {restored}", restored.returncode, 0)
        check("--survey OUT on each" in restored.stdout, restored)
        surveys += ["--with", str(context.directory / f"{node.config['node_id']}.json")]
        made = force(context, node, "--survey", surveys[-1])
        check_equal(f"survey: {made}", made.returncode, 0)
    # Of one of them alone some partitions are missing.
    check_refused("one alone", force(context, nodes[0], *surveys[:2], "--yes"), "no copy is left of partition")
    for node in nodes:
        done = force(context, node, *surveys, "--yes")
        check_equal(f"begun: {done}", done.returncode, 0)
    check("0 of 11 groups" in done.stdout, done)
    start(nodes, 90)
    wait_led(nodes)
    wait_placed(nodes)
    for node in nodes:
        node.wait_spool_empty()
    wait_copies_equal(nodes)
    there = nodes[0].total(begin, now_ms() + 60_000)
    check(0 < there <= counted, f"{there} of {counted}")
    # Nothing is given a place that something else had.
    for partition in cluster(nodes[0])["partitions"]:
        check(partition["committed_offset"] > 2 ** 32, partition)
    # Old disks are found: each joins with every click that it has, and then all is there.
    lacking = [set(partition["placed"]) for partition in cluster(nodes[0])["partitions"] if "n5" not in partition["placed"]]
    for at in range(4):
        if not any(f"n{at + 1}" in of for of in lacking):
            continue
        lacking = [of for of in lacking if f"n{at + 1}" not in of]
        nodes[at].kill()
        nodes[at].data_dir.rename(nodes[at].directory / "restored")
        (nodes[at].directory / "old").rename(nodes[at].data_dir)
        done = context.run("cluster", "rejoin", "--config", str(nodes[at].config_path), "--yes", timeout_s=60)
        check_equal(f"rejoin: {done}", done.returncode, 0)
        nodes[at].start(90)
        wait_led(nodes)
        wait_placed(nodes)
    check_end(context, nodes, crowd, begin)


def test_five_nodes_recount(context):
    """a recount of five nodes judges every copy, says which it has, and whom to ask; the metrics of partitions add up to every click once"""
    nodes = make_five(context)
    begin = minute_begin()
    start(nodes)
    wait_led(nodes)
    crowd = Crowd(nodes, "recount")
    crowd.wait_for(500)
    crowd.end()
    for node in nodes:
        node.wait_spool_empty()
    wait_copies_equal(nodes)
    span = f"from={iso(begin)}&to={iso(begin + 600_000)}"
    held = {partition["partition"] for partition in cluster(nodes[0])["partitions"] if partition["here"]}
    refusals = set()
    for number in range(50):
        answer = nodes[0].request("POST", f"/v1/recounts?{span}&ad_id=ad_{number}")
        if answer.status == 202:
            wait_until("its end", lambda: nodes[0].get(answer.headers["location"]).json()["state"] == "done")
            check(nodes[0].get(answer.headers["location"]).json()["partition_ids"][0] in held, answer)
        else:
            check_equal(f"{answer}", answer.status, 421)
            refusals.add(answer.json()["detail"])
    check(refusals and all("which this node doesn't hold: ask n" in text for text in refusals), refusals)
    times = ("--from", iso(begin), "--to", iso(begin + 600_000))
    whole = context.run("recount", "--cluster", str(nodes[0].config_path), *times, timeout_s=120)
    check_equal(f"all copies: {whole}", (whole.returncode, whole.stdout), (0, ""))
    check_equal(f"each node: {whole.stderr}", whole.stderr.count(" 0 differ"), 5)
    one = context.run("recount", "--cluster", str(nodes[0].config_path), *times, "--ad", "ad_7", timeout_s=120)
    check_equal(f"of one ad: {one}", (one.returncode, one.stderr.count(" 0 differ")), (0, 3))
    series = {}
    for node in nodes:
        for line in node.get("/metrics").body.decode().splitlines():
            if line.startswith("clickmill_partition_clicks_counted_total{"):
                name, value = line.rsplit(" ", 1)
                series.setdefault(name, []).append(float(value))
    check_equal("partitions", len(series), 10)
    for name, values in series.items():
        check_equal(f"copies of {name}", (len(values), len(set(values))), (3, 1))
    check_equal("each click once", sum(values[0] for values in series.values()), nodes[0].total(begin, now_ms() + 60_000))
    # What nobody who is there has is named.
    for node in nodes[2:]:
        node.kill()
    lacking = context.run("recount", "--cluster", str(nodes[0].config_path), *times, timeout_s=120)
    check_equal(f"lacking: {lacking}", lacking.returncode, 2)
    check("no node has judged partition" in lacking.stderr, lacking)


def test_five_nodes_replication(context):
    """copies of a living cluster: one becomes three, five and three again, under load, with a kill -9 while they are made"""
    nodes = make_five(context)
    begin = minute_begin()
    for node in nodes:
        node.config["cluster"]["replication"] = 1
    start(nodes)
    wait_led(nodes)
    crowd = Crowd(nodes, "copies")
    crowd.wait_for(300)
    for copies, hit in ((3, 0), (5, 1), (3, 2)):
        early = run(context, nodes[0], "replication", str(copies))
        check_refused("too early", early, f"set it to {copies} on every node")
        for number, node in enumerate(nodes):
            crowd.away.add(number)
            node.stop()
            node.config["cluster"]["replication"] = copies
            node.start(90)
            crowd.away.discard(number)
            if number == 0:
                check_refused("not all have it", run(context, node, "replication", str(copies)), "n2 and n3 and n4 and n5 was")
        wait_led(nodes)
        log = open(context.directory / "command.txt", "ab")
        command = subprocess.Popen([context.binary, "cluster", "replication", str(copies), "--config",
                                    str(nodes[4].config_path)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   cwd=context.directory)
        crowd.away.add(hit)
        nodes[hit].kill()
        crowd.wait_for(100)
        nodes[hit].start(90)
        crowd.away.discard(hit)
        command.wait(150)
        done = run(context, nodes[3], "replication", str(copies))
        check_equal(f"{copies} copies: {done} after {said(context)}", done.returncode, 0)
        for node in nodes:
            for partition in cluster(node)["partitions"]:
                check_equal(f"voters: {partition}", len(partition["voters"]), copies)
        crowd.wait_for(100)
    crowd.end()
    check_end(context, nodes, crowd, begin)
