"""Ads from a configuration service (catalog.source "http"): fast, slow, wrong and absent."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness import Client, check, check_equal, free_ports, now_ms, wait_until

DEFAULT = "https://default.example.com/"


def ad_of(ad_id, **changes):
    return {"ad_id": ad_id, "advertiser_id": "adv_1", "ad_format": "banner",
            "redirect_url": f"https://shop.example.com/{ad_id}", **changes}


class Service:
    """A configuration service whose behaviour per ad a test chooses."""

    def __init__(self, port=0):
        self.ads = {}        # ad_id -> ad
        self.wrong = {}      # ad_id -> (status, body) instead
        self.asked = []
        self.gate = threading.Event()  # cleared: answers wait
        self.gate.set()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                ad_id = self.path.rsplit("/", 1)[1]
                service.asked.append(ad_id)
                service.gate.wait(30)
                status, body = service.wrong.get(ad_id) or (
                    (200, json.dumps(service.ads[ad_id])) if ad_id in service.ads else (404, "{}"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                if status in (301, 302):
                    self.send_header("Location", "http://127.0.0.1:1/")
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

            def handle(self):
                try:
                    super().handle()
                except OSError:
                    pass  # the node gave up on it

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()


def node_for(context, port, default=DEFAULT, start=True, **catalog):
    return context.node({"catalog": {"source": "http", "url": f"http://127.0.0.1:{port}/ads", **catalog},
                         "collector": {"default_redirect": default}}, start)


def click(node, ad_id, click_id="c-1"):
    body = json.dumps({"click_id": click_id, "ad_id": ad_id, "timestamp_ms": now_ms()})
    return node.request("POST", "/v1/click", body, listener="collector")


def check_redirect(what, answer, target):
    check_equal(what, (answer.status, answer.headers.get("location")), (302, target))


def counted(node, ad_id):
    answer = node.get(f"/v1/metrics/clicks?ad_id={ad_id}&from={now_ms() - 600_000}&to={now_ms() + 60_000}&granularity=total")
    return answer.json()["total"]["click_count"] if answer.status == 200 else 0


def wait_counted(node, ad_id, want):
    wait_until(f"{want} clicks of {ad_id}", lambda: counted(node, ad_id) == want)


def test_known_and_unknown(context):
    """catalog service: its ads redirect and count, a 404 is an unknown ad, and each is asked for once"""
    service = Service()
    service.ads = {"a": ad_of("a"), "..": ad_of("..")}
    node = node_for(context, service.port)
    for number in range(5):
        check_redirect("ad", click(node, "a", f"c-{number}"), service.ads["a"]["redirect_url"])
        check_redirect("no ad", click(node, "none", f"c-{number}"), DEFAULT)
    check_redirect("an id that would climb up in a path", click(node, ".."), DEFAULT)
    wait_counted(node, "a", 5)
    wait_until("review", lambda: node.check_invariant()["review"] == 6)
    check_equal("questions", sorted(service.asked), ["a", "none"])

    check_equal("GET of an ad asked for", wait_until("copy", lambda: node.get("/v1/ads/a").status == 200 and
                                                     node.get("/v1/ads/a").json()), service.ads["a"])
    for method, path in (("PUT", "/v1/ads/a"), ("DELETE", "/v1/ads/a"), ("POST", "/v1/ads")):
        answer = node.request(method, path, json.dumps(ad_of("a")))
        check_equal(f"{method} ({answer})", (answer.status, answer.headers.get("allow")), (405, "GET, HEAD"))
        check("configuration service" in answer.json()["detail"], f"{method}: {answer}")
    check_equal("the ad after that", node.get("/v1/ads/a").json(), service.ads["a"])
    service.stop()


def test_wrong_answers(context):
    """catalog service: errors, garbage, another ad and a dangerous URL are no answers"""
    service = Service()
    node = node_for(context, service.port, default="", timeout_ms=2_000)
    service.wrong = {
        "error": (500, "oops"),
        "garbage": (200, "<html>hello"),
        "empty": (200, ""),
        "other": (200, json.dumps(ad_of("another"))),
        "script": (200, json.dumps(ad_of("script", redirect_url="javascript:alert(1)"))),
        "split": (200, json.dumps(ad_of("split", redirect_url="https://a.example/\r\nSet-Cookie: a=b"))),
        "moved": (302, ""),
        "large": (200, json.dumps(ad_of("large", note="x" * 100_000))),
    }
    for ad_id in service.wrong:
        answer = click(node, ad_id)
        check_equal(f"{ad_id} ({answer})", (answer.status, answer.headers.get("retry-after")), (503, "1"))
        check("location" not in answer.headers, f"{ad_id}: {answer}")
        check_equal(f"{ad_id}: GET", node.request("GET", f"/v1/click?ad_id={ad_id}").status, 503)
    answer = click(node, "none")
    check_equal(f"no such ad ({answer})", (answer.status, answer.json()["field"]), (404, "ad_id"))
    check_equal("nothing was taken", node.check_invariant()["received"], 0)
    # The service comes to its senses.
    for ad_id in service.wrong:
        service.ads[ad_id] = ad_of(ad_id)
    service.wrong = {}
    for ad_id in service.ads:
        check_redirect(ad_id, click(node, ad_id), service.ads[ad_id]["redirect_url"])
        wait_counted(node, ad_id, 1)
    service.stop()


def test_slow_service(context):
    """catalog service: while it hangs only clicks of unknown ads wait, and their ads are found out afterwards"""
    service = Service()
    service.ads = {"a": ad_of("a"), "b": ad_of("b", advertiser_id="adv_2")}
    node = node_for(context, service.port, timeout_ms=1_000, ttl_s=1)
    check_redirect("known ad", click(node, "a"), service.ads["a"]["redirect_url"])
    wait_counted(node, "a", 1)

    service.gate.clear()
    waiting = [Client(node.collector_port) for _ in range(3)]
    answers = {}

    def ask(number, client):
        body = json.dumps({"click_id": f"w-{number}", "ad_id": "b" if number else "none", "timestamp_ms": now_ms()})
        answers[number] = client.request("POST", "/v1/click", body)

    threads = [threading.Thread(target=ask, args=one) for one in enumerate(waiting)]
    for thread in threads:
        thread.start()
    wait_until("questions", lambda: "b" in service.asked and "none" in service.asked)
    for number in range(100):
        check_redirect("known ad meanwhile", click(node, "a", f"m-{number}"), service.ads["a"]["redirect_url"])
    for thread in threads:
        thread.join()
    check_equal("the waiting", {number: answer.headers.get("location") for number, answer in answers.items()},
                {0: DEFAULT, 1: DEFAULT, 2: DEFAULT})
    wait_counted(node, "a", 101)
    wait_until("spooled without their ads", lambda: node.metrics()["clickmill_spool_clicks"] == 3)
    check_equal("not counted yet", node.check_invariant()["received"], 101)

    # Killed meanwhile, it still finds out whose they were.
    node.kill()
    node.start()
    check_redirect("known over a restart", click(node, "a", "r-1"), service.ads["a"]["redirect_url"])
    wait_until("spooled over the kill", lambda: node.metrics()["clickmill_spool_clicks"] == 3)
    service.gate.set()
    wait_counted(node, "b", 2)
    wait_until("review", lambda: node.check_invariant()["review"] == 1)
    node.wait_spool_empty()
    check_equal("enriched", node.metrics()["clickmill_spool_enriched_total"], 2)
    total = node.get(f"/v1/metrics/clicks?advertiser_id=adv_2&from={now_ms() - 600_000}&to={now_ms() + 60_000}"
                     "&granularity=total").json()["total"]["click_count"]
    check_equal("counted for the right advertiser", total, 2)
    service.stop()


def test_absent_service(context):
    """catalog service: absent, it costs no click of a known ad; back, it is asked again"""
    port = free_ports(1)[0]
    node = node_for(context, port, default="", timeout_ms=1_000, ttl_s=1)
    answer = click(node, "a")
    check_equal(f"unknown while absent ({answer})", (answer.status, answer.headers.get("retry-after")), (503, "1"))
    service = Service(port)
    service.ads = {"a": ad_of("a")}
    check_redirect("ad", click(node, "a"), service.ads["a"]["redirect_url"])
    wait_until("copy", lambda: node.get("/v1/ads/a").status == 200)
    service.stop()
    node.kill()
    node.start()
    for number in range(20):
        check_redirect("known while absent", click(node, "a", f"k-{number}"), service.ads["a"]["redirect_url"])
    wait_counted(node, "a", 21)
    again = Service(port)
    again.ads = {"a": ad_of("a", redirect_url="https://new.example.com/")}
    wait_until("the new target", lambda: click(node, "a", "n").headers["location"] == "https://new.example.com/")
    again.ads = {}
    wait_until("its end", lambda: click(node, "a", "n").status == 404)
    again.stop()


def test_bulk(context):
    """catalog service: bulk lines of unknown ads wait for it, and are enriched or refused one by one"""
    service = Service()
    service.ads = {"a": ad_of("a"), "b": ad_of("b")}
    strict = node_for(context, service.port, default="", timeout_ms=300)
    lenient = node_for(context, service.port, timeout_ms=300)
    service.wrong = {"broken": (500, "")}

    def send(node, ad_ids):
        lines = [json.dumps({"click_id": f"l-{number}", "ad_id": ad_id, "timestamp_ms": now_ms()})
                 for number, ad_id in enumerate(ad_ids)]
        answer = node.request("POST", "/v1/clicks", "\n".join(lines))
        check_equal(f"{answer}", answer.status, 202)
        return answer.json()

    ads = ["a", "none", "b", "broken", "a", "bad id", "b"]
    told = send(strict, ads)
    check_equal("accepted", told["accepted"], 4)
    check_equal("rejected", [(one["line"], one["field"]) for one in told["rejected"]],
                [(2, "ad_id"), (4, "ad_id"), (6, "ad_id")])
    check("no such ad" in told["rejected"][0]["detail"], told["rejected"][0])
    check("send this line again" in told["rejected"][1]["detail"], told["rejected"][1])
    wait_counted(strict, "a", 2)
    wait_counted(strict, "b", 2)
    check_equal("nothing else", strict.check_invariant()["received"], 4)

    told = send(lenient, ads)
    check_equal("accepted with a default redirect", (told["accepted"], told["rejected_count"]), (6, 1))
    wait_counted(lenient, "a", 2)
    wait_until("review", lambda: lenient.check_invariant()["review"] == 1)
    wait_until("only the one whose ad is not told", lambda: lenient.metrics()["clickmill_spool_clicks"] == 1)
    service.ads["broken"] = ad_of("broken")
    service.wrong = {}
    wait_counted(lenient, "broken", 1)
    lenient.wait_spool_empty()
    service.stop()
