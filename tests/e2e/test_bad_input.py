"""Bad input gets a clear 4xx that names the field, and changes nothing."""

import json
import socket

from harness import check, check_equal, now_ms, raw_exchange

AD = {"ad_id": "good", "advertiser_id": "adv_1", "ad_format": "banner", "redirect_url": "https://example.com/good"}
JSON = {"Content-Type": "application/json"}
ANY = object()  # the case doesn't say which field
FROM = "from=2026-06-24T10:00:00Z"
SPAN = FROM + "&to=2026-06-24T11:00:00Z"


def good_click(**changes):
    """A click as a dict; a field set to ... is left out."""
    click = {"click_id": "c-1", "ad_id": "good", "timestamp_ms": now_ms(), **changes}
    return {name: value for name, value in click.items() if value is not ...}


# (what, changes to a good click, field)
CLICK_FIELDS = [
    ("no click_id", {"click_id": ...}, "click_id"),
    ("null click_id", {"click_id": None}, "click_id"),
    ("empty click_id", {"click_id": ""}, "click_id"),
    ("click_id of 65 characters", {"click_id": "x" * 65}, "click_id"),
    ("click_id with a space", {"click_id": "a b"}, "click_id"),
    ("click_id with a control character", {"click_id": "a\u0001"}, "click_id"),
    ("click_id with NUL", {"click_id": "a\u0000b"}, "click_id"),
    ("click_id beyond ASCII", {"click_id": "ä"}, "click_id"),
    ("click_id as a number", {"click_id": 7}, "click_id"),
    ("no ad_id", {"ad_id": ...}, "ad_id"),
    ("empty ad_id", {"ad_id": ""}, "ad_id"),
    ("ad_id of 65 characters", {"ad_id": "x" * 65}, "ad_id"),
    ("ad_id with a slash", {"ad_id": "a/b"}, "ad_id"),
    ("ad_id as a list", {"ad_id": ["good"]}, "ad_id"),
    ("no timestamp_ms", {"timestamp_ms": ...}, "timestamp_ms"),
    ("timestamp_ms as text", {"timestamp_ms": "soon"}, "timestamp_ms"),
    ("timestamp_ms below 0", {"timestamp_ms": -1}, "timestamp_ms"),
    ("timestamp_ms in year 10000", {"timestamp_ms": 253402300800000}, "timestamp_ms"),
    ("timestamp_ms beyond 64 bits", {"timestamp_ms": 10**30}, "timestamp_ms"),
    ("timestamp_ms with a fraction", {"timestamp_ms": 1.5}, "timestamp_ms"),
    ("timestamp_ms as true", {"timestamp_ms": True}, "timestamp_ms"),
    ("unknown device_type", {"device_type": "fridge"}, "device_type"),
    ("device_type as a number", {"device_type": 1}, "device_type"),
    ("user_id of 257 bytes", {"user_id": "u" * 257}, "user_id"),
    ("user_id as a number", {"user_id": 5}, "user_id"),
]

# Of bulk lines alone: a person is redirected whatever the country.
LINE_FIELDS = [
    ("country that is none", {"country": "UK"}, "country"),
    ("country of three letters", {"country": "USA"}, "country"),
    ("country with a digit", {"country": "T1"}, "country"),
    ("empty country", {"country": ""}, "country"),
    ("country as an object", {"country": {}}, "country"),
]

# (what, method, path, body, status, field): to both listeners
CLICK_REQUESTS = [
    ("half an object", "POST", "/v1/click", '{"click_id":"a",', 400, None),
    ("an array", "POST", "/v1/click", "[]", 400, None),
    ("text", "POST", "/v1/click", "hello", 400, None),
    ("nothing", "POST", "/v1/click", "", 400, ANY),
    ("two objects", "POST", "/v1/click", '{"click_id":"a"}{}', 400, None),
    ("deep nesting", "POST", "/v1/click", '{"x":' + "[" * 15000, 400, ANY),
    ("no UTF-8", "POST", "/v1/click", b'{"click_id":"\xff","ad_id":"good","timestamp_ms":1}', 400, ANY),
    ("unknown ad", "POST", "/v1/click", json.dumps(good_click(ad_id="nobody")), 404, ANY),
    ("unknown ad", "GET", "/v1/click?ad_id=nobody", None, 404, ANY),
    ("no ad_id", "GET", "/v1/click", None, 400, "ad_id"),
    ("bad ad_id", "GET", "/v1/click?ad_id=a%20b", None, 400, "ad_id"),
    ("bad timestamp_ms", "GET", "/v1/click?ad_id=good&timestamp_ms=now", None, 400, "timestamp_ms"),
    ("bad click_id", "GET", "/v1/click?ad_id=good&click_id=" + "x" * 65, None, 400, "click_id"),
    ("body over 16 KiB", "POST", "/v1/click", json.dumps(good_click(note="x" * 16_384)), 413, ANY),
    ("other path", "GET", "/v1/clickety", None, 404, ANY),
    ("PUT", "PUT", "/v1/click", "{}", 405, ANY),
    ("DELETE", "DELETE", "/v1/click", None, 405, ANY),
]

METRICS = "/v1/metrics/clicks?ad_id=good&"
API_REQUESTS = [
    ("neither ad nor advertiser", "GET", f"/v1/metrics/clicks?{SPAN}", None, 400, ANY),
    ("both ad and advertiser", "GET", METRICS + f"advertiser_id=adv_1&{SPAN}", None, 400, ANY),
    ("unknown ad", "GET", f"/v1/metrics/clicks?ad_id=nobody&{SPAN}", None, 404, ANY),
    ("no from", "GET", METRICS + "to=2026-06-24T11:00:00Z", None, 400, "from"),
    ("no to", "GET", METRICS + FROM, None, 400, "to"),
    ("from after to", "GET", METRICS + FROM + "&to=2026-06-24T09:00:00Z", None, 400, "to"),
    ("from equal to to", "GET", METRICS + FROM + "&to=2026-06-24T10:00:00Z", None, 400, "to"),
    ("from that is no time", "GET", METRICS + "from=yesterday&to=2026-06-24T11:00:00Z", None, 400, "from"),
    ("a 30th of February", "GET", METRICS + "from=2026-02-30T00:00:00Z&to=2026-06-24T11:00:00Z", None, 400, "from"),
    ("to below 0", "GET", METRICS + "from=0&to=-5", None, 400, "to"),
    ("granularity 2m", "GET", METRICS + SPAN + "&granularity=2m", None, 400, "granularity"),
    ("a year of minutes", "GET", METRICS + "from=2025-01-01T00:00:00Z&to=2026-01-01T00:00:00Z&granularity=1m",
     None, 400, "granularity"),
    ("breakdown by os", "GET", METRICS + SPAN + "&breakdown=os", None, 400, "breakdown"),
    ("time zone of Mars", "GET", METRICS + SPAN + "&granularity=1d&timezone=Mars/Phobos", None, 400, "timezone"),
    ("time zone by path", "GET", METRICS + SPAN + "&granularity=1d&timezone=../../../etc/passwd", None, 400,
     "timezone"),
    ("format xml", "GET", METRICS + SPAN + "&format=xml", None, 400, "format"),
    ("fill maybe", "GET", METRICS + SPAN + "&fill=maybe", None, 400, "fill"),
    ("filter by unknown device", "GET", METRICS + SPAN + "&device_type=fridge", None, 400, "device_type"),
    ("filter by no country", "GET", METRICS + SPAN + "&country=UK", None, 400, "country"),
    ("top of no country", "GET", "/v1/metrics/top?minutes=5&country=XX", None, 400, "country"),
    ("both filters", "GET", METRICS + SPAN + "&device_type=mobile&country=US", None, 400, "country"),
    ("unknown parameter", "GET", METRICS + SPAN + "&colour=red", None, 400, "colour"),
    ("POST to metrics", "POST", METRICS + SPAN, "", 405, ANY),
    ("top of none", "GET", f"/v1/metrics/top?n=0&{SPAN}", None, 400, "n"),
    ("top 1001", "GET", f"/v1/metrics/top?n=1001&{SPAN}", None, 400, "n"),
    ("top many", "GET", f"/v1/metrics/top?n=many&{SPAN}", None, 400, "n"),
    ("top with an unknown parameter", "GET", f"/v1/metrics/top?{SPAN}&colour=red", None, 400, "colour"),
    ("top of no minutes", "GET", "/v1/metrics/top?minutes=0", None, 400, "minutes"),
    ("top without a range", "GET", "/v1/metrics/top", None, 400, ANY),
    ("top from after to", "GET", f"/v1/metrics/top?{FROM}&to=2026-06-24T09:00:00Z", None, 400, "to"),
    ("bulk mode", "POST", "/v1/clicks?mode=soon", "{}\n", 400, "mode"),
    ("bulk with an unknown parameter", "POST", "/v1/clicks?colour=red", "{}\n", 400, "colour"),
    ("GET of bulk", "GET", "/v1/clicks", None, 405, ANY),
    ("no ad", "GET", "/v1/ads/nobody", None, 404, ANY),
    ("no ad to delete", "DELETE", "/v1/ads/nobody", None, 404, ANY),
    ("PATCH of an ad", "PATCH", "/v1/ads/good", "{}", 405, ANY),
    ("ads with an unknown parameter", "GET", "/v1/ads?colour=red", None, 400, "colour"),
    ("ads with limit 0", "GET", "/v1/ads?limit=0", None, 400, "limit"),
    ("no such partition", "GET", "/v1/log/raw-clicks/64", None, 404, "partition"),
    ("raw clicks from nowhere", "GET", "/v1/log/raw-clicks/0?offset=here", None, 400, "offset"),
    ("recount without a range", "POST", "/v1/recounts", "", 400, "from"),
    ("recount without an end", "POST", f"/v1/recounts?{FROM}", "", 400, "to"),
    ("recount from after to", "POST", f"/v1/recounts?{FROM}&to=2026-06-24T09:00:00Z", "", 400, "to"),
    ("recount of a bad ad", "POST", f"/v1/recounts?{SPAN}&ad_id=a%20b", "", 400, "ad_id"),
    ("recount with half a repair", "POST", f"/v1/recounts?{SPAN}&repair=half", "", 400, "repair"),
    ("recount with an unknown parameter", "POST", f"/v1/recounts?{SPAN}&colour=red", "", 400, "colour"),
    ("no such recount", "GET", "/v1/recounts/99", None, 404, ANY),
    ("no number of a recount", "GET", "/v1/recounts/last", None, 404, ANY),
    ("recount after what", "GET", "/v1/recounts/99?after=x", None, 400, "after"),
    ("no recount to end", "DELETE", "/v1/recounts/99", None, 404, ANY),
    ("cluster with a parameter", "GET", "/v1/cluster?colour=red", None, 400, "colour"),
    ("POST to cluster", "POST", "/v1/cluster", "", 405, ANY),
    ("no such path", "GET", "/v2/click", None, 404, ANY),
]

# (what, changes to AD, field)
AD_FIELDS = [
    ("javascript", {"redirect_url": "javascript:alert(1)"}, "redirect_url"),
    ("no host", {"redirect_url": "https://"}, "redirect_url"),
    ("relative", {"redirect_url": "/landing"}, "redirect_url"),
    ("URL with a line break", {"redirect_url": "https://example.com/\r\nSet-Cookie: a=b"}, "redirect_url"),
    ("URL of 2,049 bytes", {"redirect_url": "https://example.com/" + "x" * 2029}, "redirect_url"),
    ("no URL", {"redirect_url": ...}, "redirect_url"),
    ("format in capitals", {"ad_format": "Banner"}, "ad_format"),
    ("format of 33", {"ad_format": "b" * 33}, "ad_format"),
    ("no format", {"ad_format": ...}, "ad_format"),
    ("no advertiser", {"advertiser_id": ...}, "advertiser_id"),
    ("empty advertiser", {"advertiser_id": ""}, "advertiser_id"),
    ("advertiser as a number", {"advertiser_id": 17}, "advertiser_id"),
    ("another ad_id than the path's", {"ad_id": "better"}, "ad_id"),
]


def check_problem(what, answer, status, field):
    check_equal(f"{what}: status ({answer})", answer.status, status)
    check_equal(f"{what}: content type", answer.headers.get("content-type", "").split(";")[0],
                "application/problem+json")
    problem = answer.json()
    for member in ("type", "title", "status", "detail"):
        check(problem.get(member), f"{what}: no {member} in {problem}")
    check_equal(f"{what}: status in the body", problem["status"], status)
    if field is not ANY:
        check_equal(f"{what}: field of {problem}", problem.get("field"), field)
    if status == 405:
        check(answer.headers.get("allow"), f"{what}: 405 without Allow")


def check_all(context, cases):
    """Runs all cases and reports every wrong one, not only the first."""
    wrong = []
    for what, action in cases:
        try:
            action()
        except Exception as error:  # an unanswered request is as wrong as a wrong answer
            wrong.append(f"{what}: {error}")
    check(not wrong, f"{len(wrong)} of {len(cases)} wrong:\n    " + "\n    ".join(wrong))
    context.say(f"{len(cases)} bad requests answered as they should be")


def still_counts(node):
    """A good click is redirected and counted, and it is the only one."""
    at = now_ms()
    answer = node.request("POST", "/v1/click", json.dumps(good_click(timestamp_ms=at)), JSON, "collector")
    check_equal(f"a good click ({answer})", answer.status, 302)
    node.wait_total(at - 120_000, at + 60_000, 1)
    node.wait_spool_empty()
    check_equal("counters", {name: count for name, count in node.check_invariant().items() if count},
                {"received": 1, "counted": 1})


def problem_case(node, what, method, path, body, status, field, listener="api", headers=None):
    return (f"{what} ({method} {path[:60]}, {listener})",
            lambda: check_problem(what, node.request(method, path, body, headers, listener), status, field))


def test_bad_requests(context):
    """malformed JSON, wrong types, bad ranges and unknown names are 4xx problems naming the field"""
    node = context.node()
    node.upload_ads([AD])
    cases = []
    for listener in ("collector", "api"):
        for what, changes, field in CLICK_FIELDS:
            cases.append(problem_case(node, what, "POST", "/v1/click", json.dumps(good_click(**changes)), 400, field,
                                      listener, JSON))
        for case in CLICK_REQUESTS:
            cases.append(problem_case(node, *case, listener=listener))
    cases += [problem_case(node, *case) for case in API_REQUESTS]
    for what, changes, field in AD_FIELDS:
        ad = {name: value for name, value in {**AD, **changes}.items() if value is not ...}
        cases.append(problem_case(node, what, "PUT", "/v1/ads/good", json.dumps(ad), 400, field))
    # The collector is public: nothing of the api is there.
    for path in ("/v1/ads", "/metrics", f"{METRICS}{SPAN}", "/v1/metrics/top?minutes=5", "/v1/cluster"):
        cases.append(problem_case(node, "api path", "GET", path, None, 404, ANY, "collector"))
    check_all(context, cases)
    check_equal("the ad afterwards", node.get("/v1/ads/good").json(), AD)
    still_counts(node)


def test_bad_bulk_lines(context):
    """bulk clicks are judged line by line, and bad lines are named"""
    node = context.node()
    node.upload_ads([AD])
    # What is just inside the rules is taken.
    longest = good_click(click_id="x" * 64, user_id="u" * 256, timestamp_ms=now_ms(), country="ZZ", device_type="other",
                         ip="2001:db8::1", user_agent="Mozilla/5.0", referrer="https://example.com/", more={"a": [1]})
    nulls = good_click(click_id="c-null", user_id=None, country=None, device_type=None)
    lines, bad = [json.dumps(longest), "", json.dumps(nulls), "   "], []
    for what, changes, field in CLICK_FIELDS + LINE_FIELDS:
        lines.append(json.dumps(good_click(**changes)))
        bad.append((len(lines), field))
    lines.append('{"click_id":')
    bad.append((len(lines), None))
    lines.append(json.dumps(good_click(ad_id="nobody")))
    bad.append((len(lines), "ad_id"))
    answer = node.request("POST", "/v1/clicks", "\n".join(lines))
    check_equal(f"status ({answer})", answer.status, 202)
    result = answer.json()
    check_equal("accepted", result["accepted"], 2)
    check_equal("rejected_count", result["rejected_count"], len(bad))
    check_equal("rejected", [(line["line"], line.get("field") or None) for line in result["rejected"]], bad)
    check(all(line["detail"] for line in result["rejected"]), f"a line without detail: {result}")

    future = json.dumps(good_click(click_id="c-future", timestamp_ms=now_ms() + 3_600_000))
    result = node.request("POST", "/v1/clicks?mode=backfill", future).json()
    check_equal("a backfilled future click", [(line["line"], line["field"]) for line in result["rejected"]],
                [(1, "timestamp_ms")])
    result = node.request("POST", "/v1/clicks", "{}\n" * 1500).json()
    check_equal("many bad lines", (result["rejected_count"], len(result["rejected"])), (1500, 1000))
    check_equal("an empty body", node.request("POST", "/v1/clicks", "").json()["accepted"], 0)
    node.wait_total(now_ms() - 120_000, now_ms() + 60_000, 2)


def test_bad_ads_file_lines(context):
    """ads uploaded in bulk are judged line by line"""
    node = context.node()
    result = node.request("POST", "/v1/ads", "\n".join(
        [json.dumps(AD), "", '{"ad_id":', json.dumps({**AD, "ad_id": "b", "redirect_url": "ftp://example.com/"}),
         json.dumps({**AD, "ad_id": "a b"}), json.dumps({**AD, "ad_id": "c"})])).json()
    check_equal("accepted", result["accepted"], 2)
    check_equal("rejected_count", result["rejected_count"], 3)
    check_equal("rejected", [(line["line"], line.get("field") or None) for line in result["rejected"]],
                [(3, None), (4, "redirect_url"), (5, "ad_id")])
    check_equal("ads", [ad["ad_id"] for ad in node.get("/v1/ads").json()["data"]], ["c", "good"])


def test_bad_http(context):
    """broken HTTP, endless headers and oversize bodies end their connection and nothing else"""
    node = context.node()
    node.upload_ads([AD])
    cases = []

    def expect(what, port, data, statuses):
        def action():
            received = raw_exchange(port, data)
            # A connection that is just closed is allowed; an answer must be the right one.
            status = received[9:12].decode() if received else "closed"
            check(status in statuses, f"got {received[:80]!r}")
        cases.append((what, action))

    for port in (node.collector_port, node.api_port):
        expect("no HTTP", port, b"hello\r\n\r\n", ("400", "closed"))
        expect("binary", port, bytes(range(256)) * 20 + b"\r\n\r\n", ("400", "closed"))
        expect("endless headers", port,
               b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"y" * 100) for n in range(400)),
               ("400", "431", "closed"))
        expect("negative length", port, b"POST /v1/click HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
               ("400", "closed"))
        expect("two lengths", port,
               b"POST /v1/click HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", ("400", "closed"))
        expect("broken chunks", port,
               b"POST /v1/click HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", ("400", "closed"))
        # Refused by its length, before the body is read.
        expect("click of a gigabyte", port, b"POST /v1/click HTTP/1.1\r\nHost: a\r\nContent-Length: 1073741824\r\n\r\n",
               ("413",))
    expect("bulk over 16 MiB", node.api_port,
           b"POST /v1/clicks HTTP/1.1\r\nHost: a\r\nContent-Length: 16777217\r\n\r\n", ("413",))

    def half_requests():
        # Clients that stop in the middle are forgotten.
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", node.collector_port)) as connection:
                connection.sendall(b"POST /v1/click HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        check_equal("healthz", node.request("GET", "/healthz", listener="collector").status, 200)

    cases.append(("half requests", half_requests))
    check_all(context, cases)
    check(node.alive(), "the node died")
    still_counts(node)
