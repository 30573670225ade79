"""Each kind of file of a data directory, damaged in each way: people are redirected, no answered
click is lost, and the trouble stays with whom it concerns.

Method: the data of a killed node is copied, one file of it damaged, and a node started on the
copy. Where only a person can mend it, that is done afterwards, and every click is counted. The
node runs as a user whom permissions stop.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess

import mmdb
import three_nodes
from harness import (ROOT, NoAnswer, Skipped, check, check_equal, free_ports, now_ms, stored_parts,
                     wait_until)

ADS = [{"ad_id": f"ad_{number}", "advertiser_id": "adv_1", "ad_format": "banner",
        "redirect_url": "https://example.com/"} for number in range(200)]
CONFIG = {"log": {"partitions": 4}, "stream": {"checkpoint_interval_s": 1}}
DAY_MS = 86_400_000
CLICKS = 40_000
NEW = 40  # clicks while it is damaged
NOBODY = 65534


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(bytes(data).rstrip(b"\0")) // 2] ^= 0x55
    path.write_bytes(data)


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def make_folder(path):
    path.unlink()
    path.mkdir()


def make_file(path):
    shutil.rmtree(path)
    path.write_text("a file")


def lock_up(path):
    path.chmod(0)


def cut(path):
    os.truncate(path, os.path.getsize(path) // 2)


def segment_and_manifest(path):
    """All that says what a partition's log holds, but for its first segment."""
    flip(path / "manifest")
    segments = sorted(path.glob("*.segment"))
    check(len(segments) > 2, f"{path} has but {len(segments)} segments")
    segments[1].unlink()


def last_segment_and_manifest(path):
    flip(path / "manifest")
    sorted(path.glob("*.segment"))[-1].unlink()


# What is damaged, how, and what is to be seen: all is well; the word that a reason or warning
# must have while all counts; partition 0 is left out by name; no partition counts, for the
# reason that the word says.
ALL, ONE, NONE = "all", "one", "none"
DAMAGES = [
    ("log/0/manifest", flip, ALL, "manifest"),
    ("log/0/manifest", make_folder, ONE, "manifest"),
    ("log/0/manifest", lock_up, ONE, "manifest"),
    ("log/0", make_file, ONE, "log/0"),
    ("log/0", lock_up, ONE, "log/0"),
    ("log/0", segment_and_manifest, ALL, "are gone"),
    ("log/0", last_segment_and_manifest, ALL, "manifest"),
    ("log/0/SEGMENT", flip, ALL, ""),
    ("log/0/SEGMENT", remove, ALL, ""),
    ("log/0/SEGMENT", lock_up, ALL, ""),
    ("store/PART", make_folder, ONE, ".part"),
    ("store/PART", lock_up, ONE, ".part"),
    ("store/PART", cut, ALL, ""),
    ("store", make_file, NONE, "store"),
    ("ids", lock_up, NONE, "ids"),
    ("state/CURRENT", lock_up, NONE, "CURRENT"),
    ("upkeep", make_folder, ALL, ""),
    ("upkeep", lock_up, ALL, ""),
    ("upkeep", flip, ALL, ""),
    ("journal/SPARE", lock_up, ALL, ""),
    ("journal/SPARE", make_folder, ALL, ""),
    ("LOCK", remove, ALL, ""),
    ("catalog", remove, ALL, "catalog"),
]


def of_one_partition(store, partition):
    """Files that hold parts of that partition and of no other."""
    owners = {}
    for part in stored_parts(store):
        owners.setdefault(part.path, set()).add(part.partition)
    return [path for path, found in sorted(owners.items()) if found == {partition}]


def bulk(node, name, ads, count, mode=""):
    lines = "".join(json.dumps({"click_id": f"{name}-{number}", "ad_id": ads[number % len(ads)]["ad_id"],
                                "timestamp_ms": now_ms() - 5 * DAY_MS if mode else now_ms()}) + "\n"
                    for number in range(count))
    check_equal(name, node.request("POST", f"/v1/clicks{mode}", lines).json().get("accepted"), count)


def total(node):
    return node.total(now_ms() - 6 * DAY_MS, now_ms() + DAY_MS)


def prepared(context):
    """The data of a killed node, with segments of several days, parts, and clicks that are in no checkpoint."""
    library = context.directory / "wrong_clock.so"
    built = subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library),
                            str(ROOT / "tests/e2e/wrong_clock.c"), "-ldl"], capture_output=True, text=True)
    if built.returncode != 0:
        raise Skipped(f"can't build the library that sets the clock: {built.stderr.strip()}")
    node = context.node(CONFIG, start=False)
    # Less than a day apart, and three days in all, whatever the time of day.
    for part, hours in enumerate((69, 46, 23, 0)):
        node.environment = {"LD_PRELOAD": str(library), "WRONG_CLOCK_S": str(-hours * 3600)}
        node.start()
        if part == 0:
            node.upload_ads(ADS)
        bulk(node, f"part-{part}", ADS, CLICKS // 4, "?mode=backfill")
        node.wait_total(now_ms() - 6 * DAY_MS, now_ms() + DAY_MS, (part + 1) * CLICKS // 4)
        if hours > 0:
            node.stop()
    wait_until("parts", lambda: of_one_partition(node.data_dir / "store", 0))
    wait_until("segments", lambda: len(list((node.data_dir / "log/0").glob("*.segment"))) > 2)
    first = node.get("/v1/log/raw-clicks/0?limit=1").json()["ad_id"]
    other = node.get("/v1/log/raw-clicks/1?limit=1").json()["ad_id"]
    node.kill()
    return node, first, other


def as_nobody(context, node):
    """Makes the node one whom permissions stop, and its files that user's."""
    if os.geteuid() != 0:
        return
    if shutil.which("setpriv") is None:
        raise Skipped("needs setpriv, since permissions don't stop root")
    if not node.log_path.exists():
        node.log_path.write_text("")
    wrapper = node.directory / "as_nobody"
    wrapper.write_text(f'#!/bin/sh\nexec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups '
                       f'{os.path.abspath(context.binary)} "$@"\n')
    wrapper.chmod(0o755)
    subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(node.directory)], check=True)
    node.binary = str(wrapper)


class Trial:
    """One damage to one file."""

    def __init__(self, context, base, name, damage):
        self.node = context.node(CONFIG, start=False)
        shutil.rmtree(self.node.data_dir, ignore_errors=True)
        subprocess.run(["cp", "-a", "--sparse=always", str(base.data_dir), str(self.node.data_dir)], check=True)
        data = self.node.data_dir
        self.path = data / name
        if name.endswith("SEGMENT"):
            self.path = sorted((data / "log/0").glob("*.segment"))[-1]
        elif name.endswith("PART"):
            self.path = of_one_partition(data / "store", 0)[0]
        elif name.endswith("SPARE"):
            self.path = sorted((data / "journal").glob("spare-*"))[0]
        self.kept = data.parent / "kept"
        subprocess.run(["cp", "-a", str(self.path), str(self.kept)], check=True)
        self.node.write_config()
        damage(self.path)
        as_nobody(context, self.node)

    def mend(self):
        if self.path.exists():
            self.path.chmod(0o700)
            remove(self.path)
        subprocess.run(["mv", str(self.kept), str(self.path)], check=True)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(self.path)], check=True)

    def start(self):
        self.node.spawn()

        def redirected():
            check(self.node.alive(), f"the node ended: {self.node.log_tail()}")
            try:
                return self.node.get("/healthz").status == 200
            except NoAnswer:
                return False

        wait_until("an answer", redirected)

    def told(self):
        answer = self.node.get("/readyz").json()
        return " | ".join(answer["reasons"] + answer["warnings"])

    def asked(self, ad_id):
        return self.node.get(f"/v1/metrics/clicks?ad_id={ad_id}&from={now_ms() - 6 * DAY_MS}&to={now_ms() + DAY_MS}"
                             "&granularity=total")

    def click(self, ads):
        for number in range(NEW):
            body = json.dumps({"click_id": f"new-{number}", "ad_id": ads[number % 2], "timestamp_ms": now_ms()})
            check_equal("a click", self.node.request("POST", "/v1/click", body).status, 302)


def test_each_file_damaged(context):
    """whatever file of the data directory is damaged, missing, a folder or locked up: redirects go on, no click is lost, others count"""
    context.directory.chmod(0o755)
    base, first, other = prepared(context)
    for name, damage, expected, word in DAMAGES:
        what = f"{name}, {damage.__name__}"
        trial = Trial(context, base, name, damage)
        node = trial.node
        trial.start()
        if name == "catalog":
            wait_until(f"{what}: a word", lambda: word in trial.told())
            node.upload_ads(ADS)
        trial.click([first, other])
        if expected == ALL:
            wait_until(f"{what}: all counts ({trial.told()})", lambda: node.is_ready() and total(node) == CLICKS + NEW)
            check(word in trial.told(), f"{what}: told {trial.told()!r}")
        elif expected == ONE:
            wait_until(f"{what}: the other partition", lambda: trial.asked(other).status == 200)
            wait_until(f"{what}: its new clicks", lambda: trial.asked(other).json()["total"]["click_count"] ==
                       CLICKS // len(ADS) + NEW // 2)
            refused = trial.asked(first)
            check(refused.status == 503 and "partition 0" in refused.json()["detail"], f"{what}: {refused}")
            told = trial.told()
            check("partition 0" in told and word in told, f"{what}: told {told!r}")
        else:
            wait_until(f"{what}: a word", lambda: word in trial.told())
            check_equal(f"{what}: {trial.told()}", trial.asked(other).status, 503)
        # What a part's partition could not open it tries again by itself.
        by_itself = expected == ONE and name.startswith("store/")
        if not by_itself:
            node.stop()
        if expected != ALL:
            trial.mend()
            if not by_itself:
                trial.start()
            wait_until(f"{what}: all counts once it is mended ({trial.told()})",
                       lambda: node.is_ready() and total(node) == CLICKS + NEW)
            node.kill()
        shutil.rmtree(node.directory)
    context.say(f"{len(DAMAGES)} damages")


def test_side_files_locked_up(context):
    """a side file that can't be opened keeps no node from redirecting, is told, named by check-config, and SIGHUP takes in the rest"""
    context.directory.chmod(0o755)
    node = context.node({"collector": {"country_db": "countries.mmdb"}}, start=False)
    database = node.directory / "countries.mmdb"
    database.write_bytes(mmdb.database({"8.8.8.0/24": {"country": {"iso_code": "DE"}}}))
    ads = node.directory / "ads.ndjson"
    ads.write_text(json.dumps(ADS[0]) + "\n")
    zones = node.directory / "zones"
    shutil.copytree("/usr/share/zoneinfo/Europe", zones / "Europe")
    node.environment = {"TZDIR": str(zones)}
    node.write_config()
    as_nobody(context, node)
    node.start()
    check_equal("warnings", node.get("/readyz").json()["warnings"], [])
    node.stop()
    for path, word in ((ads, "catalog.file"), (database, "country_db"), (zones, "time zone")):
        mode = path.stat().st_mode
        path.chmod(0)
        checked = subprocess.run([node.binary, "check-config", str(node.config_path)], capture_output=True, text=True,
                                 env={**os.environ, **node.environment})
        check_equal(f"check-config with {path.name}: {checked}", checked.returncode, 0 if path is zones else 1)
        check(word in checked.stderr, f"check-config with {path.name}: {checked}")
        node.start()
        check_equal("redirect", node.get("/v1/click?ad_id=ad_0").status, 302)
        warnings = node.get("/readyz").json()["warnings"]
        check(any(word in each for each in warnings), f"{path.name}: /readyz says {warnings}")
        check(path.name in node.log_since_start() or path is zones, f"{path.name}: the log says {node.log_tail()}")
        # The key is in force though that file still can't be read.
        key = {"name": "ops", "role": "admin", "sha256": hashlib.sha256(b"a key of ours").hexdigest()}
        node.config["auth"] = {"keys": [key]}
        node.write_config()
        node.process.send_signal(signal.SIGHUP)
        wait_until("the key", lambda: node.get("/v1/ads").status == 401)
        path.chmod(mode)
        node.config["auth"] = {"keys": []}
        node.write_config()
        node.process.send_signal(signal.SIGHUP)
        wait_until(f"no warning of {path.name}", lambda: node.get("/readyz").json()["warnings"] == [])
        node.stop()


def test_secret_locked_up(context):
    """a member of a cluster that can't read its secret redirects, and says why it is alone"""
    context.directory.chmod(0o755)
    node = context.node(start=False)
    ports = free_ports(4)
    peers = [{"node_id": "n1", "peer": node.config["listen"]["peer"], "api": node.config["listen"]["api"]}]
    peers += [{"node_id": f"n{number}", "peer": f"127.0.0.1:{ports.pop()}", "api": f"127.0.0.1:{ports.pop()}"}
              for number in (2, 3)]
    node.config["cluster"] = {"peers": peers, "secret_file": "secret"}
    node.config["collector"] = {"default_redirect": "https://example.com/"}
    (node.directory / "secret").write_text("0123456789abcdef0123456789abcdef")
    node.write_config()
    as_nobody(context, node)
    (node.directory / "secret").chmod(0)
    node.spawn()

    def redirects():
        check(node.alive(), f"the node ended: {node.log_tail()}")
        try:
            return node.get("/v1/click?ad_id=ad_0").status == 302
        except NoAnswer:
            return False

    wait_until("a redirect", redirects)
    reasons = node.get("/readyz").json()["reasons"]
    check(any("cluster.secret_file" in each for each in reasons), f"/readyz says {reasons}")
    checked = subprocess.run([node.binary, "check-config", str(node.config_path)], capture_output=True, text=True)
    check(checked.returncode == 1 and "cluster.secret_file" in checked.stderr, f"check-config: {checked}")
    node.stop()


def test_member_with_damage(context):
    """a member of a cluster that can't read who is in one partition's group takes part in all others, and loses no click"""
    nodes = three_nodes.make(context, {"log": {"partitions": 4}})
    three_nodes.start(nodes)
    begin_ms = now_ms() - 60_000

    def click_at(node, name):
        for number in range(NEW):
            body = json.dumps({"click_id": f"{name}-{number}", "ad_id": f"ad_{number % 50}", "timestamp_ms": now_ms()})
            check_equal("a click", node.request("POST", "/v1/click", body).status, 302)

    nodes[0].stop()
    damaged = nodes[0].data_dir / "members" / "0"
    before = damaged.read_bytes() if damaged.exists() else None
    damaged.write_text("nonsense")
    nodes[0].spawn()

    def told():
        check(nodes[0].alive(), f"the node ended: {nodes[0].log_tail()}")
        try:
            return [each for each in nodes[0].get("/readyz").json()["reasons"] if "partition 0 stopped" in each]
        except NoAnswer:
            return None

    wait_until("its partition in /readyz", told)
    click_at(nodes[0], "damaged")
    click_at(nodes[1], "well")
    # Those of the partition wait at the node that got them.
    wait_until("the others' count", lambda: nodes[1].total(begin_ms, now_ms() + 60_000) > NEW)
    nodes[0].stop()
    damaged.unlink() if before is None else damaged.write_bytes(before)
    nodes[0].start()
    for node in nodes:
        node.wait_total(begin_ms, now_ms() + 60_000, 2 * NEW)
    three_nodes.wait_equal(nodes)
