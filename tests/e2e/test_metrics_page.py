"""GET /metrics, /readyz and /healthz as a monitoring system reads them."""

import json
import re

from harness import NoAnswer, check, check_equal, now_ms, wait_until

SERIES = re.compile(r'([a-z_][a-z0-9_]*)(\{(?:[a-z_]+="[^"\\\n]*",?)*\})? (-?[0-9.e+-]+)$')
WANTED = {
    "counter": ["clickmill_clicks_received_total", "clickmill_clicks_counted_total", "clickmill_clicks_duplicate_total",
                "clickmill_clicks_review_total", "clickmill_clicks_resent_total", "clickmill_collector_dropped_total",
                "clickmill_collector_answered_unsynced_total", "clickmill_collector_answered_unreplicated_total",
                "clickmill_http_requests_total",
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
            family = re.sub("_(bucket|sum|count)$", "", match[1])
            check(match[1] in types or types.get(family) == "histogram", f"{line}: before its TYPE")
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
    for name in (name for name, kind in types.items() if kind == "histogram"):
        check(name.endswith("_seconds"), name)
        for series in [series for series in values if series.startswith(f"{name}_count")]:
            labels = series[len(f"{name}_count"):].strip("{}")
            buckets = [value for other, value in values.items() if other.startswith(f"{name}_bucket{{{labels}")]
            check_equal(f"{series}: the last bucket", buckets[-1], values[series])
            check_equal(f"{series}: buckets", buckets, sorted(buckets))
    resident = values["process_resident_memory_bytes"]
    check(1 << 20 < resident < 1 << 33, f"resident {resident}")

    series = 'clickmill_http_route_requests_total{listener="api",method="GET",route="/v1/ads/{ad_id}"}'
    before = values[series]
    check_equal("no such ad", node.get("/v1/ads/nobody").status, 404)
    wait_until("the request counted",
               lambda: read_page(node.get("/metrics").body.decode())[1][series] == before + 1)


def test_counters_after_a_kill(context):
    """after a SIGKILL what lives in the checkpoint is left out of /metrics until it is right again, and never falls"""
    node = context.node({"log": {"partitions": 4}, "stream": {"checkpoint_interval_s": 3600}})
    node.upload_ads([{"ad_id": "ad_1", "advertiser_id": "adv_1", "ad_format": "banner",
                      "redirect_url": "https://example.com/"}])
    sent = 0
    for life in range(3):
        for _ in range(3):
            lines = "".join(json.dumps({"click_id": f"{sent + number}", "ad_id": "ad_1", "timestamp_ms": now_ms()}) + "\n"
                            for number in range(20_000))
            check_equal("bulk", node.request("POST", "/v1/clicks", lines).status, 202)
            sent += 20_000
        wait_until("all counted", lambda: node.check_invariant()["counted"] == sent)
        node.kill()
        node.spawn()
        seen, ready = [], False
        while not ready:
            ready = node.is_ready()
            try:
                _, values = read_page(node.get("/metrics").body.decode())
            except NoAnswer:
                continue
            check(values.get("clickmill_ready") in (0, 1), "no clickmill_ready")
            seen += [int(values[name]) for name in ("clickmill_clicks_received_total", "clickmill_clicks_counted_total")
                     if name in values]
        check_equal("values after the kill", set(seen), {sent})


def test_health_pages(context):
    """/healthz and /readyz answer without a key, and nothing else is on the collector's listener"""
    node = context.node()
    check_equal("healthz", (node.get("/healthz").status, node.get("/healthz").json()), (200, {"status": "ok"}))
    ready = node.get("/readyz")
    check_equal("readyz", (ready.status, ready.json()["ready"], ready.json()["reasons"]), (200, True, []))
    for path, status in (("/healthz", 200), ("/readyz", 200), ("/metrics", 404), ("/v1/cluster", 404)):
        check_equal(f"{path} at the collector", node.request("GET", path, listener="collector").status, status)
