"""Writing new workspaces under names that are theirs alone: any number of them in a few statements."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from colonnade.ground.db.database import Tx
from colonnade.tenancy.workspaces import store
from colonnade.tenancy.workspaces.model import Made, Name, Profile, taken
from colonnade.tenancy.workspaces.naming import FreeSlugs, beginning, slug_base

_TRIES: Final = 8


async def add(tx: Tx, profiles: Sequence[Profile]) -> list[Made]:
    """Each as a workspace, or the refusal for a name that another has; a slug that is missing is found.

    A clash that shows only while writing is looked up afresh and told.
    """
    if len(profiles) > 1:  # who adds many waits here for others who do, so that they never wait crosswise at two names
        await store.lock_slugs(tx)
        await store.plan_anew(tx)
    adding = _Adding(tx, profiles)
    for _ in range(_TRIES):
        if adding.waiting:
            await adding.try_all()
    return adding.outcome()


class _Adding:
    """Profiles on their way into the table, by their places in the order in which they were given."""

    def __init__(self, tx: Tx, profiles: Sequence[Profile]) -> None:
        self.waiting = dict(enumerate(profiles))
        self._tx = tx
        self._slugs = {
            place: one.slug or slug_base(one.name, one.primary_domain) for place, one in self.waiting.items()
        }
        self._made: dict[int, Made] = {}

    async def try_all(self) -> None:
        """Refuse those whose names are taken and write the others; who lost a name just now goes on waiting."""
        wanted = {("slug", self._slugs[place]) for place in self.waiting}
        others = await store.holders(self._tx, wanted.union(*(one.names for one in self.waiting.values())))
        named = self._named(others, await self._free_slugs(others))
        added = await store.add(self._tx, list(named.values())) if named else []
        self._made |= {place: one for place, one in zip(named, added, strict=True) if one is not None}
        self.waiting = {place: one for place, one in self.waiting.items() if place not in self._made}

    def outcome(self) -> list[Made]:
        """What became of each; one that was always too late with its slug is told so."""
        return [self._made.get(place) or taken("slug", None) for place in self._slugs]

    def _named(self, others: Mapping[Name, str], free: FreeSlugs) -> dict[int, Profile]:
        """Those that can be written, each with a slug; one that wants what an earlier one is about to have waits."""
        named: dict[int, Profile] = {}
        pending: set[Name] = set()
        for place, one in self.waiting.items():
            if one.clash(pending):
                continue
            if clash := one.clash(others):
                self._made[place] = taken(clash[0], others[clash])
                continue
            named[place] = one if one.slug else one.with_slug(free.take(self._slugs[place]))
            pending.update(named[place].names)
            free.leave(str(named[place].slug))
        return named

    async def _free_slugs(self, others: Mapping[Name, str]) -> FreeSlugs:
        known = [value for sort, value in others if sort == "slug"]
        wanted = Counter(self._slugs[place] for place in self.waiting)
        missing = {self._slugs[place] for place, one in self.waiting.items() if one.slug is None}
        crowded = [slug for slug in missing if wanted[slug] > 1 or ("slug", slug) in others]
        if crowded:
            await store.lock_slugs(self._tx)
            known += await store.slugs_like(self._tx, map(beginning, crowded))
        return FreeSlugs(known)
