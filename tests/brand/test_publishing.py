"""Publishing: pages in the folder, posts to a webhook, and what each does when things go wrong."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import pytest_asyncio

from colonnade.brand.content.folder import FolderPublisher
from colonnade.brand.content.publishers import Publishers
from colonnade.brand.content.publishing import Publication, PublishingFailed
from colonnade.brand.content.rendering import to_html
from colonnade.brand.content.webhook import WebhookPublisher
from colonnade.ground.core.ids import new_id
from colonnade.ground.outgoing import AllowList, OutgoingClient, OutgoingLimits
from tests.fakes.receiver import Receiver

BODY = "# Hello\n\n## Why\n\n<script>alert(1)</script> & [a](javascript:alert(1)) [b](https://b.example/?x=1&y=2)\n"


def a_publication(**changes: object) -> Publication:
    plain = Publication(
        post_id=new_id("post"),
        workspace_id=new_id("ws"),
        agency_id=new_id("agency"),
        workspace_slug="acme",
        brand_name='Acme "PM" <b>',
        title="Hello",
        slug="hello",
        meta_description="A greeting",
        outline=("Why", "How: it's done"),
        body_markdown=BODY,
        body_html=to_html(BODY, title="Hello"),
        model="claude-sonnet-4-6",
        revision=2,
        idempotency_key="inv_1:publish",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest_asyncio.fixture
async def client(receiver: Receiver) -> AsyncIterator[OutgoingClient]:
    allow = AllowList.parse(f"127.0.0.1/32:{receiver.port}")
    async with OutgoingClient(allow, OutgoingLimits(total_seconds=5)) as client:
        yield client


def test_markdown_cannot_bring_its_own_html_or_scripts() -> None:
    html = to_html(BODY, title="Hello")

    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert 'href="javascript' not in html
    assert 'href="https://b.example/?x=1&amp;y=2"' in html


def test_the_title_is_the_only_heading_of_the_first_level() -> None:
    assert to_html("# Hello\n\n## Why", title="Hello") == "<h2>Why</h2>\n"
    assert to_html("# Other\n\n## Why", title="Hello") == "<h2>Other</h2>\n<h3>Why</h3>\n"
    assert to_html("text\n\n# Hello", title="Hello") == "<p>text</p>\n<h2>Hello</h2>\n"


async def test_a_page_and_its_source_lie_in_the_folder(tmp_path: Path) -> None:
    publication = a_publication()

    published = await FolderPublisher(tmp_path).publish(publication)

    page = Path(unquote(urlsplit(published.url).path))
    assert published.url.startswith("file:///")
    assert page == tmp_path / publication.agency_id / "acme" / "hello" / "index.html"
    html = page.read_text("utf-8")
    assert html.count("<h1>") == 1
    assert "<title>Hello | Acme &quot;PM&quot; &lt;b&gt;</title>" in html
    assert "<script" not in html
    assert '<html lang="en">' in html
    head, _, body = page.with_name("index.md").read_text("utf-8").removeprefix("---\n").partition("\n---\n\n")
    values = {name: json.loads(value) for name, _, value in (line.partition(": ") for line in head.splitlines())}
    assert values["title"] == "Hello"
    assert values["outline"] == ["Why", "How: it's done"]
    assert body == BODY
    assert sorted(file.name for file in page.parent.iterdir()) == ["index.html", "index.md"]


async def test_the_same_key_again_writes_nothing(tmp_path: Path) -> None:
    publication = a_publication()
    first = await FolderPublisher(tmp_path).publish(publication)
    page = Path(unquote(urlsplit(first.url).path))
    before = page.stat().st_ino

    again = await FolderPublisher(tmp_path).publish(publication)

    assert again.url == first.url
    assert page.stat().st_ino == before


async def test_a_publication_that_was_cut_short_is_finished_by_the_next_try(tmp_path: Path) -> None:
    publication = a_publication()
    half = tmp_path / publication.agency_id / "acme" / "hello"
    half.mkdir(parents=True)
    (half / "index.html").write_text("half", "utf-8")

    await FolderPublisher(tmp_path).publish(publication)

    assert "<h1>Hello</h1>" in (half / "index.html").read_text("utf-8")
    assert (half / "index.md").exists()


async def test_the_page_of_another_post_is_never_overwritten(tmp_path: Path) -> None:
    publisher = FolderPublisher(tmp_path)
    first = a_publication()
    other_workspace = replace(
        first, post_id=new_id("post"), workspace_id=new_id("ws"), title="Mine", idempotency_key="x"
    )

    one, two = await publisher.publish(first), await publisher.publish(other_workspace)
    two_again = await publisher.publish(replace(other_workspace, idempotency_key="y"))

    assert one.url != two.url
    assert two_again.url == two.url
    assert "<h1>Hello</h1>" in Path(unquote(urlsplit(one.url).path)).read_text("utf-8")
    assert "<h1>Mine</h1>" in Path(unquote(urlsplit(two.url).path)).read_text("utf-8")


async def test_agencies_with_the_same_slugs_have_folders_of_their_own(tmp_path: Path) -> None:
    publisher = FolderPublisher(tmp_path)

    one, two = await publisher.publish(a_publication()), await publisher.publish(a_publication())

    assert one.url != two.url


@pytest.mark.parametrize("slug", ["../up", "a/b", "", ".", "A", "a b", "a\0b", "a" * 81])
async def test_nothing_is_written_outside_of_the_folder(tmp_path: Path, slug: str) -> None:
    folder = tmp_path / "published"

    for publication in (a_publication(slug=slug), a_publication(workspace_slug=slug), a_publication(agency_id=slug)):
        with pytest.raises(PublishingFailed) as failed:
            await FolderPublisher(folder).publish(publication)
        assert not failed.value.is_temporary

    assert list(tmp_path.iterdir()) == []


async def test_a_folder_that_cannot_be_written_is_a_temporary_failure(tmp_path: Path) -> None:
    blocked = tmp_path / "published"
    blocked.write_text("a file where the folder should be", "utf-8")

    with pytest.raises(PublishingFailed) as failed:
        await FolderPublisher(blocked).publish(a_publication())

    assert failed.value.is_temporary
    assert str(tmp_path) not in failed.value.sentence


async def test_a_webhook_gets_the_post_with_its_keys(receiver: Receiver, client: OutgoingClient) -> None:
    receiver.answer(201, json.dumps({"url": "https://acme.example/blog/hello"}))
    publication = a_publication()

    published = await WebhookPublisher(f"{receiver.url}/hook?token=abc", client).publish(publication)

    [request] = await receiver.received()
    assert published.url == "https://acme.example/blog/hello"
    assert (request.method, request.target) == ("POST", "/hook?token=abc")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"] == "inv_1:publish"
    assert request.headers["webhook-timestamp"].isdigit()
    message = request.json()
    assert message["id"] == request.headers["webhook-id"]
    assert message["event"] == "post.published"
    assert message["idempotencyKey"] == "inv_1:publish"
    assert message["workspaceId"] == publication.workspace_id
    assert message["post"]["id"] == publication.post_id
    assert message["post"]["body"] == BODY
    assert message["post"]["metaDescription"] == "A greeting"


async def test_a_repeat_has_the_same_id_and_body(receiver: Receiver, client: OutgoingClient) -> None:
    publication = a_publication()
    publisher = WebhookPublisher(receiver.url, client)

    await publisher.publish(publication)
    await publisher.publish(publication)

    first, second = await receiver.received(2)
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


@pytest.mark.parametrize(
    ("body", "headers", "path"),
    [
        ("", {"location": "/blog/hello"}, "/blog/hello"),
        ('{"url": 7}', {}, "/hook"),
        ('{"url": "javascript:alert(1)"}', {}, "/hook"),
        ('{"url": "https://user:secret@acme.example/"}', {}, "/hook"),
        ('{"url": "ftp://acme.example/"}', {"location": "file:///etc/passwd"}, "/hook"),
        ("not json", {}, "/hook"),
        ("[" * 5000, {}, "/hook"),
    ],
)
async def test_only_web_addresses_are_taken_from_the_answer_and_never_our_own_query(
    receiver: Receiver, client: OutgoingClient, body: str, headers: dict[str, str], path: str
) -> None:
    receiver.answer(200, body, headers)

    published = await WebhookPublisher(f"{receiver.url}/hook?token=abc", client).publish(a_publication())

    assert published.url == f"{receiver.url}{path}"


@pytest.mark.parametrize(
    ("status", "is_temporary"),
    [
        *((301, False), (307, False), (400, False), (401, False), (404, False), (410, False), (422, False)),
        *((408, True), (425, True), (429, True), (500, True), (503, True)),
    ],
)
async def test_what_the_receiver_answers_tells_whether_another_try_is_worth_it(
    receiver: Receiver, client: OutgoingClient, status: int, *, is_temporary: bool
) -> None:
    receiver.answer(status, headers={"location": f"{receiver.url}/elsewhere"})

    with pytest.raises(PublishingFailed) as failed:
        await WebhookPublisher(receiver.url, client).publish(a_publication())

    assert failed.value.reason == "publishing.receiver_refused"
    assert failed.value.is_temporary is is_temporary
    assert len(receiver.requests) == 1


async def test_a_receiver_that_is_down_or_slow_is_a_temporary_failure(receiver: Receiver) -> None:
    receiver.answer(200, delay=5)
    allow = AllowList.parse("127.0.0.1/32:*")
    async with OutgoingClient(allow, OutgoingLimits(total_seconds=0.3)) as client:
        for url in (receiver.url, "http://127.0.0.1:1/"):
            with pytest.raises(PublishingFailed) as failed:
                await WebhookPublisher(url, client).publish(a_publication())
            assert failed.value.is_temporary
            assert failed.value.reason == "publishing.unreachable"


async def test_a_private_address_is_refused_unless_the_operator_opened_it(receiver: Receiver) -> None:
    async with OutgoingClient(AllowList()) as client:
        with pytest.raises(PublishingFailed) as failed:
            await WebhookPublisher(f"{receiver.url}/hook", client).publish(a_publication())

    assert failed.value.reason == "publishing.url_refused"
    assert not failed.value.is_temporary
    assert receiver.connections == 0
    assert "127.0.0.1" not in failed.value.sentence


async def test_the_settings_choose_and_nothing_means_the_folder(tmp_path: Path, client: OutgoingClient) -> None:
    publishers = Publishers(tmp_path, client)

    assert publishers.choose({}).kind == "folder"
    assert publishers.choose({"kind": "folder", "url": None}).kind == "folder"
    assert publishers.choose({"kind": "webhook", "url": "https://acme.example/hook"}).kind == "webhook"
    for settings in ({"kind": "webhook"}, {"kind": "ftp", "url": "ftp://x"}):
        with pytest.raises(PublishingFailed) as failed:
            publishers.choose(settings)
        assert failed.value.reason == "publishing.misconfigured"
