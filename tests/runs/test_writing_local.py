"""The local writer with a real model, when one is on this machine; and how it fails when none is."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from colonnade.runs.writing import WritingFailed
from colonnade.runs.writing.local import LocalWriter
from tests.runs.writing_briefs import FULL

_MODELS = Path(__file__).parents[2] / "models"


def _model() -> Path | None:
    named = os.environ.get("COLONNADE_LOCAL_MODEL_PATH")
    return Path(named) if named else next(iter(sorted(_MODELS.glob("*.gguf"))), None)


MODEL = _model()
needs_model = pytest.mark.skipif(
    MODEL is None,
    reason="NO LOCAL MODEL HERE, so the local writer is NOT tested: run `make local-model`, or set "
    "COLONNADE_LOCAL_MODEL_PATH to a GGUF file.",
)


@needs_model
@pytest.mark.journey
@pytest.mark.timeout(300)
async def test_a_local_model_writes_an_article_in_its_own_words() -> None:
    assert MODEL
    pytest.importorskip("xllamacpp")
    writer = LocalWriter(MODEL, timeout_seconds=240)
    try:
        written = await writer.write(FULL)
    finally:
        await writer.aclose()

    assert written.model == f"local:{MODEL.name.removesuffix('.gguf')}"
    assert 1 <= len(written.article.outline) <= 4
    assert len(written.article.body.split()) >= 40
    assert written.article.title.startswith("Oat drinks for cafés:")
    assert written.tokens_in > 100
    assert written.tokens_out > 100
    assert "Drinks made of oats." in written.prompt
    assert written.article.body.split("\n\n")[1][:20] in written.answer.replace("\n", " ")


@needs_model
@pytest.mark.journey
@pytest.mark.timeout(300)
async def test_a_local_model_stops_in_time_and_when_nobody_waits_and_writes_again_after() -> None:
    assert MODEL
    pytest.importorskip("xllamacpp")
    hurried = LocalWriter(MODEL, timeout_seconds=0.2)
    with pytest.raises(WritingFailed) as refused:
        await hurried.write(FULL)
    await hurried.aclose()

    writer = LocalWriter(MODEL, timeout_seconds=240)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(writer.write(FULL), 1)
    odd = replace(
        FULL, language="de", topic='a "quoted" {topic} \\ <b>', icps=("\x00",), short_description="日本" * 4_000
    )
    written = await writer.write(odd)
    await writer.aclose()

    assert (refused.value.reason, refused.value.is_temporary) == ("model.timeout", True)
    assert written.article.title


@pytest.mark.parametrize("content", [None, b"", b"not a model at all", b"GGUF and then nothing"])
async def test_a_file_that_is_no_model_is_named_as_not_configured(tmp_path: Path, content: bytes | None) -> None:
    pytest.importorskip("xllamacpp")
    path = tmp_path / "Broken.gguf"
    if content is not None:
        path.write_bytes(content)
    writer = LocalWriter(path, timeout_seconds=10)

    with pytest.raises(WritingFailed) as refused:
        await writer.write(FULL)
    await writer.aclose()

    assert refused.value.reason == "model.not_configured"
    assert "Broken.gguf" in refused.value.sentence
    assert str(tmp_path) not in refused.value.sentence
