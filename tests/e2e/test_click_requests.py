"""What a click's request says is read as it was meant: addresses, forms, encodings, browsers."""

import gzip
import json
import socket
import zlib
from urllib.parse import urlencode

from harness import NoAnswer, check, check_equal, now_ms, wait_until
from test_bad_input import check_all, check_problem
from test_requests import AD, TARGET, check_redirect, click, counted, wait_counted

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
ORIGIN = "https://news.example.com"
BOM = b"\xef\xbb\xbf"


def multipart(fields):
    parts = "".join(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
                    for name, value in fields.items())
    return f"{parts}--{BOUNDARY}--\r\n"


def raw_clicks(node):
    """Every click of the raw log."""
    clicks = []
    for partition in node.get("/v1/log/raw-clicks").json()["data"]:
        if partition["last_offset"] >= partition["first_offset"]:
            answer = node.get(f"/v1/log/raw-clicks/{partition['partition']}?limit=10000")
            clicks += [json.loads(line) for line in answer.body.splitlines()]
    return clicks


def raw_by_id(node, count):
    """click_id -> click, once so many are in the log."""
    wait_until(f"{count} clicks in the log", lambda: len(raw_clicks(node)) >= count)
    clicks = raw_clicks(node)
    check_equal("clicks in the log", len(clicks), count)
    return {line["click_id"]: line for line in clicks}


def send_lines(node, request_line, headers, body=b"", listener="collector"):
    """A request whose headers may come more than once; the status."""
    port = node.api_port if listener == "api" else node.collector_port
    head = [request_line, "Host: a", "Connection: close", f"Content-Length: {len(body)}"]
    head += [f"{name}: {value}" for name, value in headers]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    return int(received[9:12])


def test_client_addresses(context):
    """the client is the right-most address that no trusted proxy is, in one spelling"""
    node = context.node({"collector": {"trusted_proxies": ["127.0.0.1", "10.0.0.0/8", "2001:db8:1::/48"]}})
    node.upload_ads([AD])
    cases = [
        # (X-Forwarded-For lines, the client)
        ([], "127.0.0.1"),
        (["203.0.113.7"], "203.0.113.7"),
        (["1.1.1.1", "203.0.113.7"], "203.0.113.7"),
        (["1.1.1.1, 203.0.113.7", "10.0.0.2"], "203.0.113.7"),
        (["1.1.1.1", "203.0.113.7", "10.0.0.2, 10.0.0.3"], "203.0.113.7"),
        (["203.0.113.7", ""], "203.0.113.7"),
        (["", " , ,203.0.113.7, ,", ","], "203.0.113.7"),
        (["10.0.0.5, 10.0.0.6"], "10.0.0.5"),
        (["203.0.113.7:51234"], "203.0.113.7"),
        (["1.1.1.1:1, 203.0.113.7:51234, 10.0.0.2:80"], "203.0.113.7"),
        (["[2001:db8::7]:443"], "2001:db8::7"),
        (["[2001:db8::7]"], "2001:db8::7"),
        (["2001:DB8:0:0:0:0:0:7"], "2001:db8::7"),
        (['"203.0.113.7"'], "203.0.113.7"),
        (['"[2001:db8::7]:443"'], "2001:db8::7"),
        (["::ffff:203.0.113.7"], "203.0.113.7"),
        (["::FFFF:cb00:7107"], "203.0.113.7"),
        (["203.0.113.7, ::ffff:10.0.0.2"], "203.0.113.7"),
        (["203.0.113.7, [2001:db8:1::9]:80"], "203.0.113.7"),
        (["fe80::1%eth0"], "fe80::1"),
        # Whom a proxy couldn't name nobody knows; what stands before could be made up.
        (["unknown"], "127.0.0.1"),
        (["203.0.113.7, unknown"], "127.0.0.1"),
        (["203.0.113.7", "unknown", "10.0.0.2"], "10.0.0.2"),
        (["203.0.113.256"], "127.0.0.1"),
    ]
    for number, (lines, _) in enumerate(cases):
        status = send_lines(node, f"GET /v1/click?ad_id=way&click_id=ip{number} HTTP/1.1",
                            [("x-forwarded-for", line) for line in lines])
        check_equal(f"{lines}: status", status, 302)
    clicks = raw_by_id(node, len(cases))
    wrong = [f"{lines}: {clicks[f'ip{number}']['ip']}, want {want}"
             for number, (lines, want) in enumerate(cases) if clicks[f"ip{number}"]["ip"] != want]
    check(not wrong, f"{len(wrong)} wrong:\n    " + "\n    ".join(wrong))


def test_headers_of_trust(context):
    """country, client and id headers are believed of trusted proxies only"""
    trust = {"country_header": "CF-IPCountry", "client_ip_header": "CF-Connecting-IP",
             "click_id_header": "X-Request-ID"}
    headers = [("CF-IPCountry", ""), ("CF-IPCountry", "FR"), ("CF-IPCountry", "DE"),
               ("CF-Connecting-IP", "[2001:DB8::7]:443"), ("X-Forwarded-For", "203.0.113.9"),
               ("X-Request-ID", "of-the-proxy")]
    for proxies, want in ((["127.0.0.0/8"], ("of-the-proxy", "2001:db8::7", "DE")), ([], (None, "127.0.0.1", "ZZ"))):
        node = context.node({"collector": {**trust, "trusted_proxies": proxies}})
        node.upload_ads([AD])
        for _ in range(2):
            check_equal("status", send_lines(node, "GET /v1/click?ad_id=way HTTP/1.1", headers), 302)
        check_equal("status", send_lines(node, "GET /v1/click?ad_id=way&click_id=own HTTP/1.1", headers), 302)
        wait_until("three clicks", lambda: len(raw_clicks(node)) == 3)
        for line in raw_clicks(node):
            id_wanted = "own" if line["click_id"] == "own" else want[0] or line["click_id"]
            check_equal(f"{proxies}: {line}", (line["click_id"], line["ip"], line["country"]), (id_wanted, *want[1:]))
        # A proxy's second try carries the same id.
        wait_counted(node, 2 if proxies else 3)
        # An id that could not be one is as none.
        send_lines(node, "GET /v1/click?ad_id=way HTTP/1.1", [("X-Request-ID", "x" * 65)])
        wait_counted(node, 3 if proxies else 4)
        # What no proxy says of the client, X-Forwarded-For still may.
        send_lines(node, "GET /v1/click?ad_id=way&click_id=xff HTTP/1.1", [("X-Forwarded-For", "203.0.113.9")])
        check_equal("client", raw_by_id(node, 5)["xff"]["ip"], "203.0.113.9" if proxies else "127.0.0.1")


def test_bulk_lines_stand_alone(context):
    """nothing of a bulk sender's connection enters a line; what the line says has one spelling"""
    node = context.node({"collector": {"trusted_proxies": ["127.0.0.1"], "country_header": "CF-IPCountry",
                                       "click_id_header": "X-Request-ID"}})
    node.upload_ads([AD])
    spellings = {"203.0.113.7": "203.0.113.7", "::ffff:203.0.113.7": "203.0.113.7", "2001:DB8:0:0::7": "2001:db8::7",
                 "::FFFF:CB00:7107": "203.0.113.7", "::": "::"}
    no_addresses = ["", "unknown", "203.0.113", "203.0.113.256", "203.0.113.7/32", "example.com", "1.2.3.4, 5.6.7.8",
                    "12345::", "x" * 100, 7]
    agent = "ü" * 700
    lines = [click(click_id="bare")]
    lines += [click(click_id=f"ip{number}", ip=ip) for number, ip in enumerate(spellings)]
    lines += [click(click_id="long", user_agent=agent, referrer="x" + agent)]
    lines += [click(click_id="longest", user_agent="x" * 200_000)]
    lines += [click(click_id=f"no{number}", ip=ip) for number, ip in enumerate(no_addresses)]
    answer = node.request("POST", "/v1/clicks", "\n".join(map(json.dumps, lines)), {
        "User-Agent": "Mozilla/5.0 (iPhone) Mobile", "Referer": "https://sender.example/", "CF-IPCountry": "FR",
        "X-Forwarded-For": "203.0.113.99", "X-Request-ID": "of-the-proxy"}).json()
    check_equal(f"accepted ({answer})", answer["accepted"], len(spellings) + 3)
    check_equal("rejected", [line["field"] for line in answer["rejected"]], ["ip"] * len(no_addresses))
    check("detail" not in answer, f"a report of nothing accepted: {answer}")
    clicks = raw_by_id(node, answer["accepted"])
    bare = {name: clicks["bare"].get(name) or "" for name in ("ip", "user_agent", "referrer", "country", "device_type")}
    check_equal("a bare line", bare, {"ip": "", "user_agent": "", "referrer": "", "country": "ZZ", "device_type": "other"})
    for number, want in enumerate(spellings.values()):
        check_equal(f"ip{number}", clicks[f"ip{number}"]["ip"], want)
    check_equal("user agent", clicks["long"]["user_agent"], "ü" * 512)
    check_equal("referrer", clicks["long"]["referrer"], "x" + "ü" * 511)
    check_equal("long user agent", clicks["longest"]["user_agent"], "x" * 1024)


def test_long_user_agents(context):
    """a user agent is cut at 1,024 bytes in all ways alike, between two characters"""
    node = context.node()
    node.upload_ads([AD])
    agent = "Mozilla/5.0 (iPhone) Mobile " + "é" * 900
    headers = {"User-Agent": agent.encode()}
    node.request("GET", "/v1/click?ad_id=way&click_id=link", None, headers, "collector")
    node.request("POST", "/v1/click", json.dumps(click(click_id="json")), {**headers, **JSON}, "collector")
    node.request("POST", "/v1/clicks", json.dumps(click(click_id="bulk", user_agent=agent)))
    for click_id, line in raw_by_id(node, 3).items():
        check_equal(f"{click_id}: user agent", line["user_agent"], agent[:28] + "é" * 498)
    # One address, one agent; a bulk line has no address.
    wait_counted(node, 3)
    check_equal("visitors", counted(node)["unique_users"], 2)


def test_content_encoding(context):
    """gzip is undone on every path, within the path's bound; other codings are 415 by name"""
    node = context.node()
    node.upload_ads([AD])
    one = json.dumps(click(click_id="one")).encode()
    ad = json.dumps({**AD, "ad_id": "zip"}).encode()
    squeeze = lambda data: {"body": gzip.compress(data), "headers": {"Content-Encoding": "gzip"}}
    send = lambda method, path, body, headers, listener="api": node.request(method, path, body, headers, listener)
    check_redirect("gzip", send("POST", "/v1/click", **squeeze(one), listener="collector"))
    check_redirect("x-gzip", send("POST", "/v1/click", gzip.compress(one), {"Content-Encoding": "X-GZip"}))
    check_redirect("identity", send("POST", "/v1/click", one, {"Content-Encoding": "identity"}))
    two_members = gzip.compress(one[:20]) + gzip.compress(one[20:])
    check_redirect("two members", send("POST", "/v1/click", two_members, {"Content-Encoding": "gzip"}))
    check_redirect("a link", send("GET", "/v1/click?ad_id=way&click_id=one", None, {"Content-Encoding": "br"}))
    check_redirect("with an empty body", send("POST", "/v1/click?ad_id=way&click_id=one", "", {"Content-Encoding": "gzip"}))
    bulk = b"\n".join(json.dumps(click(click_id=f"bulk{n}")).encode() for n in range(1000))
    check_equal("bulk", send("POST", "/v1/clicks", **squeeze(bulk)).json()["accepted"], 1000)
    check_equal("ads", send("POST", "/v1/ads", **squeeze(ad)).json()["accepted"], 1)
    check_equal("an ad", send("PUT", "/v1/ads/zip", **squeeze(ad)).status, 200)
    paths = (("POST", "/v1/click", one, "collector"), ("POST", "/v1/click", one, "api"), ("POST", "/v1/clicks", one, "api"),
             ("POST", "/v1/ads", ad, "api"), ("PUT", "/v1/ads/zip", ad, "api"),
             ("POST", "/v1/review?reason=late", b'{"decision":"reject"}', "api"))
    cases = []
    for method, path, body, listener in paths:
        for coding in ("deflate", "br", "zstd", "compress", "gzip, br", "gzip, gzip", "x"):
            def unknown(coding=coding, method=method, path=path, body=body, listener=listener):
                answer = send(method, path, body, {"Content-Encoding": coding}, listener)
                check_problem(f"{coding} {path}", answer, 415, "Content-Encoding")
                check(coding in answer.json()["detail"], f"{answer} names no {coding}")
                check_equal("Accept-Encoding", answer.headers.get("accept-encoding"), "gzip")
            cases.append((coding, unknown))
        whole = gzip.compress(body)
        for what, data in (("plain", body), ("cut", whole[:-5]), ("half", whole[:len(whole) // 2]), ("trailing", whole + b"x"),
                           ("flipped", whole[:-6] + bytes([whole[-6] ^ 1]) + whole[-5:]), ("zlib", zlib.compress(body))):
            cases.append((f"{what} {path}", lambda what=what, data=data, method=method, path=path, listener=listener:
                          check_problem(what, send(method, path, data, {"Content-Encoding": "gzip"}, listener), 400,
                                        "Content-Encoding")))
    # A kilobyte that would be a megabyte; sixteen kilobytes that would be sixteen megabytes.
    small, large = gzip.compress(b" " * (1 << 20)), gzip.compress(b"\n" * (17 << 20))
    for method, path, data in (("POST", "/v1/click", small), ("POST", "/v1/clicks", large), ("POST", "/v1/ads", large)):
        cases.append((f"bomb {path}", lambda method=method, path=path, data=data: check_problem(
            "bomb", send(method, path, data, {"Content-Encoding": "gzip"}), 413, None)))
    check_all(context, cases)
    wait_counted(node, 1001)


def test_empty_bulk_bodies(context):
    """a bulk body of which nothing is accepted says why"""
    node = context.node()
    node.upload_ads([AD])
    for body, count, words in ((b"", 0, "no line"), (b"\n \r\n\t\n", 0, "no line"), (BOM, 0, "no line"),
                               (b"[]", 1, "array"), (b"{}", 1, "ad_id"), (b"\n{}\nx", 2, "line 2"),
                               (gzip.compress(b"{}"), 1, "JSON")):
        answer = node.request("POST", "/v1/clicks", body)
        check_equal(f"{body}: {answer}", answer.status, 202)
        report = answer.json()
        check_equal(f"{body}: accepted", report["accepted"], 0)
        check(report["rejected_count"] >= count, f"{body}: {report}")
        check(words in report["detail"], f"{body}: {report['detail']} doesn't speak of {words}")
    lines = BOM + json.dumps(click(click_id="first")).encode() + b"\r\n\r\n"
    check_equal("with a byte order mark", node.request("POST", "/v1/clicks", lines).json()["accepted"], 1)


def test_seconds(context):
    """seconds instead of milliseconds are refused by name, but cost no person the redirect"""
    node = context.node()
    node.upload_ads([AD])
    seconds = now_ms() // 1000
    for mode in ("", "?mode=backfill"):
        for timestamp in (seconds, 0, 1, 99_999_999_999):
            report = node.request("POST", f"/v1/clicks{mode}", json.dumps(click(timestamp_ms=timestamp))).json()
            check_equal(f"{timestamp}{mode}: {report}", [line["field"] for line in report["rejected"]], ["timestamp_ms"])
            check("seconds" in report["rejected"][0]["detail"], f"{report}")
    report = node.request("POST", "/v1/clicks?mode=backfill", json.dumps(click(timestamp_ms=100_000_000_000))).json()
    check_equal(f"just beyond ({report})", report["accepted"], 1)
    check_redirect("live", node.request("POST", "/v1/click", json.dumps(click(click_id="live", timestamp_ms=seconds)),
                                        listener="collector"))
    wait_until("review", lambda: node.check_invariant()["review"] == 1)
    paths = ("/v1/metrics/clicks?ad_id=way&granularity=total&", "/v1/metrics/top?", "/v1/review?", "/v1/review/decisions?")
    for path in paths:
        for field, query in (("from", f"from={seconds}&to={now_ms()}"), ("to", f"from={now_ms()}&to={seconds}")):
            answer = node.get(path + query)
            check_problem(path + query, answer, 400, field)
            check("seconds" in answer.json()["detail"], f"{answer}")
        check_equal(f"{path}from=0", node.get(f"{path}from=0&to={now_ms()}").status, 200)


def test_spellings_of_fields(context):
    """percent signs, pluses, byte order marks and line ends change no identity"""
    node = context.node()
    node.upload_ads([AD])
    link = lambda query: node.request("GET", f"/v1/click?{query}", listener="collector")
    post = lambda body, headers: node.request("POST", "/v1/click", body, headers, "collector")

    def same(count, what, *answers):
        for answer in answers:
            check_redirect(what, answer)
        wait_counted(node, count)

    for count, click_id, spelled in ((1, "ab%", "ab%"), (2, "%", "%"), (3, "100%zz", "100%zz"), (4, "a%2", "a%2"),
                                     (5, "a%25b", "a%2525b")):
        same(count, click_id, link(f"ad_id=way&click_id={spelled}"), link(f"click_id={spelled}&ad_id=way"),
             post(f"ad_id=way&click_id={spelled}", FORM), post(json.dumps(click(click_id=click_id)), JSON),
             post(multipart(click(click_id=click_id)), MULTIPART))
    same(6, "plus", link("ad_id=way&click_id=a+b/c=="), link("ad_id=way&click_id=a%2Bb/c=="),
         post("ad_id=way&click_id=a+b/c==", FORM), post(urlencode(click(click_id="a+b/c==")), FORM),
         post(json.dumps(click(click_id="a+b/c==")), JSON), post(multipart(click(click_id="a+b/c==")), MULTIPART))
    same(7, "junk beside", link("ad_id=way&click_id=junk&x=%&%=y"), post("x=%zz&ad_id=way&click_id=junk", FORM))
    text = json.dumps(click(click_id="bom")).encode()
    form = urlencode(click(click_id="bom")).encode()
    kinds = [(text, JSON), (text, {"Content-Type": "text/plain"}), (text, FORM), (text, {}), (form, FORM)]
    for body, headers in kinds:
        same(8, f"{headers}", *[post(before + body + after, headers) for before in (b"", BOM)
                                for after in (b"", b"\n", b"\r\n", b"\r\n\r\n")])
    ending = b"click_id=ending&ad_id=way\r\n"
    same(9, "a line end behind ad_id", post(ending, FORM), post(b"ad_id=way&click_id=ending\n", FORM))
    # 0 however it is spelled, so in 1970, so late.
    for spelled in ("0", "-0"):
        for number, answer in enumerate((link(f"ad_id=way&click_id=zero{spelled}0&timestamp_ms={spelled}"),
                                         post(f"ad_id=way&click_id=zero{spelled}1&timestamp_ms={spelled}", FORM),
                                         post(multipart(click(click_id=f"zero{spelled}2", timestamp_ms=spelled)), MULTIPART),
                                         post(f'{{"ad_id":"way","click_id":"zero{spelled}3","timestamp_ms":{spelled}}}', JSON))):
            check_redirect(f"timestamp_ms {spelled} ({number})", answer)
    wait_until("review", lambda: node.check_invariant()["review"] == 8)
    check_problem("a blank", link("ad_id=way&click_id=a%20b"), 400, "click_id")
    for headers in (FORM, JSON, {"Content-Type": "text/plain"}):
        for body in (b"[]", b' [{"ad_id":"way"}]', BOM + b"[1]\n"):
            answer = post(body, headers)
            check_problem(f"an array as {headers}", answer, 400, None)
            check("array" in answer.json()["detail"], f"{answer}")
    check_equal("afterwards", counted(node)["click_count"], 9)


def test_ways_of_browsers(context):
    """pings, empty posts, multipart and bare forms count once each; a plain-text form is 415"""
    node = context.node()
    node.upload_ads([AD])
    bare = {"ad_id": "way"}
    post = lambda path, body, headers: node.request("POST", path, body, headers, "collector")
    query = "/v1/click?ad_id=way&click_id="
    ways = [
        ("ping", post(query + "ping", "PING", {"Content-Type": "text/ping"})),
        ("ping with parameters", post(query + "ping2", "PING", {"Content-Type": "Text/Ping; charset=utf-8"})),
        ("bare ping", post("/v1/click?ad_id=way", "PING", {"Content-Type": "text/ping"})),
        ("empty", post(query + "empty", "", {})),
        ("empty beacon", post(query + "beacon", "", {"Content-Type": "text/plain;charset=UTF-8"})),
        ("empty JSON", post(query + "json", "", JSON)),
        ("line end only", post(query + "line", "\r\n", JSON)),
        ("bare empty", post("/v1/click?ad_id=way", None, {})),
        ("bare form", post("/v1/click", urlencode(bare), FORM)),
        ("bare form with charset", post("/v1/click", urlencode(bare), {"Content-Type": FORM["Content-Type"].upper() + "; charset=UTF-8"})),
        ("form under a query", post("/v1/click?ad_id=way", "go=now", FORM)),
        ("form that overrules its query", post("/v1/click?ad_id=other", urlencode(bare), FORM)),
        ("multipart", post("/v1/click", multipart(click(click_id="multi")), MULTIPART)),
        ("bare multipart", post("/v1/click", multipart(bare), MULTIPART)),
        ("multipart with a quoted boundary", post("/v1/click", multipart(bare), {"Content-Type": f'Multipart/Form-Data; charset=utf-8; boundary="{BOUNDARY}"'})),
        ("multipart under a query", post("/v1/click?ad_id=way", multipart({"go": "now"}), MULTIPART)),
    ]
    for what, answer in ways:
        check_redirect(what, answer)
    wait_counted(node, len(ways))
    cases = [("a form as text/plain", lambda: check_problem(
        "text/plain form", post("/v1/click", "ad_id=way\r\nclick_id=x\r\n", {"Content-Type": "text/plain"}), 415, "Content-Type"))]
    answer = post("/v1/click", "ad_id=way\r\n", {"Content-Type": "text/plain"}).json()
    for name in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data"):
        check(name in answer["detail"], f"{answer['detail']} doesn't name {name}")
    for what, body, headers in (
            ("no boundary", multipart(bare), {"Content-Type": "multipart/form-data"}),
            ("another boundary", multipart(bare), {"Content-Type": "multipart/form-data; boundary=x"}),
            ("cut", multipart(bare)[:-10], MULTIPART), ("half", multipart(bare)[:60], MULTIPART)):
        cases.append((what, lambda what=what, body=body, headers=headers: check_problem(
            what, post("/v1/click", body, headers), 400, "Content-Type")))
    for what, body in (("no ad_id", multipart({"click_id": "x"})), ("a file", multipart(bare).replace('name="ad_id"', 'name="ad_id"; filename="a"'))):
        cases.append((what, lambda what=what, body=body: check_problem(what, post("/v1/click", body, MULTIPART), 400, "ad_id")))
    cases.append(("empty without a query", lambda: check_problem("empty", post("/v1/click", "", {}), 400, "ad_id")))
    cases.append(("JSON without click_id", lambda: check_problem("JSON", post("/v1/click", json.dumps(bare), JSON), 400, "click_id")))
    check_all(context, cases)
    check_equal("afterwards", counted(node)["click_count"], len(ways))


def test_background_requests(context):
    """what can't follow a redirect gets 204 or JSON and is counted; everything else gets the 302"""
    node = context.node()
    node.upload_ads([AD])
    table = [
        # (Sec-Fetch-Dest, Sec-Fetch-Mode, status)
        (None, None, 302), ("document", "navigate", 302), ("iframe", "navigate", 302), ("empty", "navigate", 302),
        ("empty", "same-origin", 302), ("empty", None, 302), (None, "cors", 302), (None, "no-cors", 302), ("", "no-cors", 302),
        ("empty", "no-cors", 204), ("image", "no-cors", 204), ("document", "no-cors", 204),
        ("empty", "cors", 200), ("image", "cors", 302), ("script", "cors", 302),
    ]
    count = 0
    for dest, mode, status in table:
        headers = {name: value for name, value in (("Sec-Fetch-Dest", dest), ("Sec-Fetch-Mode", mode)) if value is not None}
        for method, body in (("GET", None), ("POST", json.dumps(click(click_id=f"post{count}")))):
            path = f"/v1/click?ad_id=way&click_id=get{count}"
            answer = node.request(method, path, body, headers, "collector")
            what = f"{method} {headers}: {answer}"
            check_equal(what, answer.status, status)
            check_equal(what, answer.headers.get("cache-control"), "no-store")
            check_equal(what, answer.headers.get("location"), TARGET if status == 302 else None)
            if status == 200:
                check_equal(what, answer.json(), {"redirect_url": TARGET})
                check(answer.headers["content-type"].startswith("application/json"), what)
            if status == 204:
                check_equal(what, answer.body, b"")
        count += 1
    wait_counted(node, 2 * len(table))
    beacon = {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "no-cors"}
    check_equal("unknown ad", node.request("GET", "/v1/click?ad_id=nobody", None, beacon, "collector").status, 404)
    check_equal("bad field", node.request("GET", "/v1/click?ad_id=a%20b", None, beacon, "collector").status, 400)


def test_ahead_of_the_click(context):
    """prefetches are refused with 409 and no-store, previews redirected; neither is counted"""
    node = context.node()
    node.upload_ads([AD])
    line = "GET /v1/click?ad_id=way&click_id=ahead HTTP/1.1"
    ahead = [
        [("Sec-Purpose", "prefetch")], [("Sec-Purpose", "prefetch;prerender")], [("Sec-Purpose", "prefetch; prerender")],
        [("sec-purpose", "PREFETCH")], [("Sec-Purpose", "prerender")], [("Sec-Purpose", "prefetch;anonymous-client-ip")],
        [("Purpose", "prefetch")], [("X-Moz", "prefetch")], [("X-Purpose", "prefetch")], [("Purpose", "prerender")],
        [("Sec-Purpose", ""), ("Sec-Purpose", "prefetch")], [("Sec-Purpose", "other"), ("Sec-Purpose", "prefetch")],
        [("Sec-Purpose", "other, prefetch")], [("Sec-Purpose", "other;prerender")], [("Purpose", ""), ("Purpose", " , prefetch")],
        [("Sec-Purpose", "prefetch"), ("Sec-Fetch-Dest", "empty"), ("Sec-Fetch-Mode", "no-cors")],
        [("Purpose", "preview"), ("Sec-Purpose", "prefetch")],
    ]
    for headers in ahead:
        check_equal(f"{headers}", send_lines(node, line, headers), 409)
        check_equal(f"{headers}, api", send_lines(node, line, headers, listener="api"), 409)
    answer = node.request("GET", "/v1/click?ad_id=way", None, {"Sec-Purpose": "prefetch"}, "collector")
    check_problem("prefetch", answer, 409, None)
    check_equal("Cache-Control", answer.headers.get("cache-control"), "no-store")
    post = json.dumps(click(click_id="ahead")).encode()
    check_equal("POST", send_lines(node, "POST /v1/click HTTP/1.1", [("Sec-Purpose", "prefetch")], post), 409)
    previews = [{"X-Firefox-Ai": "1"}, {"Purpose": "preview"}, {"X-Purpose": "preview"}, {"X-Purpose": "Preview"}]
    for headers in previews:
        check_redirect(f"{headers}", node.request("GET", "/v1/click?ad_id=way&click_id=ahead", None, headers, "collector"))
    # Those say nothing of the kind.
    for number, headers in enumerate(({"Purpose": "fetch"}, {"Sec-Purpose": ""}, {"X-Moz": "microsummary"}, {"X-Firefox-Ai": ""})):
        check_redirect(f"{headers}", node.request("GET", f"/v1/click?ad_id=way&click_id=click{number}", None, headers, "collector"))
    wait_counted(node, 4)
    check_redirect("the click", node.request("GET", "/v1/click?ad_id=way&click_id=ahead", listener="collector"))
    wait_counted(node, 5)
    node.wait_spool_empty()
    check_equal("received", node.check_invariant()["received"], 5)


def cors_of(answer):
    names = ("access-control-allow-origin", "access-control-allow-credentials", "vary")
    return tuple(answer.headers.get(name) for name in names)


def test_cors(context):
    """every answer about a click says whether the page may read it, whatever the status"""
    for origins, allowed in ((["*"], True), ([ORIGIN], True), (["https://other.example.com"], False), ([], None)):
        node = context.node({"collector": {"cors_origins": origins}})
        node.upload_ads([AD])
        want = {True: (ORIGIN, "true", "Origin"), False: (None, None, "Origin"), None: (None, None, None)}[allowed]
        link = "/v1/click?ad_id=way&click_id=x"
        cases = [
            (302, "GET", link, None, {}), (302, "HEAD", link, None, {}), (404, "GET", "/v1/click?ad_id=nobody", None, {}),
            (204, "OPTIONS", "/v1/click", None, {"Access-Control-Request-Method": "POST"}),
            (204, "GET", link, None, {"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"}),
            (200, "GET", link, None, {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors"}),
            (400, "GET", "/v1/click", None, {}), (400, "POST", "/v1/click", "{", {}),
            (405, "PUT", "/v1/click", "{}", {}), (405, "DELETE", "/v1/click", None, {}), (405, "PATCH", "/v1/click", "", {}),
            (409, "GET", link, None, {"Sec-Purpose": "prefetch"}), (413, "POST", "/v1/click", " " * 16_385, {}),
            (415, "POST", "/v1/click", "{}", {"Content-Encoding": "br"}),
            (415, "POST", "/v1/click", "a=b", {"Content-Type": "text/plain"}),
        ]
        for listener in ("collector", "api"):
            for status, method, path, body, headers in cases:
                answer = node.request(method, path, body, {"Origin": ORIGIN, **headers}, listener)
                what = f"{origins}, {listener}: {method} {path} {headers}: {answer}"
                check_equal(what, (answer.status, cors_of(answer)), (status, want))
            answer = node.request("GET", link, listener=listener)
            check_equal(f"{origins}: without Origin", cors_of(answer), (None, None, want[2]))
        check_equal("another path", cors_of(node.request("GET", "/nowhere", None, {"Origin": ORIGIN}, "collector")), want)
        check_equal("the api", cors_of(node.request("GET", "/v1/ads", None, {"Origin": ORIGIN})), (None, None, None))
        if origins == ["*"]:
            answer = node.request("GET", link, None, {"Origin": "null"}, "collector")
            check_equal("a sandboxed frame", cors_of(answer), ("null", "true", "Origin"))
        preflight = node.request("OPTIONS", "/v1/click", None, {"Origin": ORIGIN}, "collector").headers
        check("POST" in preflight["access-control-allow-methods"], f"{preflight}")
        check("content-type" in preflight["access-control-allow-headers"].lower(), f"{preflight}")


def test_cors_when_unavailable(context):
    """a 503 carries the CORS headers too"""
    node = context.node({"catalog": {"source": "http", "url": "http://127.0.0.1:9/ads", "timeout_ms": 50}}, start=False)
    node.spawn()
    wait_until("an answer", lambda: answers(node))
    answer = node.request("GET", "/v1/click?ad_id=way", None, {"Origin": ORIGIN}, "collector")
    check_equal(f"{answer}", (answer.status, cors_of(answer)), (503, (ORIGIN, "true", "Origin")))


def answers(node):
    try:
        return node.request("GET", "/healthz", listener="collector").status == 200
    except NoAnswer:
        return False


def test_health_checks(context):
    """the public listener answers balancers' checks, and tells no reasons"""
    node = context.node()
    for method, path, status, body in (("GET", "/", 200, None), ("HEAD", "/", 200, b""), ("OPTIONS", "/", 204, b""),
                                       ("GET", "/healthz", 200, None), ("GET", "/readyz", 200, b'{"ready":true}'),
                                       ("POST", "/", 405, None), ("GET", "/v1/cluster", 404, None)):
        answer = node.request(method, path, listener="collector")
        check_equal(f"{method} {path}: {answer}", answer.status, status)
        if body is not None:
            check_equal(f"{method} {path}: body", answer.body, body)
