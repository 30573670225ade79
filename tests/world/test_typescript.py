"""A client from the node's own description."""

import shutil
import subprocess
from pathlib import Path

import world
from harness import check

GENERATOR, COMPILER = "openapi-typescript@7.4.4", "typescript@5.7.3"


def run(context, folder, program, *arguments):
    done = subprocess.run([world.program("node"), str(folder / "node_modules" / program), *arguments],
                          capture_output=True, text=True, timeout=120, cwd=context.directory)
    check(done.returncode == 0, f"{program}: {(done.stdout + done.stderr)[-2000:]}")


def test_typescript_client(context):
    """openapi-typescript makes types of /openapi.json, and a program in them compiles"""
    folder = world.npm(GENERATOR, COMPILER)
    node = context.node()
    directory = Path(context.directory)
    (directory / "openapi.json").write_bytes(node.get("/openapi.json").body)
    run(context, folder, "openapi-typescript/bin/cli.js", "openapi.json", "-o", "clickmill.d.ts")
    shutil.copy(Path(__file__).with_name("client.ts"), directory)
    run(context, folder, "typescript/bin/tsc", "--noEmit", "--strict", "--target", "es2022", "--module", "es2022",
        "--moduleResolution", "bundler", "--lib", "es2022,dom", "client.ts")
