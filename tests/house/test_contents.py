"""The README's table of contents leads to every section."""

from __future__ import annotations

import re
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def anchor(title: str) -> str:
    """As GitHub makes it of a heading: no punctuation, hyphens for spaces."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def test_each_link_within_the_readme_has_its_section():
    sections = {anchor(title) for title in re.findall(r"^#+ (.+)$", README, re.MULTILINE)}
    links = set(re.findall(r"\]\(#([^)]+)\)", README))
    assert links and links <= sections


def test_each_section_is_in_the_table_of_contents():
    contents = README.partition("\n## ")[0]
    for title in re.findall(r"^## (.+)$", README, re.MULTILINE):
        assert f"[{title}](#{anchor(title)})" in contents
