"""The report as one HTML file for people: no script, nothing loaded from elsewhere, readable without knowing HTTP."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from colonnade.isolation.signing import fingerprint

_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}")
_HOUSE_COLOUR: Final = "#8a4a24"


@dataclass(frozen=True, slots=True)
class Branding:
    """Under whose name and colour the report is handed on."""

    name: str | None = None
    colour: str | None = None
    logo: str | None = None
    """The picture itself, as a `data:` address: the page loads nothing."""


def page(report: Mapping[str, Any], branding: Branding) -> str:
    """The signed report as a page; the texts of answers stay in the JSON file."""
    environment = Environment(
        loader=PackageLoader("colonnade.isolation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda count: f"{count:,}"
    environment.filters["moment"] = lambda text: f"{text[:10]} {text[11:19]} UTC"
    key = report["signature"]["publicKey"]
    return environment.get_template("report.html").render(
        report=report,
        brand=branding.name or "Colonnade",
        accent=_readable(branding.colour),
        logo=branding.logo,
        fingerprint=fingerprint(key),
        outcomes=[_outcome(one) for one in report["credentials"]],
    )


def _outcome(credential: Mapping[str, Any]) -> dict[str, Any]:
    """How the answers to one credential read to somebody who knows no status."""
    statuses = {int(status): count for status, count in credential["statuses"].items()}
    hidden = sum(count for status, count in statuses.items() if status in {400, 404, 422})
    refused = sum(count for status, count in statuses.items() if status in {401, 403, 429})
    return {**credential, "refused": refused, "hidden": hidden, "own": credential["requests"] - refused - hidden}


def _readable(colour: str | None) -> str:
    """The agency's colour where it can be read on white, else the house's."""
    if colour is None or not _COLOUR.fullmatch(colour):
        return _HOUSE_COLOUR
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return colour if 1.05 / (luminance + 0.05) >= 4.5 else _HOUSE_COLOUR  # WCAG 2.2, 1.4.3
