"""What stands between the world and the node: TLS, rates of clients, countries by address."""

import json
import os
import signal
import ssl
import subprocess

import mmdb
from harness import Client, NoAnswer, Skipped, check, check_equal, now_ms, wait_until

AD = {"ad_id": "ad_1", "advertiser_id": "adv_1", "ad_format": "banner", "redirect_url": "https://example.com/1"}
CLICK = "/v1/click?ad_id=ad_1"
TRUSTING = {"trusted_proxies": ["127.0.0.1"]}


def make_certificate(folder, days):
    """cert.pem and key.pem."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
               "/CN=localhost", "-days", str(days), "-keyout", str(folder / "new-key.pem"), "-out", str(folder / "cert.pem")]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        raise Skipped("there is no openssl") from None
    os.rename(folder / "new-key.pem", folder / "key.pem")


def unverified():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def shown_certificate(port):
    return ssl.get_server_certificate(("127.0.0.1", port))


def test_tls(context):
    """both listeners speak TLS only, SIGHUP shows a new certificate, and a broken one changes nothing"""
    node = context.node({"tls": {"cert": "cert.pem", "key": "key.pem"}}, start=False)
    node.write_config()
    make_certificate(node.directory, 30)
    node.tls = unverified()
    node.start()
    node.upload_ads([AD])
    kept = node.client("collector")
    begin_ms = now_ms()
    for listener in ("collector", "api"):
        check_equal(listener, node.request("GET", CLICK, listener=listener).status, 302)
    check_equal("a kept connection", kept.request("GET", CLICK).status, 302)
    body = "".join(json.dumps({"click_id": str(number), "ad_id": "ad_1", "timestamp_ms": now_ms(), "referrer": "r" * 500}) + "\n"
                   for number in range(10_000))
    check_equal("6 MB of bulk", node.request("POST", "/v1/clicks", body).json()["accepted"], 10_000)
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, 10_003)
    try:
        answer = Client(node.collector_port).request("GET", CLICK)
        check(False, f"plain HTTP was answered: {answer}")
    except NoAnswer:
        pass
    old = {port: shown_certificate(port) for port in (node.collector_port, node.api_port)}

    make_certificate(node.directory, 3)
    node.process.send_signal(signal.SIGHUP)
    for port, certificate in old.items():
        wait_until("another certificate", lambda: shown_certificate(port) != certificate)
    check_equal("the kept connection", kept.request("GET", CLICK).status, 302)
    warnings = node.get("/readyz").json()["warnings"]
    check(any("certificate ends at" in text for text in warnings), f"no warning of one that ends soon: {warnings}")
    new = shown_certificate(node.api_port)

    (node.directory / "cert.pem").write_text("no certificate\n")
    node.process.send_signal(signal.SIGHUP)
    wait_until("a warning", lambda: any("cert.pem" in text for text in node.get("/readyz").json()["warnings"]))
    check_equal("the certificate", shown_certificate(node.api_port), new)
    check_equal("a click", node.request("GET", CLICK, listener="collector").status, 302)
    checked = context.run("check-config", str(node.config_path))
    check_equal("check-config", checked.returncode, 1)
    check("cert.pem" in checked.stderr, checked.stderr)
    node.stop()
    node.spawn()
    check_equal("a start with it", node.process.wait(30), 2)
    check("cert.pem" in node.log_since_start(), node.log_since_start())


def test_rate_limit(context):
    """a client that sends more than it may gets 429 and is told when; others don't notice; SIGHUP changes the rule"""
    node = context.node({"collector": {**TRUSTING, "rate_limit": {"clicks_per_s": 1, "burst": 5}}})
    node.upload_ads([AD])
    client = node.client("collector")

    def click(ip):
        return client.request("GET", CLICK, headers={"X-Forwarded-For": ip})

    answers = [click("198.51.100.7") for _ in range(60)]
    statuses = [answer.status for answer in answers]
    check_equal("the first five", statuses[:5], [302] * 5)
    refused = [answer for answer in answers if answer.status == 429]
    check(refused, f"nothing was refused: {statuses}")
    check_equal("Retry-After", {answer.headers["retry-after"] for answer in refused}, {"1"})
    check_equal("no-store", {answer.headers["cache-control"] for answer in refused}, {"no-store"})
    check_equal("others", {click(f"203.0.113.{number}").status for number in range(200)}, {302})
    # Nobody knows who is behind a proxy that doesn't say so.
    check_equal("the proxy", {client.request("GET", CLICK).status for _ in range(50)}, {302})
    check_equal("counted", node.metrics()["clickmill_collector_rate_limited_total"], len(refused))
    want = statuses.count(302) + 200 + 50
    wait_until("the rest counted", lambda: node.check_invariant()["counted"] == want)
    node.config["collector"]["rate_limit"] = {}
    node.write_config()
    node.process.send_signal(signal.SIGHUP)
    wait_until("no limit", lambda: {click("198.51.100.7").status for _ in range(30)} == {302})


def test_country_db(context):
    """clicks that tell no country get it by their address; a replaced file is taken in, a broken one is told"""
    node = context.node({"log": {"partitions": 1}, "collector": {**TRUSTING, "country_header": "CF-IPCountry",
                                                                 "country_db": "countries.mmdb"}}, start=False)
    path = node.directory / "countries.mmdb"

    def put(content):
        path.with_suffix(".new").write_bytes(content)
        os.rename(path.with_suffix(".new"), path)

    put(mmdb.database({"8.8.8.0/24": {"country": {"iso_code": "US"}}, "5.0.0.0/8": {"country_code": "de"},
                       "2a00::/16": {"country": "FR"}, "192.168.0.0/16": {"country_code": "AU"}}))
    node.start()
    node.upload_ads([AD])
    cases = [("8.8.8.8", None, "", "US"), ("5.1.2.3", None, "", "DE"), ("2a00::7", None, "", "FR"), ("9.9.9.9", None, "", "ZZ"),
             ("::ffff:8.8.8.8", None, "", "US"), ("2002:0808:0808::1", None, "", "US"), ("64:ff9b::8.8.8.8", None, "", "US"),
             ("192.168.1.1", None, "", "ZZ"), ("8.8.8.8", "JP", "", "JP"), ("8.8.8.8", "XX", "", "US"), ("8.8.8.8", "T1", "", "US"),
             ("8.8.8.8", "EU", "", "US"), ("9.9.9.9", "AP", "", "ZZ"), ("8.8.8.8", "JP", "&country=GB", "GB"),
             ("8.8.8.8", None, "&country=UK", "US")]
    for number, (ip, header, query, _) in enumerate(cases):
        headers = {"X-Forwarded-For": ip, **({"CF-IPCountry": header} if header else {})}
        answer = node.request("GET", f"{CLICK}&click_id=c-{number}{query}", headers=headers, listener="collector")
        check_equal(f"{ip} {header} {query}", answer.status, 302)
    line = {"click_id": "bulk", "ad_id": "ad_1", "timestamp_ms": now_ms(), "ip": "5.9.9.9"}
    check_equal("bulk", node.request("POST", "/v1/clicks", json.dumps(line)).json()["accepted"], 1)

    def recorded():
        lines = node.get("/v1/log/raw-clicks/0?limit=1000").body.splitlines()
        return {click["click_id"]: click["country"] for click in map(json.loads, lines)}

    wait_until("all in the log", lambda: len(recorded()) == len(cases) + 1)
    want = {f"c-{number}": case[3] for number, case in enumerate(cases)} | {"bulk": "DE"}
    check_equal("countries", recorded(), want)

    put(b"\x1f\x8b nonsense")
    checked = context.run("check-config", str(node.config_path))
    check("collector.country_db" in checked.stderr and "gzip" in checked.stderr, checked.stderr)
    check_equal("check-config", checked.returncode, 1)
    node.process.send_signal(signal.SIGHUP)
    wait_until("a warning", lambda: any("gzip" in text for text in node.get("/readyz").json()["warnings"]))
    node.request("GET", f"{CLICK}&click_id=kept", headers={"X-Forwarded-For": "8.8.8.8"}, listener="collector")
    put(mmdb.database({"8.8.8.0/24": {"country_code": "CA"}}))
    # Without a signal too.
    wait_until("no warning", lambda: not node.get("/readyz").json()["warnings"])
    node.request("GET", f"{CLICK}&click_id=new", headers={"X-Forwarded-For": "8.8.8.8"}, listener="collector")
    wait_until("both in the log", lambda: len(recorded()) == len(cases) + 3)
    check_equal("with the former, with the new", (recorded()["kept"], recorded()["new"]), ("US", "CA"))
