-- Credits: accounts with their ledger, grants, holds, usage with its daily roll-up, the agency's own prices.
-- All amounts are milli-credits. Ledger and usage outlive what they name, so they have no foreign keys.

-- The id tells kind and workspace, so an account is unique for both and one lock order fits all.
create table credit_account (
    agency_id text collate "C" not null references agency (agency_id),
    workspace_id text collate "C",
    id text collate "C" not null,
    kind text not null check (kind in ('issued', 'pool', 'held', 'used')),
    balance bigint not null default 0,
    version bigint not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (agency_id, id),
    constraint credit_account_once unique nulls not distinct (agency_id, workspace_id, kind),
    foreign key (agency_id, workspace_id) references workspace (agency_id, id),
    constraint credit_account_name check (id = kind || coalesce(':' || workspace_id, '')),
    constraint credit_account_level check (
        case kind when 'issued' then workspace_id is null when 'pool' then true else workspace_id is not null end),
    constraint credit_account_sign check (case kind when 'issued' then balance <= 0 else balance >= 0 end)
) with (fillfactor = 50);
select enforce_tenancy('credit_account', 'either');
grant select, insert, update (balance, version, updated_at) on credit_account to colonnade_app, colonnade_worker;

create table credit_transfer (
    agency_id text collate "C" not null,
    workspace_id text collate "C",            -- the workspace it is about; null for the agency's own moves
    id text collate "C" not null check (id ~ '^(xfer|chg)_'),
    kind text not null check (kind in ('grant', 'transfer', 'hold', 'capture', 'release', 'expire', 'refund')),
    amount bigint not null check (amount > 0),
    from_account text collate "C" not null,
    to_account text collate "C" not null check (to_account <> from_account),
    reference text collate "C",
    feature text,
    run_id text collate "C",
    grant_id text collate "C",
    hold_id text collate "C",
    price_version bigint,
    rule text not null,                       -- which pool or limit allowed it
    actor_id text collate "C" not null,
    key_id text collate "C",
    request_id text not null,
    at timestamptz not null,
    primary key (agency_id, id)
);
-- A repeated reference is never moved twice, for ever.
create unique index credit_transfer_reference on credit_transfer (agency_id, kind, reference) where reference is not null;
create index credit_transfer_workspace on credit_transfer (agency_id, workspace_id, id);
select enforce_tenancy('credit_transfer', 'either');
grant select, insert on credit_transfer to colonnade_app, colonnade_worker;

-- Two for each transfer. The version counts an account's entries without a gap, so that none can go missing.
create table ledger_entry (
    agency_id text collate "C" not null,
    workspace_id text collate "C",            -- the account's
    id text collate "C" not null check (id ~ '^led_'),
    transfer_id text collate "C" not null,
    account_id text collate "C" not null,
    amount bigint not null check (amount <> 0),
    balance_after bigint not null,
    account_version bigint not null check (account_version > 0),
    at timestamptz not null,
    primary key (agency_id, id),
    constraint ledger_entry_gapless unique (agency_id, account_id, account_version)
);
create index ledger_entry_workspace on ledger_entry (agency_id, workspace_id, id);
select enforce_tenancy('ledger_entry', 'either');
grant select, insert on ledger_entry to colonnade_app, colonnade_worker;

-- What a pool holds, lot by lot: spent by priority, earliest expiry, oldest.
create table credit_grant (
    agency_id text collate "C" not null,
    workspace_id text collate "C",            -- the pool's
    id text collate "C" not null check (id ~ '^grant_'),
    pool_id text collate "C" not null,
    amount bigint not null check (amount > 0),
    remaining bigint not null,
    -- The index below must not name `remaining`, which changes with every hold and would then move its entry too.
    is_spent boolean not null generated always as (remaining = 0) stored,
    expires_at timestamptz,
    priority integer not null default 0,
    note text check (length(note) <= 500),
    origin_id text collate "C",               -- the grant of another pool that a transfer took it from
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (agency_id, id),
    foreign key (agency_id, pool_id) references credit_account (agency_id, id),
    foreign key (agency_id, origin_id) references credit_grant (agency_id, id),
    foreign key (agency_id, workspace_id) references workspace (agency_id, id),
    constraint credit_grant_pool check (pool_id = 'pool' || coalesce(':' || workspace_id, '')),
    constraint credit_grant_remaining check (remaining between 0 and amount)
) with (fillfactor = 50);
create index credit_grant_open on credit_grant (agency_id, pool_id) where not is_spent;
select enforce_tenancy('credit_grant', 'either');
grant select, insert, update (remaining, updated_at) on credit_grant to colonnade_app, colonnade_worker;

create table credit_hold (
    agency_id text collate "C" not null,
    workspace_id text collate "C" not null,
    id text collate "C" not null check (id ~ '^hold_'),
    pool_id text collate "C" not null,
    amount bigint not null check (amount >= 0),
    captured bigint not null default 0 check (captured >= 0),
    released bigint not null default 0 check (released >= 0),
    state text not null default 'open' check (state in ('open', 'settled', 'released')),
    reference text collate "C" not null,
    feature text not null,
    run_id text collate "C",
    key_id text collate "C",                  -- the key whose work it is, for usage by key
    cycle date not null,                      -- first day of the cycle that captures count in
    expires_at timestamptz,
    settled_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (agency_id, id),
    unique (agency_id, workspace_id, id),
    constraint credit_hold_reference unique (agency_id, reference),
    foreign key (agency_id, workspace_id) references workspace (agency_id, id),
    foreign key (agency_id, pool_id) references credit_account (agency_id, id),
    constraint credit_hold_end check (
        case state when 'open' then captured = 0 and released = 0 and settled_at is null
                   else captured + released = amount and settled_at is not null end)
) with (fillfactor = 70);
create index credit_hold_open on credit_hold (agency_id, pool_id, amount) where state = 'open';
create index credit_hold_cycle on credit_hold (agency_id, cycle, pool_id);
create index credit_hold_expiry on credit_hold (expires_at) where state = 'open';
select enforce_tenancy('credit_hold', 'workspace');
grant select, insert, update (captured, released, state, settled_at, updated_at) on credit_hold
    to colonnade_app, colonnade_worker;

-- Which grants a hold drew on, in the order of drawing; what is not used goes back to the last of them first.
create table credit_hold_lot (
    agency_id text collate "C" not null,
    workspace_id text collate "C" not null,
    hold_id text collate "C" not null,
    grant_id text collate "C" not null,
    position integer not null check (position >= 0),
    amount bigint not null check (amount > 0),
    primary key (agency_id, hold_id, grant_id),
    foreign key (agency_id, workspace_id, hold_id) references credit_hold (agency_id, workspace_id, id),
    foreign key (agency_id, grant_id) references credit_grant (agency_id, id)
);
select enforce_tenancy('credit_hold_lot', 'workspace');
grant select, insert on credit_hold_lot to colonnade_app, colonnade_worker;

-- What was used, line by line. Months get partitions of their own before they begin; the rest lies in the default one.
create table usage_event (
    agency_id text collate "C" not null,
    workspace_id text collate "C" not null,
    at timestamptz not null,
    id text collate "C" not null check (id ~ '^evt_'),
    feature text not null,
    key_id text collate "C",
    model text,
    run_id text collate "C",
    hold_id text collate "C",
    transfer_id text collate "C",             -- none where it cost nothing
    cycle date not null,
    credits bigint not null check (credits >= 0),
    quantity numeric(18, 3) not null check (quantity >= 0),
    is_funded boolean not null default true,
    metadata jsonb not null default '{}',
    primary key (agency_id, at, id)
) partition by range (at);
create table usage_event_rest partition of usage_event default;
create index usage_event_workspace on usage_event (agency_id, workspace_id, at);
select enforce_tenancy('usage_event', 'workspace');
select enforce_tenancy('usage_event_rest', 'workspace');
grant select, insert on usage_event to colonnade_app, colonnade_worker;

-- Who has told of which event: the identity is workspace, source and id, kept beside the partitions.
create table usage_event_id (
    agency_id text collate "C" not null,
    workspace_id text collate "C" not null,
    source text collate "C" not null,
    id text collate "C" not null,
    at timestamptz not null,
    primary key (agency_id, workspace_id, source, id)
);
create index usage_event_id_age on usage_event_id using brin (at);
select enforce_tenancy('usage_event_id', 'workspace');
grant select, insert on usage_event_id to colonnade_app;
grant select, insert, delete on usage_event_id to colonnade_worker;

-- Usage by the day of the agency's zone, written with the events. No key and no model are '' (a key holds no nulls).
create table usage_daily (
    agency_id text collate "C" not null,
    day date not null,
    workspace_id text collate "C" not null,
    feature text not null,
    key_id text collate "C" not null default '',
    model text not null default '',
    credits bigint not null check (credits >= 0),
    events bigint not null check (events > 0),
    primary key (agency_id, day, workspace_id, feature, key_id, model) include (credits, events)
);
create index usage_daily_workspace on usage_daily (agency_id, workspace_id, day);
select enforce_tenancy('usage_daily', 'workspace');
grant select, insert, update (credits, events) on usage_daily to colonnade_app, colonnade_worker;

-- What the agency pays for a feature where it is not the house's own price; the highest version counts.
create table price (
    agency_id text collate "C" not null,
    id text collate "C" not null check (id ~ '^price_'),
    feature text not null,
    version bigint not null check (version > 0),
    credits bigint not null check (credits >= 0),
    created_by text collate "C" not null,
    created_at timestamptz not null,
    primary key (agency_id, id),
    constraint price_version unique (agency_id, feature, version)
);
select enforce_tenancy('price', 'agency_readable');
grant select, insert on price to colonnade_app;
grant select on price to colonnade_worker;
