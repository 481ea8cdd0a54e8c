-- Credits that cannot be overspent: cycles, caps on every level, tallies to compare them with, references of an agency's
-- own services, alerts; and the one function that locks an agency's credits and reads all that a decision takes.

-- One kind of movement more each: a charge without a hold, what a workspace borrows of the agency's pool and what of it
-- comes back, corrections. A charge of nothing is kept too: its reference stands.
alter table credit_transfer drop constraint credit_transfer_kind_check, drop constraint credit_transfer_amount_check;
alter table credit_transfer
    add constraint credit_transfer_kind_check check (kind in
        ('grant', 'transfer', 'hold', 'capture', 'charge', 'release', 'expire', 'refund', 'borrow', 'return', 'correct')),
    add constraint credit_transfer_amount_check check (amount > 0 or (amount = 0 and kind in ('charge', 'capture'))),
    add column source text collate "C" not null default 'house',   -- whose reference it is; the house's own, or a caller's
    add column model text,
    add column quantity numeric(18, 3),
    add column unit_price bigint,
    add column cycle date,
    add column charge_id text collate "C",    -- of a refund, or of what was borrowed for a charge: which charge
    add column draws jsonb,                   -- the grants that were drawn on, where not one alone: {lots: [[id, amount], ...]}
    add column actor_name text,
    add column address inet;
drop index credit_transfer_reference, credit_transfer_workspace;   -- a workspace's are found by its ledger entries
-- A repeated reference is never moved twice, for ever: the house's own once for each kind, a caller's once at all.
create unique index credit_transfer_reference on credit_transfer (agency_id, kind, reference)
    where reference is not null and source = 'house';
create unique index credit_transfer_asked on credit_transfer (agency_id, source, reference)
    where reference is not null and source <> 'house';
create index credit_transfer_of_charge on credit_transfer (agency_id, charge_id) where charge_id is not null;

-- A hold may be captured in parts while it is open. `parts` tells how much of it was asked for which feature, where that
-- is not all for the one of the hold.
alter table credit_hold drop constraint credit_hold_reference, drop constraint credit_hold_end;
alter table credit_hold
    add column source text collate "C" not null default 'house',
    add column borrowed bigint not null default 0 check (borrowed >= 0),
    add column parts jsonb,
    add column price_version bigint,
    add column unit_price bigint,
    add column quantity numeric(18, 3),
    add column model text,
    add constraint credit_hold_reference unique (agency_id, source, reference),
    add constraint credit_hold_borrowed check (borrowed <= amount),
    add constraint credit_hold_end check (
        case state when 'open' then captured + released <= amount and settled_at is null
                   else captured + released = amount and settled_at is not null end);

alter table usage_event drop constraint usage_event_credits_check;
alter table usage_event
    add column source text collate "C",
    add column external_id text collate "C",  -- what was told by its sender: source and id are the sender's
    add column would_cost bigint check (would_cost >= 0),   -- of work that nothing could pay for
    add constraint usage_event_credits_check check (credits >= 0 or transfer_id is not null);
alter table usage_daily drop constraint usage_daily_credits_check;   -- a day on which more is refunded than used

-- Made when it is first needed and never changed: another rule or another zone counts from the end of the running one.
create table credit_cycle (
    agency_id text collate "C" not null references agency (agency_id),
    starts_on date not null,
    starts_at timestamptz not null,
    ends_at timestamptz not null check (ends_at > starts_at),
    rule jsonb not null,
    zone text not null,
    primary key (agency_id, starts_on)
);
create index credit_cycle_span on credit_cycle (agency_id, starts_at desc);
select enforce_tenancy('credit_cycle', 'agency_readable');
grant select, insert on credit_cycle to colonnade_app, colonnade_worker;

-- The workspace is that of the level, or of the key where the key is one's of a workspace.
create table credit_cap (
    agency_id text collate "C" not null references agency (agency_id),
    workspace_id text collate "C",
    id text collate "C" not null check (id ~ '^cap_'),
    level text not null check (level in ('agency', 'workspace', 'key')),
    key_id text collate "C",
    feature text collate "C",                 -- null: whatever the credits are for
    credits bigint not null check (credits >= 0),
    created_by text collate "C" not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    version bigint not null default 1,
    primary key (agency_id, id),
    constraint credit_cap_once unique nulls not distinct (agency_id, level, workspace_id, key_id, feature),
    constraint credit_cap_level check (
        case level when 'agency' then workspace_id is null when 'workspace' then workspace_id is not null else true end
        and (level = 'key') = (key_id is not null)),
    foreign key (agency_id, workspace_id) references workspace (agency_id, id),
    foreign key (agency_id, key_id) references api_key (agency_id, id)
);
select enforce_tenancy('credit_cap', 'either');
grant select, insert, update (credits, updated_at, version), delete on credit_cap to colonnade_app;
grant select on credit_cap to colonnade_worker;

-- What was taken in a cycle, counted for every level whether a cap stands there or not: so a cap is a number that is
-- compared, and setting one counts nothing anew. Taken is used and held together. The subject is `agency`, `ws_…` or
-- `key_…`, each also with `#` and a feature; `borrow:ws_…`; and `pool` or `pool:ws_…`, whose credits they were.
create table credit_tally (
    agency_id text collate "C" not null references agency (agency_id),
    workspace_id text collate "C",
    cycle date not null,
    subject text collate "C" not null,
    taken bigint not null default 0 check (taken >= 0),
    used bigint not null default 0,
    primary key (agency_id, cycle, subject),
    constraint credit_tally_used check (used <= taken)
) with (fillfactor = 50);
select enforce_tenancy('credit_tally', 'either');
grant select, insert, update (taken, used) on credit_tally to colonnade_app, colonnade_worker;

create table usage_alert (
    agency_id text collate "C" not null references agency (agency_id),
    workspace_id text collate "C",            -- null: about the agency
    id text collate "C" not null check (id ~ '^alert_'),
    threshold_percent integer not null check (threshold_percent between 1 and 1000),
    channels text[] not null check (channels <@ array['mail', 'webhook'] and cardinality(channels) > 0),
    is_active boolean not null default true,
    created_by text collate "C" not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    version bigint not null default 1,
    primary key (agency_id, id),
    foreign key (agency_id, workspace_id) references workspace (agency_id, id)
);
select enforce_tenancy('usage_alert', 'either');
grant select, insert, update (threshold_percent, channels, is_active, updated_at, version), delete on usage_alert
    to colonnade_app;
grant select on usage_alert to colonnade_worker;

-- Once for each threshold and cycle, also when an alert's threshold is moved and moved back.
create table usage_alert_firing (
    agency_id text collate "C" not null references agency (agency_id),
    workspace_id text collate "C",
    alert_id text collate "C" not null,
    cycle date not null,
    threshold_percent integer not null,
    used bigint not null,
    basis bigint not null,
    at timestamptz not null,
    primary key (agency_id, alert_id, cycle, threshold_percent),
    foreign key (agency_id, alert_id) references usage_alert (agency_id, id) on delete cascade
);
select enforce_tenancy('usage_alert_firing', 'either');
grant select, insert on usage_alert_firing to colonnade_app, colonnade_worker;

-- Grants and holds whose time is over are looked for over all agencies.
create index credit_grant_expiry on credit_grant (expires_at) where not is_spent and expires_at is not null;

create or replace function purged_tables() returns text[] language sql immutable parallel safe
    set search_path = pg_catalog, public, pg_temp as $$
    select array['usage_alert_firing', 'usage_alert', 'credit_cap', 'template_deployment', 'integration_use',
                 'approval_comment', 'approval', 'run_event', 'run_step', 'bulk_item', 'run', 'post_revision', 'post',
                 'api_key_use', 'api_key_secret', 'api_key', 'provider_key', 'workspace_member', 'workspace_activity',
                 'workspace_gram', 'idempotency']
$$;
grant select, delete on usage_alert_firing, usage_alert, credit_cap to colonnade_lookup;

-- Locks an agency's credits when it is asked to (one admission at a time; then pools, holds of callers and the other
-- accounts, each in the order of their ids), and then tells all that decides about them. Each reading is a statement of
-- its own behind the locks, so it sees what the one before has committed. Without locks it serves those who only look.
create function credits_open(wanted text[], keys text[], subjects text[], sources text[], refs text[], hold_ids text[],
                             grants text[], known_ids text[], known_versions bigint[], locking boolean) returns jsonb
language plpgsql volatile set search_path = pg_catalog, public, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
    mine constant text := app_agency();
    -- The workspaces of the holds that are asked for are meant as well, and so are lots that go back to life with them.
    places constant text[] := wanted || array(
        select distinct h.workspace_id from credit_hold h where h.agency_id = mine and h.id = any (hold_ids));
    pools constant text[] := array['pool'] || array(select 'pool:' || w from unnest(places) as w);
    others constant text[] := array['issued'] ||
        array(select k || ':' || w from unnest(places) as w, unnest(array['held', 'used']) as k);
    spent constant text[] := grants || array(
        select l.grant_id from credit_hold_lot l where l.agency_id = mine and l.hold_id = any (hold_ids));
    moment timestamptz;
    turn jsonb;
    turn_on date;
begin
    if locking then
        perform pg_advisory_xact_lock(76, hashtext(mine));
        insert into credit_account (agency_id, workspace_id, id, kind)
        select mine, nullif(split_part(n.name, ':', 2), ''), n.name, split_part(n.name, ':', 1)
        from unnest(pools || others) as n (name)
        where not exists (select from credit_account a where a.agency_id = mine and a.id = n.name)
          and (strpos(n.name, ':') = 0 or exists (
              select from workspace w where w.agency_id = mine and w.id = split_part(n.name, ':', 2)))
        order by n.name
        on conflict do nothing;
        perform from credit_account a where a.agency_id = mine and a.id = any (pools) order by a.id for update;
        perform from credit_hold h where h.agency_id = mine and h.id = any (hold_ids) and h.run_id is null
        order by h.id for update;
        perform from credit_account a where a.agency_id = mine and a.id = any (others) order by a.id for update;
    end if;
    moment := clock_timestamp();
    -- The latest that has begun: the current one, or the last one before a cycle that nobody has needed yet.
    select c.starts_on, jsonb_build_array(c.starts_on, c.starts_at, c.ends_at) into turn_on, turn
    from credit_cycle c where c.agency_id = mine and c.starts_at <= moment order by c.starts_at desc limit 1;
    return jsonb_build_object(
        'at', moment,
        'now', now(),
        'cycle', turn,
        'accounts', (
            select jsonb_agg(jsonb_build_array(a.id, a.workspace_id, a.balance, a.version, a.updated_at))
            from credit_account a where a.agency_id = mine and a.id = any (pools || others)),
        'lots', (
            select jsonb_agg(jsonb_build_array(g.pool_id, g.id, g.remaining, g.expires_at, g.priority)
                             order by g.pool_id, g.priority, g.expires_at nulls last, g.created_at, g.id)
            from (select o.* from credit_grant o where o.agency_id = mine and o.pool_id = any (pools) and not o.is_spent
                  union all
                  select o.* from credit_grant o where o.agency_id = mine and o.id = any (spent) and o.is_spent) as g),
        'caps', (
            select jsonb_agg(jsonb_build_array(c.id, c.level, c.workspace_id, c.key_id, c.feature, c.credits)
                             order by c.id)
            from credit_cap c
            where c.agency_id = mine and (c.level = 'agency' or c.key_id = any (keys)
                                          or (c.level = 'workspace' and c.workspace_id = any (places)))),
        'tallies', (
            select jsonb_agg(jsonb_build_array(t.subject, t.taken, t.used))
            from credit_tally t
            where t.agency_id = mine and t.cycle = turn_on and t.subject = any (subjects || 'agency'::text || places)),
        'known', (
            select jsonb_agg(to_jsonb(t) || jsonb_build_object('quantity', t.quantity::text))
            from unnest(sources, refs) as q (source, reference)
            join credit_transfer t on t.agency_id = mine and t.source = q.source and t.reference = q.reference
            where t.source <> 'house'),
        'holds', (
            select jsonb_agg(to_jsonb(h) || jsonb_build_object('quantity', h.quantity::text))
            from (select i.* from credit_hold i where i.agency_id = mine and i.id = any (hold_ids)
                  union all
                  select i.* from unnest(sources, refs) as q (source, reference)
                  join credit_hold i on i.agency_id = mine and i.source = q.source and i.reference = q.reference
                  where i.id <> all (hold_ids)) as h),
        'hold_lots', (
            select jsonb_agg(jsonb_build_array(l.hold_id, l.grant_id, l.amount) order by l.hold_id, l.position)
            from credit_hold_lot l where l.agency_id = mine and l.hold_id = any (hold_ids)),
        'alerts', (
            select jsonb_agg(jsonb_build_array(u.id, u.workspace_id, u.threshold_percent, u.channels))
            from usage_alert u
            where u.agency_id = mine and u.is_active and (u.workspace_id is null or u.workspace_id = any (places))
              and not exists (
                  select from usage_alert_firing f
                  where f.agency_id = mine and f.alert_id = u.id and f.cycle = turn_on
                    and f.threshold_percent = u.threshold_percent)),
        'terms', (
            select jsonb_agg(jsonb_build_array(
                s.id, s.version, s.gone, case when k.version is distinct from s.version then s.settings end))
            from (select a.agency_id as id, a.version, a.settings, false as gone from agency a where a.agency_id = mine
                  union all
                  select w.id, w.version, w.settings, w.archived_at is not null from workspace w
                  where w.agency_id = mine and w.id = any (places)) as s
            left join unnest(known_ids, known_versions) as k (id, version) on k.id = s.id),
        'price_version', (select coalesce(max(p.version), 0) from price p where p.agency_id = mine));
end $$;
revoke all on function credits_open(text[], text[], text[], text[], text[], text[], text[], text[], bigint[], boolean) from public;
grant execute on function credits_open(text[], text[], text[], text[], text[], text[], text[], text[], bigint[], boolean)
    to colonnade_app, colonnade_worker;

-- What was taken so far, all of it by holds: their months become cycles, and their credits are counted.
do $$
declare
    home record;
    home_zone text;
begin
    for home in select agency_id from list_agencies() loop
        perform set_config('app.agency_id', home.agency_id, true), set_config('app.workspace_ids', '*', true);
        select coalesce(a.settings ->> 'timezone', 'UTC') into home_zone from agency a where a.agency_id = home.agency_id;
        begin
            perform now() at time zone home_zone;
        exception when invalid_parameter_value then   -- a zone that this PostgreSQL has not heard of
            home_zone := 'UTC';
        end;
        insert into credit_cycle (agency_id, starts_on, starts_at, ends_at, rule, zone)
        select home.agency_id, m.cycle, m.cycle::timestamp at time zone home_zone,
               (m.cycle + interval '1 month')::timestamp at time zone home_zone, '{"kind": "month", "anchor": 1}', home_zone
        from (select distinct h.cycle from credit_hold h where h.agency_id = home.agency_id) as m;

        insert into credit_tally (agency_id, workspace_id, cycle, subject, taken, used)
        with work as (
            select h.cycle, h.workspace_id, h.key_id, h.pool_id, h.feature, h.amount as taken, 0::bigint as used
            from credit_hold h where h.agency_id = home.agency_id and h.state = 'open' and h.amount > 0
            union all
            select h.cycle, h.workspace_id, h.key_id, h.pool_id, t.feature, t.amount, t.amount
            from credit_transfer t join credit_hold h on h.agency_id = t.agency_id and h.id = t.hold_id
            where t.agency_id = home.agency_id and t.kind = 'capture'
        )
        select home.agency_id, s.workspace_id, work.cycle, s.subject, sum(work.taken), sum(work.used)
        from work, lateral (values
            ('agency', null), ('agency#' || work.feature, null),
            (work.workspace_id, work.workspace_id), (work.workspace_id || '#' || work.feature, work.workspace_id),
            (work.key_id, null), (work.key_id || '#' || work.feature, null),
            (work.pool_id, case when work.pool_id <> 'pool' then work.workspace_id end)) as s (subject, workspace_id)
        where s.subject is not null
        group by s.workspace_id, work.cycle, s.subject;
    end loop;
    perform set_config('app.agency_id', '', true), set_config('app.workspace_ids', '', true);
end $$;

do $$
declare
    target regclass;
begin
    foreach target in array array['credit_cycle', 'credit_cap', 'credit_tally', 'usage_alert', 'usage_alert_firing']::regclass[]
    loop
        execute format('alter table %s alter column agency_id set (n_distinct = 10)', target);
    end loop;
end $$;
