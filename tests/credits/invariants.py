"""What is true of an agency's credits at every instant, whatever was done: asked of the database itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.credits.homes import Home

_BROKEN: Final = """
with mine as (select * from credit_account where agency_id = $1),
entry as (select account_id, amount, balance_after, account_version,
                 sum(amount) over w as summed, row_number() over w as counted, at, lag(at) over w as before
          from ledger_entry where agency_id = $1 window w as (partition by account_id order by account_version)),
account as (select account_id, sum(amount) as balance, count(*) as version from entry group by account_id),
hold as (select workspace_id, sum(amount - captured) as held from credit_hold
         where agency_id = $1 and state = 'open' group by 1),
lot as (select pool_id, sum(remaining) as remaining from credit_grant where agency_id = $1 group by pool_id),
event as (select workspace_id, sum(credits) as used from usage_event where agency_id = $1 group by workspace_id),
daily as (select workspace_id, sum(credits) as used from usage_daily where agency_id = $1 group by workspace_id),
lotted as (select h.id, h.amount, sum(l.amount) as drawn from credit_hold h
           left join credit_hold_lot l on l.agency_id = h.agency_id and l.hold_id = h.id
           where h.agency_id = $1 group by h.id, h.amount),
tally as (select *, split_part(subject, '#', 1) as holder, subject like '%#%' as is_part
          from credit_tally where agency_id = $1),
taken as (select cycle, workspace_id, sum(taken) as taken, sum(used) as used from tally
          where subject = workspace_id group by cycle, workspace_id),
parts as (select cycle, holder, sum(taken) as taken, sum(used) as used from tally where is_part group by cycle, holder),
lent as (select workspace_id, sum(case kind when 'borrow' then amount else -amount end) as amount
         from credit_transfer where agency_id = $1 and kind in ('borrow', 'return') group by 1)
select 'the sum of all balances is not zero' as broken from mine having sum(balance) <> 0
union all select id || ' has the wrong sign' from mine where balance * case kind when 'issued' then -1 else 1 end < 0
union all select id || ' differs from its entries' from mine left join account on account_id = id
    where mine.balance <> coalesce(account.balance, 0) or mine.version <> coalesce(account.version, 0)
union all select account_id || ' has a gap' from entry where balance_after <> summed or account_version <> counted
union all select account_id || ' goes back in time' from entry where at < before
union all select id || ' differs from its lots' from mine left join lot on pool_id = id
    where kind = 'pool' and balance <> coalesce(remaining, 0)
union all select id || ' differs from the open holds' from mine left join hold using (workspace_id)
    where kind = 'held' and balance <> coalesce(held, 0)
union all select id || ' differs from the usage' from mine
    left join event using (workspace_id) left join daily using (workspace_id)
    where kind = 'used' and (balance <> coalesce(event.used, 0) or balance <> coalesce(daily.used, 0))
union all select id || ' differs from what it drew' from lotted where amount <> coalesce(drawn, 0)
union all select 'a transfer lacks an entry' where (select count(*) from entry)
    <> 2 * (select count(*) from credit_transfer where agency_id = $1 and amount > 0)
union all select id || ' differs from the tallies' from mine
    left join (select workspace_id, sum(used) as used, sum(taken - used) as held from taken group by 1) t
    using (workspace_id)
    where kind in ('used', 'held') and balance <> coalesce(case kind when 'used' then t.used else t.held end, 0)
union all select 'the agency differs from its workspaces in ' || cycle from tally
    left join (select cycle, sum(taken) as taken, sum(used) as used from taken group by 1) t using (cycle)
    where subject = 'agency' and (tally.taken, tally.used) is distinct from (t.taken::bigint, t.used::bigint)
union all select subject || ' differs from its features in ' || cycle from tally join parts using (cycle, holder)
    where not is_part and (tally.taken, tally.used) is distinct from (parts.taken::bigint, parts.used::bigint)
union all select 'the pools differ from the agency in ' || cycle from tally
    join (select cycle, sum(taken) as taken, sum(used) as used from tally where subject ~ '^pool' group by 1) p
    using (cycle)
    where subject = 'agency' and (tally.taken, tally.used) is distinct from (p.taken::bigint, p.used::bigint)
union all select workspace_id || ' differs from what was lent to it' from lent
    full join (select workspace_id, sum(taken) as taken from tally where subject ~ '^borrow:' group by 1) b
    using (workspace_id) where coalesce(b.taken, 0) <> coalesce(lent.amount, 0)
union all select 'work was charged that nothing could pay for' from usage_event
    where agency_id = $1 and not is_funded and (credits <> 0 or transfer_id is not null)
"""

_TAKEN: Final = """
select t.subject, t.taken from credit_tally t join credit_cycle c on c.agency_id = t.agency_id and c.starts_on = t.cycle
where t.agency_id = $1 and c.starts_at <= clock_timestamp() and clock_timestamp() < c.ends_at
"""

_BOUNDS: Final = """
select coalesce(c.key_id, c.workspace_id, 'agency') || coalesce('#' || c.feature, '') as subject, c.credits as most
from credit_cap c where c.agency_id = $1
union all select 'borrow:' || w.id, coalesce((w.settings ->> 'borrowLimit')::numeric * 1000, 0)
from workspace w where w.agency_id = $1
"""


@dataclass(frozen=True)
class Taken:
    """What was taken in the current cycle, and the bounds of it."""

    taken: Mapping[str, int]
    most: Mapping[str, int]

    def passed(self, before: "Taken") -> list[str]:
        """The subjects that took more than is allowed since then; what was taken before is no breach of a new bound."""
        return [
            subject
            for subject, most in self.most.items()
            if self.taken.get(subject, 0) > max(most, before.taken.get(subject, 0))
        ]


async def broken(home: Home) -> list[str]:
    """What is not as it must be; nothing, that is."""
    async with home.database.transaction(home.caller.reach) as tx:
        return [row["broken"] for row in await tx.fetch(_BROKEN, home.agency_id)]


async def taken(home: Home) -> Taken:
    """How caps and borrow limits stand."""
    async with home.database.transaction(home.caller.reach) as tx:
        counted = {row["subject"]: row["taken"] for row in await tx.fetch(_TAKEN, home.agency_id)}
        most = {row["subject"]: int(row["most"]) for row in await tx.fetch(_BOUNDS, home.agency_id)}
    return Taken(counted, most)
