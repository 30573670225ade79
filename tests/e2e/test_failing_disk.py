"""The disk under a running node is filled to the last byte by another program, or fails."""

import contextlib
import errno
import os
import subprocess
import threading

from harness import ROOT, NoAnswer, Skipped, check, check_equal, now_ms, wait_until
from test_full_disk import MIB, bulk_body, small_disk
from users import ADS, Users

BUFFER_BYTES = 1 * MIB


class Filler:
    """Another program that takes what is free, and goes on taking it."""

    def __init__(self, disk):
        self.path = disk / "ballast"
        self.file = open(self.path, "wb", buffering=0)
        self.stopping = threading.Event()
        self.fill()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def fill(self):
        for size in (MIB, 4096, 1):
            try:
                while True:
                    self.file.write(b"x" * size)
            except OSError:
                pass

    def run(self):
        while not self.stopping.wait(0.05):
            self.fill()

    def give_back(self):
        self.stopping.set()
        self.thread.join()
        self.file.close()
        self.path.unlink()


def config_on(disk):
    return {"data_dir": str(disk / "data"), "threads": 2, "log": {"journal_bytes": 256 * MIB},
            "collector": {"buffer_bytes": BUFFER_BYTES, "redirect_deadline_ms": 5},
            "stream": {"checkpoint_interval_s": 1}}


def not_ready(node):
    reasons = node.get("/readyz").json()["reasons"]
    return reasons if reasons else None


def fill_journal(node):
    """Until the journal's files at hand are full; how many clicks were taken."""
    taken = 0
    while True:
        answer = node.request("POST", "/v1/clicks", bulk_body(taken))
        if answer.status == 503:
            return taken
        check_equal(f"bulk ({answer})", answer.status, 202)
        taken += 200
        check(taken < 400_000, "the journal never got full")


def dropped(node):
    return int(node.metrics()["clickmill_collector_dropped_total"])


def test_disk_filled_by_another(context):
    """a disk filled to the last byte: redirects go on, and all partitions go on by themselves when space is back"""
    with small_disk(context.directory / "disk") as disk:
        node = context.node(config_on(disk), start=False)
        node.data_dir = disk / "data"
        try:
            node.start()
            fill_and_give_back(context, node, disk)
        finally:
            node.clean_up()


def fill_and_give_back(context, node, disk):
    node.upload_ads(ADS)
    begin_ms = now_ms()
    users = Users(node)
    users.wait_for(200)
    filler = Filler(disk)
    try:
        users.wait_for(400)
        bulk = fill_journal(node)
        reasons = wait_until("a reason in /readyz", lambda: not_ready(node))
        wait_until("a full buffer", lambda: dropped(node) > 0, 60)
        users.wait_for(400)
    finally:
        filler.give_back()
    node.wait_ready()
    # Refused is not forgotten: a body that was answered 503 may be recorded, and is sent again.
    wait_until("the refused body", lambda: node.request("POST", "/v1/clicks", bulk_body(bulk)).status == 202)
    bulk += 200
    users.wait_for(200)
    redirected = users.end()
    lost = dropped(node)
    check(0 < lost < redirected, f"{lost} of {redirected} dropped")
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, redirected + bulk - lost)
    node.wait_spool_empty()
    node.check_invariant()
    context.say(f"{redirected} redirected, {bulk} bulk, {lost} dropped; /readyz said: {reasons[0]}")
    node.stop()
    node.start()
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, redirected + bulk - lost)


def test_start_on_a_full_disk(context):
    """a start on a disk that is full redirects, and counts everything once there is room"""
    with small_disk(context.directory / "disk") as disk:
        node = context.node(config_on(disk), start=False)
        node.data_dir = disk / "data"
        try:
            node.start()
            start_when_full(context, node, disk)
        finally:
            node.clean_up()


def start_when_full(context, node, disk):
    node.upload_ads(ADS)
    begin_ms = now_ms()
    users = Users(node)
    users.wait_for(500)
    filler = Filler(disk)
    try:
        users.wait_for(200)
        answered = users.end()
        node.kill()
        node.spawn()
        wait_until("a listener", lambda: collector_answers(node))
        users = Users(node)
        users.wait_for(500)
        reasons = wait_until("a reason in /readyz", lambda: not_ready(node))
    finally:
        filler.give_back()
    node.wait_ready()
    users.wait_for(200)
    answered += users.end()
    # A click of before the kill may have been answered at the deadline, before its sync: a kill loses none.
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, answered - dropped(node))
    node.check_invariant()
    context.say(f"{answered} redirected; /readyz said: {reasons[0]}")


def collector_answers(node):
    check(node.alive(), f"the node ended: {node.log_tail()}")
    try:
        return node.request("GET", "/healthz", listener="collector").status == 200
    except NoAnswer:
        return False


def failing_node(context):
    """A node whose disk fails while a file exists, and that file."""
    library, flag = context.directory / "failing_disk.so", context.directory / "fails"
    built = subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library),
                            str(ROOT / "tests/e2e/failing_disk.c"), "-ldl"], capture_output=True, text=True)
    if built.returncode != 0:
        raise Skipped(f"can't build the library that makes writes fail: {built.stderr.strip()}")
    node = context.node({"threads": 2, "stream": {"checkpoint_interval_s": 1},
                         "collector": {"redirect_deadline_ms": 5}}, start=False)
    node.environment = {"LD_PRELOAD": str(library), "FAILING_DISK": str(flag)}
    return node, flag


def fail_with(flag, number):
    temporary = flag.with_suffix(".tmp")
    temporary.write_text(str(number))
    temporary.rename(flag)


def test_disk_fails_for_a_while(context):
    """I/O errors and a read-only disk: redirects go on, /readyz says why, and nothing is lost once it is over"""
    node, flag = failing_node(context)
    node.start()
    node.upload_ads(ADS)
    begin_ms, answered = now_ms(), 0
    for number in (errno.EIO, errno.EROFS, errno.ENOSPC, errno.EMFILE):
        users = Users(node)
        users.wait_for(300)
        fail_with(flag, number)
        reasons = wait_until("a reason in /readyz", lambda: not_ready(node))
        users.wait_for(1000)
        flag.unlink()
        node.wait_ready()
        users.wait_for(300)
        answered += users.end()
        node.wait_total(begin_ms - 60_000, now_ms() + 60_000, answered)
        context.say(f"{os.strerror(number)}: /readyz said: {reasons[0]}")
    check_equal("dropped", dropped(node), 0)
    node.check_invariant()
    node.kill()
    node.start()
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, answered)
    check_equal("lines about a stopped partition",
                [line for line in node.log_path.read_text().splitlines() if " stopped" in line], [])


@contextlib.contextmanager
def read_only(folder):
    """The folder can be read only, for as long as it lasts."""
    def mount(*arguments):
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            raise Skipped(f"can't mount here: {done.stderr.strip()}")

    mount("--bind", str(folder), str(folder))
    try:
        mount("-o", "remount,ro,bind", str(folder))
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def start_read_only(context, node, folder, answered):
    """A node that redirects and says why it doesn't count; how many clicks were answered in all."""
    with read_only(folder):
        node.spawn()
        wait_until("a listener", lambda: collector_answers(node))
        users = Users(node)
        users.wait_for(200)
        reasons = wait_until("a reason in /readyz", lambda: not_ready(node))
        check(any("Read-only" in reason for reason in reasons), f"/readyz said: {reasons}")
        check(not any("another process" in reason or "damaged" in reason for reason in reasons), f"{reasons}")
        answered += users.end()
    node.wait_ready()
    node.wait_total(now_ms() - 600_000, now_ms() + 60_000, answered)
    check_equal("dropped", dropped(node), 0)
    node.check_invariant()
    context.say(f"{folder.name}/ read-only: /readyz said: {reasons[0]}")
    return answered


def test_start_on_a_read_only_disk(context):
    """a start on a read-only data directory, store/ or ids/ redirects, says so, and counts once it is writable"""
    node = context.node({"threads": 2, "stream": {"checkpoint_interval_s": 1},
                         "collector": {"redirect_deadline_ms": 5}})
    node.upload_ads(ADS)
    users = Users(node)
    users.wait_for(200)
    answered = users.end()
    for folder in (node.data_dir, node.data_dir / "store", node.data_dir / "ids", node.data_dir / "journal"):
        node.kill()
        answered = start_read_only(context, node, folder, answered)
    check(not any("damaged" in path.name for path in node.data_dir.iterdir()), "something was set aside")
