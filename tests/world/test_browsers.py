"""What real browsers do with a click, and what a node makes of it: each counted once, the person at the shop."""

import functools
import json

import world
from harness import check_equal, now_ms, wait_until

DOUBLE_CLICK_MS = 10_000


@functools.cache
def world_of(binary, kind, double_click_ms=0):
    config = {"stream": {"double_click_ms": double_click_ms}} if double_click_ms else {}
    return world.World(binary, kind, config)


LINK = '<a href="{link}">buy</a>'


def a_link(visit):
    """a link counts once and leads to the shop"""
    visit.on(LINK).click()
    visit.arrives()
    visit.counts(1)
    visit.shop_saw(visit.landing)


def a_new_tab(visit):
    """a link with target=_blank counts once and leads to the shop in a tab of its own"""
    visit.on('<a href="{link}" target="_blank">buy</a>').click()
    visit.arrives()
    visit.counts(1)
    visit.shop_saw(visit.landing)


def a_middle_click(visit):
    """a middle click counts once and opens the shop in another tab"""
    visit.on(LINK).click(button="middle")
    visit.arrives()
    visit.counts(1)
    visit.shop_saw(visit.landing)


def refused(visit):
    """Waits until the collector has refused something, and sees that nothing is counted."""
    wait_until("a refusal", lambda: visit.world.refusals() > visit.refusals)
    visit.counts(0)


def form(attributes, fields=""):
    return (f'<form action="{{click}}" {attributes}><input name="ad_id" value="{{ad}}">{fields}'
            "<button>buy</button></form>")


def a_form(visit):
    """a form counts once and leads to the shop, by POST, GET and multipart, without id and time"""
    ways = ('method="post"', 'method="get"', 'method="post" enctype="multipart/form-data"',
            'method="post" target="_blank"')
    for number, attributes in enumerate(ways, 1):
        visit.on(form(attributes)).click("button")
        visit.arrives()
        visit.counts(number)
        visit.leave()
    visit.on("")
    visit.shop_saw(*[visit.landing] * len(ways))


def a_form_with_an_id(visit):
    """a form with id and time that is sent twice counts once"""
    fields = f'<input name="click_id" value="f-1"><input name="timestamp_ms" value="{now_ms()}">'
    for _ in range(2):
        visit.on(form('method="post"', fields)).click("button")
        visit.arrives()
        visit.counts(1)
        visit.leave()
    visit.on("")
    visit.shop_saw(visit.landing, visit.landing)


def a_form_as_text(visit):
    """a form of enctype text/plain is refused, and nothing is counted"""
    visit.on(form('method="post" enctype="text/plain"')).click("button")
    refused(visit)
    visit.shop_saw()


def click_json(visit, number):
    return json.dumps({"click_id": f"{visit.ad}-{number}", "ad_id": visit.ad, "timestamp_ms": now_ms()})


def a_beacon(visit):
    """a beacon as text and as a JSON Blob counts once each, and nobody loads the shop"""
    visit.on("")
    check_equal("text", visit.run(f"return navigator.sendBeacon('{{click}}', '{click_json(visit, 1)}')"), True)
    visit.counts(1)
    check_equal("blob", visit.run("return navigator.sendBeacon('{click}', new Blob(['%s'], {type: 'application/json'}))"
                                  % click_json(visit, 2)), True)
    visit.counts(2)
    visit.shop_saw()


def a_ping(visit):
    """a ping counts once while the link itself goes straight to the shop"""
    visit.on('<a href="{shop}/landing/direct" ping="{link}">buy</a>'.replace("/landing/direct", visit.landing)).click()
    visit.arrives()
    visit.counts(1)
    visit.shop_saw(visit.landing)


FETCHES = (
    # (what, options, how the answer looks to the page)
    ("no-cors POST of text", "mode: 'no-cors', method: 'POST', body: JSON", "opaque"),
    ("no-cors GET", "mode: 'no-cors'", "opaque"),
    ("no-cors and kept alive", "mode: 'no-cors', method: 'POST', body: JSON, keepalive: true", "opaque"),
    ("cors POST of text", "method: 'POST', body: JSON", "redirect_url"),
    ("cors POST of JSON", "method: 'POST', body: JSON, headers: {'Content-Type': 'application/json'}", "redirect_url"),
    ("cors with credentials", "method: 'POST', body: JSON, credentials: 'include'", "redirect_url"),
    ("cors GET", "", "redirect_url"),
    ("cors, redirects by hand", "method: 'POST', body: JSON, redirect: 'manual'", "redirect_url"),
    ("cors, no redirects", "method: 'POST', body: JSON, redirect: 'error'", "redirect_url"),
)


def a_fetch(visit):
    """a fetch in every mode counts once, tells a script where the ad leads, and nobody loads the shop"""
    visit.on("")
    for number, (what, options, want) in enumerate(FETCHES, 1):
        url = "{link}" if "POST" not in options else "{click}"
        got = visit.run(f"const JSON = '{click_json(visit, number)}'; "
                        f"const answer = await fetch('{url}', {{{options}}}); "
                        "return answer.type === 'opaque' ? 'opaque' : await answer.text()")
        if want == "redirect_url":
            check_equal(what, json.loads(got), {"redirect_url": visit.world.shop.origin + visit.landing})
        else:
            check_equal(what, got, want)
        visit.counts(number)
    visit.shop_saw()


def an_image(visit):
    """an image as a counter counts once, and nobody loads the shop"""
    visit.on("")
    visit.run("await new Promise(done => { const i = new Image(); i.onload = i.onerror = done; i.src = '{link}' })")
    visit.counts(1)
    visit.shop_saw()


def a_prefetch(visit):
    """a link that was prefetched counts when the person clicks, and not before"""
    visit.on('<link rel="prefetch" href="{link}">' + LINK)
    refused(visit)
    visit.click()
    visit.arrives()
    visit.counts(1)
    visit.shop_saw(visit.landing)


def speculation(kind):
    rules = json.dumps({kind: [{"source": "list", "urls": ["LINK"]}]}).replace("LINK", "{link}")
    return f'<script type="speculationrules">{rules}</script>{LINK}'


def speculated(visit, kind):
    visit.on(speculation(kind))
    refused(visit)
    visit.click()
    visit.arrives()
    visit.counts(1)
    visit.shop_saw(visit.landing)


def a_speculative_prefetch(visit):
    """a link prefetched by speculation rules counts when the person clicks, and not before"""
    speculated(visit, "prefetch")


def a_prerender(visit):
    """a link prerendered by speculation rules counts when the person clicks, and not before"""
    speculated(visit, "prerender")


def back_and_reload(visit):
    """back, forward and reload count nothing; the next click does"""
    visit.on(LINK).click()
    tab = visit.arrives()
    visit.counts(1)
    shop = visit.world.shop.origin + visit.landing
    visit.goes(tab, "location.reload()", shop)
    visit.goes(tab, "history.back()", visit.address)
    visit.goes(tab, "history.forward()", shop)
    visit.counts(1)
    visit.goes(tab, "history.back()", visit.address)
    visit.click()
    visit.arrives()
    visit.counts(2)


DOUBLE = (
    ("a link", LINK, "a"),
    ("a link with target=_blank", '<a href="{link}" target="_blank">buy</a>', "a"),
    ("a form", form('method="post"'), "button"),
)


def double_clicked(visit, html, selector):
    visit.on(html).click(selector, count=2)
    wait_until("the shop", lambda: visit.tabs_at_shop())


def a_double_click(visit):
    """of a double click one is counted, and the other flagged where it came"""
    for number, (what, html, selector) in enumerate(DOUBLE, 1):
        fresh = visit.world.visit()
        double_clicked(fresh, html, selector)
        wait_until(f"{what} to be counted", lambda: fresh.verdicts()[0] == 1)
        fresh.world.node.wait_spool_empty()
        counted, review = fresh.verdicts()
        check_equal(f"{what}: counted", counted, 1)
        reasons = [click["reason"] for click in fresh.world.node.get(f"/v1/review?ad_id={fresh.ad}").json()["data"]]
        check_equal(f"{what}: reasons", reasons, ["double_click"] * review)
        visit.said(f"{visit.world.kind}, {what}: {1 + review} requests")
        fresh.leave()


CASES = (a_link, a_new_tab, a_middle_click, a_form, a_form_with_an_id, a_form_as_text, a_beacon, a_ping, a_fetch,
         an_image, a_prefetch, back_and_reload)
CHROMIUM_ONLY = (a_speculative_prefetch, a_prerender)
FLAGGED = (a_double_click,)


def check_of(kind, case, double_click_ms):
    def test(context):
        visit = world_of(context.binary, kind, double_click_ms).visit()
        visit.said = context.say
        try:
            case(visit)
        finally:
            visit.leave()
    test.__doc__ = f"{kind}: {case.__doc__}"
    test.__name__ = f"test_{kind}_{case.__name__}"
    return test


for _kind in ("chromium", "firefox"):
    for _case in CASES + FLAGGED + (CHROMIUM_ONLY if _kind == "chromium" else ()):
        _test = check_of(_kind, _case, DOUBLE_CLICK_MS if _case in FLAGGED else 0)
        globals()[_test.__name__] = _test
