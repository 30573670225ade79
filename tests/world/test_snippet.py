"""The publisher's script: every way of clicking is one click with an id of its own, and the links work without it."""

import json
import re

from harness import ROOT, check, check_equal, wait_until

import test_browsers
import world

LINK = '<a href="{link}">buy</a>'
NEW_TAB = '<a href="{link}" target="_blank">buy</a>'
SANDBOX = "allow-scripts allow-popups allow-top-navigation-by-user-activation"


def script(visit):
    return f'<script async src="{visit.world.click}.js"></script>'


def with_script(visit, html):
    return visit.on(html + script(visit))


def recorded(visit, id_by="script"):
    """The ad's clicks in the log: {click_id: click}, each with an id and a time as the script makes them."""
    node = visit.world.node
    clicks = []
    for partition in node.get("/v1/log/raw-clicks").json()["data"]:
        if partition["last_offset"] >= partition["first_offset"]:
            lines = node.get(f"/v1/log/raw-clicks/{partition['partition']}?limit=100000").body.splitlines()
            clicks += [click for click in map(json.loads, lines) if click["ad_id"] == visit.ad]
    for click in clicks:
        if id_by == "script":
            check(re.fullmatch("[0-9a-f]{32}", click["click_id"]), click)
        check_equal("made by the collector", click.get("id_made", False), id_by == "collector")
        check(visit.begin_ms <= click["timestamp_ms"] <= click["received_ms"], f"{visit.begin_ms}: {click}")
    return {click["click_id"]: click for click in clicks}


def own_href(visit, selector="a"):
    return visit.run(f"return document.querySelector('{selector}').getAttribute('href')")


def a_pointer(visit):
    """a click by pointer has an id and the time of the click, and leads to the shop"""
    with_script(visit, LINK).click()
    visit.arrives()
    visit.counts(1)
    check_equal("ids", len(recorded(visit)), 1)
    visit.shop_saw(visit.landing)


def the_keyboard(visit):
    """Enter on a link is a click like another"""
    with_script(visit, LINK)
    visit.do("press", page=visit.tab, selector="a", key="Enter")
    visit.arrives()
    visit.counts(1)
    check_equal("ids", len(recorded(visit)), 1)


def a_middle_click(visit):
    """a middle click has an id, and the link is plain again behind it"""
    with_script(visit, LINK).click(button="middle")
    visit.arrives()
    visit.counts(1)
    check_equal("ids", len(recorded(visit)), 1)
    check_equal("the link", own_href(visit), visit.link)


def a_new_tab(visit):
    """a link with target=_blank has an id, is plain again behind it, and clicks again after a second"""
    with_script(visit, NEW_TAB).click()
    visit.arrives()
    visit.counts(1)
    check_equal("the link", own_href(visit), visit.link)
    visit.do("front", page=visit.tab)
    # As long as the script takes for one click.
    visit.run("const begin = performance.now(); "
              "while (performance.now() - begin <= 1000) await new Promise(setTimeout)")
    visit.click()
    visit.arrives(2)
    visit.counts(2)
    check_equal("ids", len(recorded(visit)), 2)


def the_context_menu(visit):
    """what the context menu opens has an id and the time of its arrival"""
    with_script(visit, LINK)
    # What the menu is given is the link's address when the event has passed the page.
    visit.run("addEventListener('contextmenu', e => { window.given = e.target.href; e.preventDefault() })")
    visit.click(button="right")
    given = wait_until("the menu", lambda: visit.run("return window.given || ''"))
    check(re.fullmatch(re.escape(visit.link) + "&click_id=[0-9a-f]{32}", given), given)
    # The script puts it back when the event is over.
    wait_until("the link as it was", lambda: own_href(visit) == visit.link)
    visit.do("open", url=given)
    visit.arrives()
    visit.counts(1)
    check_equal("the id", list(recorded(visit)), [given[-32:]])


def a_real_menu(context, kind):
    screen = world.Screen()
    visit = world.World(context.binary, kind, {}, screen).visit()
    with_script(visit, LINK.replace("<a", '<a style="display: block; font-size: 60px"'))
    left, top = visit.run("return [window.mozInnerScreenX ?? screenX, "
                          "window.mozInnerScreenY ?? screenY + outerHeight - innerHeight]")
    windows = screen.windows()
    screen.do("mousemove", round(left) + 60, round(top) + 60, "click", 3)
    wait_until("the menu", lambda: screen.windows() > windows)
    # The first thing that both browsers propose for a link is a new tab.
    screen.do("key", "Down", "Return")
    visit.arrives()
    visit.counts(1)
    check_equal("ids", len(recorded(visit)), 1)
    check_equal("the link", own_href(visit), visit.link)


def the_collectors_clock(visit):
    """with data-time="collector" a click has an id, and the time of its arrival, whatever the visitor's clock says"""
    visit.on(NEW_TAB + script(visit).replace("<script", '<script data-time="collector"'))
    visit.run("addEventListener('click', e => { window.given = e.target.href }); Date.now = () => 1")
    visit.click()
    visit.arrives()
    visit.counts(1)
    check("timestamp_ms" not in visit.run("return window.given"), "no timestamp")
    check_equal("ids", len(recorded(visit)), 1)


def a_sandboxed_frame(visit):
    """in a sandboxed frame of another site a click has an id, into a new tab and over the whole page"""
    for number, target in enumerate(("_blank", "_top"), 1):
        visit.world.shop.texts[f"/frame/{visit.ad}"] = (
            f'<!doctype html><body><a target="{target}" href="{visit.link}">buy</a>{script(visit)}')
        frame = f"{visit.world.shop.origin}/frame/{visit.ad}"
        visit.on(f'<iframe sandbox="{SANDBOX}" src="{frame}"></iframe>')
        visit.do("clickIn", page=visit.tab, url=frame, selector="a")
        wait_until("the shop", visit.tabs_at_shop)
        visit.counts(number)
        visit.leave()
    check_equal("ids", len(recorded(visit)), 2)


def a_double_click(visit):
    """both clicks of a double click are the same one"""
    for number, html in enumerate((LINK, NEW_TAB), 1):
        with_script(visit, html).click(count=2)
        wait_until("the shop", visit.tabs_at_shop)
        visit.counts(number)
        visit.leave()
    check_equal("ids", len(recorded(visit)), 2)


def a_page_that_goes_itself(visit):
    """clickmill.click(adId) counts and gives the advertiser's address, twice in a row once"""
    with_script(visit, "")
    target = visit.world.shop.origin + visit.landing
    check_equal("the address", visit.run("return clickmill.click('{ad}')"), target)
    visit.counts(1)
    check_equal("again", visit.run("return clickmill.click('{ad}')"), target)
    visit.counts(1)
    check_equal("no such ad", visit.run("return clickmill.click('nobody').catch(error => error.message)"),
                "no such ad: nobody")
    check_equal("ids", len(recorded(visit)), 1)
    visit.shop_saw()


def a_page_that_may_not_ask(visit):
    """where the page's policy forbids the request, clickmill.click gives the same click as a way to go"""
    with_script(visit, "")
    path = f"/{visit.ad}/policy"
    visit.world.page.texts[path] = ('<!doctype html><head><meta http-equiv="Content-Security-Policy" '
                                    f"content=\"connect-src 'none'\">{script(visit)}</head>")
    visit.do("goto", page=visit.tab, url=visit.world.page.origin + path)
    way = visit.run("return clickmill.click('{ad}')")
    check(way.startswith(f"{visit.link}&click_id="), way)
    visit.counts(0)
    visit.do("goto", page=visit.tab, url=way)
    visit.counts(1)
    check_equal("ids", len(recorded(visit)), 1)


def other_links(visit):
    """links in shadow trees and images in links count, twice loaded is once, and what is no ad stays as it is"""
    with_script(visit, '<div id="host" style="display: inline-block"></div> <a id="other" href="#x">x</a>'
                '<a id="own" href="{link}&click_id=mine">x</a>' + script(visit))
    visit.run("document.getElementById('host').attachShadow({mode: 'open'}).innerHTML = "
              "'<a target=_blank href=\"{link}\"><i>buy</i></a>'")
    # A page's own handler sees the address that the browser takes.
    visit.run("addEventListener('click', e => { window.seen = e.target.href || ''; "
              "if (e.target.matches('a[id]')) e.preventDefault() })")
    for name, want in (("other", visit.address + "#x"), ("own", f"{visit.link}&click_id=mine")):
        visit.click(f"#{name}")
        check_equal(name, visit.run("return window.seen"), want)
    visit.click("#host")
    visit.arrives()
    visit.counts(1)
    check_equal("ids", len(recorded(visit)), 1)


def without_scripts(visit):
    """where no script may run, a plain link counts once, with an id made by the collector"""
    frame = f"{visit.world.shop.origin}/frame/{visit.ad}"
    visit.world.shop.texts[f"/frame/{visit.ad}"] = f'<!doctype html><a target="_blank" href="{visit.link}">buy</a>'\
        + script(visit)
    visit.on(f'<iframe sandbox="allow-popups" src="{frame}"></iframe>')
    # No script, no way to ask where the link stands: it is the first thing in the frame.
    visit.do("clickIn", page=visit.tab, url=frame, selector="a")
    visit.arrives()
    visit.counts(1)
    check_equal("ids", len(recorded(visit, "collector")), 1)


def javascript_off(visit):
    """with JavaScript turned off a plain link counts once"""
    with_script(visit, LINK)
    visit.tab = visit.do("open", url=visit.address, script=False)
    visit.click()
    visit.arrives()
    visit.counts(1)
    check_equal("ids", len(recorded(visit, "collector")), 1)


def readme_lines(visit):
    """the two lines that README gives a publisher count a double click once"""
    readme = (ROOT / "README.md").read_text()
    lines = readme.split("```html\n", 1)[1].split("```", 1)[0]
    check_equal("lines", len(lines.splitlines()), 2)
    html = lines.replace("https://click.example.com/v1/click", visit.world.click).replace("ad_8821", visit.ad)
    visit.on(html).click(count=2)
    wait_until("the shop", visit.tabs_at_shop)
    visit.counts(1)
    check_equal("ids", len(recorded(visit)), 1)


CASES = (a_pointer, the_keyboard, a_middle_click, a_new_tab, the_context_menu, the_collectors_clock,
         a_sandboxed_frame, a_double_click, a_page_that_goes_itself, a_page_that_may_not_ask, other_links,
         without_scripts, readme_lines)

for _kind in ("chromium", "firefox"):
    for _case in CASES + ((javascript_off,) if _kind == "chromium" else ()):
        _test = test_browsers.check_of(_kind, _case, 0)
        _test.__name__ = f"test_snippet_{_test.__name__[5:]}"
        globals()[_test.__name__] = _test


def test_snippet_chromium_real_menu(context):
    """chromium: a tab that the browser's own context menu opens is a click with an id"""
    a_real_menu(context, "chromium")


def test_snippet_firefox_real_menu(context):
    """firefox: a tab that the browser's own context menu opens is a click with an id"""
    a_real_menu(context, "firefox")
