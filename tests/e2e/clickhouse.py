"""What answers inserts as ClickHouse's HTTP interface does, and keeps rows as its ReplacingMergeTree does."""

import http.server
import json
import threading
import urllib.parse

from harness import check, check_equal

PASSWORD = "s3cret pass"
COLUMNS = ("minute", "advertiser_id", "ad_id", "clicks", "automated_clicks", "unique_users", "mobile", "desktop",
           "tablet", "other", "country_codes", "country_clicks", "log_partition", "version")


class StandIn:
    """`trouble(insert's number)` says what becomes of an insert: None, or a kind of failure."""

    def __init__(self, context, trouble=lambda number: None):
        self.trouble = trouble
        self.lock = threading.Lock()  # guards the rows
        self.rows = {}  # key -> newest row
        self.inserts = 0
        self.repeats = 0
        self.contradictions = []
        self.password_file = context.directory / "clickhouse-password"
        self.password_file.write_text(PASSWORD + "\n")
        self.server = None
        self.port = 0
        self.up()

    def up(self):
        house = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                house.insert(self, body.decode())

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def down(self):
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()

    def sink(self, **more):
        return {"type": "clickhouse", "url": f"http://127.0.0.1:{self.port}", "user": "clicks",
                "password_file": str(self.password_file), "timeout_ms": 2000, **more}

    def insert(self, request, body):
        asked = urllib.parse.parse_qs(urllib.parse.urlsplit(request.path).query)
        kind = None
        with self.lock:
            self.inserts += 1
            kind = self.trouble(self.inserts)
            lines = body.splitlines()
            if request.headers["X-ClickHouse-Key"] != PASSWORD or request.headers["X-ClickHouse-User"] != "clicks":
                return self.answer(request, 401, "Code: 193, Wrong password for user")
            columns = ", ".join(COLUMNS)
            check_equal("query", asked["query"],
                        [f"INSERT INTO `default`.`click_minutes` ({columns}) FORMAT JSONEachRow"])
            if kind == "refused":
                return self.answer(request, 500, "Code: 252, Too many parts")
            for line in lines[:len(lines) // 2] if kind == "half" else lines:
                self.take(json.loads(line))
        if kind == "cut":
            request.close_connection = True
            return None
        if kind == "header":
            return self.answer(request, 200, "", {"X-ClickHouse-Exception-Code": "241"})
        if kind == "half":
            return self.answer(request, 200, "Code: 241, e.displayText() = DB::Exception: Memory limit")
        return self.answer(request, 200, "")

    @staticmethod
    def answer(request, status, body, headers=None):
        request.send_response(status)
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body.encode())

    def take(self, row):
        check_equal("columns", tuple(row), COLUMNS)
        key = (row["advertiser_id"], row["ad_id"], row["minute"] * 1000)
        kept = self.rows.get(key)
        if kept is not None and kept["version"] == row["version"]:
            self.repeats += 1
            if kept != row:
                self.contradictions.append((kept, row))
        if kept is None or row["version"] >= kept["version"]:
            self.rows[key] = row

    def newest(self):
        """(advertiser, ad, minute in ms) -> what a query has of the row."""
        with self.lock:
            check(not self.contradictions, f"one version, two rows: {self.contradictions[:1]}")
            return {key: seen(row) for key, row in self.rows.items() if row["clicks"] != 0}


def seen(row):
    """The counts of a row, as answers() has them."""
    return {"clicks": int(row["clicks"]), "automated": int(row["automated_clicks"]),
            "unique_users": int(row["unique_users"]),
            "devices": {name: int(row[name]) for name in ("mobile", "desktop", "tablet", "other")},
            "countries": dict(zip(row["country_codes"], map(int, row["country_clicks"])))}
