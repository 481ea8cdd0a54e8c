"""What features cost an agency: the house's prices, and the agency's own in their place."""

from typing import Final

from colonnade.credits.model import PriceList
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.db.database import Tx

OWN_PRICES: Final = """
select distinct on (feature) feature, version, credits from price
where agency_id = $1
order by feature, version desc
"""


async def price_list(tx: Tx) -> PriceList:
    """The prices in force; asks for no scope, for work of every kind is priced by them."""
    rows = await tx.fetch(OWN_PRICES, tx.agency_id)
    own = {row["feature"]: MilliCredits(row["credits"]) for row in rows}
    return PriceList(max((row["version"] for row in rows), default=0), own)
