import csv
import re
from pathlib import Path

import idna
import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from colonnade.tenancy.workspaces.naming import SLUG_MOST, FreeSlugs, beginning, folded, normalized_domain, slug_base

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9]{0,10}[a-z0-9])?", fullmatch=True)
HOSTS = st.builds(
    lambda labels, top: ".".join([*labels, top]), st.lists(LABELS, min_size=1, max_size=3), st.just("com")
)
ROSTER = Path(__file__).parents[2] / "examples" / "roster.csv"


@pytest.mark.parametrize(
    ("name", "domain", "slug"),
    [
        ("Fjällräven", "fjallraven.com", "fjallraven"),
        ("Arc'teryx", "arcteryx.com", "arcteryx"),
        ("Arc’teryx", None, "arcteryx"),
        ("monday.com", None, "monday-com"),
        ("  Blue   Bottle Coffee ", None, "blue-bottle-coffee"),
        ("Straße & Söhne ÆØÅ Łódź", None, "strasse-sohne-aeoa-lodz"),
        ("İstanbul", None, "istanbul"),
        ("無印良品", "muji.com", "muji-com"),
        ("無印良品", "bücher.example", "bucher-example"),
        ("!!!", None, "workspace"),
        ("x" * 60, None, "x" * 48),
    ],
)
def test_a_slug_is_the_name_in_latin_letters_or_else_the_domain(name: str, domain: str | None, slug: str) -> None:
    assert slug_base(name, domain) == slug


@given(st.text(max_size=80), st.one_of(st.none(), HOSTS))
def test_every_name_has_a_slug_that_the_table_takes(name: str, domain: str | None) -> None:
    slug = slug_base(name, domain)

    assert re.fullmatch("[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", slug)
    assert len(slug) <= SLUG_MOST
    assert slug_base(slug, None) == slug


@given(st.text(max_size=80))
@example("\U0001d4d0")
def test_folding_a_folded_name_changes_nothing(name: str) -> None:
    assert folded(folded(name)) == folded(name)


@given(st.from_regex("[a-z]{1,48}", fullmatch=True), st.integers(0, 30))
def test_a_free_slug_is_free_and_short_enough(base: str, count: int) -> None:
    free = FreeSlugs([])
    given_out = [free.take(base) for _ in range(count)]

    assert len(set(given_out)) == count
    assert all(re.fullmatch("[a-z0-9-]{1,48}", slug) for slug in given_out)
    assert all(slug.startswith(beginning(base)) for slug in given_out[1:])
    assert given_out == [FreeSlugs(given_out[:place]).take(base) for place in range(count)]


def test_numbers_begin_at_two_and_fill_the_first_gap() -> None:
    assert FreeSlugs([]).take("acme") == "acme"
    assert FreeSlugs(["acme"]).take("acme") == "acme-2"
    free = FreeSlugs(["acme", "acme-2", "acme-4"])
    free.leave("acme-5")
    assert [free.take("acme") for _ in range(2)] == ["acme-3", "acme-6"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("Acme.COM", "acme.com"),
        (" acme.com. ", "acme.com"),
        ("https://acme.com", "acme.com"),
        ("HTTP://Acme.com/", "acme.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("innocentdrinks.co.uk", "innocentdrinks.co.uk"),
        ("faß.de", "xn--fa-hia.de"),
    ],
)
def test_a_domain_is_kept_as_a_bare_host(sent: str, kept: str) -> None:
    assert normalized_domain(sent) == kept


@pytest.mark.parametrize(
    "sent",
    [
        *("", "acme", "localhost", "127.0.0.1", "[::1]", "::1", "acme.com:443", "user@acme.com", "acme.com/path"),
        *("https://acme.com/path", "ftp://acme.com", "https://user:pw@acme.com", "acme..com", "-acme.com", "acme-.com"),
        *(
            "ac me.com",
            "acme_x.com",
            "acme.com?x",
            "acme.com#x",
            "a" * 64 + ".com",
            "xn--.com",
            "xn--ü.com",
            "a\nb.com",
        ),
        *("\u200b.com", ".".join(["abcdefgh"] * 40), "acme.123", "acme.com\u0000", "https://", "//acme.com"),
    ],
)
def test_what_is_no_host_is_refused(sent: str) -> None:
    with pytest.raises(ValueError, match="must be a host"):
        normalized_domain(sent)


@given(HOSTS)
def test_a_normal_domain_stays_and_its_case_does_not_matter(host: str) -> None:
    assert normalized_domain(host) == host
    assert normalized_domain(host.upper() + ".") == host
    assert normalized_domain(f"https://{host}/") == host


@given(st.text(max_size=40))
def test_any_text_is_either_a_stable_host_or_a_clear_refusal(text: str) -> None:
    try:
        host = normalized_domain(text)
    except ValueError as error:
        event(str(error))
        return
    assert normalized_domain(host) == host
    assert host.isascii()
    assert host == host.lower()


@given(st.from_regex("[a-zäöüéñ]{3,12}", fullmatch=True))
def test_a_name_and_its_encoded_form_are_one_domain(label: str) -> None:
    encoded = idna.encode(f"{label}.example", uts46=True).decode()

    assert normalized_domain(f"{label}.example") == normalized_domain(encoded)


def test_the_example_roster_has_one_slug_for_each_brand() -> None:
    with ROSTER.open(encoding="utf-8", newline="") as file:
        brands = list(csv.DictReader(file))

    slugs = [slug_base(brand["name"], brand["primaryDomain"]) for brand in brands]

    assert len(set(slugs)) == len(brands) == 38
    assert {"fjallraven", "arcteryx", "jack-wolfskin", "monday-com", "n26"} <= set(slugs)
