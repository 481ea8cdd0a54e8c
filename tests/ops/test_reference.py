"""The pages of the manual that list what the code holds are those that the code would write today."""

import pytest
from tools.write_docs import FOLDER, pages


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_page_of_the_reference_says_what_the_code_says(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == pages()[name], "run: make docs"


def test_the_reference_has_no_page_that_nobody_writes() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(pages())
