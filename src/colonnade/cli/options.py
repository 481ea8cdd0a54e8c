"""Options that several commands have in common, each with its one explanation."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path | None, typer.Option("--data", help="The data folder; else COLONNADE_DATA_DIR, else ./data.")]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]
Agency = Annotated[
    str | None, typer.Option("--agency", help="The agency's id; may be left out where there is only one.")
]
Workspace = Annotated[str | None, typer.Option("--workspace", help="The workspace's id; without it the agency itself.")]
