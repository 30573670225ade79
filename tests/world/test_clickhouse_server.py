"""What a real ClickHouse (Debian's, of 2018) makes of the rows that a sink sends it."""

import json
import subprocess
import time
import urllib.error
import urllib.request

import world
from clickhouse import PASSWORD, seen
from harness import ROOT, Failure, check, check_equal, free_ports, wait_until
from test_clickhouse import ADS, check_arrived, config, over_kills, past_clicks, send

SERVER = """<yandex>
  <logger><level>warning</level><console>1</console></logger>
  <http_port>{port}</http_port><listen_host>127.0.0.1</listen_host>
  <path>{folder}/data/</path><tmp_path>{folder}/tmp/</tmp_path>
  <users_config>{folder}/users.xml</users_config>
  <default_profile>default</default_profile><default_database>default</default_database>
  <mark_cache_size>5368709</mark_cache_size>
</yandex>
"""
USERS = f"""<yandex>
  <profiles><default><max_memory_usage>1000000000</max_memory_usage></default></profiles>
  <users><clicks><password>{PASSWORD}</password><networks><ip>127.0.0.1</ip></networks>
    <profile>default</profile><quota>default</quota></clicks></users>
  <quotas><default></default></quotas>
</yandex>
"""


class ClickHouse:
    """A server with the table of conf/clickhouse.sql."""

    def __init__(self, context):
        self.folder = context.directory / "clickhouse"
        for name in ("data", "tmp"):
            (self.folder / name).mkdir(parents=True)
        (self.port,) = free_ports(1)
        self.root = world.unpacked("clickhouse-server")
        (self.folder / "config.xml").write_text(SERVER.format(port=self.port, folder=self.folder))
        (self.folder / "users.xml").write_text(USERS)
        self.password_file = self.folder / "password"
        self.password_file.write_text(PASSWORD)
        self.process = None
        self.up()
        self.ask((ROOT / "conf" / "clickhouse.sql").read_text())

    def up(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [str(self.root / "usr/sbin/clickhouse-server"), f"--config-file={self.folder}/config.xml"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=world.environment_of(self.root))
        wait_until("ClickHouse", self.answers, 60, 0.1)

    def answers(self):
        try:
            return self.ask("SELECT 1") == "1\n"
        except (OSError, Failure):
            return False

    def down(self):
        """By force."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()

    def ask(self, query):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", query.encode(),
                                         {"X-ClickHouse-User": "clicks", "X-ClickHouse-Key": PASSWORD})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            raise Failure(f"{query}: {error.read().decode()}") from None

    def sink(self, **more):
        return {"type": "clickhouse", "url": f"http://127.0.0.1:{self.port}", "user": "clicks",
                "password_file": str(self.password_file), **more}

    def newest(self):
        rows = map(json.loads, self.ask("SELECT * FROM click_minutes FINAL FORMAT JSONEachRow").splitlines())
        return {(row["advertiser_id"], row["ad_id"], milliseconds(row["minute"])): seen(row)
                for row in rows if int(row["clicks"])}


def milliseconds(text):
    import calendar
    return calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M:%S")) * 1000


def test_a_real_clickhouse(context):
    """a real ClickHouse has the node's counts, over kills of the node and of itself"""
    with ClickHouse(context) as house:
        node = over_kills(context, house)
        want = sum(row["clicks"] for row in house.newest().values())
        # As README tells it; without FINAL too.
        check_equal("argMax", house.ask(
            "SELECT sum(clicks) FROM (SELECT argMax(clicks, version) AS clicks FROM click_minutes "
            "GROUP BY advertiser_id, ad_id, minute)"), f"{want}\n")
        by_country = house.ask(
            "SELECT country, sum(n) FROM click_minutes FINAL ARRAY JOIN country_codes AS country, country_clicks AS n "
            "GROUP BY country ORDER BY country")
        check_equal("by country", sum(int(line.split("\t")[1]) for line in by_country.splitlines()), want)
        house.down()
        send(node, past_clicks(context.random, 500, "away"))
        wait_until("errors", lambda: node.metrics()["clickmill_sink_errors_total"] > 0)
        house.up()
        check_arrived(node, house, want + 500)
        rows = int(house.ask("SELECT count() FROM click_minutes"))
        context.say(f"ClickHouse {house.ask('SELECT version()').strip()}, {rows} rows with amendments")


def test_a_clickhouse_without_the_table(context):
    """what ClickHouse says of a missing table is in the log, and all rows arrive once it is made"""
    with ClickHouse(context) as house:
        house.ask("DROP TABLE click_minutes")
        node = context.node(config(house))
        node.upload_ads(ADS)
        send(node, past_clicks(context.random, 100, "some"))
        wait_until("its words", lambda: "Table default.click_minutes doesn't exist" in node.log_since_start())
        house.ask((ROOT / "conf" / "clickhouse.sql").read_text())
        check_arrived(node, house, 100)
        check(PASSWORD not in node.log_since_start(), "the password is in the log")
