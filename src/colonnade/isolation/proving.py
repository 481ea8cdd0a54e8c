"""One proof: who tries for whose things, all of it walked, the victim's own reading compared before and after."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import httpx2

from colonnade.isolation.attempts import Attempt, Outsider, Victim, attempts, untried
from colonnade.isolation.belongings import Belongings, Harvest
from colonnade.isolation.catalogue import Described
from colonnade.isolation.credentials import Credential, State
from colonnade.isolation.report import Record
from colonnade.isolation.walking import Hidden, Walker


@dataclass(frozen=True, slots=True)
class Trial:
    """Outsiders of one sort, and what they must not be told."""

    outsiders: Sequence[Outsider]
    victim: Victim
    hidden: Hidden

    @classmethod
    def between(cls, outsiders: Sequence[Outsider], victim: Victim, own: Belongings) -> "Trial":
        """A trial in which all is hidden that the victim has and the outsiders do not have as well."""
        return cls(outsiders, victim, Hidden(victim.has.ids - own.ids, victim.has.words - own.words))

    def tries(self, operations: Sequence[Described], outsider: Outsider, *, reads_only: bool) -> Iterator[Attempt]:
        """What this outsider does."""
        for attempt in attempts(operations, outsider, self.victim):
            if not (reads_only and attempt.operation.is_write):
                yield attempt


class Proof:
    """Walks some trials and writes down what came of them."""

    def __init__(self, client: httpx2.AsyncClient, operations: Sequence[Described], record: Record) -> None:
        self._client = client
        self._operations = operations
        self._record = record

    def count(self, trials: Sequence[Trial]) -> int:
        """How many attempts there will be."""
        return sum(
            1
            for trial in trials
            for outsider in trial.outsiders
            for _ in trial.tries(self._operations, outsider, reads_only=self._record.subject.reads_only)
        )

    async def walk(self, trials: Sequence[Trial], done: Callable[[], None]) -> None:
        """All of them, one credential after the other."""
        for trial in trials:
            self._note_untried(trial)
            walker = Walker(self._client, trial.hidden, self._record.walk, done)
            for outsider in trial.outsiders:
                tries = trial.tries(self._operations, outsider, reads_only=self._record.subject.reads_only)
                await walker.try_all(outsider.credential, tries)

    async def compare(self, before: Belongings, owners: Sequence[Credential]) -> None:
        """Let the victim read everything again, and note what is different."""
        after = await Harvest(self._client, self._operations, owners).all()
        self._record.compared = len(before.told)
        self._record.changed += before.changed(after)

    def _note_untried(self, trial: Trial) -> None:
        """Ids of paths for which the victim had nothing; neighbours are not kept from what is the whole agency's."""
        for outsider in [one for one in trial.outsiders if one.credential.state is State.GOOD][:1]:
            if outsider.is_neighbour and not self._record.subject.reads_only:
                continue
            tried = [one for one in self._operations if not (one.is_write and self._record.subject.reads_only)]
            for operation, name in untried(tried, outsider, trial.victim):
                told = {"what": operation, "why": f"the other side had nothing that {{{name}}} could name"}
                if told not in self._record.untried:
                    self._record.untried.append(told)
