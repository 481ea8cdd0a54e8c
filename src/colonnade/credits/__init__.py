"""Credits: pools and their grants, holds and what they were settled for, usage. A ledger of double entry lies below.

Amounts are whole milli-credits. Which pool pays for a workspace is its `creditPool` setting's to say.
"""

from colonnade.credits.alerting import AlertNews, UsageAlert
from colonnade.credits.alerts import (
    alert_news,
    change_alert,
    create_alert,
    delete_alert,
    get_alert,
    page_alerts,
)
from colonnade.credits.capping import CapStatus, caps, remove_cap, set_cap
from colonnade.credits.explaining import Explanation, Question, explain
from colonnade.credits.funding import available, balances, close_pool, grant, transfer
from colonnade.credits.holding import hold, hold_many, release, settle
from colonnade.credits.ingesting import report_usage
from colonnade.credits.ledger_pages import SealedLine, ledger
from colonnade.credits.model import (
    PRICES,
    CreditsOverview,
    Cycle,
    Grant,
    Hold,
    HoldRequest,
    HoldState,
    Moved,
    PoolBalance,
    Price,
    PriceList,
    Settled,
    Source,
    UsageLine,
    WorkspaceUsage,
)
from colonnade.credits.offline import StatementVerdict, check_statement
from colonnade.credits.partitions import FEWEST_MONTHS, forget_event_ids, keep_usage_months
from colonnade.credits.pricing import price_list, set_prices
from colonnade.credits.reporting import (
    MOST_ROWS,
    ask_usage,
    usage,
    usage_block,
    usage_blocks,
    usage_of_workspace,
)
from colonnade.credits.rules import Limit
from colonnade.credits.settling import TILL_STATE, CreditTill, open_till
from colonnade.credits.twins import TWIN_CREDITS, fill_twin
from colonnade.credits.usage_model import GroupBy, UsageQuery, UsageQuestion, UsageReport

__all__ = [
    "FEWEST_MONTHS",
    "MOST_ROWS",
    "PRICES",
    "TILL_STATE",
    "TWIN_CREDITS",
    "AlertNews",
    "CapStatus",
    "CreditTill",
    "CreditsOverview",
    "Cycle",
    "Explanation",
    "Grant",
    "GroupBy",
    "Hold",
    "HoldRequest",
    "HoldState",
    "Limit",
    "Moved",
    "PoolBalance",
    "Price",
    "PriceList",
    "Question",
    "SealedLine",
    "Settled",
    "Source",
    "StatementVerdict",
    "UsageAlert",
    "UsageLine",
    "UsageQuery",
    "UsageQuestion",
    "UsageReport",
    "WorkspaceUsage",
    "alert_news",
    "ask_usage",
    "available",
    "balances",
    "caps",
    "change_alert",
    "check_statement",
    "close_pool",
    "create_alert",
    "delete_alert",
    "explain",
    "fill_twin",
    "forget_event_ids",
    "get_alert",
    "grant",
    "hold",
    "hold_many",
    "keep_usage_months",
    "ledger",
    "open_till",
    "page_alerts",
    "price_list",
    "release",
    "remove_cap",
    "report_usage",
    "set_cap",
    "set_prices",
    "settle",
    "transfer",
    "usage",
    "usage_block",
    "usage_blocks",
    "usage_of_workspace",
]
