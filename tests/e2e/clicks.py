"""The clicks that the tests send, and naive counts of them.

Real ones when they are there: ../shared/data/talkingdata_clicks.csv.gz beside the
clone, or CLICKMILL_REAL_CLICKS=FILE (same columns, plain or gzip). Else a generated
set of the same shape. A count here is a loop over a list; it shares nothing with src/.
"""

import calendar
import collections
import csv
import gzip
import io
import json
import os
import random
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from harness import ROOT, Failure

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
COUNTRIES = ("US", "DE", "FR", "JP", "BR", "IN", "GB", "ZA")
COLUMNS = ("ip", "app", "device", "os", "channel", "click_time")


@dataclass(frozen=True)
class Click:
    click_id: str
    ad_id: str
    advertiser_id: str
    ad_format: str
    timestamp_ms: int
    user_id: str
    device_type: str
    country: str

    def line(self):
        """As one line of POST /v1/clicks."""
        return json.dumps({
            "click_id": self.click_id, "ad_id": self.ad_id, "timestamp_ms": self.timestamp_ms,
            "user_id": self.user_id, "device_type": self.device_type, "country": self.country})

    def ad(self):
        return {"ad_id": self.ad_id, "advertiser_id": self.advertiser_id, "ad_format": self.ad_format,
                "redirect_url": f"https://example.com/{self.ad_id}?from=ad"}


def load():
    """(where they come from, the clicks), shifted by whole days so that the last day is yesterday."""
    given = os.environ.get("CLICKMILL_REAL_CLICKS")
    path = Path(given) if given else ROOT.parent / "shared" / "data" / "talkingdata_clicks.csv.gz"
    if path.exists():
        rows, source = read_rows(path), f"real clicks from {path.name}"
    elif given:
        raise Failure(f"CLICKMILL_REAL_CLICKS={given}: no such file")
    else:
        rows, source = generated_rows(seed=20171106), "generated clicks (no file of real ones here)"
    times = [calendar.timegm(time.strptime(row["click_time"], "%Y-%m-%d %H:%M:%S")) * 1000 for row in rows]
    today = int(time.time() * 1000) // DAY_MS
    shift_ms = (today - 1 - max(times) // DAY_MS) * DAY_MS
    return source, [click_of(number, row, at + shift_ms) for number, (row, at) in enumerate(zip(rows, times))]


def read_rows(path):
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    if not rows or any(column not in rows[0] for column in COLUMNS):
        raise Failure(f"{path.name}: wants the columns {', '.join(COLUMNS)}")
    return rows


def click_of(number, row, timestamp_ms):
    ip, app, device, channel = (int(row[column]) for column in ("ip", "app", "device", "channel"))
    return Click(
        click_id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"row {number}")),
        ad_id=f"ad_{app}_{channel}",
        # An ad belongs to one app, so to one advertiser.
        advertiser_id=f"adv_{app}",
        ad_format="video" if channel % 2 else "banner",
        timestamp_ms=timestamp_ms,
        user_id=f"{ip}-{device}-{row['os']}",
        device_type={1: "mobile", 2: "tablet"}.get(device, "desktop"),
        country=COUNTRIES[ip % 8],
    )


def generated_rows(seed, count=60_000):
    """Rows as in the real file: few busy ads and many quiet ones, over parts of four days."""
    source = random.Random(seed)
    ads = sorted({(source.randint(1, 143), source.randint(3, 498)) for _ in range(420)})
    weights = [1 / (rank + 1) for rank in range(len(ads))]
    begin = calendar.timegm((2017, 11, 6, 16, 0, 0))
    seconds = sorted(source.randrange(3 * 86_400) for _ in range(count))
    rows = []
    for second, (app, channel) in zip(seconds, source.choices(ads, weights, k=count)):
        # Squaring makes some visitors come back often.
        ip = int(source.random() ** 2 * 120_000)
        device = source.choices((1, 2, 0, 3032), (94, 4, 1, 1))[0]
        rows.append({"ip": ip, "app": app, "device": device, "os": source.randint(1, 40), "channel": channel,
                     "click_time": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(begin + second))})
    return rows


def distinct_ads(clicks):
    return list({click.ad_id: click.ad() for click in clicks}.values())


class Bucket:
    """What one bucket must show."""

    def __init__(self):
        self.click_count = 0
        self.visitors = set()
        self.devices = collections.Counter()
        self.countries = collections.Counter()


def naive_buckets(clicks, bucket_of):
    """bucket_of(click) -> key; key -> Bucket."""
    buckets = collections.defaultdict(Bucket)
    for click in clicks:
        bucket = buckets[bucket_of(click)]
        bucket.click_count += 1
        bucket.visitors.add(click.user_id)
        bucket.devices[click.device_type] += 1
        bucket.countries[click.country] += 1
    return buckets
