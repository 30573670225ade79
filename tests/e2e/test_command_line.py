"""The command line, the config, the data directory's lock, and the keys."""

import hashlib
import json
import re
import signal
import threading

from harness import NoAnswer, check, check_equal, now_ms, wait_until

# (what, config text, words that the message must hold)
BAD_CONFIGS = [
    ("unknown key", '{"node_idd": "n1"}', ["node_idd", "node_id"]),
    ("unknown nested key", '{"log": {"partitons": 64}}', ["partitons", "partitions"]),
    ("unknown stream key", '{"stream": {"dedup_hour": 24}}', ["dedup_hour", "dedup_hours"]),
    ("wrong type", '{"threads": "two"}', ["threads"]),
    ("negative", '{"stream": {"checkpoint_interval_s": -1}}', ["checkpoint_interval_s"]),
    ("unknown durability", '{"collector": {"durability": "maybe"}}', ["durability"]),
    ("cluster without a secret", '{"cluster": {"peers": [{"node_id": "n1", "peer": "a:1", "api": "a:2"}]}}', ["cluster.secret_file"]),
    ("cluster whose secret is gone", json.dumps({"cluster": {"secret_file": "no-such-file", "peers": [{"node_id": "n1", "peer": "a:1", "api": "a:2"}]}}), ["cluster"]),
    ("cluster without this node", json.dumps({"cluster": {"secret_file": "s", "peers": [{"node_id": "n2", "peer": "a:1", "api": "a:2"}]}}), ["cluster.peers", "n1"]),
    ("not there yet: tls", '{"tls": {"cert": "a.pem", "key": "b.pem"}}', ["tls"]),
    ("http catalog without url", '{"catalog": {"source": "http"}}', ["catalog.url"]),
    ("url of a builtin catalog", '{"catalog": {"url": "http://127.0.0.1:1"}}', ["catalog.url"]),
    ("not JSON", '{"node_id": ', []),
    ("not an object", "[]", []),
    ("bad address", '{"listen": {"api": "here"}}', ["listen.api"]),
    ("short key digest", '{"auth": {"keys": [{"name": "a", "sha256": "12", "role": "admin"}]}}', ["sha256"]),
    ("unknown role", json.dumps({"auth": {"keys": [{"name": "a", "sha256": "0" * 64, "role": "king"}]}}), ["role"]),
    ("public api without keys", '{"listen": {"api": "0.0.0.0:8081"}}', ["key"]),
]
GOOD_CONFIGS = [
    "{}",
    '{ // a comment\n "node_id": "n7", /* another */ "threads": 2 }',
    '{"log": {"partitions": 64, "compression": "lz4"}, "stream": {"dedup_hours": 24}, "query": {"max_points": 5}}',
    '{"catalog": {"source": "http", "url": "http://127.0.0.1:1/ads", "timeout_ms": 50, "ttl_s": 5}}',
    json.dumps({"listen": {"api": "0.0.0.0:8081"},
                "auth": {"keys": [{"name": "ops", "sha256": "ab" * 32, "role": "admin"}]}}),
]


def test_commands(context):
    """--version, --help and check-config say what they should and exit 0, 1 or 2"""
    version = context.run("--version")
    check_equal("--version", version.returncode, 0)
    check(re.search(r"clickmill \d+\.\d+", version.stdout), f"--version: {version.stdout!r}")
    usage = context.run("--help")
    check_equal("--help", usage.returncode, 0)
    for word in ("serve", "check-config", "--config"):
        check(word in usage.stdout, f"--help does not name {word}")
    for arguments in (["frobnicate"], ["serve", "--confg", "x"], ["check-config"], ["serve", "--config"]):
        wrong = context.run(*arguments)
        check_equal(f"{arguments}: exit code", wrong.returncode, 2)
        check(wrong.stderr, f"{arguments}: nothing on stderr")

    path = context.directory / "config.json"
    for text in GOOD_CONFIGS:
        path.write_text(text)
        good = context.run("check-config", str(path))
        check_equal(f"check-config {text}: {good.stderr}", good.returncode, 0)
    for what, text, words in BAD_CONFIGS:
        path.write_text(text)
        for arguments in (["check-config", str(path)], ["serve", "--config", str(path)]):
            # A node redirects without it.
            if arguments[0] == "serve" and what == "cluster whose secret is gone":
                continue
            bad = context.run(*arguments)
            check(bad.returncode in (1, 2), f"{what}: {arguments[0]} exits {bad.returncode}")
            for word in words:
                check(word in bad.stderr, f"{what}: {word!r} is not in {bad.stderr!r}")
    missing = context.run("check-config", str(context.directory / "none.json"))
    check(missing.returncode in (1, 2) and "none.json" in missing.stderr, f"missing file: {missing.stderr!r}")


def test_ready_line_and_lock(context):
    """one line says ready and where; a second process on the same data is refused; SIGTERM exits 0"""
    node = context.node()
    def ready_lines():
        return [line for line in node.log_since_start().splitlines() if "ready" in line]

    # /readyz may answer before the line is out.
    ready = wait_until("the line that says ready", ready_lines)
    check_equal(f"ready lines in {node.log_since_start()!r}", len(ready), 1)
    for port in (node.collector_port, node.api_port):
        check(f"127.0.0.1:{port}" in ready[0], f"{port} is not in {ready[0]!r}")

    def refused(what, words, **changes):
        other = context.node({**changes, "data_dir": str(node.data_dir.resolve())}, start=False)
        other.spawn()
        code = wait_until("the end of the second process", lambda: other.process.poll() is not None and
                          [other.process.returncode])[0]
        check(code in (1, 2), f"{what}: exit code {code}")
        log = other.log_since_start()
        check(any(word in log for word in words), f"{what}: none of {words} in {log!r}")

    refused("second process", ["lock", "in use", "another process"])
    check_equal("the first goes on", node.get("/healthz").status, 200)
    node.stop()
    refused("another node_id", ["node_id"], node_id="someone")
    refused("another number of partitions", ["partitions"], log={"partitions": 32})
    node.start()
    node.stop()


def test_port_taken(context):
    """an address in use is named, and the process ends"""
    node = context.node()
    other = context.node({"listen": node.config["listen"]}, start=False)
    other.spawn()
    wait_until("the end of the second process", lambda: other.process.poll() is not None)
    check(other.process.returncode in (1, 2), f"exit code {other.process.returncode}")
    check(any(str(port) in other.log_since_start() for port in (node.collector_port, node.api_port)),
          f"no address in {other.log_since_start()!r}")
    check_equal("the first goes on", node.get("/healthz").status, 200)


def test_catalog_file(context):
    """ads come from the file named in the config, and again when it has changed"""
    ad = {"ad_id": "filed", "advertiser_id": "adv_1", "ad_format": "banner", "redirect_url": "https://example.com/1"}
    node = context.node({"catalog": {"file": "ads.ndjson"}}, start=False)
    ads = node.directory / "ads.ndjson"
    ads.write_text(json.dumps(ad) + "\n")
    node.start()
    check_equal("ad of the file", node.get("/v1/ads/filed").json(), ad)
    # The file's bytes are the same: what the api changed meanwhile stands.
    changed = {**ad, "redirect_url": "https://example.com/2"}
    check_equal("PUT", node.request("PUT", "/v1/ads/filed", json.dumps(changed)).status, 200)
    node.stop()
    node.start()
    check_equal("after a restart", node.get("/v1/ads/filed").json(), changed)
    node.stop()
    ads.write_text(json.dumps(ad) + "\n" + json.dumps({**ad, "ad_id": "second"}) + "\n")
    node.start()
    check_equal("after a change of the file", node.get("/v1/ads/filed").json(), ad)
    check_equal("its second ad", node.get("/v1/ads/second").status, 200)


KEYS = {"admin": "key of an admin", "ingest": "key of a server", "adv_1": "key of advertiser 1"}


def key_entry(name, role, **more):
    return {"name": name, "role": role, "sha256": hashlib.sha256(KEYS[name].encode()).hexdigest(), **more}


def test_keys(context):
    """each role may do what is its own, and learns nothing of another advertiser"""
    node = context.node({"auth": {"keys": [key_entry("admin", "admin"), key_entry("ingest", "ingest"),
                                           key_entry("adv_1", "advertiser", advertiser_id="adv_1")]}})
    span = f"from={now_ms() - 60_000}&to={now_ms() + 60_000}"

    def ask(who, method, path, body=None, listener="api"):
        headers = {"Authorization": f"Bearer {KEYS.get(who, who)}"} if who else {}
        return node.request(method, path, body, headers, listener)

    def ad(number):
        return json.dumps({"ad_id": f"ad_{number}", "advertiser_id": f"adv_{number}", "ad_format": "banner",
                           "redirect_url": "https://example.com/"})

    def click(click_id):
        return json.dumps({"click_id": click_id, "ad_id": "ad_1", "timestamp_ms": now_ms()})

    cases = [
        (None, "PUT", "/v1/ads/ad_1", ad(1), 401),
        ("nobody's key", "PUT", "/v1/ads/ad_1", ad(1), 401),
        ("adv_1", "PUT", "/v1/ads/ad_1", ad(1), 403),
        ("ingest", "PUT", "/v1/ads/ad_1", ad(1), 403),
        ("admin", "PUT", "/v1/ads/ad_1", ad(1), 201),
        ("admin", "PUT", "/v1/ads/ad_2", ad(2), 201),
        (None, "GET", f"/v1/metrics/clicks?ad_id=ad_1&{span}", None, 401),
        ("adv_1", "GET", f"/v1/metrics/clicks?ad_id=ad_1&{span}", None, 200),
        ("adv_1", "GET", f"/v1/metrics/clicks?advertiser_id=adv_1&{span}", None, 200),
        ("adv_1", "GET", f"/v1/metrics/clicks?ad_id=ad_2&{span}", None, 404),
        ("adv_1", "GET", f"/v1/metrics/clicks?ad_id=none&{span}", None, 404),
        ("adv_1", "GET", f"/v1/metrics/clicks?advertiser_id=adv_2&{span}", None, 404),
        ("admin", "GET", f"/v1/metrics/clicks?ad_id=ad_2&{span}", None, 200),
        ("ingest", "GET", f"/v1/metrics/clicks?ad_id=ad_1&{span}", None, 403),
        ("adv_1", "GET", f"/v1/metrics/top?advertiser_id=adv_2&{span}", None, 404),
        ("adv_1", "GET", f"/v1/metrics/top?advertiser_id=adv_1&{span}", None, 200),
        ("adv_1", "GET", "/v1/ads/ad_1", None, 200),
        ("adv_1", "GET", "/v1/ads/ad_2", None, 404),
        ("adv_1", "DELETE", "/v1/ads/ad_1", None, 403),
        ("adv_1", "POST", "/v1/clicks", click("a"), 403),
        (None, "POST", "/v1/clicks", click("a"), 401),
        ("ingest", "POST", "/v1/clicks", click("bulk"), 202),
        ("ingest", "POST", "/v1/clicks?mode=backfill", click("b"), 403),
        ("admin", "POST", "/v1/clicks?mode=backfill", click("past"), 202),
        (None, "POST", "/v1/click", click("open"), 302),
        (None, "GET", "/healthz", None, 200),
        (None, "GET", "/readyz", None, 200),
        (None, "GET", "/metrics", None, 200),
    ]
    for who, method, path, body, status in cases:
        answer = ask(who, method, path, body)
        check_equal(f"{method} {path} as {who} ({answer})", answer.status, status)
        if status == 401:
            check("Bearer" in answer.headers.get("www-authenticate", ""), f"401 without WWW-Authenticate: {path}")
    # What an advertiser sees of another's ad is what it sees of none.
    other, none = (ask("adv_1", "GET", f"/v1/metrics/clicks?ad_id={ad_id}&{span}").json() for ad_id in ("ad_2", "none"))
    check_equal("404 of another's ad", {**other, "detail": other["detail"].replace("ad_2", "none")}, none)
    check_equal("ads of an advertiser", [row["ad_id"] for row in ask("adv_1", "GET", "/v1/ads").json()["data"]], ["ad_1"])
    wait_until("three clicks", lambda: ask("admin", "GET", f"/v1/metrics/clicks?ad_id=ad_1&{span}&granularity=total")
               .json()["total"]["click_count"] == 3)


def test_stops_under_load(context):
    """SIGTERM with clicks under way loses none that was answered"""
    node = context.node()
    node.upload_ads([{"ad_id": "stop", "advertiser_id": "adv_1", "ad_format": "banner",
                      "redirect_url": "https://example.com/"}])
    answered = []

    def send(sender):
        client = node.client("collector")
        try:
            for number in range(100_000):
                if client.request("GET", f"/v1/click?ad_id=stop&click_id={sender}-{number}").status == 302:
                    answered.append(f"{sender}-{number}")
        except NoAnswer:
            client.close()

    senders = [threading.Thread(target=send, args=(number,)) for number in range(3)]
    begin_ms = now_ms()
    for sender in senders:
        sender.start()
    wait_until("clicks to flow", lambda: len(answered) > 300)
    node.stop()
    for sender in senders:
        sender.join()
    node.start()
    # One click a sender may have been taken without an answer.
    counted = lambda: node.metrics_clicks(ad_id="stop", from_=begin_ms, to=now_ms() + 60_000,
                                          granularity="total")["total"]["click_count"]
    wait_until("all answered clicks", lambda: counted() >= len(answered))
    check(counted() <= len(answered) + len(senders), f"{counted()} counted, {len(answered)} answered")


def test_reload(context):
    """SIGHUP puts keys, log level and catalog file in force; a wrong config changes nothing"""
    KEYS["next"] = "another key of an admin"
    node = context.node({"auth": {"keys": [key_entry("admin", "admin")]}, "log_level": "info"})

    def status_of(name):
        return node.request("GET", "/v1/cluster", headers={"Authorization": f"Bearer {KEYS[name]}"}).status

    def reload(**changes):
        said = len(node.log_since_start())
        node.config = {**node.config, **changes}
        node.write_config()
        node.process.send_signal(signal.SIGHUP)
        return wait_until("a word about the config", lambda: node.log_since_start()[said:])

    check_equal("before", (status_of("admin"), status_of("next")), (200, 401))
    reload(auth={"keys": [key_entry("next", "admin")]})
    wait_until("the next key", lambda: status_of("next") == 200)
    check_equal("the old key", status_of("admin"), 401)
    said = reload(auth={"keys": "none"})
    check("auth.keys" in said, said)
    check_equal("after a wrong config", (status_of("admin"), status_of("next")), (401, 200))
    said = reload(auth={"keys": [key_entry("admin", "admin")]}, threads=3)
    wait_until("the first key again", lambda: status_of("admin") == 200)
    wait_until("what waits for the next start", lambda: "next start" in node.log_since_start())
    check_equal("the one that was taken away", status_of("next"), 401)
    node.stop()
