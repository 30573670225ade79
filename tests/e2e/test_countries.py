"""One list of countries for the click, bulk lines, the header, filters and breakdowns."""

import json
import urllib.parse

from harness import check, check_equal, now_ms, wait_until

AD = {"ad_id": "land", "advertiser_id": "adv_1", "ad_format": "banner", "redirect_url": "https://shop.example.com/"}
NO_COUNTRY = ("UK", "XX", "T1", "EU", "AP", "A1", "AN", "USA", "u", "", "ZZ", "zz", "-", "Deutschland")


def span():
    return {"from_": now_ms() - 300_000, "to": now_ms() + 60_000}


def by_country(node):
    total = node.metrics_clicks(ad_id="land", granularity="total", breakdown="country", **span())["total"]
    return {code: count for code, count in total["country"].items() if count}


def test_country_of_a_click(context):
    """what a click, a form or a header says of the country is read in any case and never costs the redirect"""
    node = context.node({"collector": {"country_header": "CF-IPCountry", "trusted_proxies": ["127.0.0.1"]}})
    node.upload_ads([AD])
    want = {}

    def sent(code, answer):
        check_equal(f"{code}: {answer}", answer.status, 302)
        want[code] = want.get(code, 0) + 1

    def link(text, **headers):
        return node.request("GET", "/v1/click?ad_id=land&country=" + urllib.parse.quote(text),
                            headers={name.replace("_", "-"): value for name, value in headers.items()},
                            listener="collector")

    def post(value):
        return node.request("POST", "/v1/click", json.dumps(
            {"click_id": f"p{sum(want.values())}", "ad_id": "land", "timestamp_ms": now_ms(), "country": value}),
            listener="collector")

    for text in ("US", "us", "uS"):
        sent("US", link(text))
        sent("US", post(text))
    for text in ("XK", "xk"):
        sent("XK", link(text))
    for text in NO_COUNTRY:
        sent("ZZ", link(text))
        sent("ZZ", post(text))
        # The header says it in its place, and is no better when it doesn't know either.
        sent("FR", link(text, CF_IPCountry="fr"))
        sent("ZZ", link(text, CF_IPCountry="XX"))
        sent("ZZ", link("nowhere", CF_IPCountry=text or "T1"))
        sent("DE", link("de", CF_IPCountry=text or "T1"))
    for value in (None, 49, True, ["US"], {"code": "US"}):
        sent("ZZ", post(value))

    node.wait_total(span()["from_"], span()["to"], sum(want.values()))
    shown = by_country(node)
    check_equal("breakdown", shown, want)
    for code, count in shown.items():
        for text in (code, code.lower()):
            total = node.metrics_clicks(ad_id="land", granularity="total", country=text, **span())["total"]
            check_equal(f"country={text}", total["click_count"], count)
            top = node.metrics_top(n=1, country=text, **span())
            check_equal(f"top of country={text}", top["total"]["click_count"], count)


def test_country_of_a_bulk_line(context):
    """a bulk line and a query with what is no country are refused, quoting it"""
    node = context.node()
    node.upload_ads([AD])
    lines = [{"click_id": f"b{i}", "ad_id": "land", "timestamp_ms": now_ms(), "country": code}
             for i, code in enumerate(("us", "XK", "ZZ", "zz") + NO_COUNTRY[:10])]
    answer = node.request("POST", "/v1/clicks", "\n".join(map(json.dumps, lines))).json()
    check_equal("accepted", answer["accepted"], 4)
    check_equal("rejected", [(line["line"], line["field"]) for line in answer["rejected"]],
                [(number, "country") for number in range(5, 15)])
    check('"UK"' in answer["rejected"][0]["detail"] and "GB" in answer["rejected"][0]["detail"], f"{answer}")
    wait_until("the four", lambda: by_country(node) == {"US": 1, "XK": 1, "ZZ": 2})
    for code in NO_COUNTRY[:10]:
        for path in (f"/v1/metrics/clicks?ad_id=land&from=0&to=60000&country={code}",
                     f"/v1/metrics/top?minutes=5&country={code}"):
            answer = node.get(path)
            check_equal(f"{path}: {answer}", (answer.status, answer.json().get("field")), (400, "country"))
            check(f'"{code}"' in answer.json()["detail"], f"{path}: {answer}")
