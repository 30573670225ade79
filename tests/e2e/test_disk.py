"""What the node leaves on disk, and the load generator's own verdict."""

import os
import subprocess

from harness import Skipped, check, check_equal, journal_files, now_ms, wait_until

FILES_MAX = 10
JOURNAL_FILE_BYTES = 64 << 20


def test_journal_stays_small(context):
    """journal files are freed while clicks flow: never more than 10 in the end"""
    node = context.node({"threads": 2, "stream": {"checkpoint_interval_s": 1}})
    node.upload_ads([{"ad_id": f"disk_{number}", "advertiser_id": "adv_1", "ad_format": "banner",
                      "redirect_url": "https://example.com/"} for number in range(1000)])
    # Long referrers, so that some hundred thousand clicks write more than 10 files could hold:
    # each click stands in the journal once for the spool and once for the log.
    referrer = "https://news.example.com/" + "x" * 900
    clicks, body_lines, sent_bytes, most = 480_000, 12_000, 0, 0
    client, begin_ms = node.client(), now_ms()
    for begin in range(0, clicks, body_lines):
        at = now_ms()
        body = "".join(f'{{"click_id":"disk-{number}","ad_id":"disk_{number % 1000}","timestamp_ms":{at},'
                       f'"user_id":"u{number % 5000}","country":"US","device_type":"mobile","referrer":"{referrer}"}}\n'
                       for number in range(begin, begin + body_lines))
        answer = client.request("POST", "/v1/clicks", body)
        check_equal(f"bulk ({answer})", answer.status, 202)
        sent_bytes += len(body)
        most = max(most, len(journal_files(node)))
    elapsed_s = (now_ms() - begin_ms) / 1000
    check(2 * clicks * 900 > 1.2 * FILES_MAX * JOURNAL_FILE_BYTES, "too few bytes to show anything")
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, clicks, timeout_s=120)
    node.wait_spool_empty()
    wait_until("few journal files", lambda: len(journal_files(node)) <= FILES_MAX)
    context.say(f"{clicks} clicks, {sent_bytes >> 20} MiB in {elapsed_s:.0f} s: at most {most} journal files, "
                f"{len(journal_files(node))} in the end")
    # Deleting files must not have taken what a restart needs.
    node.kill()
    node.start()
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, clicks)


def run_bench(context, node, *options, timeout_s):
    if not os.access(context.bench, os.X_OK):
        raise Skipped("clickmill-bench is not built")
    result = subprocess.run(
        [context.bench, "--collector", f"127.0.0.1:{node.collector_port}", "--api", f"127.0.0.1:{node.api_port}",
         *options], capture_output=True, text=True, timeout=timeout_s)
    for line in result.stdout.splitlines():
        context.say(line)
    check_equal(f"exit code of the load generator: {result.stderr}", result.returncode, 0)
    check("exactly once: yes" in result.stdout, "the load generator found a difference")
    check("freshness (click answered" in result.stdout and "ended early" not in result.stdout, "freshness was not measured")


def test_load(context):
    """the load generator finds every answered click counted exactly once"""
    node = context.node({"threads": 2})
    run_bench(context, node, "--rate", "2000", "--seconds", "5", "--ads", "500", "--connections", "16", timeout_s=120)


def test_five_minutes_of_load(context):
    """five minutes at 10,000 clicks/s leave no more than 10 journal files"""
    if not context.soak:
        raise Skipped("it takes five minutes; tests/run.sh --soak runs it")
    node = context.node()
    run_bench(context, node, "--rate", "10000", "--seconds", "300", timeout_s=900)
    wait_until("few journal files", lambda: len(journal_files(node)) <= FILES_MAX)
    size = sum(os.path.getsize(node.data_dir / "journal" / name) for name in journal_files(node))
    context.say(f"{len(journal_files(node))} journal files, {size >> 20} MiB")
