"""What callers put into addresses and request ids by mistake does not lie in logs."""

import pytest

from colonnade.ground.core.refusals import FieldError
from colonnade.ground.core.secrets import masked, new_key_text, new_token


@pytest.mark.parametrize("kind", ["agency", "workspace"])
@pytest.mark.parametrize("mode", ["live", "test"])
def test_a_key_in_a_text_is_cut_to_its_kind(kind: str, mode: str) -> None:
    key = new_key_text(kind, mode).reveal()

    told = masked(f"/v1/posts/{key}?again={key}.")

    assert key[-38:] not in told
    assert told == f"/v1/posts/{key[:-38]}…?again={key[:-38]}…."


def test_a_key_that_was_sent_as_the_name_of_a_field_is_not_repeated() -> None:
    error = FieldError(f"/config/{new_key_text('agency', 'live').reveal()}", "is not a field of this request")

    assert error.pointer == "/config/col_agency_live_…"


def test_a_token_is_cut_as_well_and_everything_else_stays() -> None:
    token = new_token("reset").reveal()

    assert masked(token) == "col_reset_…"
    assert (
        masked("/v1/posts/post_01k3n5q7s9v1x3z5b7d9f1h3j5/col_umn")
        == "/v1/posts/post_01k3n5q7s9v1x3z5b7d9f1h3j5/col_umn"
    )
