"""The rules of the house: floors, what start-up may load, where files are opened for writing."""

from __future__ import annotations

import ast
import io
import os
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from forecast.cli import COMMANDS, main
from forecast.cli.program import program

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "forecast"
TOP = 99                                                                # cli/ may import everything


def floors() -> dict[str, int]:
    """The handbook's map: module -> floor."""
    rows = re.findall(r"^ {0,2}(\d+)  ([\w/]+)\.py +", (PACKAGE / "help/house.md").read_text(), flags=re.MULTILINE)
    return {name.replace("/", "."): int(floor) for floor, name in rows}


def modules() -> dict[str, Path]:
    files = [f for f in PACKAGE.rglob("*.py") if f.stem != "__main__" and "cli" not in f.parts]
    return {".".join(f.relative_to(PACKAGE).with_suffix("").parts): f for f in files if f.stem != "__init__"}


def imported(file: Path) -> set[str]:
    """Modules of the package that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "forecast":
            module = (node.module or "").removeprefix("forecast").removeprefix(".")
            names |= {f"{module}.{a.name}".strip(".") for a in node.names} | {module}
    return names & modules().keys()


def test_the_map_names_every_module_once_and_no_other() -> None:
    assert set(floors()) == set(modules())


@pytest.mark.parametrize("name", sorted(modules()))
def test_a_file_imports_only_from_lower_floors(name: str) -> None:
    floor = floors()
    assert {other for other in imported(modules()[name]) if floor[other] >= floor[name]} == set()


WINGS = ("system", "series", "scoring", "reading", "methods", "model", "writing", "training", "store", "ledger",
         "explaining", "showing", "reporting", "tasks", "door")                 # from the ground up
WEIGHT = {                                                              # what is heavy, and the wings that bear it
    "torch": {"training", "system", "tasks"},                           # system sets it up, tasks keep its version
    "pandas": {"scoring", "ledger", "tasks", "store", "showing", "system", "api", "door"},
    "matplotlib": {"showing"}, "sqlite3": {"ledger"}, "safetensors": {"store", "training"}, "sklearn": {"series"},
    "scipy": {"methods", "training", "ledger", "store", "series"}, "typer": set(), "rich": {"showing"},
    "optuna": {"training"}, "jinja2": {"reporting"}, "markupsafe": {"reporting"}}

LIGHT = {"model.cells": {"torch"}, "model.prior": {"safetensors"},      # the weights that come with the program
         "reading.sources.frames": {"pandas"},
         "reading.frames": {"pandas"}}                                  # who touches what its caller has loaded


def wing(name: str) -> str:
    return name.split(".")[0]


def test_each_file_has_a_wing_and_the_ground_floor_stays_small() -> None:
    root = {f.stem for f in PACKAGE.glob("*.py")}
    assert len(root) <= 6
    assert {wing(name) for name in modules()} - root == set(WINGS)


@pytest.mark.parametrize("name", sorted(modules()))
def test_arrows_between_wings_point_down(name: str) -> None:
    order = {w: k for k, w in enumerate(WINGS)}
    for other in imported(modules()[name]):
        if wing(name) in order and wing(other) in order:
            assert order[wing(other)] <= order[wing(name)], other


def outside(file: Path) -> set[str]:
    """Packages of others that a file imports when the program runs, not for types alone."""
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = [ast.Pass()]
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names}


def said(file: Path) -> str:
    """The docstrings and comments of a file."""
    text = file.read_text()
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = [ast.get_docstring(node) for node in ast.walk(ast.parse(text)) if isinstance(node, documented)]
    return "\n".join([t.string for t in tokens if t.type == tokenize.COMMENT] + [d for d in docs if d])


def test_every_file_of_code_that_a_docstring_a_comment_or_the_handbook_names_is_there() -> None:
    ours, tests = ([f.relative_to(ROOT).parts for f in folder.rglob("*.py")] for folder in (PACKAGE, ROOT / "tests"))
    texts = [(f, said(f), ours) for f in PACKAGE.rglob("*.py")]
    texts += [(f, f.read_text(), ours + tests) for f in (PACKAGE / "help").glob("*.md")]
    for file, text, code in texts:
        for name in re.findall(r"\w+(?:/\w+)*\.py\b", text):
            named = tuple(name.split("/"))
            assert any(parts[-len(named):] == named for parts in code), f"{file.relative_to(ROOT)}: {name}"


def test_weight_follows_the_wings() -> None:
    for name, file in modules().items():
        for package in outside(file) & WEIGHT.keys() - LIGHT.get(name, set()):
            assert wing(name) in WEIGHT[package], f"{name} imports {package}"


def when_imported(file: Path) -> ast.Module:
    """What a file is to those who import it: without what it does when it is run itself."""
    tree = ast.parse(file.read_text())
    tree.body = [node for node in tree.body if "__name__" not in ast.unparse(node).split("\n")[0]]
    return tree


def test_nothing_below_the_command_line_prints_or_exits() -> None:
    for name, file in modules().items():
        for node in ast.walk(when_imported(file)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"print", "input", "exit", "quit"}, f"{name}:{node.lineno}"
            assert not (isinstance(node, (ast.Import, ast.ImportFrom)) and "typer" in ast.unparse(node)), name


def test_nothing_but_one_file_opens_files_for_writing() -> None:
    writing = re.compile(r"""open\([^)]*["'][wax]b?\+?["']|\.write_text\(|\.write_bytes\(|to_csv\(|to_parquet\(""")
    for name, file in modules().items():
        if name != "system.files":
            assert not writing.search(file.read_text()), name


def test_whether_an_output_may_be_written_is_asked_in_one_place() -> None:
    for file in PACKAGE.rglob("*.py"):
        if file.name not in ("workspace.py", "datasource.py"):
            assert not re.search(r"datasource import .*\bguard\b", file.read_text()), file.name


def test_a_private_name_stays_in_its_file() -> None:
    for file in PACKAGE.rglob("*.py"):
        tree = ast.parse(file.read_text())
        others = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
                  and (node.module or "").startswith("forecast")]
        names = {alias.asname or alias.name for node in others for alias in node.names}
        assert not [name for name in names if name.startswith("_") and not name.startswith("__")], file.name
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names:
                assert not re.match(r"_[a-z]", node.attr), f"{file.name}:{node.lineno}"


def test_nobody_else_makes_a_panel_of_another_ones_fields() -> None:
    fields = {"first", "stop", "start", "filled"}
    for file in [f for f in PACKAGE.rglob("*.py") if f.name != "panel.py"]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and "replace" in ast.unparse(node.func):
                assert not fields & {k.arg for k in node.keywords}, f"{file.name}:{node.lineno}"


def test_a_task_knows_no_terminal_and_ends_no_program() -> None:
    for name, file in modules().items():
        for node in ast.walk(ast.parse(file.read_text())) if name.startswith("tasks.") else ():
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                assert not {"rich", "typer", "sys"} & {word.split(".")[0] for word in ast.unparse(node).split()}, name


def functions(folder: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    for file in sorted((PACKAGE / folder).glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                yield f"{folder}/{file.name}:{node.lineno}", node


def test_tasks_and_commands_stay_small() -> None:
    lines = [len(file.read_text().splitlines()) for file in (PACKAGE / "cli").glob("*.py")]
    assert sum(lines) <= 2170
    stories = {row.name for row in COMMANDS}
    for folder in ("cli", "tasks"):
        assert max(len(file.read_text().splitlines()) for file in (PACKAGE / folder).glob("*.py")) <= 400
        for place, node in functions(folder):
            if folder == "cli" and node.name in stories:                # its signature is a table of flags
                continue
            assert (node.end_lineno or 0) - node.lineno < 50, place
            assert len(node.args.args) + len(node.args.kwonlyargs) <= 8, place


def test_files_and_functions_of_the_house_stay_small() -> None:
    for name, file in modules().items():
        assert len(file.read_text().splitlines()) <= 400, name
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 50, f"{name}:{node.lineno}"
                if node.name != "issue_of":                             # which takes all that an issue is
                    assert len(node.args.args) + len(node.args.kwonlyargs) <= 8, f"{name}:{node.lineno}"


def test_every_command_has_a_file_for_what_it_does_and_one_for_what_it_shows() -> None:
    for row in COMMANDS:
        assert (PACKAGE / "tasks" / f"{row.name}.py").is_file()
        assert len((PACKAGE / "cli" / f"{row.name}.py").read_text().splitlines()) <= 100


def test_the_list_of_commands_shows_the_first_line_of_each_ones_help() -> None:
    for row in COMMANDS:
        command = program().get_command(None, row.name)
        assert (command.name, command.help.splitlines()[0]) == (row.name, row.help)


def test_a_command_is_imported_when_it_is_called_and_no_other_is() -> None:
    code = ("import sys\nfrom forecast.cli import COMMANDS, main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit:\n"
            "    pass\nloaded = [r.name for r in COMMANDS if f'forecast.cli.{r.name}' in sys.modules]\n"
            "print(*loaded, 'typer' in sys.modules)")
    for line, loaded in (("--version", "False"), ("--help", "True"), ("train --help", "train True"),
                         ("nonsense", "True"), ("models list --bogus", "models True")):
        ended = subprocess.run([sys.executable, "-c", code, *line.split()], capture_output=True, text=True, check=False)
        assert ended.stdout.splitlines()[-1] == loaded, line


def test_no_test_reaches_into_a_command_or_a_task() -> None:
    for file in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("forecast.cli", "forecast.tasks")):
                assert not [a.name for a in node.names if a.name.startswith("_")], f"{file.name}:{node.lineno}"


USAGE = ("--help", "--version", "train --help", "predict --help", "report --help", "evaluate --help", "check --help",
         "compare --help", "explain --help", "models --help", "doctor --help", "init --help", "diff --help",
         "replay --help", "help --help", "help", "help settings", "help benchmarks", "help nonsense", "train --bogus",
         "nonsense", "train", "predict --horizon 0", "predict --horizon x", "evaluate a b")


def test_help_and_wrong_usage_load_nothing_heavy() -> None:
    code = ("import sys\nfrom forecast.cli import main\nfor line in sys.argv[1:]:\n"
            "    try:\n        main(line.split())\n    except SystemExit:\n        pass\n"
            "    heavy = {'torch', 'pandas', 'numpy', 'sklearn', 'pyarrow', 'matplotlib', 'scipy'}\n"
            "    if heavy := heavy & sys.modules.keys():\n        sys.exit(f'{line}: loaded {heavy}')")
    ended = subprocess.run([sys.executable, "-c", code, *USAGE], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("Usage: ") == sum("--help" in line for line in USAGE)


def test_completion_loads_nothing_heavy() -> None:
    code = ("import sys\nfrom forecast.cli import main\ntry:\n    main()\nexcept SystemExit:\n    pass\n"
            "heavy = {'torch', 'pandas', 'numpy', 'sklearn', 'pyarrow', 'matplotlib', 'scipy'} & sys.modules.keys()\n"
            "sys.stderr.write(f'loaded {heavy}' if heavy else '')")
    for words, number, found in (("forecast pre", "1", ["predict"]), ("forecast ", "1", [r.name for r in COMMANDS]),
                                 ("forecast predict --hor", "2", ["--horizon"]),
                                 ("forecast --sto", "1", ["--store"])):
        asked = {"_FORECAST_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": number}
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                               env=os.environ | asked)
        assert (ended.stdout.split(), ended.stderr) == (found, "")


def test_commands_load_neither_torch_nor_pandas_nor_scipy_where_these_are_not_used(tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    rows = [f"{t},{10 + t % 6}\n" for t in range(64)]
    data.write_text("time,y\n" + "".join(rows[:60]))
    store = ["--store", str(tmp_path / "store"), "-q"]
    settings = ["--horizon", "4", "--season", "6", "--hidden", "4", "--set", "train.steps=5"]
    with pytest.raises(SystemExit) as trained:
        main(["train", str(data), *store, *settings])
    assert not trained.value.code
    code = ("import sys\nfrom forecast.cli import main\nheavy = set(sys.argv[1].split(','))\n"
            "try:\n    main(sys.argv[2:])\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
            "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
            "if 'pyarrow' not in heavy:\n"
            "    import pyarrow\n    assert pyarrow.table({'a': [1]}).to_pandas()['a'].tolist() == [1]")   # when needed
    for heavy, *command in (("torch,sklearn,pandas,scipy", "predict", str(data), "-o", str(tmp_path / "p.csv")),
                            ("torch,sklearn,pandas,scipy", "check", str(data)),
                            ("torch,sklearn,scipy.stats", "evaluate", str(data), "--issued"),
                            ("torch,sklearn,pandas,scipy,pyarrow", "models")):
        ended = subprocess.run([sys.executable, "-c", code, heavy, *command, *store], capture_output=True, text=True,
                               check=False)
        assert ended.returncode == 0, (command, ended.stderr)
        data.write_text("time,y\n" + "".join(rows))                     # what was forecast comes true
