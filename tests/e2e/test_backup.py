"""Backups of a node, running or not, and what is restored from them."""

import contextlib
import json
import os
import subprocess
import threading

import three_nodes
from harness import Skipped, check, check_equal, iso, now_ms, pause, wait_until

ADS = [{"ad_id": f"bk_{number}", "advertiser_id": "adv_1", "ad_format": "banner",
        "redirect_url": f"https://shop.example.com/{number}"} for number in range(20)]
CONFIG = {"log": {"partitions": 4, "segment_bytes": 1 << 20}, "stream": {"checkpoint_interval_s": 1}}


class Users:
    """Click all the time, each with one connection, and remember which clicks were answered."""

    def __init__(self, node, count=4, prefix="u"):
        self.node, self.prefix = node, prefix
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.answered, self.sent = set(), set()
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(count)]

    def run(self, user):
        client = self.node.client("collector")
        number = 0
        while not self.stopping.is_set():
            click = (ADS[number % len(ADS)]["ad_id"], f"{self.prefix}{user}-{number}", now_ms())
            with self.lock:
                self.sent.add(click)
            try:
                status = send(client, click).status
            except Exception:
                break  # the node was killed
            check_equal("a click", status, 302)
            with self.lock:
                self.answered.add(click)
            number += 1
            pause(0.002)
        client.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def so_far(self):
        with self.lock:
            return set(self.answered)


def send(client, click):
    ad_id, click_id, at_ms = click
    return client.request("POST", "/v1/click", json.dumps(
        {"click_id": click_id, "ad_id": ad_id, "timestamp_ms": at_ms, "user_id": click_id[:4]}))


def send_all(node, clicks):
    client = node.client("collector")
    for click in sorted(clicks):
        check_equal("a click", send(client, click).status, 302)
    client.close()


def new_node(context, **changes):
    node = context.node({**CONFIG, **changes}, start=False)
    return node


def started(context, **changes):
    node = new_node(context, **changes).start()
    node.upload_ads(ADS)
    return node


def backup(context, node, name, *more):
    return context.run("backup", name, "--config", str(node.config_path), "--rate", "0", *more, timeout_s=110)


def made(context, node, name, *more):
    done = backup(context, node, name, *more)
    check_equal(f"backup ({done})", done.returncode, 0)
    return context.directory / name


def restored(context, name, **changes):
    """A node on what is restored, not started."""
    node = new_node(context, **changes)
    node.write_config()
    done = context.run("restore", name, "--config", str(node.config_path), timeout_s=110)
    check_equal(f"restore ({done})", done.returncode, 0)
    return node


def ended(node):
    """Clicks that were counted or flagged."""
    values = node.check_invariant()
    return values["counted"] + values["review"]


def recorded(node):
    """Identities of the raw log, as often as it has them."""
    lines = []
    for partition in node.get("/v1/log/raw-clicks").json()["data"]:
        answer = node.get(f"/v1/log/raw-clicks/{partition['partition']}?limit=1000000")
        check_equal("raw log", answer.status, 200)
        lines += [json.loads(line) for line in answer.body.decode().splitlines()]
    return lines


def test_backup_under_load(context):
    """backup under load, kill, restore elsewhere: all that was answered before it is counted once, resent clicks too"""
    node = started(context)
    begin_ms = now_ms() - 60_000
    with Users(node) as users:
        wait_until("some load", lambda: len(users.so_far()) > 400)
        node.kill()  # so that state/ has files that never change
    before_kill = users.answered | users.sent
    node.start()
    with Users(node, prefix="v") as users:
        wait_until("more load", lambda: len(users.so_far()) > 1500)
        before = users.so_far() | before_kill
        folder = made(context, node, "b1")
        within = users.so_far()
        wait_until("clicks behind it", lambda: len(users.so_far()) > len(within) + 300)
        node.kill()
    sent = users.sent | before_kill
    check(sorted(os.listdir(folder)) == ["backup.json", "data"], os.listdir(folder))
    check(not list(folder.parent.glob("b1.partial*")), "a partial backup is left")

    other = restored(context, "b1").start()
    other.wait_spool_empty()
    end_ms = now_ms() + 60_000
    kept = other.total(begin_ms, end_ms)
    identities = {(line["ad_id"], line["click_id"]) for line in recorded(other)}
    answered_before = {click[:2] for click in before if click in users.answered or click in before_kill}
    # A click of the kill that nobody answered may be there or not.
    unsure = {click[:2] for click in before_kill}
    missing = answered_before - identities - unsure
    check_equal("answered before the backup and not in it", missing, set())
    check(kept <= len({click[:2] for click in sent}), f"{kept} counted of {len(sent)}")
    check_equal("counted", kept, len(identities))
    other.check_invariant()

    send_all(other, sent)
    other.wait_spool_empty()
    # Those that come for the first time are late by now.
    everything = len({click[:2] for click in sent})
    wait_until("each click once", lambda: ended(other) == everything)
    check(other.total(begin_ms, end_ms) >= kept, "counts have fallen")
    other.stop()
    done = context.run("recount", "--config", str(other.config_path), "--from", iso(begin_ms // 1000 * 1000),
                       "--to", iso(end_ms // 1000 * 1000))
    check_equal(f"recount ({done})", done.returncode, 0)
    check_equal("log verify", context.run("log", "verify", str(other.data_dir)).returncode, 0)
    context.say(f"{len(before)} answered before, {kept} in the backup, {len(sent)} sent in all")


def test_backups_share(context):
    """two backups of a node share what never changes with it and with each other; a node writes into none"""
    node = started(context)
    for restart in range(2):
        with Users(node, prefix=f"s{restart}") as users:
            wait_until("some load", lambda: len(users.so_far()) > 300)
        node.wait_spool_empty()
        node.stop()
        node.start()
    first, second = made(context, node, "b1"), made(context, node, "b2")

    def shared_with(folder):
        listed = json.loads((folder / "backup.json").read_text())["files"]
        return {file["path"]: (folder / "data" / file["path"]).stat().st_ino for file in listed if file["immutable"]}

    one, two = shared_with(first), shared_with(second)
    both = {path for path in one if two.get(path) == one[path]}
    check(any(path.startswith("state/") for path in both), f"nothing of state/ is shared: {one} {two}")
    check(all(one[path] == (node.data_dir / path).stat().st_ino for path in both if (node.data_dir / path).exists()),
          "copies, not links")
    # The node goes on, and so does one that shares with the backup.
    other = restored(context, "b1").start()
    for one_node in (node, other):
        with Users(one_node, prefix="t") as users:
            wait_until("some load", lambda: len(users.so_far()) > 300)
        one_node.wait_spool_empty()
        one_node.stop()
    for name in ("b1", "b2"):
        done = context.run("backup", "verify", name, timeout_s=60)
        check_equal(f"verify {name} ({done})", done.returncode, 0)


def random_text(context):
    """That no compressor makes small."""
    return "".join(context.random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=400))


def test_backup_killed(context):
    """a backup that is killed half-way is none, costs the node nothing, and can be made again"""
    node = started(context)
    with Users(node) as users:
        wait_until("some load", lambda: len(users.so_far()) > 500)
        # Some ten seconds of copying, so that it is at it whatever else the machine does.
        now = now_ms()
        lines = "".join(json.dumps({"click_id": f"large-{n}", "ad_id": ADS[0]["ad_id"], "timestamp_ms": now,
                                    "referrer": f"https://example.com/{n}-{random_text(context)}"}) + "\n"
                        for n in range(20_000))
        check_equal("bulk", node.request("POST", "/v1/clicks", lines).status, 202)
        slow = subprocess.Popen([context.binary, "backup", "b1", "--config", str(node.config_path), "--rate", "1"],
                                cwd=context.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        partial = context.directory / "b1.partial"
        wait_until("the copy", lambda: list(partial.glob("data/journal/*")))
        check((node.data_dir / "backup/image").exists(), "no image")
        other = backup(context, node, "b2")
        check_equal(f"another one meanwhile ({other})", other.returncode, 2)
        check("another backup" in other.stderr, other.stderr)
        check(not (context.directory / "b2.partial").exists(), "b2.partial is left")
        slow.kill()
        slow.wait()
        wait_until("the image is removed", lambda: not (node.data_dir / "backup/image").exists())
        for name in ("b1", "b1.partial"):
            refused = context.run("restore", name, "--to", "nowhere")
            check_equal(f"restore {name} ({refused})", refused.returncode, 2)
            check(not (context.directory / "nowhere").exists() or not os.listdir(context.directory / "nowhere"),
                  "something was restored")
            check_equal(f"verify {name}", context.run("backup", "verify", name).returncode, 2)
        made(context, node, "b1")
    check(not partial.exists(), "the partial one is left")
    check_equal("verify", context.run("backup", "verify", "b1", timeout_s=60).returncode, 0)
    again = backup(context, node, "b1")
    check_equal("over a backup", again.returncode, 2)
    check("not an empty folder" in again.stderr, again.stderr)


@contextlib.contextmanager
def tmpfs(directory, size):
    directory.mkdir(parents=True)
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)],
                           capture_output=True, text=True)
    if mount.returncode != 0:
        raise Skipped(f"can't mount a tmpfs here: {mount.stderr.strip()}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def test_backup_disk_full(context):
    """a disk that fills during a backup costs the backup alone"""
    node = started(context)
    begin_ms = now_ms() - 60_000
    with tmpfs(context.directory / "small", 1 << 20) as small, Users(node) as users:
        wait_until("some load", lambda: len(users.so_far()) > 3000)
        done = backup(context, node, str(small / "b1"))
        check_equal(f"backup to a full disk ({done})", done.returncode, 2)
        check("No space left" in done.stderr, done.stderr)
        check_equal("left on it", os.listdir(small), [])
        check(node.is_ready(), "the node is not ready")
        wait_until("the image is removed", lambda: not (node.data_dir / "backup/image").exists())
    # Another file system: copies.
    with tmpfs(context.directory / "large", 512 << 20) as large:
        done = backup(context, node, str(large / "b2"))
        check_equal(f"backup to another disk ({done})", done.returncode, 0)
        other = restored(context, str(large / "b2")).start()
        other.wait_total(begin_ms, now_ms() + 60_000, len(users.answered))


def test_backup_leaves_the_node_its_disk(context):
    """on the node's own disk a backup stops before it takes the room that the node needs"""
    with tmpfs(context.directory / "disk", 640 << 20) as disk:
        node = new_node(context, data_dir=str(disk / "data"),
                        log={"partitions": 4, "journal_bytes": 256 << 20})
        node.data_dir = disk / "data"
        try:
            node.start()
            node.upload_ads(ADS)
            with Users(node) as users:
                wait_until("some load", lambda: len(users.so_far()) > 300)
                space = os.statvfs(disk)
                with open(disk / "ballast", "wb") as file:
                    os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize - (200 << 20))
                done = backup(context, node, str(disk / "b1"))
                check_equal(f"backup ({done})", done.returncode, 2)
                check("reserve" in done.stderr, done.stderr)
                check(node.is_ready(), "the node is not ready")
                check(not (disk / "b1.partial").exists(), "b1.partial is left")
                (disk / "ballast").unlink()
                done = backup(context, node, str(disk / "b1"))
                check_equal(f"with room ({done})", done.returncode, 0)
        finally:
            node.clean_up()


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_restore_checks(context):
    """a damaged backup is refused and the file named; nothing is restored over anything"""
    node = started(context)
    with Users(node) as users:
        wait_until("some load", lambda: len(users.so_far()) > 300)
    node.stop()
    node.start()
    folder = made(context, node, "b1")
    listed = [file["path"] for file in json.loads((folder / "backup.json").read_text())["files"] if file["bytes"] > 0]
    kinds = {path.split("/")[0]: path for path in listed}
    check({"journal", "state", "log", "node", "catalog"} <= set(kinds), kinds)
    for path in kinds.values():
        # Not its inode: the node has the same.
        file = folder / "data" / path
        whole = file.read_bytes()
        file.unlink()
        for damage in ("flipped", "missing", "short"):
            if damage != "missing":
                file.write_bytes(whole)
            if damage == "flipped":
                flip_a_bit(file)
            if damage == "short":
                file.write_bytes(whole[:-1])
            for command in (["restore", "b1", "--to", "r1"], ["backup", "verify", "b1"], ["restore", "b1", "--check"]):
                done = context.run(*command, timeout_s=60)
                check_equal(f"{damage} {path}: {command} ({done})", done.returncode, 1)
                check(str(path) in done.stdout, f"{command}: {done}")
                file.unlink(missing_ok=True) if damage == "missing" else None
            check(set(os.listdir(context.directory / "r1")) <= {"LOCK"}, os.listdir(context.directory / "r1"))
        file.write_bytes(whole)
    text = (folder / "backup.json").read_text()
    (folder / "backup.json").write_text(text.replace('"partitions":4', '"partitions":5'))
    done = context.run("restore", "b1", "--to", "r1")
    check_equal(f"a changed list ({done})", done.returncode, 1)
    check("backup.json" in done.stdout, done.stdout)
    (folder / "backup.json").write_text(text)
    check_equal("whole again", context.run("backup", "verify", "b1", timeout_s=60).returncode, 0)

    for where, said in (("data", "a node runs"), ("b1", "not empty")):
        there = str(node.data_dir) if where == "data" else str(folder)
        done = context.run("restore", "b1", "--to", there)
        check_equal(f"restore over {where} ({done})", done.returncode, 2)
        check(said in done.stderr, done.stderr)
    node.stop()
    done = context.run("restore", "b1", "--config", str(node.config_path))
    check_equal(f"restore over a stopped node ({done})", done.returncode, 2)
    check("not empty" in done.stderr, done.stderr)
    node.start()


def test_backup_of_a_stopped_node(context):
    """a stopped node is backed up by the same command, and can't be started meanwhile"""
    node = started(context)
    begin_ms = now_ms() - 60_000
    with Users(node) as users:
        wait_until("some load", lambda: len(users.so_far()) > 300)
        node.kill()
    made(context, node, "b1")
    node.start()
    node.wait_spool_empty()
    want = node.total(begin_ms, now_ms() + 60_000)
    other = restored(context, "b1").start()
    other.wait_spool_empty()
    check_equal("counted", other.total(begin_ms, now_ms() + 60_000), want)
    wrong = context.run("backup", "b2", "--data-dir", "nothing-here")
    check_equal(f"no data directory ({wrong})", wrong.returncode, 2)
    check("nothing-here" in wrong.stderr, wrong.stderr)


def test_restored_life(context):
    """no offset that was handed out after the backup is given to another click of the restored node"""
    node = started(context)
    send_all(node, {(ADS[number % 20]["ad_id"], f"a-{number}", now_ms()) for number in range(200)})
    node.wait_spool_empty()
    made(context, node, "b1")
    send_all(node, {(ADS[number % 20]["ad_id"], f"lost-{number}", now_ms()) for number in range(200)})
    node.wait_spool_empty()
    ends = {row["partition"]: row["last_offset"] for row in node.get("/v1/log/raw-clicks").json()["data"]}
    node.kill()

    other = restored(context, "b1").start()
    begin_ms = now_ms() - 600_000
    check_equal("clicks", other.total(begin_ms, now_ms() + 60_000), 200)
    other.kill()
    other.start()

    # Who follows the log goes on where it was, and misses nothing that is new.
    send_all(other, {(ADS[number % 20]["ad_id"], f"new-{number}", now_ms()) for number in range(100)})
    other.wait_spool_empty()
    behind = []
    for partition, last in ends.items():
        answer = other.get(f"/v1/log/raw-clicks/{partition}?offset={last + 1}&limit=10000")
        check_equal("behind the lost", answer.status, 200)
        behind += [json.loads(line)["click_id"] for line in answer.body.decode().splitlines()]
    check_equal("read behind the lost", sorted(behind), sorted(f"new-{number}" for number in range(100)))
    cluster = other.get("/v1/cluster").json()
    check(all(0 < row["applied_offset"] < 1 << 53 for row in cluster["partitions"]), cluster)

    # And again, from a backup of the second life.
    made(context, other, "b2")
    other.stop()
    third = restored(context, "b2").start()
    check_equal("clicks", third.total(begin_ms, now_ms() + 60_000), 300)


def test_backup_of_a_cluster(context):
    """a cluster whose nodes are all lost begins anew from the backup of one of them, and only if that is said"""
    nodes = three_nodes.make(context, {"log": {"partitions": 4}, "stream": {"checkpoint_interval_s": 1}})
    begin_ms = now_ms() - 60_000
    three_nodes.start(nodes)
    crowd = three_nodes.Crowd(nodes, "before")
    crowd.wait_for(300)
    crowd.end()
    three_nodes.wait_counted(nodes, crowd, begin_ms)
    three_nodes.wait_equal(nodes)
    made(context, nodes[1], "b1")
    later = three_nodes.Crowd(nodes, "lost")
    later.wait_for(100)
    later.end()
    question = f"/v1/metrics/top?n=1&from={begin_ms}&to={now_ms() + 3_600_000}"
    given = nodes[0].get(question).headers["clickmill-position"]
    check_equal("a position", nodes[1].get(question, **{"Clickmill-Position": given}).status, 200)
    old_cluster = json.loads((nodes[0].data_dir / "cluster").read_text())["cluster_id"]
    for node in nodes:
        node.kill()
        node.data_dir.rename(node.directory / "lost")

    refused = context.run("restore", "b1", "--config", str(nodes[1].config_path))
    check_equal(f"a member without --new-cluster ({refused})", refused.returncode, 2)
    check("--new-cluster" in refused.stderr, refused.stderr)
    done = context.run("restore", "b1", "--config", str(nodes[1].config_path), "--new-cluster", timeout_s=60)
    check_equal(f"restore ({done})", done.returncode, 0)
    three_nodes.start(nodes)
    three_nodes.wait_led(nodes)
    new_cluster = {json.loads((node.data_dir / "cluster").read_text())["cluster_id"] for node in nodes}
    check(len(new_cluster) == 1 and old_cluster not in new_cluster, f"{new_cluster}, it was {old_cluster}")
    again = three_nodes.Crowd(nodes, "before")  # the same clicks once more, and others
    again.wait_for(400)
    again.end()
    for node in nodes:
        node.wait_spool_empty()
    three_nodes.wait_equal(nodes)
    for node in nodes:
        identities = {(line["ad_id"], line["click_id"]) for line in recorded(node)}
        check(crowd.answered <= {click_id for _, click_id in identities}, "an answered click is gone")
        check(not any(click_id.startswith("lost-") for _, click_id in identities), "a lost one is there")
        wait_until("each click once", lambda: ended(node) == len(identities))
        refused = node.get(question, **{"Clickmill-Position": given})
        check_equal(f"a position that the old cluster gave ({refused})", refused.status, 409)
        check_equal("field", refused.json()["field"], "Clickmill-Position")
        fresh = node.get(question).headers["clickmill-position"]
        check_equal("a new one", nodes[0].get(question, **{"Clickmill-Position": fresh}).status, 200)
    # A node with the old directory is none of them.
    nodes[2].kill()
    nodes[2].data_dir.rename(nodes[2].directory / "new")
    (nodes[2].directory / "lost").rename(nodes[2].data_dir)
    nodes[2].spawn()
    wait_until("it is told why", lambda: f"n3 to {old_cluster}" in nodes[2].log_since_start())
    for node in nodes[:2]:
        states = {peer["node_id"]: peer["state"] for peer in three_nodes.cluster(node)["nodes"]}
        check_equal("the old directory, as the new cluster sees it", states["n3"], "down")
