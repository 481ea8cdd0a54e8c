"""What a writer is given for a brand: the run's frozen context as a brief, and the own keys that are switched on."""

from collections.abc import Iterator, Mapping
from typing import Any

from colonnade.runs.skills import Brand
from colonnade.runs.writing import Brief


def brief_of(
    brand: Brand, settings: Mapping[str, Any], *, topic: str | None, keyword: str | None, instructions: str | None
) -> Brief:
    """The brief of one article."""
    profile = brand.profile
    return Brief(
        brand_name=brand.name,
        primary_domain=brand.primary_domain,
        industry=brand.industry,
        language=settings.get("primaryLanguage") or "en",
        location=settings.get("primaryLocation"),
        short_description=profile.get("shortDescription"),
        detailed_description=profile.get("detailedDescription"),
        voice=profile.get("voice"),
        icps=brand.texts("icps"),
        primary_keywords=brand.texts("primaryKeywords"),
        pillars=brand.texts("pillars"),
        competitors=brand.texts("competitors"),
        topic=topic,
        keyword=keyword,
        instructions=instructions,
    )


class ChosenKeys(Mapping[str, str]):
    """Some of the keys; each is opened only when it is asked for, as before."""

    def __init__(self, keys: Mapping[str, str], names: frozenset[str]) -> None:
        self._keys = keys
        self._names = names
        self.opened: str | None = None
        """The provider whose key was asked for last."""

    def __getitem__(self, provider: str) -> str:
        if provider not in self._names:
            raise KeyError(provider)
        self.opened = provider
        return self._keys[provider]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def switched_on(keys: Mapping[str, str], settings: Mapping[str, Any]) -> ChosenKeys:
    """The own keys but for those that `byok` switches off; a stored key is used unless the workspace says no."""
    byok = settings.get("byok", {})
    return ChosenKeys(keys, frozenset(provider for provider in keys if byok.get(provider) is not False))
