"""What the README says is there: its commands, its recipes, its folders."""

import re

import pytest
from typer.main import get_command

from lmpipe.cli import app
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_command_of_the_readme_exists() -> None:
    named = set(re.findall(r"\blmpipe ([a-z]+)\b(?! (?:finds|starts))", README)) - {"alone"}
    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    assert named >= {"run", "sql", "show", "report", "doctor"}
    assert named <= known, named - known


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"make ([a-z-]+)", README)):
        name = "bench-%" if target.startswith("bench-") else target
        assert re.search(rf"^{re.escape(name)}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("recipe", sorted(set(re.findall(r"flows/recipes/[a-z-]+\.toml", README))))
def test_every_recipe_of_the_readme_exists(recipe: str) -> None:
    assert (ROOT / recipe).is_file()


def test_every_dependency_has_its_line() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("[project.optional-dependencies]")[0]
    for name in re.findall(r'^    "([a-z-]+)[<>=]', project, re.MULTILINE):
        assert name in README, name
