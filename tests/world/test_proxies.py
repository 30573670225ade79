"""What real proxies do with clicks and with nodes, with the files of conf/proxies/."""

import json
import signal

import proxies
from harness import check, check_equal, now_ms, wait_until
from proxies import AD, CLIENT, TRUSTING, Cutting, Proxy, Users

KINDS = ("nginx", "haproxy", "caddy", "varnish", "apache")
CLICK = f"/v1/click?ad_id={AD['ad_id']}"


def node_with(context, config):
    node = context.node({"log": {"partitions": 2}, "shutdown_delay_s": 1, **config})
    node.upload_ads([AD])
    return node


def counts(node, want):
    wait_until(f"{want} counted", lambda: node.check_invariant()["counted"] == want)
    node.wait_spool_empty()
    check_equal("counted", node.check_invariant()["counted"], want)


def an_address(context, kind):
    """the client's own address is kept, whatever it says itself, and a HEAD, a prefetch and a 404 stay what they are"""
    node = node_with(context, TRUSTING)
    with Proxy(kind, context.directory, [node.collector_port] * 2) as proxy:
        for forged in ({}, {"X-Forwarded-For": "198.51.100.9"}, {"X-Real-IP": "198.51.100.9", "Forwarded": "for=198.51.100.9"}):
            status, headers = proxy.request("GET", CLICK, headers=forged)
            check_equal("status", (status, headers["Location"]), (302, AD["redirect_url"]))
        body = json.dumps({"click_id": "posted", "ad_id": AD["ad_id"], "timestamp_ms": now_ms()})
        check_equal("POST", proxy.request("POST", "/v1/click", body, {"Content-Type": "application/json"})[0], 302)
        check_equal("HEAD", proxy.request("HEAD", CLICK)[0], 302)
        for _ in range(30):
            check_equal("prefetch", proxy.request("GET", CLICK, headers={"Sec-Purpose": "prefetch"})[0], 409)
        # None of what one client sends takes the node from the others.
        for headers in ({"Transfer-Encoding": "gzip"}, {"Content-Encoding": "odd"}, {"Expect": "odd"}, {"X-A": "a" * 7000}):
            try:
                status, _ = proxy.request("POST", "/v1/click", body, headers)
            except ConnectionError:
                # A proxy that refuses the head by itself may hang up over the body.
                status = "by the proxy, which hangs up"
            context.say(f"{kind}: a POST with {list(headers)[0]} is answered {status}")
        check_equal("unknown ad", proxy.request("GET", "/v1/click?ad_id=nobody")[0], 404)
        for _ in range(10):
            check_equal("a click after all that", proxy.request("GET", CLICK)[0], 302)
        node.wait_spool_empty()
        clicks = proxies.ids_of(node)
        check_equal("addresses", {click["ip"] for click in clicks}, {CLIENT})
        wait_until("14 clicks", lambda: len({click["click_id"] for click in proxies.ids_of(node)}) == 14)
        check_equal("unreadable", node.metrics()["clickmill_collector_unreadable_headers_total"], 0)


def a_resent_link(context, kind):
    """a plain link that is sent to two nodes, or twice to one, is one click, by the proxy's id"""
    node = node_with(context, TRUSTING)
    cutting = Cutting()
    try:
        with Proxy(kind, context.directory, [cutting.port, node.collector_port]) as proxy:
            statuses = [proxy.request("GET", CLICK)[0] for _ in range(20)]
            context.say(f"{kind}: {statuses.count(302)} of 20 links redirected, {len(cutting.heads)} tries at a node that hangs up")
            node.wait_spool_empty()
            clicks = [click["click_id"] for click in proxies.ids_of(node)]
            tried = set(cutting.header("X-Request-ID"))
            check(len(tried) > 0 or not cutting.heads, "the node that hangs up was sent no id")
            check_equal("clicks", len(set(clicks)), statuses.count(302))
            if kind != "apache":
                check_equal("redirected", statuses.count(302), 20)
            # What was tried there first came here under the same id.
            check_equal("ids of resent links that are unknown here", [i for i in tried if statuses.count(302) == 20 and i not in clicks], [])
    finally:
        cutting.end()


def a_rolling_restart(context, kind):
    """two nodes are stopped (SIGTERM) and started one after the other, and no click fails"""
    nodes = [node_with(context, TRUSTING) for _ in range(2)]
    with Proxy(kind, context.directory, [node.collector_port for node in nodes]) as proxy:
        users = Users(proxy, total=4_000 if context.soak else 2_400)
        for number, node in enumerate(nodes):
            wait_until("clicks to flow", lambda: users.done() >= 300 + number * 900)
            node.stop()
            # As slow as a restart that somebody does by hand.
            begin = users.done()
            wait_until("clicks meanwhile", lambda: users.done() >= min(begin + 100, users.total))
            node.start()
            wait_until("the proxy to find it", lambda: clicked(proxy, node))
        users.join()
        context.say(f"{kind}: {len(users.failures)} of {users.total} clicks failed over two restarts: {users.failures[:5]}")
        check_equal("failed", len(users.failures), 0)
        for node in nodes:
            node.wait_spool_empty()
        known = {click["click_id"] for click in proxies.ids_of(*nodes)}
        check_equal("redirected and in no log", [i for i, _ in users.sent if i not in known], [])


def clicked(proxy, node):
    """Whether a click through the proxy reaches this node."""
    series = "clickmill_http_route_requests_total"
    before = node.metrics().get(series)
    for _ in range(4):
        proxy.request("GET", CLICK)
    page = node.get("/metrics").body.decode().splitlines()
    return any(line.startswith(f'{series}{{listener="collector",method="GET",route="/v1/click"}}') and
               float(line.rsplit(" ", 1)[1]) > 0 for line in page) and before is not None


def a_killed_node(context, kind):
    """one of two nodes is killed (SIGKILL) under clicks: what was redirected is recorded, and it is told how many failed"""
    nodes = [node_with(context, TRUSTING) for _ in range(2)]
    with Proxy(kind, context.directory, [node.collector_port for node in nodes]) as proxy:
        users = Users(proxy)
        wait_until("clicks to flow", lambda: users.done() >= 500)
        nodes[0].kill()
        users.join()
        context.say(f"{kind}: {len(users.failures)} of {users.total} clicks failed after a SIGKILL: {users.failures[:5]}")
        nodes[0].start()
        for node in nodes:
            node.wait_spool_empty()
        known = {click["click_id"] for click in proxies.ids_of(*nodes)}
        check_equal("redirected and in no log", [i for i, _ in users.sent if i not in known], [])


def check_of(kind, case):
    def test(context):
        case(context, kind)
    test.__doc__ = f"{kind}: {case.__doc__}"
    test.__name__ = f"test_{kind}_{case.__name__}"
    return test


for _kind in KINDS:
    for _case in (an_address, a_resent_link, a_rolling_restart, a_killed_node):
        _test = check_of(_kind, _case)
        globals()[_test.__name__] = _test


def test_proxy_protocol(context):
    """haproxy in mode tcp: the client is named by PROXY headers, version 1, version 2, and with a checksum"""
    node = node_with(context, {"collector": {"trusted_proxies": ["127.0.0.1"], "proxy_protocol": "on"}})
    # Its own checks stand behind a header as well.
    ways = {"v2 with crc32c": lambda text: text, "v2": lambda text: text.replace(" proxy-v2-options crc32c", ""),
            "v1": lambda text: text.replace("send-proxy-v2 proxy-v2-options crc32c", "send-proxy")}
    for number, (way, edit) in enumerate(ways.items()):
        with Proxy("haproxy-tcp", context.directory / str(number), [node.collector_port] * 2, edit) as proxy:
            for _ in range(5):
                check_equal(way, proxy.request("GET", CLICK)[0], 302)
        counts(node, 5 * (number + 1))
    check_equal("addresses", {click["ip"] for click in proxies.ids_of(node)}, {CLIENT})
    # From a trusted proxy without a header: closed, counted, said once.
    for _ in range(3):
        try:
            node.request("GET", "/healthz", listener="collector")
            check(False, "a connection without a PROXY header was answered")
        except Exception as error:
            check("NoAnswer" in type(error).__name__, f"{error!r}")
    check_equal("refused", node.metrics()["clickmill_http_proxy_headers_refused_total"], 3)
    check_equal("said", node.log_since_start().count("PROXY header"), 1)


def test_rolling_restart_by_connections(context):
    """haproxy in mode tcp: two nodes are stopped and started one after the other, and no click fails"""
    nodes = [node_with(context, {"collector": {"trusted_proxies": ["127.0.0.1"], "proxy_protocol": "on"}})
             for _ in range(2)]
    with Proxy("haproxy-tcp", context.directory, [node.collector_port for node in nodes]) as proxy:
        users = Users(proxy)
        for number, node in enumerate(nodes):
            wait_until("clicks to flow", lambda: users.done() >= 300 + number * 900)
            node.stop()
            node.start()
            wait_until("the proxy to find it", lambda: clicked(proxy, node))
        users.join()
        context.say(f"{len(users.failures)} of {users.total} clicks failed: {users.failures[:5]}")
        check_equal("failed", len(users.failures), 0)


def test_health_checks(context):
    """the checks that balancers make by default are answered, and /readyz goes red before a node stops"""
    node = node_with(context, {})
    for method, path, status in (("OPTIONS", "/", 204), ("GET", "/", 200), ("HEAD", "/", 200), ("GET", "/readyz", 200),
                                 ("HEAD", "/readyz", 200), ("GET", "/healthz", 200)):
        check_equal(f"{method} {path}", node.request(method, path, listener="collector").status, status)
    node.process.send_signal(signal.SIGTERM)
    wait_until("red", lambda: node.request("GET", "/readyz", listener="collector").status == 503)
    check_equal("a click meanwhile", node.request("GET", CLICK, listener="collector").status, 302)
    check_equal("exit code", node.process.wait(30), 0)
