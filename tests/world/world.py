"""The world around a node: a page, a collector and a shop on three sites, and a real browser.

What a test needs is installed by it: Debian's browsers by apt, puppeteer-core by npm into
build/world. Where that can't be, the test is skipped and says why.
"""

import atexit
import functools
import http.server
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

from harness import ROOT, Failure, Node, Skipped, check_equal, now_ms, wait_until

FOLDER = ROOT / "build" / "world"
PACKAGES = {"chromium": "chromium", "firefox": "firefox-esr", "node": "nodejs", "npm": "npm", "gcc": "gcc"}
PROGRAMS = {"chromium": "chromium", "firefox": "firefox-esr", "node": "node", "npm": "npm", "gcc": "gcc"}


def tried(what, command, timeout_s=600, **options):
    """Runs an install step; Skipped with its last words when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Skipped(f"{what}: {error}") from None
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise Skipped(f"{what}: {words[-1] if words else f'exit code {done.returncode}'}")


@functools.cache
def package_lists():
    tried("apt-get update", as_root(["apt-get", "update", "-q"]))


def as_root(command):
    return command if os.geteuid() == 0 else ["sudo", "-n", *command]


@functools.cache
def program(name):
    """The path of a program, installed by apt when it is missing."""
    found = shutil.which(PROGRAMS[name])
    if found is None:
        package_lists()
        tried(f"apt-get install {PACKAGES[name]}",
              as_root(["apt-get", "install", "-qy", "--no-install-recommends", PACKAGES[name]]))
        found = shutil.which(PROGRAMS[name])
    if found is None:
        raise Skipped(f"there is no {PROGRAMS[name]} after its package was installed")
    return found


@functools.cache
def unpacked(package):
    """The folder in which a Debian package is unpacked, with what it needs and isn't installed. Not installed
    itself: the service that it would start is none of a test's."""
    folder = FOLDER / "debian" / package
    root = folder / "root"
    if not root.is_dir():
        package_lists()
        folder.mkdir(parents=True, exist_ok=True)
        planned = subprocess.run(["apt-get", "-s", "install", "--no-install-recommends", "--reinstall", package],
                                 capture_output=True, text=True)
        needed = {line.split()[1].split(":")[0] for line in planned.stdout.splitlines() if line.startswith("Inst ")}
        tried(f"apt-get download {package}", ["apt-get", "-qq", "download", *sorted(needed | {package})], cwd=folder)
        for file in sorted(folder.glob("*.deb")):
            tried(f"unpacking {file.name}", ["dpkg-deb", "-x", str(file), str(folder / "part")])
        (folder / "part").rename(root)
    return root


def environment_of(root):
    """For a program of an unpacked package: its libraries stand beside it."""
    libraries = [str(path) for path in (root / "usr/lib").glob("*-linux-gnu*")]
    libraries += [str(path / "varnish") for path in (root / "usr/lib").glob("*-linux-gnu*")]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries + [os.environ.get("LD_LIBRARY_PATH", "")])}


@functools.cache
def npm(package, *others):
    """The folder in which the npm packages stand under node_modules."""
    program("node")
    folder = FOLDER / package.replace("@", "-")
    if not (folder / "node_modules").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        tried(f"npm install {package}", [program("npm"), "install", "--prefix", str(folder), "--ignore-scripts",
                                         "--no-audit", "--no-fund", "--no-save", package, *others])
    return folder


PACKAGES.update({"xvfb": "xvfb", "xdotool": "xdotool"})
PROGRAMS.update({"xvfb": "Xvfb", "xdotool": "xdotool"})


class Screen:
    """A display of its own, for what a browser shows outside of its pages, and a hand on mouse and keyboard."""

    def __init__(self):
        self.hand = program("xdotool")
        self.process = subprocess.Popen([program("xvfb"), "-displayfd", "1", "-screen", "0", "1280x800x24"],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.display = f":{self.process.stdout.readline().strip()}"
        atexit.register(self.process.kill)

    def do(self, *words):
        return subprocess.run([self.hand, *map(str, words)], env={**os.environ, "DISPLAY": self.display},
                              capture_output=True, text=True, timeout=30).stdout

    def windows(self):
        """How many are seen; menus are windows too."""
        return len(self.do("search", "--onlyvisible", "").split())


class Browser:
    """Thread: one."""

    def __init__(self, kind, screen=None):
        shown = {"DISPLAY": screen.display, "CLICKMILL_SHOWN": "1"} if screen else {}
        driver = npm("puppeteer-core@24")
        self.process = subprocess.Popen(
            [program("node"), str(Path(__file__).with_name("browser.mjs")), str(driver),
             {"chromium": "chrome"}.get(kind, kind), program(kind)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
            env={**os.environ, **shown})
        self.answer()
        atexit.register(self.end)

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failure(f"the browser ended: {self.process.stderr.read()[-2000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise Failure(answer["error"])
        return answer.get("value")

    def do(self, deed, **what):
        self.process.stdin.write(json.dumps({"deed": deed, **what}) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Site(http.server.ThreadingHTTPServer):
    """Answers GET with what is in `texts` by path, else with a page of no content; remembers every request."""

    daemon_threads = True

    def __init__(self, name):
        self.requests = []
        self.texts = {}
        super().__init__(("127.0.0.1", 0), Handler)
        self.origin = f"http://{name}.localhost:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def asked(self, path):
        """The requests whose path begins so: "METHOD path"."""
        return [request for request in list(self.requests) if request.split(" ", 1)[1].startswith(path)]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append(f"{self.command} {self.path}")
        body = self.server.texts.get(self.path, "<!doctype html><title>here</title>").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:  # the browser has gone on to something else
            self.close_connection = True

    do_GET = do_POST = do_OPTIONS = answer

    def log_message(self, *_):
        pass


class World:
    """One node, two sites and one browser, for all tests of the browser."""

    def __init__(self, binary, kind, config, screen=None):
        self.kind = kind
        self.browser = Browser(kind, screen)
        self.directory = tempfile.mkdtemp(prefix="clickmill-world-")
        self.node = Node(binary, self.directory, config)
        atexit.register(self.end)
        self.node.start()
        self.page, self.shop = Site("page"), Site("shop")
        self.click = f"http://click.localhost:{self.node.collector_port}/v1/click"
        self.numbers = itertools.count(1)

    def end(self):
        self.node.clean_up()
        shutil.rmtree(self.directory, ignore_errors=True)

    def refusals(self):
        """Answers of 400 to 499 since the node's start."""
        series = 'clickmill_http_requests_total{code="4xx"}'
        lines = self.node.get("/metrics").body.decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(series))

    def visit(self):
        return Visit(self, next(self.numbers))


class Visit:
    """One person on a page of its own, with an ad of its own that leads to the shop."""

    def __init__(self, world, number):
        self.world, self.ad = world, f"ad_{number}"
        self.landing = f"/landing/{number}/"
        self.link = f"{world.click}?ad_id={self.ad}"
        self.begin_ms = now_ms()
        self.before = {page["page"] for page in self.do("pages")}
        world.node.upload_ads([{"ad_id": self.ad, "advertiser_id": "adv_1", "ad_format": "banner",
                                "redirect_url": world.shop.origin + self.landing}])

    def on(self, html):
        """Opens a page that holds the text, with {link}, {click}, {ad} and {shop} put in."""
        for name, value in (("link", self.link), ("click", self.world.click), ("ad", self.ad),
                            ("shop", self.world.shop.origin)):
            html = html.replace("{" + name + "}", value)
        path = f"/{self.ad}"
        self.world.page.texts[path] = f"<!doctype html><title>page</title><body>{html}</body>"
        self.refusals = self.world.refusals()
        self.address = self.world.page.origin + path
        self.tab = self.do("open", url=self.address)
        return self

    def do(self, deed, **what):
        return self.world.browser.do(deed, **what)

    def click(self, selector="a", button="left", count=1):
        self.do("click", page=self.tab, selector=selector, button=button, count=count)

    def ask(self, tab, code):
        """What the page answers; None when it is just being left."""
        try:
            return self.do("run", page=tab, code=code)
        except Failure:
            return None

    def goes(self, tab, how, url):
        """Does what ends the page, and waits until the tab has the next one whole, as a person would see it."""
        # A page that is come back to goes on where it was left.
        self.ask(tab, "window.old = true; addEventListener('pagehide', () => { window.old = false })")
        self.ask(tab, f"setTimeout(() => {{ {how} }}, 0)")
        wait_until(f"{how} to {url}", lambda: self.ask(
            tab, "return window.old || document.readyState !== 'complete' ? '' : location.href") == url)

    def run(self, code):
        for name, value in (("link", self.link), ("click", self.world.click), ("ad", self.ad)):
            code = code.replace("{" + name + "}", value)
        return self.do("run", page=self.tab, code=code)

    def verdicts(self):
        """(counted, in review) of the ad."""
        node = self.world.node
        total = node.metrics_clicks(ad_id=self.ad, from_=self.begin_ms - 60_000, to=now_ms() + 60_000,
                                    granularity="total")["total"]["click_count"]
        return total, len(node.get(f"/v1/review?ad_id={self.ad}").json()["data"])

    def counts(self, counted, review=0):
        """Waits until so many are counted and flagged, and sees that the spool holds no more of them."""
        def reached():
            seen = self.verdicts()
            if seen[0] > counted or seen[1] > review:
                raise Failure(f"counted and in review: {seen}, want {(counted, review)}")
            return seen == (counted, review)
        wait_until(f"{counted} counted and {review} in review of {self.ad}", reached)
        self.world.node.wait_spool_empty()
        check_equal("counted and in review", self.verdicts(), (counted, review))

    def tabs_at_shop(self):
        return [page["page"] for page in self.do("pages")
                if page["page"] not in self.before and page["url"] == self.world.shop.origin + self.landing]

    def arrives(self, tabs=1):
        """Waits until so many tabs show the shop's page."""
        wait_until(f"{tabs} tabs at the shop", lambda: len(self.tabs_at_shop()) == tabs)
        return self.tabs_at_shop()[0]

    def shop_saw(self, *paths):
        """Nothing but these came to the shop. Asked after a page that the same browser loads there now, so
        that what was on its way is there too."""
        fence = f"{self.landing}fence"
        self.do("goto", page=self.tab, url=self.world.shop.origin + fence)
        seen = self.world.shop.asked(self.landing)
        check_equal("requests at the shop", sorted(seen), sorted([*(f"GET {path}" for path in paths), f"GET {fence}"]))

    def leave(self):
        for page in self.do("pages"):
            if page["page"] not in self.before:
                self.do("close", page=page["page"])
