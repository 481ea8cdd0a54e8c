"""The manual keeps up: its links lead somewhere, and what it names is there."""

import re
from pathlib import Path

import pytest

from colonnade.ground.core.reasons import REASONS
from colonnade.ground.core.scopes import PRESETS, SCOPES
from colonnade.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
NOT_SETTINGS = {"COLONNADE_KEY"}
"""What the examples keep in variables of their own."""

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pages
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    targets = [target.partition("#")[0] for target in LINK.findall(page.read_text("utf-8")) if "://" not in target]

    assert [target for target in targets if target and not (page.parent / target).exists()] == []


@pages
def test_every_setting_that_is_named_is_one(page: Path) -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | NOT_SETTINGS

    assert set(re.findall(rf"{PREFIX}[A-Z_]+[A-Z]", page.read_text("utf-8"))) - known == set()


@pages
def test_every_scope_and_reason_that_is_named_is_one(page: Path) -> None:
    text = page.read_text("utf-8")
    scopes = set(re.findall(r"`([a-z]+:(?:read|write|act|govern|create|archive|purge|decide|start))`", text))
    reasons = set(re.findall(r"`((?:keys|model|publishing|credits|request|resource)\.[a-z_]+)`", text))

    assert scopes - set(SCOPES) == set()
    # Events have the same form; only pages that are about refusals are held to their list.
    if page.name in {"errors.md", "models.md", "publishing.md", "security.md"}:
        assert reasons - set(REASONS) == set()


def test_the_manual_tells_every_preset() -> None:
    concepts = (ROOT / "docs" / "concepts.md").read_text("utf-8")

    assert [name for name in PRESETS if f"| `{name}` |" not in concepts] == []
