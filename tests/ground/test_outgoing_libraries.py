"""The transport in the hands of libraries that bring their own client: the same filter, the same bounds."""

import anthropic
import httpx2
import openai
import pytest

from colonnade.ground.outgoing import OutgoingRefused
from tests.fakes.receiver import Receiver
from tests.ground.calling import client_for, endless, reason_of


async def test_another_librarys_client_is_held_by_the_same_filter() -> None:
    async with Receiver() as opened, Receiver() as shut, client_for(opened, body_bytes=100_000) as client:
        opened.answer(302, headers={"location": shut.url}, path="/redirect")
        opened.answer(200, endless, path="/endless")
        async with httpx2.AsyncClient(transport=client.transport(), follow_redirects=True) as other:
            assert (await other.get(opened.url)).status_code == 200
            assert await reason_of(other.get(shut.url)) == "address_refused"
            assert await reason_of(other.get(f"{opened.url}/redirect")) == "address_refused"
            assert await reason_of(other.get(f"{opened.url}/endless")) == "too_large"
            assert await reason_of(other.get("http://user:pw@example.com/")) == "bad_url"
        assert (await client.request("GET", opened.url)).status == 200

    assert shut.connections == 0


async def test_a_model_library_given_the_transport_reaches_only_what_is_allowed() -> None:
    async with Receiver() as opened, Receiver() as shut, client_for(opened) as client:
        opened.answer(200, '{"object": "list", "data": []}', {"content-type": "application/json"})
        async with httpx2.AsyncClient(transport=client.transport()) as http:
            one = openai.AsyncOpenAI(api_key="k", base_url=opened.url, http_client=http)
            other = anthropic.AsyncAnthropic(api_key="k", base_url=shut.url, http_client=http, max_retries=0)

            assert (await one.models.list()).data == []
            assert await reason_of(one.with_options(base_url=shut.url).models.list()) == "address_refused"
            with pytest.raises(anthropic.APIConnectionError) as caught:
                await other.models.list()

    assert isinstance(caught.value.__cause__, OutgoingRefused)
    assert shut.connections == 0
