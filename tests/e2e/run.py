#!/usr/bin/env python3
"""Runs the end-to-end and kill tests against a clickmill binary.

A test is a function test_* in tests/e2e/test_*.py or tests/crash/test_*.py; its
docstring is its name. The last line is `N passed, N failed, N skipped`.
"""

import argparse
import importlib
import os
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDERS = (HERE, HERE.parent / "crash")
sys.path[:0] = [str(folder) for folder in FOLDERS]
sys.dont_write_bytecode = True

import harness  # noqa: E402: it stands beside this file


def tests(folders, word):
    """(name, function) of all tests whose file, function or name contains the word."""
    for folder in folders:
        for path in sorted(folder.glob("test_*.py")):
            module = importlib.import_module(path.stem)
            for attribute, function in list(vars(module).items()):
                if attribute.startswith("test_") and callable(function):
                    name = f"{folder.name}: {(function.__doc__ or attribute).strip().splitlines()[0]}"
                    if word in f"{path.stem} {attribute} {name}":
                        yield name, function


def run(function, options, directory):
    """None when it passed; else (verdict, why)."""
    context = harness.Context(options.binary, options.bench, directory, options.seed, options.soak)
    try:
        function(context)
        return None
    except harness.Skipped as skipped:
        return "SKIPPED", str(skipped)
    except Exception as error:  # whatever goes wrong in a test is that test's failure
        text = str(error) if isinstance(error, harness.Failure) else traceback.format_exc()
        frame = traceback.extract_tb(error.__traceback__)[-1]
        logs = "".join(f"\n  {node.log_path.parent.name} said last:\n    " + node.log_tail().replace("\n", "\n    ")
                       for node in context.nodes)
        return "FAIL", f"{text} [{Path(frame.filename).name}:{frame.lineno}]{logs}"
    finally:
        context.clean_up()


def main(what=__doc__, folders=FOLDERS, program="tests/e2e/run.py"):
    parser = argparse.ArgumentParser(description=what.splitlines()[0])
    parser.add_argument("--binary", default="build/release/clickmill", type=os.path.abspath)
    parser.add_argument("--bench", default="build/release/clickmill-bench", type=os.path.abspath)
    parser.add_argument("--filter", default="", help="only tests whose name contains this")
    parser.add_argument("--soak", action="store_true", help="the long form of the tests that have one")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--without", metavar="REASON", help="run none of them: all are skipped for this reason")
    parser.add_argument("--keep", action="store_true", help="leave the nodes' folders of failed tests")
    options = parser.parse_args()
    if not os.access(options.binary, os.X_OK):
        sys.exit(f"{options.binary}: no such program")

    counts = {"PASS": 0, "FAIL": 0, "SKIPPED": 0}
    for name, function in tests(folders, options.filter):
        print(f"-- {name}", flush=True)
        directory = tempfile.mkdtemp(prefix="clickmill-e2e-")
        begin = time.monotonic()
        outcome = ("SKIPPED", options.without) if options.without else run(function, options, directory)
        verdict, why = outcome or ("PASS", "")
        counts[verdict] += 1
        print(f"{verdict} {name} ({time.monotonic() - begin:.1f} s){': ' + why if why else ''}", flush=True)
        if verdict == "FAIL":
            print(f"  again: python3 {program} --seed {options.seed} --filter {function.__name__}"
                  f" --binary {os.path.relpath(options.binary)}{' --soak' if options.soak else ''}", flush=True)
        if verdict == "FAIL" and options.keep:
            print(f"  kept {directory}", flush=True)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    print(f"{counts['PASS']} passed, {counts['FAIL']} failed, {counts['SKIPPED']} skipped")
    sys.exit(1 if counts["FAIL"] or not counts["PASS"] else 0)


if __name__ == "__main__":
    main()
