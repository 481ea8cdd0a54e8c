"""The installation's secret: rotated, kept, and told apart from others by what is made with it."""

import json
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from colonnade.ground.core.envelope import OtherMasterKey, seal, unseal
from colonnade.settings import (
    Settings,
    fingerprints_of,
    masters_of,
    pepper_of,
    role_passwords_of,
    rotate_secret,
    secret_of,
    secrets_of,
)

OLD, OLDER, NEW = (f"a secret of these tests: {which} {which} {which}" for which in ("old", "older", "new"))


def given(new: str, *old: str) -> Settings:
    """Settings that give the secrets themselves."""
    former = SecretStr(", ".join(old)) if old else None
    return Settings(data_dir=Path("nowhere"), secret_key=SecretStr(new), secret_keys_old=former)


def test_what_was_made_with_a_former_secret_is_still_found_and_opened() -> None:
    before, after = given(OLDER), given(NEW, OLD, OLDER)
    sealed = seal(masters_of(before), "sk-secret", ["here"])

    assert pepper_of(before).digest("a key") in pepper_of(after).digests("a key")
    assert unseal(masters_of(after), sealed, ["here"]) == "sk-secret"
    assert unseal(masters_of(given(NEW, OLDER)), sealed, ["here"]) == "sk-secret"
    assert role_passwords_of(before, "colonnade_app")[0] in role_passwords_of(after, "colonnade_app")
    assert fingerprints_of(before)[0] in fingerprints_of(after)
    with pytest.raises(OtherMasterKey):
        unseal(masters_of(given(NEW, OLD)), sealed, ["here"])


def test_another_secret_never_has_the_same_number() -> None:
    numbers = [pepper_of(given(one)).current for one in (NEW, OLD, OLDER)]

    assert len(set(numbers)) == 3
    assert all(1 < number < 2**31 for number in numbers)
    after = pepper_of(given(NEW, OLD, OLDER))
    assert set(numbers) <= set(after.keys)
    assert after.current == numbers[0]
    assert after.keys[1] == after.keys[numbers[2]], "number 1 is the first secret that ever was"
    assert len(after.digests("a key")) == 3


def test_a_secret_in_the_data_folder_is_rotated_and_the_former_ones_stay_in_order(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    first = secret_of(settings)
    rotate_secret(settings)
    second = secret_of(settings)
    rotate_secret(settings)
    third = secret_of(settings)

    assert len({first, second, third}) == 3
    assert secrets_of(settings) == [third, second, first]
    assert json.loads(settings.former_secrets_file.read_text()) == [second.decode(), first.decode()]
    assert settings.former_secrets_file.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"secret.key", "former-secrets.json"}


def test_a_rotation_that_is_cut_off_loses_no_secret(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    first = secret_of(settings)
    settings.former_secrets_file.write_text(json.dumps([first.decode()]))

    rotate_secret(settings)

    assert secrets_of(settings)[1:] == [first]


def test_a_former_secret_that_is_too_short_is_refused_without_being_shown() -> None:
    with pytest.raises(ValidationError) as refused:
        given(NEW, OLD, "short secret")

    assert "short secret" not in str(refused.value)
