#!/usr/bin/env python3
"""Runs the tests with what the world brings: real browsers, and the agents of public lists.

They install what they need (browsers by apt, packages by npm); one that can't is
skipped and says why. The last line is `N passed, N failed, N skipped`.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]
sys.dont_write_bytecode = True

import importlib.util  # noqa: E402

# The runner beside it has the same name as this file.
spec = importlib.util.spec_from_file_location("e2e_run", HERE.parent / "e2e" / "run.py")
e2e_run = importlib.util.module_from_spec(spec)
spec.loader.exec_module(e2e_run)

if __name__ == "__main__":
    e2e_run.main(__doc__, (HERE,), "tests/world/run.py")
