"""The envelope: what is sealed opens only where it was sealed for, under the key that it was sealed with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colonnade.ground.core.envelope import MasterKeys, OtherMasterKey, Tampered, seal, unseal

ONE, TWO = b"1" * 32, b"2" * 32
MASTERS = MasterKeys.single(ONE)
CONTEXT = ("provider_key", "agency_a", "ws_a", "openai", "conn_a")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), st.lists(st.text(max_size=9), max_size=5))
def test_what_was_sealed_opens_again(secret: str, context: list[str]) -> None:
    assert unseal(MASTERS, seal(MASTERS, secret, context), context) == secret


@pytest.mark.parametrize("part", range(len(CONTEXT)))
def test_what_was_moved_elsewhere_does_not_open(part: int) -> None:
    sealed = seal(MASTERS, "sk-secret", CONTEXT)

    with pytest.raises(Tampered):
        unseal(MASTERS, sealed, [*CONTEXT[:part], "other", *CONTEXT[part + 1 :]])


def test_the_parts_of_a_context_do_not_run_into_each_other() -> None:
    with pytest.raises(Tampered):
        unseal(MASTERS, seal(MASTERS, "sk-secret", ("a", "bc")), ("ab", "c"))


def test_every_flipped_bit_is_noticed() -> None:
    sealed = seal(MASTERS, "sk-secret", CONTEXT)

    for position in range(len(sealed)):
        bent = bytearray(sealed)
        bent[position] ^= 1
        with pytest.raises((Tampered, OtherMasterKey)):
            unseal(MASTERS, bytes(bent), CONTEXT)


@pytest.mark.parametrize("length", [0, 1, 11, 71, 98])
def test_a_value_that_was_cut_short_is_damage(length: int) -> None:
    with pytest.raises(Tampered):
        unseal(MASTERS, seal(MASTERS, "sk-secret", CONTEXT)[:length], CONTEXT)


def test_the_data_key_of_one_secret_does_not_open_another() -> None:
    first, second = seal(MASTERS, "first secret", CONTEXT), seal(MASTERS, "second secret", CONTEXT)

    with pytest.raises(Tampered):
        unseal(MASTERS, first[:71] + second[71:], CONTEXT)


def test_another_master_key_is_told_apart_from_damage() -> None:
    sealed = seal(MASTERS, "sk-secret", CONTEXT)

    for masters in (MasterKeys.single(TWO), MasterKeys({2: TWO}, 2)):
        with pytest.raises(OtherMasterKey) as refused:
            unseal(masters, sealed, CONTEXT)
        assert "sk-secret" not in str(refused.value)


def test_old_values_open_after_the_master_key_changed() -> None:
    sealed = seal(MASTERS, "sk-secret", CONTEXT)
    changed = MasterKeys({1: ONE, 2: TWO}, 2)

    assert unseal(changed, sealed, CONTEXT) == "sk-secret"
    assert unseal(changed, seal(changed, "new", CONTEXT), CONTEXT) == "new"
    with pytest.raises(OtherMasterKey):
        unseal(MASTERS, seal(changed, "new", CONTEXT), CONTEXT)


def test_the_same_secret_is_never_sealed_the_same_way_twice() -> None:
    assert seal(MASTERS, "sk-secret", CONTEXT) != seal(MASTERS, "sk-secret", CONTEXT)


def test_master_keys_do_not_show_themselves_and_have_the_right_length() -> None:
    assert "1111" not in repr(MASTERS)
    assert repr(MASTERS) == str(MASTERS) == "MasterKeys(current=1)"
    for wrong in ({1: b"short"}, {2: ONE}):
        with pytest.raises(ValueError, match="32 bytes"):
            MasterKeys(wrong, 1)
