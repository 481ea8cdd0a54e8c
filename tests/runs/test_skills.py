"""Skills: their input, their approvers' edits, and which gates of a run wait for a person."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colonnade.ground.core.refusals import BadFields, Refused
from colonnade.runs import skills
from colonnade.runs.skills import SKILLS, Brand, Skill, effective_policy, gates_that_ask
from colonnade.tenancy.agencies import GATES

DRAFT_POST = SKILLS["draft_post"]

PREVIEW: dict[str, Any] = {
    "postId": "post_1",
    "workspaceId": "ws_1",
    "revision": 1,
    "title": "A title",
    "slug": "a-title",
    "outline": ["One"],
    "body": "Text",
    "metaDescription": "",
    "model": "scripted",
    "keyword": None,
    "topic": None,
}

WORDS = st.sampled_from(["auto", "require_approval"])


def a_skill(gates: tuple[str, ...], always: frozenset[str]) -> Skill:
    """draft_post with other gates."""
    return Skill(
        slug="other",
        name="Other",
        description="",
        version=1,
        input_model=DRAFT_POST.input_model,
        gates=gates,
        features={"generation": 1},
        seconds=1,
        run=DRAFT_POST.run,
        check_edits=DRAFT_POST.check_edits,
        let_go=DRAFT_POST.let_go,
        always_asks=always,
    )


@given(
    base=st.dictionaries(st.sampled_from(GATES), WORDS),
    gates=st.sets(st.sampled_from(GATES)),
    always=st.sets(st.sampled_from(GATES)),
    required=st.booleans(),
)
def test_the_strictest_of_policy_skill_and_run_holds_at_every_gate_of_the_skill(
    base: dict[str, str], gates: set[str], always: set[str], required: bool
) -> None:
    policy = effective_policy(base, a_skill(tuple(gates), frozenset(always)), approval_required=required)

    assert set(policy) == gates
    for gate, word in policy.items():
        passes = base.get(gate) == "auto" and gate not in always and not required
        assert word == ("auto" if passes else "require_approval")
    assert set(gates_that_ask(policy)) == {gate for gate, word in policy.items() if word == "require_approval"}


@given(base=st.dictionaries(st.sampled_from(GATES), WORDS), required=st.booleans())
def test_a_run_can_only_tighten(base: dict[str, str], required: bool) -> None:
    without = gates_that_ask(effective_policy(base, DRAFT_POST, approval_required=False))
    asked = gates_that_ask(effective_policy(base, DRAFT_POST, approval_required=required))
    assert set(without) <= set(asked)


def test_input_keeps_exactly_what_was_sent() -> None:
    assert DRAFT_POST.read_input({"topic": "Tools", "publish": False}) == {"topic": "Tools", "publish": False}
    assert DRAFT_POST.read_input({}) == {}


@pytest.mark.parametrize("sent", [None, [], "text", 7])
def test_input_that_is_no_object_is_named_as_a_whole(sent: Any) -> None:
    with pytest.raises(BadFields) as caught:
        DRAFT_POST.read_input(sent)
    assert [error.pointer for error in caught.value.errors] == ["/input"]


def test_bad_input_is_named_where_the_caller_put_it() -> None:
    with pytest.raises(BadFields) as caught:
        DRAFT_POST.read_input({"publish": 1, "x": 2}, at=("config", "input"))
    assert {error.pointer for error in caught.value.errors} == {"/config/input/publish", "/config/input/x"}


def test_an_unknown_skill_names_the_known_ones() -> None:
    with pytest.raises(Refused) as caught:
        skills.find("nothing", pointer="/config/skill")
    assert caught.value.errors[0].pointer == "/config/skill"
    assert "draft_post" in caught.value.sentence


def test_edits_may_change_the_texts_of_a_post_and_nothing_else() -> None:
    assert DRAFT_POST.check_edits(PREVIEW, {"title": "Better", "outline": ["One", "Two"]}) == []
    errors = DRAFT_POST.check_edits(PREVIEW, {"title": "", "postId": "post_2", "slug": "Not A Slug", "model": "x"})
    assert {error.pointer for error in errors} == {"/title", "/postId", "/slug", "/model"}


def test_entries_of_a_profile_that_are_objects_are_told_by_their_values() -> None:
    brand = Brand("Acme", "acme", None, None, {"icps": ["Agencies", {"role": "CTO", "size": ["10", "50"]}]})
    assert brand.texts("icps") == ("Agencies", "CTO, 10, 50")
    assert Brand.of_json(brand.to_json()) == brand
