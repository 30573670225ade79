"""The raw log as others read it: what was recorded, once per offset, with all its fields."""

import hashlib
import http.client
import json
import threading
import uuid

from harness import NoAnswer, check, check_equal, iso, now_ms, raw_exchange, wait_until

ADS = [{"ad_id": f"raw_{number}", "advertiser_id": f"adv_{number % 5}", "ad_format": ("banner", "video")[number % 2],
        "redirect_url": f"https://example.com/{number}"} for number in range(25)]
FORMAT = {ad["ad_id"]: (ad["advertiser_id"], ad["ad_format"]) for ad in ADS}
PARTITIONS = 3
SMALL = {"log": {"partitions": PARTITIONS}}
FIELDS = ("click_id", "ad_id", "timestamp_ms", "device_type", "country", "user_id", "ip", "user_agent", "referrer")


def random_click(random):
    ad_id = random.choice(ADS)["ad_id"]
    return {
        "click_id": str(uuid.UUID(int=random.getrandbits(128))) if random.random() < 0.9 else f"c-{random.getrandbits(60)}",
        "ad_id": ad_id, "timestamp_ms": now_ms() - random.randrange(5000),
        "device_type": random.choice(("mobile", "desktop", "tablet", "other")),
        "country": random.choice(("US", "DE", "BR", "ZZ")), "user_id": random.choice(("", f"user {random.randrange(999)}")),
        "ip": random.choice((f"10.0.{random.randrange(256)}.{random.randrange(256)}", f"2001:db8::{random.randrange(1, 9999):x}")),
        "user_agent": random.choice(("Mozilla/5.0 (X11)", 'odd "agent"\\ \u00e4\u20ac\U0001f600\t', "")),
        "referrer": random.choice(("https://news.example/a?b=c", "")),
    }


def send(node, clicks, mode=""):
    body = "".join(json.dumps(click) + "\n" for click in clicks)
    answer = node.request("POST", f"/v1/clicks{mode}", body)
    check(answer.status == 202 and answer.json()["accepted"] == len(clicks), f"bulk: {answer}")


def extents(node):
    answer = node.get("/v1/log/raw-clicks")
    check_equal(f"extents ({answer})", answer.status, 200)
    data = answer.json()["data"]
    check_equal("partitions", [item["partition"] for item in data], list(range(PARTITIONS)))
    return data


def page(client, partition, **parameters):
    """(lines as dicts, committed offset that the answer reaches)."""
    query = "&".join(f"{name.rstrip('_')}={value}" for name, value in parameters.items())
    answer = client.request("GET", f"/v1/log/raw-clicks/{partition}?{query}")
    check(answer.status == 200, f"{query}: {answer}")
    check_equal("Content-Type", answer.headers["content-type"], "application/x-ndjson")
    lines = [json.loads(line) for line in answer.body.decode().splitlines()]
    check(not answer.body or answer.body.endswith(b"\n"), "the last line is cut off")
    return lines, int(answer.headers["clickmill-committed-offset"])


def read_all(node, partition, limit=1_000_000):
    lines, offset = [], 0
    client = node.client()
    while True:
        got, committed = page(client, partition, offset=offset, limit=limit)
        lines += got
        offset = got[-1]["offset"] + 1 if len(got) == limit else committed + 1
        if not got:
            client.close()
            return lines


def check_lines(lines, sent):
    """Each click that was sent stands in the lines at least once, as it was sent; nothing else does."""
    seen = set()
    for line in lines:
        want = sent[line["click_id"]]
        check_equal("fields", {name: line[name] for name in FIELDS}, {name: want[name] for name in FIELDS})
        check_equal("ad's", (line["advertiser_id"], line["ad_format"]), FORMAT[want["ad_id"]])
        check(want["timestamp_ms"] <= line["received_ms"] <= line["append_ms"] <= now_ms(), f"times of {line}")
        check(set(line) <= {"offset", "append_ms", "received_ms", *FIELDS, "advertiser_id", "ad_format", "again"},
              f"members of {line}")
        seen.add(line["click_id"])
    return seen


def check_offsets(lines):
    offsets = [line["offset"] for line in lines]
    check(all(a < b for a, b in zip(offsets, offsets[1:])), "offsets don't rise")


def test_raw_log_holds_everything(context):
    """every recorded click comes out of the raw log once, in pages, by offset and by time, before and after a kill"""
    node = context.node(SMALL)
    node.upload_ads(ADS)
    sent = {}
    for _ in range(12):
        clicks = [random_click(context.random) for _ in range(2000)]
        sent.update((click["click_id"], click) for click in clicks)
        send(node, clicks)
    node.wait_spool_empty()
    logs = [read_all(node, partition) for partition in range(PARTITIONS)]
    check_equal("lines", sum(map(len, logs)), len(sent))
    check_equal("clicks", len(set.union(*(check_lines(lines, sent) for lines in logs))), len(sent))
    for extent, lines in zip(extents(node), logs):
        check_offsets(lines)
        check(extent["first_offset"] <= lines[0]["offset"] <= lines[-1]["offset"] <= extent["committed_offset"]
              <= extent["last_offset"], f"{extent}: lines {lines[0]['offset']} to {lines[-1]['offset']}")
    check(any((node.data_dir / "log").rglob("*.segment")), "nothing was sealed")

    client = node.client()
    for partition, lines in enumerate(logs):
        check_equal("in pages of 999", read_all(node, partition, limit=999), lines)
        for _ in range(20):
            at, limit = context.random.randrange(len(lines)), context.random.randrange(1, 300)
            check_equal("page", page(client, partition, offset=lines[at]["offset"], limit=limit)[0], lines[at:at + limit])
            time_ms = lines[at]["append_ms"]
            want = [line for line in lines if line["append_ms"] >= time_ms][:limit]
            check_equal("by time", page(client, partition, from_=time_ms, limit=limit)[0], want)
        check_equal("default limit", page(client, partition)[0], lines[:1000])
        check_equal("past the end", page(client, partition, offset=2**60)[0], [])
        check_equal("in the future", page(client, partition, from_=iso(now_ms() + 86_400_000))[0], [])
    client.close()

    node.kill()
    node.start()
    node.wait_spool_empty()
    for partition, lines in enumerate(logs):
        again = read_all(node, partition)
        check_equal("before the kill", again[:len(lines)], lines)
        # What was trimmed last before a kill may come once more, and says so.
        check(all(line.get("again") for line in again[len(lines):]), "a click appeared twice")
    context.say(f"{len(sent)} clicks, {sum(map(len, logs))} lines")


class Follower(threading.Thread):
    """Follows one partition at its tail, over restarts of the node."""

    def __init__(self, node, partition):
        super().__init__(daemon=True)
        self.node, self.partition = node, partition
        self.lines, self.problem, self.ending = [], None, False

    def run(self):
        try:
            client, offset = self.node.client(), 0
            while True:
                last_round = self.ending
                try:
                    got, committed = page(client, self.partition, offset=offset, limit=50, wait_ms=200)
                except NoAnswer:
                    wait_until("the node", self.node.alive)
                    continue
                self.lines += got
                offset = got[-1]["offset"] + 1 if len(got) == 50 else max(offset, committed + 1)
                if last_round and not got:
                    return
        except Exception as error:  # carried to the thread that judges
            self.problem = error


def test_raw_log_followers(context):
    """followers at the tail get every click once while clicks flow and the node is killed"""
    node = context.node(SMALL)
    node.upload_ads(ADS)
    followers = [Follower(node, number % PARTITIONS) for number in range(3 * PARTITIONS)]
    for follower in followers:
        follower.start()
    sent = {}
    for round_number in range(40):
        clicks = [random_click(context.random) for _ in range(50)]
        sent.update((click["click_id"], click) for click in clicks)
        send(node, clicks)
        if round_number in (13, 27):
            node.kill()
            node.start()
    node.wait_spool_empty()
    for follower in followers:
        follower.ending = True
    for follower in followers:
        follower.join(60)
        check(not follower.is_alive(), "a follower doesn't come to the end")
        if follower.problem:
            raise follower.problem
    logs = [read_all(node, partition) for partition in range(PARTITIONS)]
    check_equal("clicks", len(set.union(*(check_lines(lines, sent) for lines in logs))), len(sent))
    for follower in followers:
        check_equal(f"a follower of partition {follower.partition}", follower.lines, logs[follower.partition])
    context.say(f"{len(followers)} followers, {len(sent)} clicks, 2 kills")


def test_raw_log_waits(context):
    """wait_ms holds an answer until a click is committed, the time is over, or the node stops"""
    node = context.node({"log": {"partitions": 1}})
    node.upload_ads(ADS)
    waiting = lambda: node.metrics()["clickmill_log_followers"]
    answers = []

    def ask(query):
        thread = threading.Thread(target=lambda: answers.append(node.get(f"/v1/log/raw-clicks/0?{query}")))
        thread.start()
        return thread

    thread = ask("wait_ms=30000")
    wait_until("a follower", waiting)
    check_equal("answered before there is anything", answers, [])
    click = random_click(context.random)
    send(node, [click])
    thread.join()
    check_equal("woken by", [json.loads(line)["click_id"] for line in answers.pop().body.splitlines()], [click["click_id"]])

    end = extents_of_one(node) + 1
    thread = ask(f"offset={end}&wait_ms=1")
    thread.join()
    check_equal("after its time", (answers[0].status, answers[0].body), (200, b""))
    answers.clear()
    # Nobody waits for a body that isn't sent.
    check_equal("HEAD", node.request("HEAD", f"/v1/log/raw-clicks/0?offset={end}&wait_ms=30000").status, 200)

    threads = [ask(f"offset={end}&wait_ms=30000") for _ in range(5)]
    wait_until("five followers", lambda: waiting() == 5)
    node.stop()
    for thread in threads:
        thread.join()
    check_equal("at the node's stop", [(answer.status, answer.body) for answer in answers], [(200, b"")] * 5)


def extents_of_one(node):
    return node.get("/v1/log/raw-clicks").json()["data"][0]["committed_offset"]


def test_raw_log_refuses(context):
    """the raw log answers HEAD, refuses what is wrong by name, and is the admin's"""
    node = context.node(SMALL)
    path = "/v1/log/raw-clicks/0"
    for query, field in (("offset=-1", "offset"), ("offset=x", "offset"), ("from=never", "from"), ("limit=0", "limit"),
                         ("limit=1000001", "limit"), ("wait_ms=30001", "wait_ms"), ("wait_ms=soon", "wait_ms"),
                         ("offset=1&from=0", "from"), ("limit=1&limit=2", "limit"), ("colour=red", "colour")):
        answer = node.get(f"{path}?{query}")
        check_equal(query, (answer.status, answer.json().get("field")), (400, field))
    answer = node.get("/v1/log/raw-clicks?colour=red")
    check_equal("list with a parameter", (answer.status, answer.json().get("field")), (400, "colour"))
    for partition in (PARTITIONS, "x", "-1", "0x0", "99999999999999999999"):
        check_equal(f"partition {partition}", node.get(f"/v1/log/raw-clicks/{partition}").status, 404)
    for method in ("POST", "PUT", "DELETE"):
        for target in (path, "/v1/log/raw-clicks"):
            answer = node.request(method, target, "")
            check_equal(f"{method} {target}", (answer.status, answer.headers.get("allow")), (405, "GET, HEAD"))
    for target in (path, "/v1/log/raw-clicks"):
        answer = node.request("HEAD", target)
        check_equal(f"HEAD {target}", (answer.status, answer.body), (200, b""))
        check_equal(f"{target} at the collector", node.request("GET", target, listener="collector").status, 404)

    keys = {"adm": "admin", "ing": "ingest"}
    guarded = context.node({"auth": {"keys": [
        {"name": key, "sha256": hashlib.sha256(key.encode()).hexdigest(), "role": role} for key, role in keys.items()]}})
    for target in (path, "/v1/log/raw-clicks", "/v1/cluster"):
        check_equal(f"{target} without a key", guarded.get(target).status, 401)
        check_equal(f"{target} for ingest", guarded.get(target, Authorization="Bearer ing").status, 403)
        check_equal(f"{target} for admin", guarded.get(target, Authorization="Bearer adm").status, 200)


def status_kb(node, name):
    with open(f"/proc/{node.process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name + ":"))


def test_raw_log_in_little_memory(context):
    """a reader of everything is served in little memory, and readers that stall hold up nobody"""
    node = context.node({"log": {"partitions": 1}})
    node.upload_ads(ADS)
    count = 20 * 8000
    template = random_click(context.random)
    for batch in range(20):
        send(node, [{**template, "click_id": f"{batch}-{number}", "timestamp_ms": now_ms(), "referrer": "r" * 200}
                    for number in range(8000)])
    node.wait_spool_empty()

    stalled = []
    for _ in range(8):
        connection = http.client.HTTPConnection("127.0.0.1", node.api_port, timeout=60)
        connection.request("GET", "/v1/log/raw-clicks/0?limit=1000000")
        answer = connection.getresponse()
        check_equal("stalled reader", answer.status, 200)
        answer.read(1000)
        stalled.append((connection, answer))

    # The peak from here on only.
    with open(f"/proc/{node.process.pid}/clear_refs", "w") as refs:
        refs.write("5")
    before_kb = status_kb(node, "VmRSS")
    connection = http.client.HTTPConnection("127.0.0.1", node.api_port, timeout=60)
    connection.request("GET", "/v1/log/raw-clicks/0?limit=1000000")
    answer, lines, size = connection.getresponse(), 0, 0
    while piece := answer.read(1 << 16):
        lines += piece.count(b"\n")
        size += len(piece)
    connection.close()
    check_equal("lines", lines, count)
    grown_kb = status_kb(node, "VmHWM") - before_kb
    check(grown_kb < 48 * 1024 < size // 1024, f"{size >> 20} MiB were sent with {grown_kb} KiB more memory")
    check(b"302" in raw_exchange(node.collector_port, f"GET /v1/click?ad_id={ADS[0]['ad_id']} HTTP/1.1\r\n"
                                                      "Host: a\r\n\r\n".encode()), "no redirect beside stalled readers")
    for connection, _ in stalled:
        connection.close()
    context.say(f"{size >> 20} MiB with {grown_kb >> 10} MiB more memory")
