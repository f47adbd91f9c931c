"""The house rules that a program can check: what may import what, names, sizes, first lines."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[2]
PACKAGES = ("csms", "simulators", "tests", "benchmarks")
GENERATED = re.compile(r"csms/ocpp/v\d+\.py|csms/storage/migrations/versions/.*")
NO_NAMES = {"utils", "util", "helpers", "helper", "common", "manager"}
MOST_LINES = 450
MOST_LINES_OF_A_FUNCTION = 60
# Somebody's own disk: written in pieces, so that this file does not accuse itself.
OWN_DISK = re.compile("/(?:" + "|".join(["home", "tmp", "Users", "root"]) + r")/[\w.]")
SHIPPED_PATHS = re.compile(r"^(?:Dockerfile|config/|deploy/|\.github/)")


def modules() -> list[str]:
    found = (path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return sorted(str(path) for path in found if "__pycache__" not in path.parts)


HAND_WRITTEN = [module for module in modules() if not GENERATED.fullmatch(module)]


def source(module: str) -> str:
    return (ROOT / module).read_text("utf-8")


def test_imports_go_one_way(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert lint_imports(config_filename="pyproject.toml", no_cache=True) == 0, capsys.readouterr().out


def test_no_module_is_called_what_says_nothing():
    assert [module for module in modules() if NO_NAMES & {*Path(module).with_suffix("").parts}] == []


def test_every_module_begins_with_its_one_reason():
    assert [module for module in modules() if not source(module).startswith('"""')] == []


def test_modules_are_short_enough_to_read():
    sizes = {module: source(module).count("\n") for module in HAND_WRITTEN}
    assert {module: lines for module, lines in sizes.items() if lines > MOST_LINES} == {}


def test_functions_are_short_enough_to_read():
    sizes = {
        f"{module}:{name}": lines for module in HAND_WRITTEN for name, lines in functions(ast.parse(source(module)))
    }
    assert {name: lines for name, lines in sizes.items() if lines > MOST_LINES_OF_A_FUNCTION} == {}


def functions(scope: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, int]]:
    """Every function of a scope, also those within, and its lines."""
    for node in scope.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or 0) - node.lineno + 1
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from functions(node)


@pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="not a git checkout")
def test_nothing_names_a_path_on_somebodys_disk():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    found = []
    for name in filter(None, listed.split("\0")):
        if SHIPPED_PATHS.match(name) or not os.path.isfile(ROOT / name):
            continue
        try:
            text = (ROOT / name).read_text("utf-8")
        except UnicodeDecodeError:
            continue  # Not a text.
        found += [f"{name}:{number}" for number, line in enumerate(text.splitlines(), 1) if OWN_DISK.search(line)]
    assert found == []
