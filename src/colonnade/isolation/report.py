"""The report of a walk: what was tried by whom, what was not and why, what came of it; facts, ready to be signed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

from colonnade.ground.core.instants import format_instant
from colonnade.isolation.attempts import PLACES
from colonnade.isolation.walking import Walk

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two whose separation is shown: an agency, or a workspace of one."""

    kind: str
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Subject:
    """Where, and between whom."""

    url: str
    installation: str
    """A digest by which two reports of the same installation are recognised."""
    version: str
    document: str
    """A digest of the OpenAPI document that was walked."""
    sides: Sequence[Side]
    reads_only: bool
    agency: str | None = None
    """Whose report it is, and under whose name it is handed on."""


@dataclass(slots=True)
class Record:
    """What a report is made of, while it is being made."""

    subject: Subject
    started: datetime
    operations: Sequence[str]
    walk: Walk = field(default_factory=Walk)
    credentials: dict[str, str] = field(default_factory=dict)
    """By name, what each credential is in plain words."""
    changed: list[str] = field(default_factory=list)
    """What the victim reads otherwise afterwards than before."""
    untried: list[dict[str, str]] = field(default_factory=list)
    """What was left out, each with its reason."""
    compared: int = 0
    """How many answers of the victim's own were compared before and after."""

    def told(self, ended: datetime) -> dict[str, Any]:
        """The report, but for its signature."""
        subject, walk = self.subject, self.walk
        return {
            "report": "colonnade isolation report",
            "reportVersion": VERSION,
            "agency": subject.agency,
            "installation": {"url": subject.url, "id": subject.installation, "version": subject.version},
            "document": {"sha256": subject.document, "operations": len(self.operations)},
            "startedAt": format_instant(self.started),
            "endedAt": format_instant(ended),
            "between": [asdict(side) for side in subject.sides],
            "readsOnly": subject.reads_only,
            "verdict": "separated" if self.is_clean else "leaking",
            "requests": walk.requests,
            "credentials": [self._credential(name) for name in self.credentials],
            "places": self._places(),
            "operations": self._operations(),
            "failures": [asdict(failure) for failure in walk.failures],
            "changed": self.changed,
            "compared": self.compared,
            "untried": self.untried,
        }

    @property
    def is_clean(self) -> bool:
        """Whether nothing was told, touched or hinted at, and something was tried at all."""
        return not self.walk.failures and not self.changed and self.walk.requests > 0

    def _credential(self, name: str) -> dict[str, Any]:
        statuses = {str(status): count for (who, status), count in sorted(self.walk.statuses.items()) if who == name}
        tried = sum(count for (who, _, _), count in self.walk.tried.items() if who == name)
        failed = sum(1 for failure in self.walk.failures if failure.credential == name)
        what = self.credentials[name]
        return {"name": name, "what": what, "requests": tried, "statuses": statuses, "failures": failed}

    def _places(self) -> list[dict[str, Any]]:
        counted = self._counted(2)
        return [{"place": place, "what": PLACES[place], "requests": counted.get(place, 0)} for place in PLACES]

    def _operations(self) -> list[dict[str, Any]]:
        counted = self._counted(1)
        failed = Counter(failure.operation for failure in self.walk.failures)
        return [
            {"operation": name, "requests": counted.get(name, 0), "failures": failed.get(name, 0)}
            for name in self.operations
        ]

    def _counted(self, part: int) -> Mapping[str, int]:
        counted: Counter[str] = Counter()
        for names, count in self.walk.tried.items():
            counted[names[part]] += count
        return counted
