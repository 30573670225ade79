"""The page as people see it: its numbers are the api's, keys keep apart, and everybody can use it."""

import atexit
import csv
import functools
import io
import json
import random
import re
import shutil
import tempfile
from datetime import datetime
from hashlib import sha256
from zoneinfo import ZoneInfo

import world
from harness import Failure, Node, check, check_equal, now_ms, wait_until

SCREENSHOTS = world.ROOT / "build" / "screenshots"
HOUR_MS = 3_600_000
ZONE = "Europe/Berlin"
# The night in which Berlin's clocks go back: 25 hours, 02:00 twice.
CHANGE_FROM, CHANGE_TO = "2026-10-24T00:00", "2026-10-26T00:00"
ADS = [{"ad_id": f"ad_{i}", "advertiser_id": f"adv_{i % 2 + 1}", "ad_format": "banner",
        "redirect_url": f"https://example.com/{i}"} for i in range(6)]
KEYS = [{"name": "operations", "sha256": sha256(b"k-ops").hexdigest(), "role": "admin"},
        {"name": "board", "sha256": sha256(b"k-adv").hexdigest(), "role": "advertiser", "advertiser_id": "adv_1"},
        {"name": "shop", "sha256": sha256(b"k-in").hexdigest(), "role": "ingest"}]
COUNTRIES = {"DE": "Germany", "US": "United States", "FR": "France", "ZZ": "Unknown", "XK": "Kosovo"}
DEVICES = {"mobile": "Phone", "desktop": "Desktop", "tablet": "Tablet", "other": "Other"}
OPS = {"Authorization": "Bearer k-ops"}
VIEWS = ("clicks", "review", "node")


def local_ms(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE)).timestamp() * 1000)


def send(node, clicks, mode=""):
    answer = node.request("POST", f"/v1/clicks{mode}", "".join(json.dumps(click) + "\n" for click in clicks), OPS)
    check_equal("accepted", (answer.status, answer.json()["accepted"]), (202, len(clicks)))


def seeded(node):
    """Clicks of two days around the change of the clock, and of yesterday and today."""
    chance = random.Random(8)
    now = now_ms()
    spans = [(local_ms(CHANGE_FROM), local_ms(CHANGE_TO), 1500), (now - 30 * HOUR_MS, now, 900)]
    clicks = []
    for begin, end, count in spans:
        for _ in range(count):
            clicks.append({"click_id": f"s-{len(clicks)}", "ad_id": f"ad_{chance.choice([0, 0, 0, 1, 1, 2, 3, 4, 5])}",
                           "timestamp_ms": chance.randrange(begin, end), "user_id": f"u-{chance.randrange(400)}",
                           "country": chance.choice(list(COUNTRIES)), "device_type": chance.choice(list(DEVICES))})
    send(node, clicks, "?mode=backfill")
    wait_until("seeded clicks", lambda: node.get("/metrics").body.decode().find(
        f"clickmill_clicks_counted_total {len(clicks)}\n") > 0)


def late(count, name, ad_id="ad_2", hours=3):
    begin = now_ms() // HOUR_MS * HOUR_MS - hours * HOUR_MS
    return [{"click_id": f"{name}-{i}", "ad_id": ad_id, "timestamp_ms": begin + i, "country": "DE",
             "user_agent": "<img src=x onerror=alert(1)>", "referrer": "=1+1"} for i in range(count)]


@functools.cache
def browser(kind):
    return world.Browser(kind)


@functools.cache
def shared_node(binary):
    """One seeded node with keys, for all tests that don't stop it."""
    directory = tempfile.mkdtemp(prefix="clickmill-page-")
    node = Node(binary, directory, {"auth": {"keys": KEYS}, "catalog": {"file": "absent.ndjson"}})
    atexit.register(lambda: (node.clean_up(), shutil.rmtree(directory, ignore_errors=True)))
    node.start()
    lines = "".join(json.dumps(ad) + "\n" for ad in ADS)
    check_equal("ads", node.request("POST", "/v1/ads", lines, OPS).json()["accepted"], len(ADS))
    seeded(node)
    return node


class Page:
    """The page in a tab of its own."""

    def __init__(self, kind, node, key="k-ops", address="", width=1280, height=900):
        self.browser, self.node = browser(kind), node
        self.url = f"http://127.0.0.1:{node.api_port}/"
        self.tab = self.do("open", url=self.url + "page/x/icon.svg")
        self.do("size", page=self.tab, width=width, height=height)
        if key:
            self.run(f"sessionStorage.setItem('clickmill.key', '{key}')")
        self.go(address)

    def do(self, deed, **what):
        return self.browser.do(deed, **what)

    def go(self, address):
        """By another address first: one that differs behind the # only would load nothing."""
        self.do("goto", page=self.tab, url=self.url + "page/x/icon.svg")
        self.do("complaints", page=self.tab)
        self.do("goto", page=self.tab, url=self.url + address)

    def run(self, code):
        return self.do("run", page=self.tab, code=code)

    def text(self, selector="body"):
        return self.run(f"return document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def shows(self, words, selector="body"):
        """Waits until the words are there."""
        try:
            return wait_until(words, lambda: words in self.text(selector), 20)
        except Failure:
            raise Failure(f"{words!r} is not on the page: {self.text()[:1500]!r}") from None

    def answered(self):
        """Waits until the clicks are there, with all that stands beside them."""
        self.shows("All that was answered by")
        wait_until("the top ads", lambda: self.run(
            "return Boolean(document.querySelector('[aria-labelledby=of-ads] :is(table, .empty)'))"))

    def press_button(self, words, within="body"):
        found = self.run(f"""
            const all = [...document.querySelectorAll('{within} button, {within} a')];
            const one = all.find(each => each.innerText.trim() === {json.dumps(words)});
            one?.click(); return Boolean(one)""")
        check(found, f"no button {words!r} in {within}: {self.text(within)[:800]!r}")

    def rows(self, selector):
        """The cells of a table's body, as people read them."""
        return self.run(f"""
            return [...document.querySelectorAll({json.dumps(selector + ' tbody tr')})]
              .map(row => [...row.cells].map(cell => cell.textContent.trim()))""")

    def tiles(self):
        return dict(self.run("""return [...document.querySelectorAll('.tile')].map(tile =>
            [tile.querySelector('dt').textContent, tile.querySelector('strong').textContent])"""))

    def unfold(self):
        self.run("document.querySelector('details').open = true")
        wait_until("the table", lambda: self.rows("details"), 20)

    def csv(self, section):
        """What the section's CSV button saves."""
        text = self.run(f"""
            const make = URL.createObjectURL;
            let saved;
            URL.createObjectURL = blob => {{ saved = blob; return make.call(URL, blob); }};
            document.querySelector('[aria-labelledby={section}] .head button:last-child').click();
            URL.createObjectURL = make;
            return saved.text()""")
        return list(csv.reader(io.StringIO(text)))

    def quiet(self):
        check_equal("the console", self.do("complaints", page=self.tab), [])

    def close(self):
        self.do("close", page=self.tab)


def number(text):
    return int(text.replace(",", "")) if text not in ("", "–") else None


def question(view="clicks", **parameters):
    asked = {"zone": ZONE, **parameters}
    return f"#/{view}?" + "&".join(f"{name.rstrip('_')}={value}" for name, value in asked.items())


def bucket_name(window_start, step):
    at = datetime.fromisoformat(window_start.replace("Z", "+00:00")).astimezone(ZoneInfo(ZONE))
    day = f"{at:%a} {at.day} {at:%b}"
    return f"{day} {at.year}" if step == "1d" else f"{day}, {at:%H:%M}"


def api(node, path, **parameters):
    query = "&".join(f"{name.rstrip('_')}={value}" for name, value in parameters.items())
    answer = node.get(f"{path}?{query}", **OPS)
    check(answer.status == 200, f"{path}?{query}: {answer}")
    return answer.json()


def same_as_api(page, whose, step, range_from, range_to, **shown):
    """Everything on the page equals what the api answers to the same question."""
    page.go(question(range="own", from_=range_from, to=range_to, by=step, **shown))
    page.answered()
    page.unfold()
    node = page.node
    series = api(node, "/v1/metrics/clicks", **whose, from_=range_from, to=range_to, granularity=step, timezone=ZONE,
                 breakdown="device_type")
    rows = page.rows("details")
    check_equal("names", [row[0] for row in rows], [bucket_name(each["window_start"], step) for each in series["data"]])
    check_equal("clicks and visitors", [(number(row[1]), number(row[2])) for row in rows],
                [(each["click_count"], each["unique_users"]) for each in series["data"]])
    tiles, total = page.tiles(), series["total"]
    check_equal("totals", (number(tiles["Clicks"]), number(tiles["Visitors"])),
                (total["click_count"], total["unique_users"]))
    check_equal("devices", {row[0]: number(row[1]) for row in page.rows("[aria-labelledby=of-devices]")},
                {DEVICES[name]: clicks for name, clicks in total["device_type"].items()})
    countries = api(node, "/v1/metrics/clicks", **whose, from_=series["from"], to=series["to"], granularity="total",
                    breakdown="country")["total"]["country"]
    check_equal("countries", {row[0]: number(row[1]) for row in page.rows("[aria-labelledby=of-countries]")},
                {COUNTRIES[code]: clicks for code, clicks in countries.items()})
    advertiser = {"advertiser_id": shown["advertiser"]} if "advertiser" in shown else {}
    top = api(node, "/v1/metrics/top", **advertiser, from_=series["from"], to=series["to"], n=10)["data"]
    check_equal("top ads", [(row[0].split()[0], number(row[1])) for row in page.rows("[aria-labelledby=of-ads]")],
                [(ad["ad_id"], ad["click_count"]) for ad in top])
    saved = page.csv("over-time")
    check_equal("CSV", [(row[0], int(row[1]), int(row[2])) for row in saved[1:]],
                [(each["window_start"], each["click_count"], each["unique_users"]) for each in series["data"]])
    return series


def numbers_are_the_apis(kind, context):
    page = Page(kind, shared_node(context.binary))
    everyone = {"advertiser_id": "*"}
    hours = same_as_api(page, everyone, "1h", CHANGE_FROM, CHANGE_TO)
    check_equal("hours of the two days", len(hours["data"]), 49)
    days = same_as_api(page, everyone, "1d", CHANGE_FROM, CHANGE_TO)
    check_equal("days", len(days["data"]), 2)
    same_as_api(page, {"ad_id": "ad_1"}, "1m", "2026-10-25T01:30", "2026-10-25T03:30", ad="ad_1")
    check_equal("minutes over the change", len(page.rows("details")), 180)
    same_as_api(page, {"advertiser_id": "adv_2"}, "1h", CHANGE_FROM, CHANGE_TO, advertiser="adv_2")
    page.quiet()
    page.close()


def test_page_numbers_chromium(context):
    """chromium: what the page shows is what the api answers, over a change of the clock too"""
    numbers_are_the_apis("chromium", context)


def test_page_numbers_firefox(context):
    """firefox: what the page shows is what the api answers, over a change of the clock too"""
    numbers_are_the_apis("firefox", context)


def test_page_beside_the_day_before(context):
    """the same time of the day before stands beside, also on a day of 25 hours"""
    page = Page("chromium", shared_node(context.binary),
                address=question(range="own", from_="2026-10-25T00:00", to="2026-10-26T00:00", by="1h", beside=1)
                )
    page.answered()
    page.unfold()
    before = api(page.node, "/v1/metrics/clicks", advertiser_id="*", from_="2026-10-24", to="2026-10-25",
                 granularity="1h", timezone=ZONE)["data"]
    want = {bucket_name(each["window_start"], "1h")[-5:]: each["click_count"] for each in before}
    seen, shown = set(), []
    for row in page.rows("details"):
        name = row[0][-5:]
        # The second 02:00 has nothing beside it.
        shown.append((name, number(row[3]), None if name in seen else want[name]))
        seen.add(name)
    check_equal("hours", len(shown), 25)
    check_equal("beside", [each[1] for each in shown], [each[2] for each in shown])
    page.quiet()
    page.close()


def test_page_moves(context):
    """the running minute moves without a reload, and the address holds the question"""
    node = shared_node(context.binary)
    page = Page("chromium", node, address=question(range="1h", ad="ad_4"))
    page.answered()
    page.run("window.same = true")
    before = number(page.tiles()["Clicks"])
    for i in range(3):
        send(node, [{"click_id": f"live-{before}-{i}", "ad_id": "ad_4", "timestamp_ms": now_ms()}])
        wait_until("the click on the page", lambda: number(page.tiles()["Clicks"]) == before + i + 1)
    check(page.run("return window.same"), "the page was loaded again")
    page.shows("Still counting", ".readout")
    page.run("document.querySelector('[name=range][value=yesterday]').click()")
    wait_until("the address", lambda: "range=yesterday" in page.run("return location.hash"))
    check("ad=ad_4" in page.run("return location.hash"), "the ad stays in the address")
    copy = Page("chromium", node, address=page.run("return location.hash"))
    copy.answered()
    wait_until("the same numbers", lambda: copy.tiles() == page.tiles())
    for each in (page, copy):
        each.quiet()
        each.close()


def review_total(node, ad_id, minute_ms):
    return api(node, "/v1/metrics/clicks", ad_id=ad_id, from_=minute_ms, to=minute_ms + 60_000,
               granularity="total")["total"]["click_count"]


def test_page_review(context):
    """a late click is looked at, accepted and seen counted; another is rejected; what it sent is text only"""
    node = shared_node(context.binary)
    clicks = late(3, "late", ad_id="ad_3", hours=5)
    send(node, clicks)
    minute = clicks[0]["timestamp_ms"] // 60_000 * 60_000
    before = review_total(node, "ad_3", minute)
    page = Page("chromium", node, address="#/review?ad=ad_3&zone=UTC")
    wait_until("three clicks in review", lambda: len(page.rows("[aria-labelledby=flagged]")) == 3)
    page.press_button("Look")
    page.shows("<img src=x onerror=alert(1)>", "dialog")
    page.shows("received_ms", "dialog")
    page.shows("append_ms", "dialog")
    check_equal("images", page.run("return document.querySelectorAll('dialog img').length"), 0)
    saved = page.csv("flagged")
    check_equal("CSV runs nothing", {row[saved[0].index("referrer")] for row in saved[1:]}, {"'=1+1"})
    page.press_button("Accept", "dialog")
    page.shows("Accepted: counted in the minute")
    check_equal("left", len(page.rows("[aria-labelledby=flagged]")), 2)
    wait_until("the count", lambda: review_total(node, "ad_3", minute) == before + 1)
    page.press_button("Reject", "[aria-labelledby=flagged]")
    page.shows("Rejected.")
    check_equal("left", len(page.rows("[aria-labelledby=flagged]")), 1)
    page.press_button("Accept", "[aria-labelledby=flagged]")
    page.shows("Nothing waits for a decision.")
    page.press_button("See it counted")
    page.answered()
    wait_until("both on the page", lambda: number(page.tiles().get("Clicks", "")) == sum(
        each["click_count"] for each in api(node, "/v1/metrics/clicks", ad_id="ad_3", from_=minute - 30 * 60_000,
                                            to=minute + 30 * 60_000)["data"]))
    check_equal("counted", review_total(node, "ad_3", minute), before + 2)
    page.go("#/review?zone=UTC")
    page.shows("ad_3", "[aria-labelledby=decided]")
    decided = [row[2] for row in page.rows("[aria-labelledby=decided]") if row[4] == "ad_3"]
    check_equal("decisions", sorted(decided), ["accept", "accept", "reject"])
    page.quiet()
    page.close()


def test_page_decides_all(context):
    """all that match are decided at once, after a question; somebody else's decision is told"""
    node = shared_node(context.binary)
    send(node, late(4, "many", ad_id="ad_5", hours=6))
    page = Page("chromium", node, address="#/review?ad=ad_5&reason=late&zone=UTC")
    wait_until("four clicks in review", lambda: len(page.rows("[aria-labelledby=flagged]")) == 4)
    first = page.run("return document.querySelector('[data-keep^=Accept]').dataset.keep.slice(7)")
    check_equal("elsewhere", node.request("POST", f"/v1/review/{first}", '{"decision":"reject"}', OPS).status, 200)
    page.press_button("Accept", "[aria-labelledby=flagged]")
    page.shows("has been decided before")
    page.do("complaints", page=page.tab)  # the browser writes the 409 down
    page.press_button("Decide all that match…")
    page.shows("Decide all that match?", "dialog")
    page.press_button("Cancel", "dialog")
    check_equal("left", len(page.rows("[aria-labelledby=flagged]")), 3)
    page.press_button("Decide all that match…")
    page.press_button("Reject all", "dialog")
    page.shows("Nothing waits for a decision.")
    check_equal("left", api(node, "/v1/review", ad_id="ad_5")["data"], [])
    page.quiet()
    page.close()


def asked_routes(node):
    """How often each route under /v1/ was asked on the api listener."""
    found = re.findall(r'clickmill_http_route_requests_total\{listener="api",method="\w+",route="(/v1/[^"]+)"\} (\d+)',
                       node.get("/metrics").body.decode())
    return {route: int(count) for route, count in found if int(count)}


def test_page_keys(context):
    """without a key nothing is asked; a wrong one, and one that may not read, are told what to do"""
    node = shared_node(context.binary)
    before = asked_routes(node)
    page = Page("chromium", node, key="")
    page.shows("Your key")
    page.quiet()
    check_equal("asked without a key", asked_routes(node), before)
    for wrong, words in (("k-wrong", "doesn’t know the key"), ("k ops", "no blanks"), ("k-in", "may send clicks")):
        page.run("document.querySelector('.secret').value = ''")
        page.do("type", page=page.tab, selector=".secret", text=wrong)
        page.do("press", page=page.tab, key="Enter")
        page.shows(words, "[role=alert]")
    check_equal("kept", page.run("return sessionStorage.length"), 0)
    page.do("type", page=page.tab, selector=".secret", text="k-ops")
    page.do("press", page=page.tab, key="Enter")
    page.answered()
    check_equal("kept elsewhere", page.run("return [localStorage.length, document.cookie]"), [0, ""])
    page.press_button("Forget key")
    page.shows("Your key")
    check_equal("kept", page.run("return sessionStorage.length"), 0)
    page.close()


def test_page_keeps_advertisers_apart(context):
    """an advertiser sees its own alone: no other ad, no review, no node"""
    node = shared_node(context.binary)
    page = Page("chromium", node, key="k-adv", address=question(range="30d"))
    page.answered()
    own = api(node, "/v1/metrics/clicks", advertiser_id="adv_1", from_="2026-10-24", to="2027-01-01",
              granularity="total")
    check(own["total"]["click_count"] > 0, own)
    check_equal("ads", {row[0].split()[0] for row in page.rows("[aria-labelledby=of-ads]")} - {"ad_0", "ad_2", "ad_4"},
                set())
    check_equal("proposed", page.run("return [...document.querySelectorAll('#ads option')].map(o => o.value)"),
                ["ad_0", "ad_2", "ad_4"])
    html = page.run("return document.documentElement.outerHTML")
    for hidden in ("adv_2", "ad_1", "ad_3", "Review", "#/node"):
        check(hidden not in html, f"{hidden} is on the page")
    page.quiet()
    page.go(question(range="30d", ad="ad_1"))
    page.shows("no such ad: ad_1")
    page.press_button("Show all ads")
    page.answered()
    page.go(question(range="30d", advertiser="adv_2"))
    page.shows("no such advertiser: adv_2")
    page.press_button("Show all ads")
    page.answered()
    page.go("#/review")
    page.answered()
    check("In review" not in page.text() and "Accept" not in page.text(), page.text())
    page.close()


def test_page_says_what_to_do(context):
    """an impossible question names its field and a way out"""
    page = Page("chromium", shared_node(context.binary),
                address=question(range="own", from_="2010-01-01T00:00", to="2026-10-26T00:00", by="1m")
                )
    page.shows("1d would fit")
    page.press_button("Show days")
    page.answered()
    check("by=1d" in page.run("return location.hash"), page.run("return location.hash"))
    page.go(question(range="today").replace(ZONE, "Europe/Berlinn"))
    page.shows("Europe/Berlinn", "[role=alert]")
    check_equal("the field", page.run("return document.querySelector('[aria-invalid]').dataset.name"), "zone")
    page.close()


def test_page_without_node(context):
    """a node that is gone is told, what was seen stays, and the page goes on when it is back"""
    node = context.node({"auth": {"keys": KEYS}})
    check_equal("ads", node.request("POST", "/v1/ads", json.dumps(ADS[0]), OPS).status, 200)
    page = Page("chromium", node, address=question(range="1h"))
    page.shows("No clicks in this range yet.")
    page.quiet()
    node.kill()
    page.shows("No answer from the node")
    page.shows("What stands below is from before.")
    node.start()
    send(node, [{"click_id": "1", "ad_id": "ad_0", "timestamp_ms": now_ms()}])
    wait_until("the click", lambda: page.tiles().get("Clicks") == "1")
    check("No answer" not in page.text(), page.text())
    page.close()


def test_page_node_view(context):
    """the operator's view shows readiness, warnings in words, what waits, the disk, and who leads"""
    node = shared_node(context.binary)
    page = Page("chromium", node, address="#/node")
    page.shows("Ready.")
    page.shows("catalog.file")
    wait_until("the partitions", lambda: len(page.rows("[aria-labelledby=partitions]")) == 64)
    check_equal("leaders", {row[1] for row in page.rows("[aria-labelledby=partitions]")}, {"n1"})
    page.shows("Everything recorded is counted.")
    node_row = page.rows("[aria-labelledby=nodes]")[0]
    check_equal("nodes", [*node_row[:2], node_row[3]], ["n1 (this one)", "up", "64"])
    check(node_row[2].endswith(" s ago"), node_row)
    check_equal("tiles", set(page.tiles()), {"Clicks a second", "Spool", "Disk free", "Checkpoint", "Memory",
                                             "Runs for"})
    values = node.metrics()
    # A node that is down, and a partition that nobody leads.
    page.run("""const real = fetch;
        window.fetch = async (address, options) => {
          const answer = await real(address, options);
          if (address !== 'v1/cluster') return answer;
          const state = await answer.json();
          state.nodes.push({node_id: 'n2', state: 'down', last_seen: null, version: '0.1.0', clock_offset_ms: -3});
          state.partitions[1].leader = 'n2';
          Object.assign(state.partitions[2], {leader: null, committed_offset: 12 + state.partitions[2].applied_offset});
          return Response.json(state);
        }""")
    page.shows("1 has no leader")
    page.shows("12 records behind")
    check_equal("down", page.rows("[aria-labelledby=nodes]")[1], ["n2", "down", "never", "1", "-3", "0.1.0"])
    fates = {row[0]: number(row[1]) for row in page.rows("[aria-labelledby=fates]")}
    check_equal("counted", fates["Counted"], int(values["clickmill_clicks_counted_total"]))
    page.quiet()
    page.close()


def test_page_by_keyboard(context):
    """the chart is gone through by arrow keys, and the skip link leads to the numbers without another question"""
    page = Page("chromium", shared_node(context.binary), address=question(range="yesterday"))
    page.answered()
    address = page.run("return location.hash")
    page.do("press", page=page.tab, selector=".skip", key="Enter")
    check_equal("focus", page.run("return document.activeElement.id"), "main")
    check_equal("address", page.run("return location.hash"), address)
    page.unfold()
    rows = page.rows("details")
    page.do("press", page=page.tab, selector=".chart input", key="Home")
    page.do("press", page=page.tab, key="ArrowRight")
    page.shows(rows[1][0], ".readout")
    page.shows(f"{rows[1][1]} click", ".readout")
    said = page.run("return document.querySelector('.chart input').getAttribute('aria-valuetext')")
    check(said.startswith(rows[1][0]), said)
    page.do("press", page=page.tab, selector="[name=range]:checked", key="ArrowRight")
    wait_until("the next range", lambda: "range=7d" in page.run("return location.hash"))
    check_equal("focus stays", page.run("return document.activeElement.value"), "7d")
    page.quiet()
    page.close()


WAITS = {"review": "Clicks in review", "node": "Runs for"}


def each_view(page):
    for view in VIEWS:
        page.go(question(view, range="today", beside=1))
        page.answered() if view == "clicks" else page.shows(WAITS[view])
        if view == "review":
            wait_until("the list", lambda: page.rows("[aria-labelledby=flagged]"))
        yield view


def narrow(kind, context):
    node = shared_node(context.binary)
    send(node, late(2, f"narrow-{kind}"))
    page = Page(kind, node, width=320, height=640)
    for view in each_view(page):
        page.run("document.querySelector('details')?.setAttribute('open', '')")
        width = page.run("return [document.documentElement.scrollWidth, innerWidth]")
        check(width[0] <= 320 and width[1] == 320, f"{view}: {width}")
    page.go(question(range="own", from_=CHANGE_FROM, to=CHANGE_TO))
    page.answered()
    width = page.run("return document.documentElement.scrollWidth")
    check(width <= 320, f"own range: {width}")
    page.quiet()
    page.close()


def test_page_narrow_chromium(context):
    """chromium: at 320 pixels nothing goes over the edge"""
    narrow("chromium", context)


def test_page_narrow_firefox(context):
    """firefox: at 320 pixels nothing goes over the edge"""
    narrow("firefox", context)


def test_page_accessible(context):
    """axe finds nothing to object to in any view, light and dark"""
    folder = world.npm("axe-core@4")
    axe = (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()
    node = shared_node(context.binary)
    send(node, late(2, "axe"))
    page = Page("chromium", node)
    for scheme in ("light", "dark"):
        page.do("scheme", page=page.tab, scheme=scheme)
        for view in each_view(page):
            page.run("document.querySelector('details')?.setAttribute('open', '')")
            page.run(axe + ";window.axe = axe")
            found = page.run("""const {violations} = await axe.run(document, {resultTypes: ['violations']});
                return violations.map(each => [each.id, each.nodes.slice(0, 3).map(node => node.html.slice(0, 150) +
                  ' ' + (node.any[0]?.message ?? ''))])""")
            check_equal(f"{view}, {scheme}", found, [])
    page.close()


def test_page_screenshots(context):
    """a picture of each view, light, dark and narrow, into build/screenshots"""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    node = shared_node(context.binary)
    send(node, late(3, "picture"))
    for name, scheme, width in (("light", "light", 1280), ("dark", "dark", 1280), ("phone", "light", 390)):
        page = Page("chromium", node, width=width)
        page.do("scheme", page=page.tab, scheme=scheme)
        for view in each_view(page):
            page.do("screenshot", page=page.tab, path=str(SCREENSHOTS / f"{view}-{name}.png"))
        page.quiet()
        page.close()
    page = Page("chromium", node, key="")
    page.shows("Your key")
    page.do("screenshot", page=page.tab, path=str(SCREENSHOTS / "key-light.png"))
    page.close()
    context.say(f"{len(list(SCREENSHOTS.glob('*.png')))} pictures in build/screenshots")
