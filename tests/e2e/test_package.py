"""The Debian package: built by CPack, and lived with in a chroot over this machine's own files.

The chroot is an overlay in a mount namespace of its own: it has this machine's packages, so
that dependencies are real ones, and nothing of what happens in it stays.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from harness import Failure, Node, Skipped, check, check_equal, now_ms

CONFIG = "/etc/clickmill/clickmill.json"
DATA = "/var/lib/clickmill"
UNIT = "/lib/systemd/system/clickmill.service"
ENABLED = "/etc/systemd/system/multi-user.target.wants/clickmill.service"
AD = {"ad_id": "ad_1", "advertiser_id": "adv_1", "ad_format": "banner", "redirect_url": "https://example.com/1"}


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise Failure(f"{command}: exit code {done.returncode}: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    return done.stdout + done.stderr


def build_package(context):
    """The .deb of the build folder that the binary stands in."""
    build = Path(context.binary).parent
    for tool in ("cpack", "dpkg-deb", "dpkg-shlibdeps"):
        if not shutil.which(tool):
            raise Skipped(f"{tool} is not installed")
    if not (build / "CPackConfig.cmake").exists():
        raise Skipped(f"{build} is no build folder with a CPackConfig.cmake")
    run("cpack", "-G", "DEB", "-B", context.directory / "packed", cwd=build)
    [package] = (context.directory / "packed").glob("*.deb")
    return package


class Root:
    """A chroot that is thrown away. Whether systemd runs in it is for the test to say."""

    def __init__(self, context):
        if os.geteuid() != 0:
            raise Skipped("a chroot wants root")
        base = context.directory / "root"
        base.mkdir()
        self.inside = base / "merged"
        mounts = (f"mount -t tmpfs none {base} && cd {base} && mkdir upper work merged"
                  f" && mount -t overlay overlay -o lowerdir=/,upperdir={base}/upper,workdir={base}/work {self.inside}"
                  f" && mount -t proc proc {self.inside}/proc && mount --rbind /dev {self.inside}/dev"
                  " && echo mounted && exec cat")
        self.holder = subprocess.Popen(["unshare", "-m", "sh", "-c", mounts], text=True, stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if self.holder.stdout.readline() != "mounted\n":
            raise Skipped(f"no overlay can be mounted: {self.holder.communicate()[1].strip()}")
        # No init runs here, whatever this machine has.
        shutil.rmtree(self.path("/run/systemd"), ignore_errors=True)

    def path(self, path):
        """A file of the chroot, seen from here."""
        return Path(f"/proc/{self.holder.pid}/root{self.inside}{path}")

    def command(self, *command):
        return ["nsenter", "-t", str(self.holder.pid), "-m", "chroot", str(self.inside), *map(str, command)]

    def run(self, *command):
        return run(*self.command(*command), env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"})

    def install(self, package):
        shutil.copy(package, self.path("/package.deb"))
        return self.run("dpkg", "--no-triggers", "-i", "--force-confdef", "--force-confold", "/package.deb")

    def run_systemd(self):
        """As if systemd ran: what it is asked goes to a file, but for the links of enabled units."""
        self.path("/run/systemd/system").mkdir(parents=True)
        real = self.path("/usr/bin/systemctl")
        if not real.exists():
            raise Skipped("systemd is not installed")
        real.rename(self.path("/usr/bin/systemctl.real"))
        recorder = '#!/bin/sh\ncase " $* " in *" preset "*) exec systemctl.real "$@" ;; esac\necho "$@" >>/asked\n'
        for name in ("/usr/bin/systemctl", "/usr/bin/deb-systemd-invoke"):
            self.path(name).unlink(missing_ok=True)
            self.path(name).write_text(recorder)
            self.path(name).chmod(0o755)

    def asked(self):
        """What systemd was asked to do with the node since the last call."""
        file = self.path("/asked")
        asked = [line.split()[0] for line in file.read_text().splitlines() if "clickmill" in line] if file.exists() else []
        file.unlink(missing_ok=True)
        return asked

    def left(self):
        """Whatever of the package is still there."""
        found = self.run("find", "/etc", "/usr/bin", "/usr/share", "/lib/systemd", "/usr/lib/systemd", "/var/lib", "-xdev",
                         "(", "-path", "/var/lib/clickmill/*", "-prune", "-o", "-name", "*clickmill*", "-print", ")")
        return sorted(found.split())

    def close(self):
        self.holder.stdin.close()
        self.holder.wait()


class InstalledNode(Node):
    """The node as the unit starts it, but for the ports: by the package's user and config."""

    def __init__(self, root, directory):
        super().__init__("/usr/bin/clickmill", directory)
        self.root = root

    def write_config(self):
        config = self.root.path(CONFIG)
        text = re.sub(r"127\.0\.0\.1:\d+(\",\s+// for)", rf"127.0.0.1:{self.collector_port}\1", config.read_text())
        text = re.sub(r"127\.0\.0\.1:\d+(\"\s+// beyond)", rf"127.0.0.1:{self.api_port}\1", text)
        check(str(self.collector_port) in text and str(self.api_port) in text, text)
        config.write_text(text)

    def spawn(self):
        self.write_config()
        start = re.search(r"^ExecStart=(.*)$", self.root.path(UNIT).read_text(), re.M)[1].split()
        self.log_begin = 0
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                self.root.command("setpriv", "--reuid=clickmill", "--regid=clickmill", "--init-groups",
                                  "--no-new-privs", *start), stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def next_version(package, directory):
    """The package as a later version, with another default config."""
    run("dpkg-deb", "-R", package, directory)
    control = directory / "DEBIAN" / "control"
    control.write_text(re.sub(r"^Version: .*$", "Version: 99.0", control.read_text(), flags=re.M))
    config = directory / CONFIG[1:]
    config.write_text("// Of version 99.\n" + config.read_text())
    later = directory.with_suffix(".deb")
    run("dpkg-deb", "--root-owner-group", "-b", directory, later)
    return later


def test_package_says_what_it_needs(context):
    """the package's dependencies are the libraries that the program is linked with, and no more"""
    fields = run("dpkg-deb", "-f", build_package(context), "Package", "Version", "Depends")
    for word in ("clickmill", "libc6", "libssl3", "adduser", "tzdata"):
        check(word in fields, f"no {word} in {fields}")
    linked = run("ldd", context.binary)
    for library in ("rocksdb", "zstd", "lz4"):
        check_equal(f"{library} in {fields}", f"lib{library}" in fields, f"lib{library}" in linked)
    check("libstdc++" not in fields and "libboost" not in fields, fields)


def test_package_life(context):
    """the package installs, runs by its own user, is upgraded with config and counts kept, removed and purged"""
    package = build_package(context)
    root = Root(context)
    node = InstalledNode(root, context.directory / "installed")
    context.nodes.append(node)
    try:
        live(context, root, node, package)
    finally:
        node.clean_up()
        root.close()


def live(context, root, node, package):
    root.run_systemd()
    before = root.left()
    root.install(package)
    check("start" in root.asked(), "the start was not asked for")
    check(os.path.lexists(root.path(ENABLED)), "the unit is not enabled")
    check_equal("owner and mode of the data", root.run("stat", "-c", "%U:%G %a", DATA).strip(), "clickmill:clickmill 750")
    check("ok" in root.run("/usr/bin/clickmill", "check-config", CONFIG), "the default config is refused")
    check_equal("changed files", root.run("dpkg", "-V", "clickmill"), "")

    node.start()
    check_equal("the node's user", os.stat(f"/proc/{node.process.pid}").st_uid,
                int(root.run("id", "-u", "clickmill")))
    node.upload_ads([AD])
    begin_ms = now_ms()
    for _ in range(20):
        check_equal("a click", node.request("GET", "/v1/click?ad_id=ad_1", listener="collector").status, 302)

    later = next_version(package, context.directory / "later")
    root.install(later)
    check_equal("an upgrade leaves the node for the restart at its end", (node.alive(), root.asked()[-1]), (True, "restart"))
    check(str(node.api_port) in root.path(CONFIG).read_text(), "the upgrade took the config away")
    node.stop()
    node.start()
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, 20)
    # The one version after the other, and again over itself.
    root.install(later)
    root.run("rm", ENABLED)
    root.install(later)
    check(not os.path.lexists(root.path(ENABLED)), "an upgrade enabled what was disabled")

    root.asked()
    root.run("dpkg", "--no-triggers", "-r", "clickmill")
    check("stop" in root.asked(), "a removal does not stop the node")
    node.stop()
    check(not root.path("/usr/bin/clickmill").exists() and not root.path(UNIT).exists(), "not removed")
    check(root.path(CONFIG).exists() and root.path(f"{DATA}/node").exists(), "config or clicks are gone")
    said = root.run("dpkg", "--no-triggers", "-P", "clickmill")
    check(f"stay in {DATA}" in said, said)
    check_equal("left after a purge", root.left(), sorted([*before, DATA]))
    check_equal("the clicks", root.path(f"{DATA}/node").exists(), True)

    # Back, over the data of before, with the ports of the default config.
    root.install(package)
    node.start()
    node.wait_total(begin_ms - 60_000, now_ms() + 60_000, 20)
    node.stop()
    root.run("rm", "-r", DATA)
    root.install(package)
    root.run("dpkg", "--no-triggers", "-P", "clickmill")
    check_equal("left after the purge of one without clicks", root.left(), before)


def test_package_without_systemd(context):
    """the package installs and goes where no systemd runs, as in a container"""
    package = build_package(context)
    root = Root(context)
    try:
        root.install(package)
        check("clickmill" in root.run("/usr/bin/clickmill", "--version"), "no version")
        root.run("dpkg", "--no-triggers", "-r", "clickmill")
        root.run("dpkg", "--no-triggers", "-P", "clickmill")
        check_equal("left", root.left(), [])
    finally:
        root.close()
