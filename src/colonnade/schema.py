"""The whole schema: the numbered migrations, and after them what other packages bring with them."""

from typing import Final

from colonnade.ground.db.migrating import Step
from colonnade.runs.engine.schema import install as install_engine

STEPS: Final[tuple[Step, ...]] = (install_engine,)
