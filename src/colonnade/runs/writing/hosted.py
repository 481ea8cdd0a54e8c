"""Models behind HTTP: Anthropic's Messages protocol and OpenAI's chat completions, asked through pydantic-ai.

Here a key meets a library. Nothing that a library raises leaves this file, for it may quote the key or the request.
"""

import asyncio
import re
from collections.abc import Iterator
from typing import Annotated, Final

import anthropic
import httpx2
import openai
from pydantic import BaseModel, Field
from pydantic_ai import Agent, ModelSettings, PromptedOutput, ToolOutput, UsageLimits
from pydantic_ai.exceptions import (
    AgentRunError,
    ModelAPIError,
    ModelHTTPError,
    ModelTimeoutError,
    OutputTokenLimitExceeded,
)
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from colonnade.ground.core.secrets import Secret
from colonnade.ground.outgoing import OutgoingRefused
from colonnade.runs.writing.model import Article, Brief, Endpoint, WritingFailed, Written, one_line
from colonnade.runs.writing.prompts import prompt

_ANTHROPIC_URL: Final = "https://api.anthropic.com"
_OPENAI_URL: Final = "https://api.openai.com/v1"
# Servers on one's own machine ask for no key, while the library insists on one.
_NO_KEY: Final = "none"
# Room for a long article and for what a reasoning model thinks before it; a bound on what one article may cost.
_ANSWER_TOKENS_MAX: Final = 16_000
_REQUESTS_MAX: Final = 2


class Draft(BaseModel):
    """The finished article, its parts in the fields that they belong in."""

    # The docstring above and the descriptions below are part of what the model reads.

    title: Annotated[str, Field(min_length=1, max_length=400, description="The title, at most 90 characters")]
    slug: Annotated[str, Field(description="Lower-case Latin letters, digits and hyphens")] = ""
    outline: Annotated[list[str], Field(min_length=1, max_length=20, description="The headings of the body in order")]
    body: Annotated[str, Field(min_length=200, max_length=60_000, description="The whole article in Markdown")]
    meta_description: Annotated[str, Field(description="At most 155 characters")] = ""


class HostedWriter:
    """Asks one endpoint for articles, at most twice for each: an answer that is no article is asked for once more."""

    def __init__(self, endpoint: Endpoint, transport: httpx2.AsyncBaseTransport) -> None:
        self._endpoint = endpoint
        self._transport = transport

    @property
    def name(self) -> str:
        return f"{self._endpoint.provider}:{self._endpoint.model}"

    async def write(self, brief: Brief) -> Written:
        """The article that the model wrote, with the tokens of all attempts, or WritingFailed. Waits no longer than
        the endpoint's time-out in all."""
        system, user = prompt(brief)
        try:
            async with asyncio.timeout(self._endpoint.timeout_seconds):
                return await self._ask(system, user)
        except (AgentRunError, OutgoingRefused, TimeoutError, ValueError) as error:
            failure = _failure(error, self._endpoint)
        # Raised out here, so that not even its context leads back to the library's words.
        raise failure

    async def _ask(self, system: str, user: str) -> Written:
        agent = Agent(
            _model(self._endpoint, self._transport),
            output_type=_output(self._endpoint),
            instructions=system,
            retries=_REQUESTS_MAX - 1,
            model_settings=ModelSettings(max_tokens=_ANSWER_TOKENS_MAX, timeout=self._endpoint.timeout_seconds),
        )
        result = await agent.run(user, usage_limits=UsageLimits(request_limit=_REQUESTS_MAX))
        draft = result.output
        article = Article.of(
            draft.title,
            draft.body,
            slug=draft.slug,
            outline=draft.outline,
            meta_description=draft.meta_description,
        )
        usage = result.usage
        return Written(
            article,
            self.name,
            tokens_in=usage.input_tokens,
            tokens_out=usage.output_tokens,
            prompt=f"{system}\n\n{user}",
            answer=draft.model_dump_json(),
        )


def _model(endpoint: Endpoint, transport: httpx2.AsyncBaseTransport) -> Model:
    # A client for each article, so no cookie of one tenant's call goes with another's; the connections are the
    # transport's. The libraries' own retries are off: the run's engine repeats a step, and counts it.
    http = httpx2.AsyncClient(
        transport=transport, timeout=endpoint.timeout_seconds, follow_redirects=False, trust_env=False
    )
    key = endpoint.key.reveal() if endpoint.key else _NO_KEY
    if endpoint.provider == "anthropic":
        messages = anthropic.AsyncAnthropic(
            api_key=key, base_url=endpoint.base_url or _ANTHROPIC_URL, max_retries=0, http_client=http
        )
        return AnthropicModel(endpoint.model, provider=AnthropicProvider(anthropic_client=messages))
    chat = openai.AsyncOpenAI(api_key=key, base_url=endpoint.base_url or _OPENAI_URL, max_retries=0, http_client=http)
    # The library takes these from the process's environment, where they belong to another key than this one.
    chat.organization = chat.project = None
    return OpenAIChatModel(endpoint.model, provider=OpenAIProvider(openai_client=chat))


def _output(endpoint: Endpoint) -> ToolOutput[Draft] | PromptedOutput[Draft]:
    # Many servers that speak OpenAI's protocol cannot be made to call a tool; all of them can be asked for JSON.
    if endpoint.provider == "openai" and endpoint.base_url:
        return PromptedOutput(Draft)
    return ToolOutput(Draft, name="submit_article", description="Hand in the finished article")


def _failure(error: Exception, endpoint: Endpoint) -> WritingFailed:
    provider = f"The model provider ({endpoint.provider})"
    if isinstance(error, ModelHTTPError):
        return _failure_of_status(error, endpoint, provider)
    if isinstance(error, ModelAPIError | OutgoingRefused | TimeoutError):
        return _failure_of_call(error, endpoint, provider)
    if isinstance(error, OutputTokenLimitExceeded):
        return WritingFailed("model.bad_answer", f"{provider} ran out of its token limit before the article ended.")
    return WritingFailed("model.bad_answer", f"{provider} answered {_REQUESTS_MAX} times without a usable article.")


def _failure_of_call(error: Exception, endpoint: Endpoint, provider: str) -> WritingFailed:
    causes = list(_causes(error))
    refused = next((link for link in causes if isinstance(link, OutgoingRefused)), None)
    if isinstance(error, TimeoutError | ModelTimeoutError) or (refused and refused.reason == "timeout"):
        sentence = f"{provider} did not answer in {endpoint.timeout_seconds:g} seconds."
        return WritingFailed("model.timeout", sentence, is_temporary=True)
    if refused:
        lasts = refused.reason in {"address_refused", "bad_url", "too_large"}
        sentence = f"{provider} could not be asked: {refused.sentence}"
        return WritingFailed("model.unavailable", sentence, is_temporary=not lasts)
    if any(isinstance(link, anthropic.APIStatusError | openai.APIStatusError) for link in causes):
        return WritingFailed("model.unavailable", f"{provider} answered with a redirect. Mend its base URL.")
    return WritingFailed("model.unavailable", f"{provider} could not be reached.", is_temporary=True)


def _failure_of_status(error: ModelHTTPError, endpoint: Endpoint, provider: str) -> WritingFailed:
    status = error.status_code
    if status in {401, 403}:
        return WritingFailed(
            "model.refused_key",
            f"{provider} refused the key (HTTP {status}). Store a valid key for {endpoint.provider}.",
        )
    if status == 429:
        sentence = f"{provider} is limiting the rate of this key, or its quota is used up (HTTP 429)."
        return WritingFailed("model.rate_limited", sentence, is_temporary=True)
    if status == 404:
        sentence = f"{provider} knows no model `{endpoint.model}` (HTTP 404). Choose another `defaultModel`."
        return WritingFailed("model.not_configured", sentence)
    if status in {408, 504}:
        return WritingFailed("model.timeout", f"{provider} ran out of time (HTTP {status}).", is_temporary=True)
    if status >= 500 or status in {409, 425}:
        return WritingFailed("model.unavailable", f"{provider} is failing (HTTP {status}).", is_temporary=True)
    words = _message(error.body, endpoint.key)
    return WritingFailed("model.unavailable", f"{provider} did not take the request (HTTP {status}){words}.")


def _message(body: object, key: Secret | None) -> str:
    """What the provider said was wrong with the request, without anything that looks like a key."""
    inner = body.get("error", body) if isinstance(body, dict) else None
    message = inner.get("message") if isinstance(inner, dict) else None
    if not isinstance(message, str) or not message.strip():
        return ""
    safe = message.replace(key.reveal(), "…") if key else message
    safe = re.sub(r"[A-Za-z0-9_*-]{20,}", "…", safe)
    return f": {one_line(safe, 200).rstrip('.')}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__
