"""How the agency's logo is kept: one picture, found by the public under its digest."""

from typing import Final

from colonnade.ground.db.database import Database, Tx
from colonnade.tenancy.agencies.pictures import Picture

PUT: Final = """
insert into agency_logo (agency_id, digest, media_type, content, created_at) values ($1, $2, $3, $4, $5)
on conflict (agency_id) do update
set digest = excluded.digest, media_type = excluded.media_type, content = excluded.content,
    created_at = excluded.created_at
"""
FORGET: Final = "delete from agency_logo where agency_id = $1 and strpos($2, encode(digest, 'hex')) = 0"
PUBLIC: Final = "select media_type, content from public_logo($1, $2)"


async def put(tx: Tx, picture: Picture) -> None:
    """Keep this picture in the place of the one before."""
    await tx.execute(PUT, tx.agency_id, picture.digest, picture.media_type, picture.content, await tx.now())


async def forget_unless_named(tx: Tx, url: str) -> None:
    """Keep the picture only if this address is its own."""
    await tx.execute(FORGET, tx.agency_id, url)


async def find_public(database: Database, agency_id: str, digest: bytes) -> Picture | None:
    """The picture that everybody may see who knows its digest."""
    rows = await database.lookup(PUBLIC, agency_id, digest)
    return Picture(**dict(rows[0])) if rows else None
