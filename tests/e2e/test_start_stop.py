"""Starts and stops under trouble: redirects come first, and nothing is left or lost.

Goal: a start that fails leaves the disk as it was; a start redirects as soon as it can,
whatever else is damaged or slow to read; a stop ends within seconds; no answered click
is lost on the way.
"""

import hashlib
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import time

from harness import NoAnswer, check, check_equal, journal_files, now_ms, wait_until

AD = {"ad_id": "ad_1", "advertiser_id": "adv_1", "ad_format": "banner", "redirect_url": "https://example.com/1"}
STOP_S = 3


def tree(folder):
    """Every file below a folder and its size; None when there is no folder."""
    if not folder.exists():
        return None
    return sorted((str(path.relative_to(folder)), path.stat().st_size) for path in folder.rglob("*") if path.is_file())


def redirects(node):
    try:
        return node.request("GET", "/v1/click?ad_id=ad_1", listener="collector").status == 302
    except NoAnswer:
        return False


def wait_redirects(node, timeout_s=20):
    def redirected():
        check(node.alive(), f"the node ended: {node.log_tail()}")
        return redirects(node)

    wait_until("a redirect", redirected, timeout_s)


def readiness(node):
    answer = node.get("/readyz")
    return answer.status, answer.json()


def stop_quickly(node):
    begin = time.monotonic()
    node.stop()
    took = time.monotonic() - begin
    check(took < STOP_S, f"SIGTERM took {took:.1f} s")


def test_failed_starts_leave_nothing(context):
    """five starts on a taken port change nothing on the disk, of a new and of a used data directory"""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    node = context.node(start=False)
    free = node.config["listen"]
    blocked = {**free, "api": f"127.0.0.1:{taken.getsockname()[1]}"}

    def fail_five_times():
        before = tree(node.data_dir)
        node.config["listen"] = blocked
        for _ in range(5):
            node.spawn()
            check_equal("exit code", node.process.wait(30), 2)
            check("cannot listen" in node.log_since_start(), node.log_since_start())
        check_equal("files", tree(node.data_dir), before)
        node.config["listen"] = free

    fail_five_times()
    node.start()
    node.upload_ads([AD])
    check(redirects(node), "no redirect")
    node.wait_spool_empty()
    node.stop()
    fail_five_times()
    taken.close()


def test_redirects_without_reports(context):
    """a node whose state can't be read redirects, keeps its clicks, says why, and counts them once it can"""
    node = context.node({"log": {"partitions": 4}})
    node.upload_ads([AD])
    begin_ms = now_ms()
    for _ in range(20):
        check(redirects(node), "no redirect")
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, 20)
    node.stop()
    for name in ("state", "log"):
        shutil.copytree(node.data_dir / name, context.directory / name)
    # Damaged, and not to be rebuilt, since the log is too.
    (node.data_dir / "state" / "CURRENT").write_text("nonsense\n")
    (node.data_dir / "log" / "0" / "manifest").write_text("nonsense")
    node.spawn()
    wait_redirects(node)
    for _ in range(29):
        check(redirects(node), "no redirect")

    def said():
        status, answer = readiness(node)
        return status == 503 and "manifest" in " ".join(answer["reasons"])

    wait_until("the reason in /readyz", said)
    answer = node.get(f"/v1/metrics/clicks?ad_id=ad_1&from={begin_ms}&to={now_ms()}")
    check_equal("a query", answer.status, 503)
    check("Retry-After".lower() in answer.headers, f"{answer.headers}")
    check_equal("an ad", node.get("/v1/ads/ad_1").status, 200)
    stop_quickly(node)
    for name in ("state", "log"):
        shutil.rmtree(node.data_dir / name)
        shutil.copytree(context.directory / name, node.data_dir / name)
    node.start()
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, 50)
    check_equal("received", node.check_invariant()["received"], 50)


def test_many_lives(context):
    """a node that is killed again and again soon after its start doesn't gather journal files"""
    node = context.node({"log": {"partitions": 8}, "stream": {"checkpoint_interval_s": 3600}})
    node.upload_ads([AD])
    begin_ms = now_ms()
    sent = 0
    for round_number in range(4):
        lines = "".join(json.dumps({"click_id": f"{round_number}-{number}", "ad_id": "ad_1",
                                    "timestamp_ms": now_ms()}) + "\n" for number in range(10_000))
        check_equal("bulk", node.request("POST", "/v1/clicks", lines).status, 202)
        sent += 10_000
    node.kill()
    files = lambda: len([name for name in journal_files(node) if name.endswith(".journal")])
    for _ in range(12):
        node.spawn()
        wait_redirects(node)
        sent += 1
        wait_until("few journal files", lambda: files() <= 7)
        node.kill()
    node.start()
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, sent)


def test_lives_too_short_to_catch_up(context):
    """a node that is killed at its first redirect, again and again, goes on in the journal file that it has"""
    node = context.node({"log": {"partitions": 8}, "stream": {"checkpoint_interval_s": 3600}})
    node.upload_ads([AD])
    begin_ms = now_ms()
    files = lambda: [name for name in journal_files(node) if name.endswith(".journal")]
    sent = 0
    for round_number in range(4):
        lines = "".join(json.dumps({"click_id": f"{round_number}-{number}", "ad_id": "ad_1",
                                    "timestamp_ms": now_ms()}) + "\n" for number in range(10_000))
        check_equal("bulk", node.request("POST", "/v1/clicks", lines).status, 202)
        sent += 10_000
    node.kill()
    before = len(files())
    for _ in range(15):
        node.spawn()
        wait_redirects(node)
        sent += 1
        node.kill()
    check(len(files()) <= before + 1, f"{before} journal files became {len(files())}")
    node.start()
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, sent)
    node.check_invariant()


def test_ready_when_spool_is_counted(context):
    """readiness comes when the clicks of the run before are counted"""
    node = context.node()
    node.upload_ads([AD])
    begin_ms = now_ms()
    for life in range(3):
        lines = "".join(json.dumps({"click_id": f"{life}-{number}", "ad_id": "ad_1", "timestamp_ms": now_ms()}) + "\n"
                        for number in range(20_000))
        check_equal("bulk", node.request("POST", "/v1/clicks", lines).status, 202)
        node.kill()
        node.start()
        check_equal("counted when ready", node.total(begin_ms - 60_000, now_ms() + 60_000), 20_000 * (life + 1))


def test_catalog_damage(context):
    """a flipped bit in the catalog's last record costs that upload only, is told, and the node redirects"""
    node = context.node()
    node.upload_ads([AD])
    node.stop()
    path = node.data_dir / "catalog"
    kept = path.stat().st_size
    node.start()
    node.upload_ads([{**AD, "ad_id": f"later_{number}"} for number in range(50)])
    node.stop()
    with open(path, "r+b") as file:
        file.seek(kept + 200)
        byte = file.read(1)[0]
        file.seek(kept + 200)
        file.write(bytes([byte ^ 1]))
    node.start()
    check(redirects(node), "no redirect")
    check_equal("an ad of the damaged upload", node.get("/v1/ads/later_3").status, 404)
    _, answer = readiness(node)
    told = " ".join(answer["warnings"] + answer["reasons"])
    check("catalog" in told and f"byte {kept}" in told, f"/readyz does not tell it: {answer}")
    check("damaged" in node.log_since_start() and "torn" not in node.log_since_start(), node.log_since_start())
    node.upload_ads([{**AD, "ad_id": "next"}])
    node.stop()
    node.start()
    check_equal("the ad uploaded after it", node.get("/v1/ads/next").status, 200)


def test_broken_ads_file(context):
    """a missing, broken or impossible catalog.file keeps no node from starting, and no key from being revoked"""
    node = context.node(start=False)
    ads = node.directory / "ads.ndjson"
    ads.write_text(json.dumps(AD) + "\n")
    node.config["catalog"] = {"file": "ads.ndjson"}
    node.start()
    check(redirects(node), "no redirect")
    node.stop()

    def check_told(what):
        _, answer = readiness(node)
        told = " ".join(answer["warnings"] + answer["reasons"])
        check("catalog.file" in told and "ads.ndjson" in told, f"{what}: /readyz does not tell it: {answer}")
        check("catalog.file" in node.log_since_start(), f"{what}: {node.log_since_start()}")
        checked = context.run("check-config", str(node.config_path))
        check_equal(f"{what}: exit code of check-config", checked.returncode, 1)
        check("catalog.file" in checked.stderr, f"{what}: {checked.stderr}")

    ads.write_text('{"ad_id": "x"\n')
    node.start()
    check(redirects(node), "no redirect")
    check_told("broken")
    node.stop()
    ads.unlink()
    ads.mkdir()
    node.start()
    check(redirects(node), "no redirect")
    check_told("a folder")
    node.stop()
    ads.rmdir()
    key = {"name": "one", "role": "admin", "sha256": hashlib.sha256(b"one").hexdigest()}
    other = {"name": "two", "role": "admin", "sha256": hashlib.sha256(b"two").hexdigest()}
    node.config["auth"] = {"keys": [key, other]}
    node.start()
    check(redirects(node), "no redirect")
    check_told("missing")
    status = lambda name: node.get("/v1/cluster", Authorization=f"Bearer {name}").status
    check_equal("keys", (status("one"), status("two")), (200, 200))
    node.config["auth"] = {"keys": [other]}
    node.write_config()
    node.process.send_signal(signal.SIGHUP)
    wait_until("the revoked key", lambda: status("one") == 401)
    check_equal("the other key", status("two"), 200)
    # It comes back, and with it what it says.
    ads.write_text(json.dumps({**AD, "ad_id": "ad_2"}) + "\n")
    node.process.send_signal(signal.SIGHUP)
    wait_until("the ad", lambda: node.get("/v1/ads/ad_2", Authorization="Bearer two").status == 200)
    check_equal("warnings", readiness(node)[1]["warnings"], [])


def test_few_descriptors(context):
    """with 256 descriptors and 200 idle connections clicks are redirected and counted"""
    node = context.node(start=False)
    node.write_config()
    node.log_begin = 0
    few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    with open(node.log_path, "ab") as log:
        node.process = subprocess.Popen([node.binary, "serve", "--config", str(node.config_path)],
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=few)
    node.wait_ready()
    node.upload_ads([AD])
    begin_ms = now_ms()
    idle = []
    try:
        for number in range(200):
            idle.append(socket.create_connection(("127.0.0.1", node.collector_port if number % 2 else node.api_port)))
        for _ in range(100):
            check(redirects(node), "no redirect")
        node.wait_total(begin_ms - 60_000, now_ms() + 60_000, 100)
        status, answer = readiness(node)
        check(status == 200, f"{answer}")
        check(len(os.listdir(f"/proc/{node.process.pid}/fd")) < 256, "no descriptor is left")
    finally:
        for connection in idle:
            connection.close()
    stop_quickly(node)


def test_broken_config_on_sighup(context):
    """a config that can't be taken in again is told, what was in force stays, and the ads are taken in all the same"""
    node = context.node(start=False)
    ads = node.directory / "ads.ndjson"
    ads.write_text(json.dumps(AD) + "\n")
    node.config["catalog"] = {"file": "ads.ndjson"}
    node.start()
    good = node.config_path.read_text()
    node.config_path.write_text("{")
    ads.write_text(json.dumps({**AD, "ad_id": "ad_2"}) + "\n")
    node.process.send_signal(signal.SIGHUP)
    wait_until("the ad", lambda: node.get("/v1/ads/ad_2").status == 200)
    status, answer = readiness(node)
    check_equal("ready", status, 200)
    check(any("config" in warning for warning in answer["warnings"]), f"/readyz does not tell it: {answer}")
    check("what was in force stays" in node.log_since_start(), node.log_since_start())
    node.config_path.write_text(good)
    node.process.send_signal(signal.SIGHUP)
    wait_until("no warning", lambda: readiness(node)[1]["warnings"] == [])
    stop_quickly(node)


def test_zone_files(context):
    """zone data that is missing, a folder or nonsense keeps no node from starting, and is told; SIGHUP takes it in"""
    node = context.node(start=False)
    zones = node.directory / "zones"
    node.environment = {"TZDIR": str(zones)}
    node.start()
    node.upload_ads([AD])
    check(redirects(node), "no redirect")
    check(any("zone" in warning for warning in readiness(node)[1]["warnings"]), f"{readiness(node)}")
    checked = subprocess.run([context.binary, "check-config", str(node.config_path)], capture_output=True, text=True,
                             env={**os.environ, **node.environment})
    check_equal("exit code of check-config", checked.returncode, 0)
    check("zone" in checked.stderr, f"check-config says {checked.stderr!r}")
    ask = lambda zone: node.get(f"/v1/metrics/clicks?ad_id=ad_1&from={now_ms() - 1000}&to={now_ms()}"
                                f"&granularity=1h&timezone={zone}")
    (zones / "Asia").mkdir(parents=True)
    (zones / "Asia" / "Kolkata").mkdir()
    (zones / "Asia" / "Tokyo").write_bytes(b"TZif2 nonsense")
    shutil.copy("/usr/share/zoneinfo/Europe/Paris", zones / "Paris")
    node.process.send_signal(signal.SIGHUP)
    wait_until("the zone that is fine", lambda: ask("Paris").status == 200)
    for zone in ("Asia/Kolkata", "Asia/Tokyo"):
        answer = ask(zone)
        check(answer.status in (400, 503), f"{zone}: {answer}")
        check(zone in answer.json()["detail"] or answer.json().get("field") == "timezone", f"{zone}: {answer}")
    check(redirects(node), "no redirect")
    stop_quickly(node)
