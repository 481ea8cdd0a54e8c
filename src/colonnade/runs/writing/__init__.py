"""Writing: asks a model for an article about a brand, or composes one by rule when no model is configured.

Entered with `Writers(options).choose(wanted, keys)` and `await writer.write(brief)`; importing it loads the model
libraries (about 120 MB), so it belongs into the worker. Not here: what a run costs, and where articles are kept.
"""

from colonnade.runs.writing.catalogue import KnownModel, known_models
from colonnade.runs.writing.model import Article, Brief, Writer, WritingFailed, Written
from colonnade.runs.writing.prompts import prompt
from colonnade.runs.writing.writers import ModelOptions, Writers

__all__ = [
    "Article",
    "Brief",
    "KnownModel",
    "ModelOptions",
    "Writer",
    "Writers",
    "WritingFailed",
    "Written",
    "known_models",
    "prompt",
]
