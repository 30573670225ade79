"""GET /openapi.json against what a node answers."""

import hashlib
import json
import re

from harness import check, check_equal, now_ms, wait_until
from json_schema import complaints, resolved

METHODS = ("get", "head", "put", "post", "delete", "options")
ROLES = ("advertiser", "ingest", "admin")
PROBLEM = "application/problem+json"
# Not easily reached: a full pool, a body that waits for room, a node that isn't ready; a node that
# lacks a partition.
RARE = {"421", "503"}
# They need a configuration service, or retention; the tests of these have them.
ELSEWHERE = {("post", "/v1/ads", "405"), ("put", "/v1/ads/{ad_id}", "405"), ("delete", "/v1/ads/{ad_id}", "405"),
             ("get", "/v1/log/raw-clicks/{partition}", "410")}


class Described:
    """The document, and which of its operations and statuses were seen."""

    def __init__(self, node):
        self.node = node
        answer = node.get("/openapi.json")
        check_equal("openapi.json", (answer.status, answer.headers["content-type"]), (200, "application/json"))
        self.document = answer.json()
        self.seen = set()

    def operations(self):
        for path, item in self.document["paths"].items():
            for method in METHODS:
                if method in item:
                    yield method, path, item[method]

    def parameters(self, method, path):
        item = self.document["paths"][path]
        both = item.get("parameters", []) + item[method].get("parameters", [])
        return [resolved(self.document, parameter) for parameter in both]

    def template(self, path):
        """The documented path that serves this one; a literal wins over a name."""
        fitting = [template for template in self.document["paths"]
                   if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path)]
        check(fitting, f"{path} is not described")
        return min(fitting, key=lambda template: template.count("{"))

    def ask(self, want, method, target, body=None, key=None, listener="api", **headers):
        """One request; the answer must be as described. Underscores of header names stand for dashes."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        path, _, query = target.partition("?")
        template = self.template(path)
        what = f"{method.upper()} {target}"
        answer = self.node.request(method.upper(), target, body, headers, listener)
        check_equal(f"{what}: {answer}", answer.status, want)
        known = {parameter["name"] for parameter in self.parameters(method, template) if parameter["in"] == "query"}
        if want < 400:
            for part in filter(None, query.split("&")):
                check(part.split("=")[0] in known, f"{what}: parameter {part} is not described")
        self.judge(what, method, template, answer, body, headers)
        return answer

    def judge(self, what, method, template, answer, body, headers):
        operation = self.document["paths"][template][method]
        responses = operation["responses"]
        check(str(answer.status) in responses, f"{what}: {answer.status} is not described")
        self.seen.add((method, template, str(answer.status)))
        described = resolved(self.document, responses[str(answer.status)])
        for name, header in described.get("headers", {}).items():
            check(not header.get("required") or name.lower() in answer.headers, f"{what}: no header {name}")
        self.judge_body(what, described.get("content", {}), answer.headers.get("content-type", ""), answer.body)
        if body is not None and answer.status < 300:
            content = operation["requestBody"]["content"]
            self.judge_body(f"{what}, its body", content, headers.get("Content-Type", next(iter(content))), body)

    def judge_body(self, what, content, content_type, body):
        if not content:
            check_equal(f"{what}: body", body, b"")
            return
        media = content_type.split(";")[0]
        check(media in content, f"{what}: {media} is not described")
        lines = [body]
        if media == "application/x-ndjson":
            lines = body.splitlines()
        elif "json" not in media:
            return
        for line in lines:
            wrong = complaints(self.document, content[media]["schema"], json.loads(line))
            check(not wrong, f"{what}: {wrong[:5]}")


def test_routes(context):
    """every route is described in /openapi.json, and everything described is a route"""
    described = Described(context.node())
    routes, files = set(), set()
    for line in described.node.get("/metrics").body.decode().splitlines():
        found = re.match(r'clickmill_http_route_requests_total\{listener="api",method="(\w+)",route="([^"]+)"\}', line)
        if found:
            method, path = found[1].lower(), found[2]
            if path.startswith("/page/"):
                files.add(path.removeprefix("/page/{hash}/"))
                path = "/page/{hash}/{file}"
            routes.add((method, path))
    check_equal("routes and what is described", sorted(routes),
                sorted((method, path) for method, path, _ in described.operations()))
    names = [p["schema"]["enum"] for p in described.parameters("get", "/page/{hash}/{file}") if p["name"] == "file"]
    check_equal("files of the page", sorted(files), sorted(names[0]))


def test_document(context):
    """the document is whole: every reference leads somewhere, every component is used, names are given once"""
    described = Described(context.node())
    document = described.document
    check_equal("version", document["openapi"], "3.1.0")
    check(re.fullmatch(r"\d+\.\d+\.\d+", document["info"]["version"]), document["info"])
    used = set(re.findall(r'"\$ref": ?"(#/[^"]+)"', json.dumps(document)))
    for reference in used:
        resolved(document, {"$ref": reference})
    made = {f"#/components/{kind}/{name}" for kind in ("schemas", "responses", "parameters")
            for name in document["components"][kind]}
    check_equal("components that nothing uses", sorted(made - used), [])
    ids = [operation["operationId"] for _, _, operation in described.operations()]
    check_equal("operations", len(ids), len(set(ids)))
    tags = {tag["name"] for tag in document["tags"]}
    for method, path, operation in described.operations():
        check(set(operation["tags"]) <= tags, f"{method} {path}: tags")
        declared = {p["name"] for p in described.parameters(method, path) if p["in"] == "path"}
        check_equal(f"{method} {path}: path parameters", declared, set(re.findall(r"\{(\w+)\}", path)))


def test_roles(context):
    """each operation asks for a key of the roles that are described, and of no other"""
    keys = [{"name": role, "role": role, "sha256": hashlib.sha256(role.encode()).hexdigest(),
             **({"advertiser_id": "adv_1"} if role == "advertiser" else {})} for role in ROLES]
    described = Described(context.node({"auth": {"keys": keys}}))
    for method, path, operation in described.operations():
        allowed = {role for way in operation.get("security", []) for role in way["key"]}
        target = re.sub(r"\{\w+\}", "1", path)
        answer = described.node.request(method.upper(), target)
        check_equal(f"{method} {path} without a key", answer.status == 401, bool(allowed))
        for role in ROLES if allowed else ():
            answer = described.node.request(method.upper(), target, headers={"Authorization": f"Bearer {role}"})
            check_equal(f"{method} {path} as {role}: {answer}", answer.status == 403, role not in allowed)
            check(answer.status != 401, f"{method} {path} as {role}: {answer}")
        if allowed:
            described.ask(401, method, target, key="nobody")
        if forbidden := [role for role in ROLES if allowed and role not in allowed]:
            described.ask(403, method, target, key=forbidden[0])
    described.ask(403, "post", "/v1/clicks?mode=backfill", key="ingest")
    check("advertiser" in described.ask(200, "get", "/v1/whoami", key="advertiser").body.decode(), "whoami")
    described.ask(404, "get", "/v1/metrics/top?minutes=1&advertiser_id=another", key="advertiser")
    described.ask(404, "get", "/v1/ads?advertiser_id=another", key="advertiser")


AD = {"ad_id": "ad_1", "advertiser_id": "adv_1", "ad_format": "banner", "redirect_url": "https://example.com/a?b=c"}
SCRIPT = {"Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"}
UNSEEN = {"Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "empty"}
JSON = {"Content_Type": "application/json"}


def line(click_id, ad_id="ad_1", timestamp_ms=None, **more):
    return json.dumps({"click_id": click_id, "ad_id": ad_id, "timestamp_ms": timestamp_ms or now_ms(), **more}).encode()


def ask_ads(described):
    ask = described.ask
    body = json.dumps({name: value for name, value in AD.items() if name != "ad_id"})
    ask(201, "put", "/v1/ads/ad_1", body, **JSON)
    ask(200, "put", "/v1/ads/ad_1", body, **JSON)
    ask(400, "put", "/v1/ads/ad_1", "{}")
    ask(413, "put", "/v1/ads/ad_1", b" " * 20_000)
    ask(415, "put", "/v1/ads/ad_1", body, Content_Encoding="br")
    ask(200, "get", "/v1/ads/ad_1")
    ask(404, "get", "/v1/ads/nobody")
    upload = "\n".join([json.dumps({**AD, "ad_id": "ad_2"}), json.dumps({**AD, "ad_id": "ad_3"})]).encode()
    ask(200, "post", "/v1/ads", upload)
    check_equal("rejected", ask_unjudged(described, "post", "/v1/ads", b'{"ad_id":"x"}')["rejected_count"], 1)
    ask(400, "post", "/v1/ads", b"x", Content_Encoding="gzip")
    ask(415, "post", "/v1/ads", upload, Content_Encoding="br")
    ask(413, "post", "/v1/ads", b" " * (16 * 1024 * 1024 + 1))
    check(ask(200, "get", "/v1/ads?limit=1").json()["next"], "a next page")
    ask(200, "get", "/v1/ads?advertiser_id=adv_1&after=ad_1&limit=10")
    ask(400, "get", "/v1/ads?limit=0")
    ask(204, "delete", "/v1/ads/ad_3")
    ask(404, "delete", "/v1/ads/ad_3")


def ask_unjudged(described, method, target, body):
    """For a body that is wrong on purpose: its answer is judged, the body isn't."""
    answer = described.node.request(method.upper(), target, body)
    described.judge(f"{method} {target}", method, described.template(target.split("?")[0]), answer, None, {})
    return answer.json()


def ask_clicks(described):
    ask = described.ask
    ask(302, "get", "/v1/click?ad_id=ad_1&click_id=g1&device_type=mobile&country=DE&user_id=u")
    ask(302, "get", "/v1/click?ad_id=ad_1", listener="collector")
    ask(204, "get", "/v1/click?ad_id=ad_1", **UNSEEN)
    ask(200, "get", "/v1/click?ad_id=ad_1", **SCRIPT)
    ask(400, "get", "/v1/click")
    ask(404, "get", "/v1/click?ad_id=nobody")
    ask(409, "get", "/v1/click?ad_id=ad_1", Sec_Purpose="prefetch")
    ask(302, "head", "/v1/click?ad_id=ad_1")
    ask(400, "head", "/v1/click")
    ask(404, "head", "/v1/click?ad_id=nobody")
    ask(302, "post", "/v1/click", line("p1", country="US", device_type="tablet", user_id="v"), **JSON)
    ask(204, "post", "/v1/click", line("p2"), Content_Type="text/plain", **UNSEEN)
    ask(200, "post", "/v1/click", line("p3"), **JSON, **SCRIPT)
    ask(302, "post", "/v1/click", b"ad_id=ad_1", Content_Type="application/x-www-form-urlencoded")
    ask(400, "post", "/v1/click", b"{}", **JSON)
    ask(404, "post", "/v1/click", line("p4", "nobody"), **JSON)
    ask(409, "post", "/v1/click", line("p5"), Purpose="prefetch", **JSON)
    ask(413, "post", "/v1/click", b" " * 20_000)
    ask(415, "post", "/v1/click", b"ad_id=ad_1", Content_Type="text/plain")
    ask(204, "options", "/v1/click", Origin="https://page.example", Access_Control_Request_Method="POST")

    ask(202, "post", "/v1/clicks", line("b1", ip="203.0.113.7", user_agent="x", referrer="y", country="FR"))
    # Years ago, so that it goes to review; the second is accepted later.
    ask(202, "post", "/v1/clicks", line("late1", timestamp_ms=1_600_000_000_000))
    ask(202, "post", "/v1/clicks", line("late2", timestamp_ms=1_600_000_000_000))
    ask(202, "post", "/v1/clicks?mode=backfill", line("b2", timestamp_ms=1_600_000_000_000))
    check(ask_unjudged(described, "post", "/v1/clicks", b"{}\n")["detail"], "why none was accepted")
    ask(400, "post", "/v1/clicks?mode=other", line("b3"))
    ask(413, "post", "/v1/clicks", b" " * (16 * 1024 * 1024 + 1))
    ask(415, "post", "/v1/clicks", line("b4"), Content_Encoding="br")
    wait_until("everything counted or in review", lambda: described.node.check_invariant()["review"] == 2)
    described.node.wait_spool_empty()


def ask_counts(described):
    ask = described.ask
    day = f"from={now_ms() - 3_600_000}&to={now_ms() + 3_600_000}"
    for more in ("", "&breakdown=country&granularity=1h", "&breakdown=device_type&granularity=1d&timezone=Asia/Kolkata",
                 "&country=DE&granularity=total", "&device_type=mobile&fill=none", "&format=csv"):
        ask(200, "get", f"/v1/metrics/clicks?ad_id=ad_1&{day}{more}")
    ask(200, "get", f"/v1/metrics/clicks?advertiser_id=adv_1&{day}&granularity=1h")
    ask(200, "get", f"/v1/metrics/clicks?advertiser_id=*&{day}&granularity=1h&format=json&fill=zero")
    ask(400, "get", "/v1/metrics/clicks?ad_id=ad_1")
    elsewhere = {"Clickmill_Position": "f35acc7f6f095a09/0:1"}  # another cluster's
    ask(409, "get", f"/v1/metrics/clicks?ad_id=ad_1&{day}", **elsewhere)
    ask(409, "get", "/v1/metrics/top?minutes=60", **elsewhere)
    ask(404, "get", f"/v1/metrics/clicks?ad_id=nobody&{day}")
    ask(200, "get", "/v1/metrics/top?minutes=60&n=1&country=DE")
    top = ask(200, "get", f"/v1/metrics/top?{day}&advertiser_id=adv_1").json()
    check(top["data"][0]["click_count"] >= 5, top)
    ask(200, "get", "/v1/metrics/top?minutes=60&device_type=mobile")
    ask(400, "get", "/v1/metrics/top")
    past = f"from={now_ms() - 9 * 86_400_000}&to={now_ms() - 8 * 86_400_000}"
    for path in (f"/v1/metrics/clicks?ad_id=ad_1&{past}&granularity=1d", f"/v1/metrics/top?{past}"):
        ask(304, "get", path, If_None_Match=ask(200, "get", path).headers["etag"])


def ask_review(described):
    ask = described.ask
    decision = json.dumps({"decision": "accept"})
    page = ask(200, "get", "/v1/review?limit=1").json()
    check(page["next"], "a next page")
    ask(200, "get", f"/v1/review?after={page['next']}&reason=late&ad_id=ad_1&from=0&to={now_ms()}")
    ask(400, "get", "/v1/review?reason=other")
    review_id = page["data"][0]["id"]
    ask(400, "post", f"/v1/review/{review_id}", "{}")
    ask(413, "post", f"/v1/review/{review_id}", b" " * 20_000)
    ask(415, "post", f"/v1/review/{review_id}", decision, Content_Encoding="br")
    ask(200, "post", f"/v1/review/{review_id}", decision, **JSON)
    ask(409, "post", f"/v1/review/{review_id}", decision)
    ask(404, "post", "/v1/review/0-999999", decision)
    ask(200, "post", f"/v1/review?reason=late&ad_id=ad_1&from=0&to={now_ms()}", json.dumps({"decision": "reject"}))
    ask(400, "post", "/v1/review", "{}")
    ask(413, "post", "/v1/review", b" " * 20_000)
    ask(415, "post", "/v1/review", decision, Content_Encoding="br")
    decided = ask(200, "get", f"/v1/review/decisions?from=0&to={now_ms() + 60_000}&limit=1").json()
    check(decided["data"] and decided["next"], decided)
    ask(200, "get", f"/v1/review/decisions?after={decided['next']}")
    ask(400, "get", "/v1/review/decisions?limit=x")


def ask_log(described):
    ask = described.ask
    lines = 0
    for extent in ask(200, "get", "/v1/log/raw-clicks").json()["data"]:
        lines += len(ask(200, "get", f"/v1/log/raw-clicks/{extent['partition']}?limit=100").body.splitlines())
    check(lines >= 10, f"{lines} lines")
    ask(200, "get", "/v1/log/raw-clicks/0?offset=1&wait_ms=0")
    ask(200, "get", "/v1/log/raw-clicks/0?from=2020-01-01")
    ask(400, "get", "/v1/log/raw-clicks?x=1")
    ask(400, "get", "/v1/log/raw-clicks/0?limit=0")
    ask(404, "get", "/v1/log/raw-clicks/999")

    day = f"from={now_ms() - 3_600_000}&to={now_ms() + 3_600_000}"
    ask(400, "post", "/v1/recounts")
    begun = ask(202, "post", f"/v1/recounts?{day}&ad_id=ad_1&repair=false")
    place = begun.headers["location"]
    wait_until("the recount", lambda: ask(200, "get", place).json()["state"] == "done")
    ask(200, "get", f"{place}?after=0&limit=10")
    ask(400, "get", f"{place}?limit=0")
    ask(404, "get", "/v1/recounts/999")
    ask(400, "delete", f"{place}?x=1")
    ask(404, "delete", "/v1/recounts/999")
    ask(204, "delete", place)


def ask_operations(described):
    ask = described.ask
    ask(200, "get", "/v1/cluster")
    ask(400, "get", "/v1/cluster?x=1")
    # A node alone; three are asked by the tests of the cluster commands.
    for method, path in (("post", "/v1/cluster/drain"), ("delete", "/v1/cluster/drain"),
                         ("delete", "/v1/cluster/nodes/n9")):
        ask(409, method, path)
        ask(400, method, path + "?x=1")
    ask(200, "get", "/v1/whoami")
    ask(400, "get", "/v1/whoami?x=1")
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/", "/page/any/app.js", "/page/any/style.css",
                 "/page/any/icon.svg", "/v1/click.js"):
        tag = ask(200, "get", path).headers.get("etag")
        if tag:
            ask(304, "get", path, If_None_Match=tag)
    ask(404, "get", "/page/any/other.js")


def test_answers(context):
    """each operation answers, with each status that is easily reached, what /openapi.json says"""
    described = Described(context.node({"log": {"partitions": 4}}))
    for part in (ask_ads, ask_clicks, ask_counts, ask_review, ask_log, ask_operations):
        part(described)
    # What keys decide is asked by the test of the roles, a second recount by the tests of recounts.
    left = {(method, path, status) for method, path, operation in described.operations()
            for status in operation["responses"] if status != "default" and status not in RARE | {"401", "403"}}
    left -= described.seen | ELSEWHERE | {("post", "/v1/recounts", "409"), ("post", "/v1/cluster/drain", "200"),
                                          ("delete", "/v1/cluster/drain", "200"),
                                          ("delete", "/v1/cluster/nodes/{node_id}", "200"), ("get", "/v1/ads", "404"),
                                          ("get", "/v1/metrics/top", "404")}
    check_equal("described, but never seen", sorted(left), [])
