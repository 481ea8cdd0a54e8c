"""The public pages in a real browser against a real server: nothing from elsewhere, nothing that the policy forbids."""

from pathlib import Path

import pytest

from colonnade.ground.core.reasons import REASONS
from tests.faces.looking import Looking, in_a_browser

pytestmark = in_a_browser


async def test_the_first_page_shows_the_first_steps_with_this_address(looking: Looking, tmp_path: Path) -> None:
    await looking.page.goto(f"{looking.base}/")
    await looking.page.screenshot(path=tmp_path / "welcome.png", full_page=True)

    shown = await looking.page.inner_text("main")
    assert f"{looking.base}/v1/workspaces/bulk-action" in shown
    assert looking.nothing_was_wrong(), (looking.complaints, looking.elsewhere)


async def test_the_api_is_rendered_offline_under_the_policy(looking: Looking, tmp_path: Path) -> None:
    document = await (await looking.page.request.get(f"{looking.base}/openapi.json")).json()
    tags = {tag for path in document["paths"].values() for operation in path.values() for tag in operation["tags"]}

    await looking.page.goto(f"{looking.base}/docs")
    await looking.page.wait_for_selector(".opblock-summary-path", timeout=30_000)
    await looking.page.locator(".opblock-summary-control").first.click()
    await looking.page.wait_for_selector(".responses-table")
    await looking.page.screenshot(path=tmp_path / "docs.png")

    assert await _scrolled_through(looking, tags) == tags
    assert looking.nothing_was_wrong(), (looking.complaints, looking.elsewhere)


async def _scrolled_through(looking: Looking, wanted: set[str]) -> set[str]:
    """The headings that come into sight; of a long document the page renders only what can be seen."""
    seen: set[str] = set()
    for _ in range(200):
        seen |= set(await looking.page.locator(".opblock-tag").all_inner_texts())
        if seen >= wanted:
            break
        await looking.page.mouse.wheel(0, 600)
        await looking.page.wait_for_timeout(50)
    return seen


async def test_every_reason_has_its_page(looking: Looking) -> None:
    await looking.page.goto(f"{looking.base}/docs/errors")
    links = await looking.page.locator("td a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    await looking.page.goto(looking.base + links[0])

    assert links == [f"/docs/errors/{name}" for name in REASONS]
    assert "What to do" in await looking.page.inner_text("main")
    assert looking.nothing_was_wrong(), (looking.complaints, looking.elsewhere)


@pytest.mark.parametrize("path", ["/", "/docs/errors", "/docs/errors/keys.revoked"])
async def test_pages_fit_a_telephone(looking: Looking, path: str) -> None:
    await looking.page.set_viewport_size({"width": 360, "height": 740})
    await looking.page.goto(looking.base + path)

    widest = await looking.page.evaluate("document.documentElement.scrollWidth")
    assert widest <= 360
