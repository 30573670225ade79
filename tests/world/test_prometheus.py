"""What a real Prometheus makes of /metrics, of the alert rules and of the dashboard."""

import json
import subprocess
import urllib.parse
import urllib.request

import world
from harness import ROOT, check, check_equal, free_ports, now_ms, wait_until

CONF = ROOT / "conf"
AD = {"ad_id": "ad_1", "advertiser_id": "adv_1", "ad_format": "banner", "redirect_url": "https://shop.example.com/"}


def tool(name):
    return str(world.unpacked("prometheus") / "usr/bin" / name)


def promtool(*arguments, text=None):
    done = subprocess.run([tool("promtool"), *map(str, arguments)], input=text, capture_output=True, text=True, timeout=60)
    check(done.returncode == 0 and not done.stderr.strip(), f"promtool {arguments}: {done.stdout}{done.stderr}")


class Prometheus:
    """One that scrapes a node five times a second."""

    def __init__(self, folder, node):
        (self.port,) = free_ports(1)
        config = (CONF / "prometheus" / "prometheus.yml").read_text()
        config = config.replace("15s", "200ms").replace("alerts.yml", str(CONF / "prometheus" / "alerts.yml"))
        config = config.replace('["10.0.0.11:8081", "10.0.0.12:8081"]', f'["127.0.0.1:{node.api_port}"]')
        (folder / "prometheus.yml").write_text(config)
        with open(folder / "prometheus.log", "wb") as log:
            self.process = subprocess.Popen(
                [tool("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
                 f"--web.listen-address=127.0.0.1:{self.port}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def ask(self, expression):
        """The samples that an instant query gives; None while nobody answers."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]["result"]
        except OSError:
            return None

    def value(self, expression):
        found = self.ask(expression)
        return float(found[0]["value"][1]) if found else None

    def end(self):
        self.process.kill()
        self.process.wait()


def test_a_scrape_over_a_kill(context):
    """a Prometheus that scrapes a node over SIGKILLs never sees one of its click counters fall"""
    node = context.node({"log": {"partitions": 4}, "stream": {"checkpoint_interval_s": 3600}})
    node.upload_ads([AD])
    prometheus = Prometheus(context.directory, node)
    try:
        sent = 0

        def scraped():
            return prometheus.value("clickmill_clicks_counted_total") == sent

        for life in range(3):
            lines = "".join(json.dumps({"click_id": f"{life}-{number}", "ad_id": "ad_1", "timestamp_ms": now_ms()}) + "\n"
                            for number in range(20_000))
            check_equal("bulk", node.request("POST", "/v1/clicks", lines).status, 202)
            sent += 20_000
            wait_until("Prometheus to see them", scraped)
            node.kill()
            wait_until("Prometheus to see it gone", lambda: prometheus.value("up") == 0)
            node.start()
            wait_until("Prometheus to see it back", scraped)
        for name in ("received", "counted", "duplicate", "review", "resent"):
            check_equal(f"falls of {name}", prometheus.value(f"resets(clickmill_clicks_{name}_total[1h])"), 0)
        check(prometheus.value("increase(clickmill_clicks_counted_total[1h])") < 2 * sent, "clicks counted again")
        # Those of the process do begin anew, and Prometheus knows what that means.
        check(prometheus.value("resets(process_cpu_seconds_total[1h])") >= 1, "the process never began anew")
    finally:
        prometheus.end()


def test_promtool(context):
    """promtool finds nothing wrong with /metrics, the scrape config, the alert rules and their tests"""
    node = context.node({"log": {"partitions": 2}})
    node.upload_ads([AD])
    node.request("GET", "/v1/click?ad_id=ad_1", listener="collector")
    promtool("check", "metrics", text=node.get("/metrics").body.decode())
    promtool("check", "config", CONF / "prometheus" / "prometheus.yml")
    promtool("test", "rules", CONF / "prometheus" / "alerts_test.yml")


def expressions_of_dashboard():
    dashboard = json.loads((CONF / "grafana" / "clickmill.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
            yield panel["title"], expression


def test_dashboard(context):
    """everything that the dashboard and the alert rules ask a Prometheus gets an answer, from metrics that there are"""
    node = context.node({"log": {"partitions": 2}})
    node.upload_ads([AD])
    prometheus = Prometheus(context.directory, node)
    try:
        wait_until("a scrape", lambda: prometheus.value("clickmill_ready") == 1)
        for _ in range(20):
            node.request("GET", "/v1/click?ad_id=ad_1", listener="collector")
        wait_until("the clicks in Prometheus", lambda: prometheus.value("rate(clickmill_clicks_counted_total[1m])"))
        for title, expression in expressions_of_dashboard():
            wait_until(f"{title}: {expression}", lambda: prometheus.ask(expression))
        rules = json.load(urllib.request.urlopen(f"http://127.0.0.1:{prometheus.port}/api/v1/rules", timeout=10))
        rules = rules["data"]["groups"][0]["rules"]
        check_equal("state of the rules", {rule["health"] for rule in rules}, {"ok"})
        check_equal("alerts", [rule["name"] for rule in rules if rule["state"] != "inactive"], [])
        # Also those that have nothing to tell here.
        names = {line.split()[2] for line in node.get("/metrics").body.decode().splitlines() if line.startswith("# TYPE")}
        for rule in rules:
            for word in rule["query"].replace("(", " ").replace("{", " ").replace("[", " ").split():
                if word.startswith(("clickmill_", "process_")):
                    check(word in names, f"{rule['name']} asks for {word}, which there is not")
    finally:
        prometheus.end()
