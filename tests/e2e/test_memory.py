"""What an import of clicks of a whole week holds in memory, which no test of a part of the node sees."""

import shutil
import threading

from harness import check, check_equal, now_ms, wait_until

MIB = 1 << 20
WEEK_MS = 7 * 86_400_000
ADS = [{"ad_id": f"ad_{number}", "advertiser_id": f"adv_{number % 50}", "ad_format": "banner",
        "redirect_url": "https://example.com/"} for number in range(1000)]
# What each may hold, whatever comes: the bounds of src/engine/options.cpp and recovery.cpp, and
# what is on its way when they are reached.
MOST = {
    "clickmill_head_memory_bytes": 64,
    "clickmill_log_unsealed_bytes": 72,
    "clickmill_spool_memory_bytes": 24,
    "clickmill_state_memory_bytes": 52,
    "clickmill_store_directory_bytes": 16,
    "clickmill_store_cache_bytes": 48,
}
# Of this import, with the program and its libraries.
PROCESS_MOST = 190


def peak_mib(node):
    with open(f"/proc/{node.process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 1024


class Watch:
    """The highest of what the node says it holds."""

    def __init__(self, node):
        self.node, self.highest, self.stop = node, dict.fromkeys(MOST, 0), threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.stop.wait(0.1):
            values = self.node.metrics()
            for name in MOST:
                self.highest[name] = max(self.highest[name], values[name])

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def check(self):
        for name, most in MOST.items():
            check(self.highest[name] <= most * MIB, f"{name} was {self.highest[name] / MIB:.0f} MiB")


def past_clicks(random, batch, count):
    """Each in a minute of its own, so that a click is a row."""
    end = now_ms()
    ads, ago, users = (random.choices(range(most), k=count) for most in (len(ADS), WEEK_MS, 50_000))
    return "".join(f'{{"click_id":"{batch}-{number}","ad_id":"ad_{ads[number]}","timestamp_ms":{end - ago[number]},'
                   f'"user_id":"u{users[number]}","country":"DE"}}\n' for number in range(count))


def test_import_in_bounded_memory(context):
    """clicks of a week, in any order, are imported and counted anew in little memory"""
    node = context.node()
    node.upload_ads(ADS)
    batches, size = 10, 40_000
    with Watch(node) as watch:
        for batch in range(batches):
            answer = node.request("POST", "/v1/clicks?mode=backfill", past_clicks(context.random, batch, size))
            check_equal("import", answer.status, 202)
        wait_until("an empty spool", lambda: node.metrics()["clickmill_spool_clicks"] == 0, 180)
    watch.check()
    peak = peak_mib(node)
    context.say(f"import: at most {peak:.0f} MiB; {({name: round(value / MIB) for name, value in watch.highest.items()})}")
    check(peak < PROCESS_MOST, f"an import took {peak:.0f} MiB")

    node.stop()
    for folder in ("state", "store", "ids"):
        shutil.rmtree(node.data_dir / folder)
    node.start(timeout_s=120)
    wait_until("all are counted again", lambda: node.metrics()["clickmill_clicks_counted_total"] == batches * size, 180)
    peak = peak_mib(node)
    context.say(f"rebuild: at most {peak:.0f} MiB")
    check(peak < PROCESS_MOST, f"a rebuild took {peak:.0f} MiB")
