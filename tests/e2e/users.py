"""People who click all the time, whatever else a test does to the node."""

import json
import threading
import uuid

from harness import NoAnswer, check_equal, now_ms, pause, wait_until

ADS = [{"ad_id": f"ad_{number}", "advertiser_id": "adv_1", "ad_format": "banner",
        "redirect_url": "https://example.com/"} for number in range(50)]


class Users:
    """People who click all the time, each of whom must be redirected."""

    def __init__(self, node, threads=4):
        self.node = node
        # No two crowds send the same clicks.
        self.crowd = uuid.uuid4().hex[:16]
        self.redirected = [0] * threads
        self.wrong = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.click, args=(thread,)) for thread in range(threads)]
        for thread in self.threads:
            thread.start()

    def click(self, thread):
        client = self.node.client("collector")
        while not self.stopping.is_set():
            number = self.redirected[thread]
            body = json.dumps({"click_id": f"{self.crowd}-{thread}-{number}", "ad_id": f"ad_{number % 50}",
                               "timestamp_ms": now_ms(), "user_id": f"v{number}", "referrer": "x" * 500})
            try:
                answer = client.request("POST", "/v1/click", body)
            except NoAnswer as lost:
                self.wrong.append(str(lost))
                return
            if answer.status != 302:
                self.wrong.append(repr(answer))
                return
            self.redirected[thread] += 1
            pause(0.002)

    def total(self):
        check_equal("answers that were no redirect", self.wrong, [])
        return sum(self.redirected)

    def wait_for(self, more):
        want = self.total() + more
        wait_until(f"{more} more redirects", lambda: self.total() >= want)

    def end(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        return self.total()
