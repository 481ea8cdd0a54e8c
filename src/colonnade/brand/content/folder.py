"""The publisher that never lacks a target: pages as files in the installation's own data folder.

`published/AGENCY/WORKSPACE-SLUG/POST-SLUG/` holds `index.html` for browsers and `index.md` for other programs; the
published URL is the absolute `file:` URL of the page. A web server may serve the folder as it is.
"""

import asyncio
import contextlib
import html
import json
import os
import re
import secrets
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from colonnade.brand.content.model import is_slug
from colonnade.brand.content.publishing import Publication, Published, PublishingFailed
from colonnade.ground.core.ids import is_id

REHEARSALS: Final = "test"
"""The folder of what test twins publish; no agency's id looks like this."""

_WORKSPACE_SLUG: Final = re.compile(r"[a-z0-9-]{1,80}")
_POST_FOLDER: Final = re.compile(r"[a-z0-9-]{1,120}")

_STYLE: Final = (
    "body{margin:0 auto;max-width:42rem;padding:2rem 1rem;font:1.0625rem/1.65 system-ui,sans-serif}"
    "body{color:#1b1b1f;background:#fff}h1,h2,h3{line-height:1.25}a{color:#0b57d0}"
    "img{max-width:100%;height:auto}pre{overflow:auto;padding:1rem;background:#f4f4f6}"
    "table{border-collapse:collapse}th,td{border:1px solid #c7c7cf;padding:.4rem .6rem}"
    "blockquote{margin:0;padding-left:1rem;border-left:.25rem solid #c7c7cf}"
    "@media(prefers-color-scheme:dark){body{color:#e6e6ea;background:#16161a}a{color:#8ab4f8}pre{background:#232329}}"
)

_POLICY: Final = "default-src 'none'; img-src https: http: data:; style-src 'unsafe-inline'"

_PAGE: Final = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title} | {brand}</title>
<meta name="description" content="{description}">
<style>{style}</style>
</head>
<body>
<main>
<article>
<h1>{title}</h1>
{body}</article>
</main>
<footer><p>{brand}</p></footer>
</body>
</html>
"""


class FolderPublisher:
    """Writes each post into a folder of its own; a page that another post wrote is never touched."""

    kind: Final = "folder"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def publish(self, publication: Publication) -> Published:
        """Write page and source, each whole or not at all; the same key again finds them written."""
        try:
            page = await asyncio.to_thread(self._write, publication)
        except OSError as error:
            raise PublishingFailed(
                "publishing.folder_failed", "The page could not be written into the data folder.", is_temporary=True
            ) from error
        return Published(page.as_uri(), {"files": ["index.html", "index.md"]})

    async def remove(self, agency_id: str, workspace_id: str, url: str) -> None:
        """Remove the page behind a published URL, if this workspace wrote it; one that is gone is gone."""
        await asyncio.to_thread(self._remove, agency_id, workspace_id, url)

    def _remove(self, agency_id: str, workspace_id: str, url: str) -> None:
        parts = PurePosixPath(unquote(urlsplit(url).path)).parts[-3:-1]
        if len(parts) != 2 or not _WORKSPACE_SLUG.fullmatch(parts[0]) or not _POST_FOLDER.fullmatch(parts[1]):
            return
        for root in (self._folder.resolve(), self._folder.resolve() / REHEARSALS):
            self._remove_from(root / agency_id / parts[0], parts[1], workspace_id)

    @staticmethod
    def _remove_from(home: Path, slug: str, workspace_id: str) -> None:
        source = home / slug / "index.md"
        if not _holds(source, "workspaceId", workspace_id):
            return
        # The source goes last: as long as it is there, it tells whose page this is.
        (source.parent / "index.html").unlink(missing_ok=True)
        source.unlink(missing_ok=True)  # another worker may remove the same page
        for folder in (source.parent, home):
            with contextlib.suppress(OSError):  # another's page lies in it
                folder.rmdir()

    def _write(self, publication: Publication) -> Path:
        target = self._target(publication)
        target.mkdir(parents=True, exist_ok=True)
        page, source = target / "index.html", target / "index.md"
        # The source is written last: a key that stands in it tells that the page is there too.
        if not _holds(source, "idempotencyKey", publication.idempotency_key):
            _replace(page, page_of(publication))
            _replace(source, source_of(publication))
        return page

    def _target(self, publication: Publication) -> Path:
        if not (is_id("agency", publication.agency_id) and is_slug(publication.slug)):
            raise PublishingFailed(
                "publishing.misconfigured", "The post's address holds more than letters, digits and hyphens."
            )
        if not _WORKSPACE_SLUG.fullmatch(publication.workspace_slug):
            raise PublishingFailed(
                "publishing.misconfigured", "The workspace's slug holds more than letters, digits and hyphens."
            )
        # Slugs of workspaces are unique within an agency only, and may pass from one workspace to another.
        home = self._folder.resolve() / publication.agency_id / publication.workspace_slug
        plain = home / publication.slug
        if not plain.exists() or _holds(plain / "index.md", "postId", publication.post_id) or _is_unfinished(plain):
            return plain
        return home / f"{publication.slug}-{publication.post_id.removeprefix('post_')}"


def page_of(publication: Publication) -> str:
    """The whole page: one heading of the first level, no script, everything escaped."""
    return _PAGE.format(
        language=html.escape(publication.language),
        title=html.escape(publication.title),
        brand=html.escape(publication.brand_name),
        description=html.escape(publication.meta_description),
        policy=_POLICY,
        style=_STYLE,
        body=publication.body_html,
    )


def source_of(publication: Publication) -> str:
    """The Markdown with front matter; its values are written as JSON, which YAML reads."""
    head = {
        "title": publication.title,
        "slug": publication.slug,
        "description": publication.meta_description,
        "brand": publication.brand_name,
        "outline": list(publication.outline),
        "model": publication.model,
        "revision": publication.revision,
        "postId": publication.post_id,
        "workspaceId": publication.workspace_id,
        "idempotencyKey": publication.idempotency_key,
    }
    lines = [_line(name, value) for name, value in head.items()]
    return "\n".join(["---", *lines, "---", "", publication.body_markdown.rstrip("\n"), ""])


def _line(name: str, value: object) -> str:
    return f"{name}: {json.dumps(value, ensure_ascii=False)}"


def _holds(source: Path, name: str, value: str) -> bool:
    try:
        head = source.read_text("utf-8").partition("\n---\n")[0]
    except (FileNotFoundError, NotADirectoryError):
        return False
    return _line(name, value) in head.splitlines()


def _is_unfinished(folder: Path) -> bool:
    return folder.is_dir() and not (folder / "index.md").exists()


def _replace(file: Path, text: str) -> None:
    fresh = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        with fresh.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)
