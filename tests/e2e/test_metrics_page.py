"""GET /metrics, /readyz and /healthz as a monitoring system reads them."""

import re

from harness import check, check_equal, wait_until

SERIES = re.compile(r'([a-z_][a-z0-9_]*)(\{(?:[a-z_]+="[^"\\\n]*",?)*\})? (-?[0-9.e+-]+)$')
WANTED = {
    "counter": ["clickmill_clicks_received_total", "clickmill_clicks_counted_total", "clickmill_clicks_duplicate_total",
                "clickmill_clicks_review_total", "clickmill_clicks_resent_total", "clickmill_collector_dropped_total",
                "clickmill_collector_answered_unsynced_total", "clickmill_http_requests_total",
                "clickmill_http_route_requests_total", "process_cpu_seconds_total"],
    "gauge": ["clickmill_build_info", "clickmill_spool_clicks", "process_resident_memory_bytes", "process_open_fds",
              "process_start_time_seconds"],
}


def read_page(text):
    """(family -> type, series -> value); checks the text format on the way."""
    types, values, helped = {}, {}, set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped.add(line.split(" ", 3)[2])
            check(line.split(" ", 3)[3], line)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            check(name in helped and name not in types, f"{line}: twice, or without HELP")
            types[name] = kind
        else:
            match = SERIES.match(line)
            check(match, f"not a series: {line!r}")
            check(match[1] in types, f"{line}: before its TYPE")
            series = match[1] + (match[2] or "")
            check(series not in values, f"{series} stands twice")
            values[series] = float(match[3])
    return types, values


def test_metrics_page(context):
    """/metrics is well-formed, named by the conventions, and counts requests by route"""
    node = context.node()
    answer = node.get("/metrics")
    check(answer.headers["content-type"].startswith("text/plain; version=0.0.4"), answer.headers)
    types, values = read_page(answer.body.decode())
    for kind, names in WANTED.items():
        for name in names:
            check_equal(f"type of {name}", types.get(name), kind)
    for name, kind in types.items():
        check(name.startswith(("clickmill_", "process_")), name)
        check_equal(f"{name} ends with _total", name.endswith("_total"), kind == "counter")
    resident = values["process_resident_memory_bytes"]
    check(1 << 20 < resident < 1 << 33, f"resident {resident}")

    series = 'clickmill_http_route_requests_total{listener="api",method="GET",route="/v1/ads/{ad_id}"}'
    before = values[series]
    check_equal("no such ad", node.get("/v1/ads/nobody").status, 404)
    wait_until("the request counted",
               lambda: read_page(node.get("/metrics").body.decode())[1][series] == before + 1)


def test_health_pages(context):
    """/healthz and /readyz answer without a key, and nothing else is on the collector's listener"""
    node = context.node()
    check_equal("healthz", (node.get("/healthz").status, node.get("/healthz").json()), (200, {"status": "ok"}))
    ready = node.get("/readyz")
    check_equal("readyz", (ready.status, ready.json()["ready"], ready.json()["reasons"]), (200, True, []))
    for path, status in (("/healthz", 200), ("/readyz", 200), ("/metrics", 404), ("/v1/cluster", 404)):
        check_equal(f"{path} at the collector", node.request("GET", path, listener="collector").status, status)
