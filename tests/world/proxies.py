"""Real proxies of Debian in front of nodes, each with its file in conf/proxies/.

Clients come from 127.0.0.2, proxies from 127.0.0.1: so the nodes can trust one and not the other.
"""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading

import world
from harness import ROOT, Failure, free_ports, now_ms, wait_until

CONF = ROOT / "conf" / "proxies"
CLIENT = "127.0.0.2"
AD = {"ad_id": "ad_1", "advertiser_id": "adv_1", "ad_format": "banner", "redirect_url": "https://shop.example.com/"}
TRUSTING = {"collector": {"trusted_proxies": ["127.0.0.1"], "click_id_header": "X-Request-ID"}}


def placed(name, port, nodes):
    """The text of a config file with its port and the nodes' addresses put in."""
    text = (CONF / name).read_text()
    for host, node_port in zip(("10.0.0.11", "10.0.0.12"), nodes):
        if host not in text:
            raise Failure(f"{name}: no {host}")
        text = re.sub(rf'\.host = "{host}";\s+\.port = "8080"', f'.host = "127.0.0.1"; .port = "{node_port}"', text)
        text = text.replace(f"{host}:8080", f"127.0.0.1:{node_port}")
    for there, here in (("listen 80;", f"listen 127.0.0.1:{port};"), ("bind :80\n", f"bind 127.0.0.1:{port}\n"),
                        ("\n:80 {", f"\nhttp://:{port} {{\n\tbind 127.0.0.1"), ("*:80>", f"127.0.0.1:{port}>")):
        text = text.replace(there, here)
    return text


class Proxy:
    """One running proxy. `nodes`: the collector ports of two nodes."""

    def __init__(self, kind, folder, nodes, edit=lambda text: text):
        self.kind = kind
        self.folder = folder / f"proxy-{kind}"
        self.folder.mkdir(parents=True)
        (self.port,) = free_ports(1)
        self.log = self.folder / "log"
        command, environment = getattr(self, f"command_of_{kind.split('-')[0]}")(
            self.folder, lambda name: edit(placed(name, self.port, nodes)))
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)
        wait_until(f"{kind} to listen", self.listens)

    def command_of_nginx(self, folder, text):
        root = world.unpacked("nginx")
        here = "".join(f"  {name}_temp_path {folder}/{name};\n"
                       for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "conf").write_text(f"daemon off;\npid {folder}/pid;\n" + text("nginx.conf").replace(
            "http {\n", f"http {{\n  access_log off;\n{here}"))
        return ([str(root / "usr/sbin/nginx"), "-p", str(folder), "-e", "stderr", "-c", str(folder / "conf")],
                world.environment_of(root))

    def command_of_haproxy(self, folder, text):
        root = world.unpacked("haproxy")
        (folder / "conf").write_text(text("haproxy-tcp.cfg" if self.kind == "haproxy-tcp" else "haproxy.cfg"))
        return [str(root / "usr/sbin/haproxy"), "-db", "-f", str(folder / "conf")], world.environment_of(root)

    def command_of_caddy(self, folder, text):
        root = world.unpacked("caddy")
        (folder / "conf").write_text("{\n\tadmin off\n}\n" + text("Caddyfile"))
        homes = {name: str(folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
        return ([str(root / "usr/bin/caddy"), "run", "--adapter", "caddyfile", "--config", str(folder / "conf")],
                {**os.environ, **homes})

    def command_of_varnish(self, folder, text):
        root = world.unpacked("varnish")
        world.program("gcc")
        (folder / "conf").write_text(text("varnish.vcl"))
        (modules,) = root.glob("usr/lib/*/varnish/vmods")
        return ([str(root / "usr/sbin/varnishd"), "-F", "-j", "none", "-n", str(folder / "work"), "-i", "edge",
                 "-a", f"127.0.0.1:{self.port}", "-s", "malloc,16m", "-p", f"vmod_path={modules}",
                 "-f", str(folder / "conf")], world.environment_of(root))

    def command_of_apache(self, folder, text):
        root = world.unpacked("apache2-bin")
        modules = root / "usr/lib/apache2/modules"
        wanted = ("mpm_event authz_core proxy proxy_http proxy_balancer slotmem_shm lbmethod_byrequests "
                  "headers unique_id watchdog").split()
        loads = "".join(f"LoadModule {name}_module {modules}/mod_{name}.so\n" for name in wanted
                        if (modules / f"mod_{name}.so").exists())
        (folder / "conf").write_text(
            f"ServerRoot {folder}\nServerName edge\nPidFile {folder}/pid\nErrorLog /dev/stderr\nDefaultRuntimeDir {folder}\n"
            f"Mutex file:{folder}\nListen 127.0.0.1:{self.port}\n{loads}" + text("apache.conf"))
        return ([str(root / "usr/sbin/apache2"), "-D", "FOREGROUND", "-f", str(folder / "conf")],
                world.environment_of(root))

    def listens(self):
        if self.process.poll() is not None:
            raise Failure(f"{self.kind} ended: {self.log.read_text(errors='replace')[-2000:]}")
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
            return True
        except OSError:
            return False

    def end(self):
        """With its helpers, which are of its session."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30, source_address=(CLIENT, 0))

    def request(self, method, path, body=None, headers=None):
        """(status, headers), on a connection of its own."""
        connection = self.connection()
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.headers
        finally:
            connection.close()


class Cutting:
    """A node that reads a request's head, remembers it, and hangs up; a HEAD or GET of a health check it answers."""

    def __init__(self):
        self.heads = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.take, args=(connection,), daemon=True).start()

    def take(self, connection):
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(65536)
                if not piece:
                    return
                head += piece
            if b" /readyz " in head:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            else:
                self.heads.append(head.decode("latin-1"))

    def header(self, name):
        """Of each click it was sent."""
        return [match[1].strip() for head in self.heads
                if (match := re.search(rf"^{name}:(.*)$", head, re.IGNORECASE | re.MULTILINE))]

    def end(self):
        self.listener.close()


class Users:
    """Clients that keep their connections and click until told to stop; each click once, whatever comes back."""

    def __init__(self, proxy, clients=8, total=2_400):
        self.proxy, self.total = proxy, total
        self.sent, self.failures = [], []
        self.lock = threading.Lock()
        self.next = 0
        self.threads = [threading.Thread(target=self.click_on) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def done(self):
        with self.lock:
            return self.next

    def click_on(self):
        connection = self.proxy.connection()
        while True:
            with self.lock:
                if self.next >= self.total:
                    return
                number = self.next
                self.next += 1
            click_id = f"c-{number}"
            try:
                if number % 2:
                    body = json.dumps({"click_id": click_id, "ad_id": AD["ad_id"], "timestamp_ms": now_ms()})
                    connection.request("POST", "/v1/click", body, {"Content-Type": "application/json"})
                else:
                    connection.request("GET", f"/v1/click?ad_id={AD['ad_id']}&click_id={click_id}")
                answer = connection.getresponse()
                answer.read()
                outcome = answer.status
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                connection = self.proxy.connection()
                outcome = type(error).__name__
            with self.lock:
                (self.sent if outcome == 302 else self.failures).append((click_id, outcome))

    def join(self):
        for thread in self.threads:
            thread.join()


def ids_of(*nodes):
    """The click_ids that stand in the raw logs."""
    found = []
    for node in nodes:
        for partition in node.get("/v1/log/raw-clicks").json()["data"]:
            lines = node.get(f"/v1/log/raw-clicks/{partition['partition']}?limit=100000").body.splitlines()
            found += [json.loads(line) for line in lines]
    return found
