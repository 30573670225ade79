"""The installed package: an example that is built from it, by CMake and by pkg-config, and what it does."""

import os
import shutil
import subprocess
from pathlib import Path

from harness import ROOT, Skipped, check, check_equal

EXAMPLE = ROOT / "tests" / "embed"
SAID = """ann goes to https://example.com/summer-sale, recorded
bob goes to https://example.com/summer-sale, recorded
ann goes to https://example.com/summer-sale, recorded
3 clicks of 2 visitors
ad_id: no such ad: ad_2
"""


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600, **options)
    check(done.returncode == 0, f"{command[0]}: {(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def installed(context, name):
    """A prefix with what the build folder of the binary installs."""
    build = Path(context.binary).resolve().parent
    if not (build / "cmake_install.cmake").exists():
        raise Skipped("the binary doesn't stand in its build folder")
    prefix = Path(context.directory) / name
    run("cmake", "--install", build, "--component", "development", "--prefix", prefix)
    return prefix


def sockets(pid):
    """All that the process holds, whatever they do."""
    held = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    return [entry for entry in held if entry.startswith("socket:")]


def try_example(context, example, name):
    process = subprocess.Popen([example, str(Path(context.directory) / f"data-{name}")], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        said = "".join(process.stdout.readline() for _ in SAID.splitlines())
        check(said == SAID, f"it said {said!r}; {process.stderr.read() if said == '' else ''}")
        check_equal("its sockets", sockets(process.pid), [])
        process.stdin.write("\n")
        process.stdin.close()
        check_equal("its exit code", process.wait(60), 0)
    finally:
        process.kill()
        process.wait()


def test_cmake_package(context):
    """a program finds the installed package by CMake, and runs a node without a port"""
    # Another prefix than it was installed to: it may be moved.
    installed(context, "first").rename(Path(context.directory) / "moved")
    prefix = Path(context.directory) / "moved"
    for header in (prefix / "include" / "clickmill").glob("*.h"):
        for heavy in ("boost", "nlohmann", "rocksdb", "fmt"):
            check(heavy not in header.read_text(), f"{header.name} includes {heavy}")
    build = Path(context.directory) / "build"
    run("cmake", "-S", EXAMPLE, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Release")
    run("cmake", "--build", build)
    try_example(context, build / "example", "cmake")


def test_pkg_config(context):
    """a program finds the installed package by pkg-config, in C++17 too"""
    if shutil.which("pkg-config") is None:
        raise Skipped("there is no pkg-config; conf/install.sh installs it")
    prefix = installed(context, "prefix")
    found, = (prefix / "lib").glob("**/clickmill.pc")
    flags = run("pkg-config", "--cflags", "--libs", "clickmill",
                env={**os.environ, "PKG_CONFIG_PATH": str(found.parent)}).split()
    example = Path(context.directory) / "example"
    run("c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", EXAMPLE / "example.cpp", "-o", example, *flags)
    try_example(context, example, "pkg-config")
