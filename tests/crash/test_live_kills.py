"""Clicks that browsers send while the node is killed again and again.

Goal: every click that was answered with a 302 (or, in bulk, 202) is counted exactly
once. Method: client threads send clicks, and send each again under the same click_id
until it is answered; the node is killed in each phase of PHASES, which says what it hit.
A phase that was not hit is tried again and fails the test in the end.
"""

import json
import os
import threading
import time
import uuid
from collections import Counter

import journal
from harness import Client, Failure, NoAnswer, check, check_equal, now_ms, pause, wait_until

ADS = [{"ad_id": f"live_{number}", "advertiser_id": f"adv_{number % 3}", "ad_format": "banner",
        "redirect_url": f"https://example.com/landing/{number}"} for number in range(40)]
TARGETS = {ad["ad_id"]: ad["redirect_url"] for ad in ADS}
BULK_LINES = 2000
TRIES = 20


class Browser(threading.Thread):
    """Sends clicks until told to stop; each until it is answered, some once more after that."""

    def __init__(self, crowd, node, random):
        super().__init__(daemon=True)
        self.crowd, self.node, self.random = crowd, node, random
        self.client = node.client("collector")
        self.in_flight = False
        self.answered = []
        self.unanswered_begins = []  # when each request that got no answer was begun
        self.problem = None

    def run(self):
        try:
            while self.crowd.wait_turn():
                ad_id = self.random.choice(ADS)["ad_id"]
                click_id = str(uuid.UUID(int=self.random.getrandbits(128)))
                self.send_until_answered(ad_id, click_id)
                self.answered.append((ad_id, click_id))
                if self.random.random() < 0.1:
                    self.send_until_answered(ad_id, click_id)
        except Exception as error:  # carried to the thread that judges
            self.problem = error

    def send_until_answered(self, ad_id, click_id):
        while True:
            check(not self.crowd.abandoned, "given up")
            begin = time.monotonic()
            try:
                answer = self.send(ad_id, click_id)
            except NoAnswer as reason:
                if reason.sent:
                    self.unanswered_begins.append(begin)
                pause(0.01)
                continue
            check(answer.status == 302, f"click {click_id}: {answer}")
            check_equal(f"Location of {ad_id}", answer.headers["location"], TARGETS[ad_id])
            return

    def send(self, ad_id, click_id):
        self.in_flight = True
        try:
            if self.random.random() < 0.3:
                return self.client.request("GET", f"/v1/click?ad_id={ad_id}&click_id={click_id}&user_id=u{click_id[0]}")
            return self.client.request("POST", "/v1/click", json.dumps(live_click(ad_id, click_id)),
                                       {"Content-Type": "application/json", "User-Agent": "Mozilla/5.0 (test)"})
        finally:
            self.in_flight = False


def live_click(ad_id, click_id):
    # A copy may carry a later timestamp than the first one did: identity is (ad_id, click_id).
    return {"click_id": click_id, "ad_id": ad_id, "timestamp_ms": now_ms(), "device_type": "mobile", "country": "DE"}


class Crowd:
    """The browsers, which can be told to pause between two clicks."""

    def __init__(self, node, random, size=4):
        self.going = threading.Event()
        self.stopping = False
        self.abandoned = False
        self.browsers = [Browser(self, node, type(random)(random.random())) for _ in range(size)]
        self.waiting = set()
        for browser in self.browsers:
            browser.start()

    def wait_turn(self):
        me = threading.current_thread()
        if not self.going.is_set() and not self.stopping:
            self.waiting.add(me)
            self.going.wait()
            self.waiting.discard(me)
        return not self.stopping

    def go(self):
        self.going.set()

    def pause(self):
        """Returns when no click is in flight."""
        self.going.clear()
        wait_until("browsers to pause", lambda: self.problem() or len(self.waiting) == len(self.browsers))
        self.check()

    def stop(self):
        self.stopping = True
        self.going.set()
        for browser in self.browsers:
            browser.join(60)
            check(not browser.is_alive(), "a browser's click was not answered for a minute")
        self.check()

    def in_flight(self):
        return sum(browser.in_flight for browser in self.browsers)

    def unanswered(self, begun_before=float("inf")):
        """Requests that the node may have taken, but did not answer."""
        return sum(begin < begun_before for browser in self.browsers for begin in browser.unanswered_begins)

    def answered(self):
        return sum(len(browser.answered) for browser in self.browsers)

    def problem(self):
        return next((browser.problem for browser in self.browsers if browser.problem), None)

    def check(self):
        if self.problem():
            raise self.problem()


class Killer:
    """Kills the node in a named phase and says what that hit."""

    def __init__(self, context, node, crowd):
        self.context, self.node, self.crowd = context, node, crowd
        self.random = context.random
        self.answered = []  # what this class sent itself
        self.hits = Counter()
        self.unsynced_bytes = 0

    def hit(self, phase, what):
        self.hits[phase] += 1
        self.context.say(f"SIGKILL {phase}: {what}; {self.unsynced_bytes} journal bytes not recorded as synced")

    def spooled(self):
        """How many clicks the node said it holds, just before."""
        return f"{self.node.metrics()['clickmill_spool_clicks']:.0f} clicks in the spool just before"

    def kill(self):
        """Kills and sees what was not synced; nothing but the file tells that afterwards."""
        self.node.kill()
        self.unsynced_bytes = journal.unsynced_bytes(self.node.data_dir)

    def try_until_hit(self, phase, attempt):
        """attempt() kills the node and says what it hit, or something false when it missed."""
        for _ in range(TRIES):
            what = attempt()
            if self.node.process.poll() is not None:
                self.node.start()
            self.crowd.check()
            if what:
                self.hit(phase, what)
                return
        raise Failure(f"{TRIES} kills never hit the phase '{phase}'")

    def idle(self):
        self.crowd.pause()
        self.node.wait_spool_empty()
        check_equal("clicks in flight", self.crowd.in_flight(), 0)
        self.kill()
        return "nothing in flight, nothing in the spool"

    def live_clicks_in_flight(self):
        self.crowd.go()
        before = self.crowd.answered()
        wait_until("clicks to flow", lambda: self.crowd.problem() or self.crowd.answered() > before + 200)
        spooled, unanswered = self.spooled(), self.crowd.unanswered()
        pause(self.random.random() * 0.02)
        at = time.monotonic()
        self.kill()
        # Each browser whose click was under way finds out at once. One that began after the kill is no hit.
        self.node.start()
        lost = self.crowd.unanswered(begun_before=at) - unanswered
        return lost and f"{lost} clicks without an answer, {spooled}"

    def before_a_sync_is_recorded(self):
        self.crowd.go()
        before = self.crowd.answered()
        wait_until("clicks to flow", lambda: self.crowd.problem() or self.crowd.answered() > before + 20)
        pause(self.random.random() * 0.01)
        self.kill()
        return self.unsynced_bytes and "clicks flowing, the last groups written"

    def bulk_in_flight(self):
        self.crowd.go()
        batch = [(self.random.choice(ADS)["ad_id"], str(uuid.UUID(int=self.random.getrandbits(128))))
                 for _ in range(BULK_LINES)]
        outcome = []
        sender = threading.Thread(target=lambda: outcome.append(self.send_bulk(batch)))
        spooled = self.spooled()
        sender.start()
        pause(self.random.random() * 0.03)
        self.kill()
        sender.join()
        self.node.start()
        while not outcome[-1]:
            outcome.append(self.send_bulk(batch))
        self.answered += batch
        return len(outcome) > 1 and f"{BULK_LINES} lines without an answer, {spooled}"

    def send_bulk(self, batch):
        """Whether it was answered."""
        lines = "".join(json.dumps(live_click(*identity)) + "\n" for identity in batch)
        try:
            answer = self.node.request("POST", "/v1/clicks", lines)
        except NoAnswer:
            return False
        check_equal("bulk", (answer.status, answer.json().get("accepted")), (202, len(batch)))
        return True

    def right_after_an_answer(self):
        self.crowd.pause()
        ad_id, click_id = ADS[0]["ad_id"], str(uuid.UUID(int=self.random.getrandbits(128)))
        client = self.node.client("collector")
        answer = client.request("POST", "/v1/click", json.dumps(live_click(ad_id, click_id)))
        at = time.monotonic()
        self.kill()
        elapsed_us = (time.monotonic() - at) * 1e6
        client.close()
        check(answer.status == 302, f"click: {answer}")
        self.answered.append((ad_id, click_id))
        return f"gone {elapsed_us:.0f} us after the 302 of a click that nobody sends again"

    def while_a_checkpoint_is_written(self):
        self.crowd.go()
        before = self.state_files()
        changed = wait_until("a change in the state's files",
                             lambda: self.crowd.problem() or sorted(set(self.state_files().items()) - set(before.items())),
                             interval_s=0)
        self.kill()
        self.crowd.check()
        (name, (size, _)) = changed[0]
        return f"{name} had just grown to {size} bytes"

    def state_files(self):
        """Path -> (bytes, time of change) of all but the journal: what checkpoints write."""
        found = {}
        folders = [self.node.data_dir]
        while folders:
            try:
                with os.scandir(folders.pop()) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            if entry.name != "journal":
                                folders.append(entry.path)
                        elif entry.name not in ("LOCK", "LOG"):
                            status = entry.stat()
                            found[os.path.relpath(entry.path, self.node.data_dir)] = (status.st_size, status.st_mtime_ns)
            except FileNotFoundError:
                continue  # deleted while we looked
        return found

    def in_start_up(self):
        """After the data directory's files were opened, before the node is ready."""
        self.crowd.go()
        self.kill()
        self.node.spawn()
        opened = wait_until("the node to open its data", self.open_data, interval_s=0)
        # Anywhere between the first file and readiness, which takes some tens of milliseconds.
        pause(self.random.random() * 0.05)
        ready = self.answers_ready()
        self.kill()
        if ready:
            return None
        return f"{len(opened)} files of the data directory open, not yet ready"

    def open_data(self):
        """Open files below the data directory, the lock apart."""
        folder = f"/proc/{self.node.process.pid}/fd"
        found = []
        try:
            for name in os.listdir(folder):
                path = os.readlink(f"{folder}/{name}")
                if path.startswith(str(self.node.data_dir.resolve()) + "/") and "lock" not in path.lower():
                    found.append(path)
        except OSError:
            pass  # closed while we looked
        return found

    def answers_ready(self):
        try:
            return Client(self.node.api_port, timeout_s=1).request("GET", "/readyz").status == 200
        except NoAnswer:
            return False


PHASES = {
    "idle": Killer.idle,
    "live clicks in flight": Killer.live_clicks_in_flight,
    "before a sync is recorded": Killer.before_a_sync_is_recorded,
    "bulk in flight": Killer.bulk_in_flight,
    "right after an answer": Killer.right_after_an_answer,
    "while a checkpoint is written": Killer.while_a_checkpoint_is_written,
    "in start-up": Killer.in_start_up,
}


def test_live_clicks_over_kills(context):
    """every click answered with a 302 is counted once, in whatever phase the node is killed"""
    begin_ms = now_ms() // 60_000 * 60_000
    node = context.node({"threads": 2, "stream": {"checkpoint_interval_s": 1}})
    node.upload_ads(ADS)
    crowd = Crowd(node, context.random)
    killer = Killer(context, node, crowd)
    try:
        for _ in range(12 if context.soak else 2):
            for phase in context.random.sample(sorted(PHASES), len(PHASES)):
                killer.try_until_hit(phase, lambda: PHASES[phase](killer))
        crowd.stop()
    except Exception:
        crowd.abandoned = crowd.stopping = True
        crowd.going.set()
        raise
    check_equal("phases hit", set(killer.hits), set(PHASES))

    answered = killer.answered + [identity for browser in crowd.browsers for identity in browser.answered]
    check_equal("identities", len(set(answered)), len(answered))
    end_ms = now_ms() + 60_000
    node.wait_total(begin_ms, end_ms, len(answered))
    want = Counter(ad_id for ad_id, _ in answered)
    got = {ad_id: node.metrics_clicks(ad_id=ad_id, from_=begin_ms, to=end_ms, granularity="total")
           ["total"]["click_count"] for ad_id in TARGETS}
    check_equal("clicks per ad", got, {ad_id: want[ad_id] for ad_id in TARGETS})
    counters = node.check_invariant()
    check_equal("counted", counters["counted"], len(answered))
    check_equal("review", counters["review"], 0)
    context.say(f"{len(answered)} answered clicks counted once over {sum(killer.hits.values())} kills; "
                f"{crowd.unanswered()} clicks were sent again; counters {counters}")
