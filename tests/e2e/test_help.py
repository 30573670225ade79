"""The help of every command, and the man page, which says the same."""

import re
import shutil
import subprocess

from harness import ROOT, Skipped, check, check_equal

PAGE = ROOT / "conf" / "clickmill.1"


def listed_commands(context):
    listed = context.run("--help").stdout
    commands = listed[listed.index("Commands:"):].splitlines()[1:]
    return [re.split(r"\s{2,}", line.strip())[0] for line in commands if line.startswith("  ")]


def own_commands(context):
    return [name for name in listed_commands(context) if not name.startswith("--")]


def options_of(text):
    """The options that a help text lists; --help is every command's."""
    table = text[text.index("Options:"):text.index("Exit codes:")]
    return {match[1] for match in re.finditer(r"^  (--[a-z-]+)", table, re.M)} - {"--help"}


def page_sections():
    """Command -> (options, text) of the man page."""
    sections = {}
    for section in re.split(r"^\.Ss ", PAGE.read_text(), flags=re.M)[1:]:
        name, text = section.split("\n", 1)
        text = text.split("\n.Sh ")[0]
        sections[name] = ({"-" + match[1] for match in re.finditer(r"^\.It Fl (-[a-z-]+)", text, re.M)}, text)
    return sections


def test_help_of_each_command(context):
    """every command says its usage, options and exit codes, and every option of its usage is explained"""
    names = own_commands(context)
    check({"serve", "check-config", "recount", "log dump", "log verify", "retention", "recover",
           "backup", "backup verify", "restore", "store dump", "store verify"} <= set(names), names)
    for name in names:
        shown = context.run(*name.split(), "--help")
        check_equal(f"{name} --help: exit code", shown.returncode, 0)
        for word in (f"clickmill {name} ", "Usage:", "Options:", "Exit codes:"):
            check(word in shown.stdout, f"{name} --help: no {word!r} in {shown.stdout!r}")
        usage = shown.stdout[:shown.stdout.index("\n\n")]
        check_equal(f"{name}: options of its usage", set(re.findall(r"--[a-z-]+", usage)), options_of(shown.stdout))
        check(max(map(len, shown.stdout.splitlines())) <= 110, f"{name} --help is too wide")
        check_equal(f"help {name}", context.run("help", *name.split()).stdout, shown.stdout)
        # Help is given whatever else stands there.
        check_equal(f"{name} -h", context.run(*name.split(), "--no-such-option", "-h").stdout, shown.stdout)
    log = context.run("log", "--help").stdout
    check("clickmill log dump" in log and "clickmill log verify" in log, log)
    unknown = context.run("frobnicate", "--help")
    check_equal("help of no command", (unknown.returncode, unknown.stdout), (2, ""))
    check("frobnicate" in unknown.stderr, unknown.stderr)


def test_options_of_help_exist(context):
    """a command knows every option that its help names"""
    for name in own_commands(context):
        for option in options_of(context.run(*name.split(), "--help").stdout):
            used = context.run(*name.split(), option)
            check("no option" not in used.stderr and "unknown option" not in used.stderr, f"{name} {option}: {used.stderr}")


def test_man_page_names_the_same(context):
    """the man page names the same commands and options as the help"""
    sections = page_sections()
    check_equal("commands", list(sections), own_commands(context))
    for name, (options, text) in sections.items():
        shown = context.run(*name.split(), "--help").stdout
        check_equal(f"{name}: options", options, options_of(shown))
        if re.search(r"^  1  ", shown, re.M):
            check("exit code is 1" in text.replace("\n", " "), f"{name}: no word about exit code 1")


def test_man_page_is_sound(context):
    """mandoc and man find nothing wrong with the man page"""
    tools = {"mandoc": ["mandoc", "-Tlint"], "man": ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8"]}
    # man needs a formatter behind it, which Debian doesn't force on anybody.
    present = [tool for tool in tools if shutil.which(tool) and (tool != "man" or shutil.which("groff"))]
    if not present:
        raise Skipped("neither mandoc nor man with groff is installed")
    for tool in present:
        checked = subprocess.run([*tools[tool], PAGE], capture_output=True, text=True)
        said = checked.stderr + (checked.stdout if tool == "mandoc" else "")
        check_equal(f"{tool}: {said}", (checked.returncode, said), (0, ""))
