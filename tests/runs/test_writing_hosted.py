"""Hosted models over their real protocols, against a provider on loopback; and the choice of a writer."""

import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import httpx2
import pytest
import pytest_asyncio

from colonnade.ground.core.secrets import Secret
from colonnade.ground.outgoing import AllowList, OutgoingClient, OutgoingLimits
from colonnade.runs.writing import ModelOptions, Writer, Writers, WritingFailed
from tests.fakes.chat_server import TOKENS_IN, TOKENS_OUT, ChatServer, Plan, chat_server
from tests.runs.writing_briefs import FULL

Provider = Literal["anthropic", "openai"]
both = pytest.mark.parametrize("provider", ["anthropic", "openai"])


@pytest_asyncio.fixture
async def provider_server() -> AsyncIterator[ChatServer]:
    async with chat_server() as server:
        yield server


def _options(server: ChatServer, **changes: object) -> ModelOptions:
    urls = {"anthropic_base_url": server.anthropic_url, "openai_base_url": server.openai_url}
    return ModelOptions(**{"timeout_seconds": 20, **urls, **changes})  # type: ignore[arg-type]


@pytest_asyncio.fixture
async def writers(provider_server: ChatServer) -> AsyncIterator[Writers]:
    made = Writers(_options(provider_server))
    yield made
    await made.aclose()


def _writer(writers: Writers, provider: Provider, server: ChatServer) -> Writer:
    return writers.choose(f"{provider}:model-1", {provider: server.key})


async def _failure(writer: Writer) -> WritingFailed:
    with pytest.raises(WritingFailed) as refused:
        await writer.write(FULL)
    return refused.value


@both
async def test_a_hosted_model_writes_an_article(
    provider: Provider, writers: Writers, provider_server: ChatServer
) -> None:
    written = await _writer(writers, provider, provider_server).write(FULL)

    assert written.model == f"{provider}:model-1"
    assert written.article.title == "Choosing Oat Drinks for Cafés"
    assert written.article.slug == "choosing-oat-drinks"
    assert written.article.outline == ("Taste", "Foam")
    assert (written.tokens_in, written.tokens_out) == (TOKENS_IN, TOKENS_OUT)
    assert "Drinks made of oats." in written.prompt
    assert "Choosing Oat Drinks" in written.answer
    asked = provider_server.asked[0]
    assert asked.body["model"] == "model-1"
    assert asked.path == ("/v1/messages" if provider == "anthropic" else "/v1/chat/completions")


class _Detour(httpx2.AsyncHTTPTransport):
    """Takes calls for a vendor's own host to the provider on loopback."""

    def __init__(self, server: ChatServer) -> None:
        super().__init__(trust_env=False)
        self._to = httpx2.URL(server.address)
        self.hosts: list[str] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.hosts.append(request.url.host)
        request.url = request.url.copy_with(scheme="http", host=self._to.host, port=self._to.port)
        return await super().handle_async_request(request)


async def test_without_a_base_url_the_vendors_themselves_are_asked_by_a_tool(provider_server: ChatServer) -> None:
    detour = _Detour(provider_server)
    writers = Writers(ModelOptions(timeout_seconds=20), detour)

    chat = await _writer(writers, "openai", provider_server).write(FULL)
    messages = await _writer(writers, "anthropic", provider_server).write(FULL)
    await writers.aclose()

    assert detour.hosts == ["api.openai.com", "api.anthropic.com"]
    assert all("tools" in asked.body for asked in provider_server.asked)
    assert chat.article == messages.article


async def test_an_openai_compatible_server_is_asked_for_json(writers: Writers, provider_server: ChatServer) -> None:
    await _writer(writers, "openai", provider_server).write(FULL)

    assert "tools" not in provider_server.asked[0].body


@both
async def test_a_malformed_article_is_asked_for_once_more(
    provider: Provider, writers: Writers, provider_server: ChatServer
) -> None:
    provider_server.plan = ["malformed"]

    written = await _writer(writers, provider, provider_server).write(FULL)

    assert len(provider_server.asked) == 2
    assert (written.tokens_in, written.tokens_out) == (2 * TOKENS_IN, 2 * TOKENS_OUT)


@both
@pytest.mark.parametrize("nonsense", ["malformed", "chatter", "cut off"])
async def test_an_answer_that_is_no_article_fails_as_such(
    provider: Provider, nonsense: Plan, writers: Writers, provider_server: ChatServer
) -> None:
    provider_server.plan = [nonsense] * 3

    failure = await _failure(_writer(writers, provider, provider_server))

    assert failure.reason == "model.bad_answer"
    assert len(provider_server.asked) <= 2


@both
@pytest.mark.parametrize(
    ("status", "reason", "is_temporary"),
    [
        (400, "model.unavailable", False),
        (401, "model.refused_key", False),
        (403, "model.refused_key", False),
        (404, "model.not_configured", False),
        (429, "model.rate_limited", True),
        (500, "model.unavailable", True),
        (529, "model.unavailable", True),
        ("redirect", "model.unavailable", False),
    ],
)
async def test_a_providers_refusal_has_one_reason_and_is_not_repeated(
    provider: Provider, status: Plan, reason: str, is_temporary: bool, writers: Writers, provider_server: ChatServer
) -> None:
    provider_server.plan = [status]

    failure = await _failure(_writer(writers, provider, provider_server))

    assert (failure.reason, failure.is_temporary) == (reason, is_temporary)
    assert len(provider_server.asked) == 1


@both
async def test_a_wrong_key_is_refused_and_named_nowhere(
    provider: Provider, writers: Writers, provider_server: ChatServer
) -> None:
    key = "sk-wrong-key-9876543210fedcba"
    writer = writers.choose(f"{provider}:model-1", {provider: key})

    failure = await _failure(writer)

    assert failure.reason == "model.refused_key"
    for text in (repr(failure), str(failure), repr(writer), repr(vars(writer)), repr(writers), repr(vars(writers))):
        assert key not in text
    shown = "".join(traceback.TracebackException.from_exception(failure, capture_locals=False).format())
    assert key not in shown
    assert provider_server.key not in shown
    assert (failure.__cause__, failure.__context__) == (None, None)


@both
async def test_a_provider_that_repeats_the_key_does_not_get_it_into_the_sentence(
    provider: Provider, writers: Writers, provider_server: ChatServer
) -> None:
    provider_server.plan = [400]

    failure = await _failure(_writer(writers, provider, provider_server))

    assert "the request odd" in failure.sentence
    assert provider_server.key not in failure.sentence


@both
async def test_a_silent_provider_is_left_after_the_time_out(provider: Provider, provider_server: ChatServer) -> None:
    writers = Writers(_options(provider_server, timeout_seconds=0.5))
    provider_server.plan = ["silence"]

    failure = await _failure(_writer(writers, provider, provider_server))
    await writers.aclose()

    assert (failure.reason, failure.is_temporary) == ("model.timeout", True)


async def test_nobody_at_the_address_is_a_temporary_failure(provider_server: ChatServer) -> None:
    writers = Writers(ModelOptions(openai_base_url="http://127.0.0.1:9/v1", timeout_seconds=10))

    failure = await _failure(writers.choose("openai:model-1", {}))
    await writers.aclose()

    assert (failure.reason, failure.is_temporary) == ("model.unavailable", True)


async def test_the_address_filter_stands_before_a_hosted_model(provider_server: ChatServer) -> None:
    outgoing = OutgoingClient(AllowList())
    writers = Writers(_options(provider_server), outgoing.transport(OutgoingLimits(total_seconds=20)))

    failure = await _failure(_writer(writers, "openai", provider_server))
    await writers.aclose()

    assert (failure.reason, failure.is_temporary) == ("model.unavailable", False)
    assert provider_server.asked == []


async def test_the_environment_of_the_process_adds_nothing_to_a_tenants_call(
    writers: Writers, provider_server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "from-the-environment")
    for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    for provider in ("openai", "anthropic"):
        await writers.choose(f"{provider}:model-1", {provider: provider_server.key}).write(FULL)

    assert "from-the-environment" not in repr(provider_server.asked)


async def test_no_cookie_of_one_call_goes_with_the_next(writers: Writers, provider_server: ChatServer) -> None:
    provider_server.plan = [500]
    await _failure(_writer(writers, "openai", provider_server))

    await _writer(writers, "openai", provider_server).write(FULL)

    assert "cookie" not in provider_server.asked[1].headers


def _chosen(options: ModelOptions, wanted: str | None, **keys: str) -> str:
    return Writers(options).choose(wanted, keys).name


def test_when_nothing_is_wanted_the_best_that_is_configured_writes() -> None:
    anthropic, openai, local = Secret("sk-a"), Secret("sk-o"), Path("/models/Tiny.gguf")

    assert _chosen(ModelOptions(), None) == "scripted"
    assert _chosen(ModelOptions(local_model_path=local), None) == "local:Tiny"
    assert _chosen(ModelOptions(local_model_path=local, openai_key=openai), None) == "openai:gpt-5"
    assert _chosen(ModelOptions(openai_key=openai, anthropic_key=anthropic), " ") == "anthropic:claude-sonnet-4-6"
    assert _chosen(ModelOptions(anthropic_key=anthropic, default_model="local", local_model_path=local), None) == (
        "local:Tiny"
    )
    assert _chosen(ModelOptions(), None, anthropic="sk-own") == "anthropic:claude-sonnet-4-6"


def test_what_is_wanted_goes_before_the_default() -> None:
    options = ModelOptions(default_model="scripted", openai_key=Secret("sk-o"))

    assert _chosen(options, "gpt-5") == "openai:gpt-5"
    assert _chosen(options, None) == "scripted"


@pytest.mark.parametrize("wanted", ["claude-sonnet-4-6", "gpt-5", "local", "local:Other", "nonsense"])
def test_a_real_model_that_is_not_configured_is_never_replaced_by_the_scripted_writer(wanted: str) -> None:
    for options in (ModelOptions(), ModelOptions(default_model=wanted)):
        with pytest.raises(WritingFailed) as refused:
            Writers(options).choose(None if options.default_model else wanted, {"anthropic": " "})

        assert refused.value.reason == "model.not_configured"
        assert not refused.value.is_temporary


def test_the_local_model_answers_to_its_own_name_only() -> None:
    options = ModelOptions(local_model_path=Path("/models/Tiny.gguf"))

    assert _chosen(options, "local:Tiny") == "local:Tiny"
    with pytest.raises(WritingFailed, match="`local:Tiny`, not `local:Other`"):
        _chosen(options, "local:Other")


@pytest.mark.parametrize("key", ["sk-with space", "sk-with\nline", "sk-ümlaut"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(WritingFailed) as refused:
        Writers(ModelOptions()).choose("gpt-5", {"openai": key})

    assert refused.value.reason == "model.refused_key"
    assert key not in repr(refused.value)


async def test_a_broken_local_model_is_known_before_the_first_run(tmp_path: Path) -> None:
    broken, none = Writers(ModelOptions(local_model_path=tmp_path / "Gone.gguf")), Writers(ModelOptions())
    try:
        await none.prepare()
        with pytest.raises(WritingFailed, match=r"Gone\.gguf|install `colonnade\[local\]`"):
            await broken.prepare()
    finally:
        await broken.aclose()
        await none.aclose()


def test_options_show_no_key() -> None:
    assert "sk-hidden" not in repr(ModelOptions(anthropic_key=Secret("sk-hidden"), openai_key=Secret("sk-hidden")))
