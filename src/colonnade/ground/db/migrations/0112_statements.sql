-- The seal of the ledger, a chain for each account, and the monthly statements that are made of it.

-- Which accounts have entries that wait for their seal: a row for each account and statement that wrote any, taken away by
-- the sealing. Rows are only added, so nobody waits.
create table ledger_unsealed (
    agency_id text collate "C" not null,
    workspace_id text collate "C",
    account_id text collate "C" not null,
    number bigint generated always as identity,
    recorded_at timestamptz not null default now(),
    primary key (agency_id, account_id, number)
);
select enforce_tenancy('ledger_unsealed', 'either');
grant select, insert on ledger_unsealed to colonnade_app;
grant select, insert, delete on ledger_unsealed to colonnade_worker;

-- A block holds entries of an account without a gap. `hash` is a plain SHA-256 over them and the block before, so that
-- anybody can follow the chain; `mac` is made of it with a key that is not in the database.
create table ledger_seal (
    agency_id text collate "C" not null,
    workspace_id text collate "C",
    account_id text collate "C" not null,
    from_version bigint not null check (from_version > 0),
    to_version bigint not null,
    previous_hash bytea check (octet_length(previous_hash) = 32),
    hash bytea not null check (octet_length(hash) = 32),
    mac bytea not null check (octet_length(mac) = 32),
    key_id integer not null,
    at timestamptz not null,
    primary key (agency_id, account_id, to_version),
    check (from_version <= to_version),
    check ((previous_hash is null) = (from_version = 1))
);
select enforce_tenancy('ledger_seal', 'either');
grant select on ledger_seal to colonnade_app;
grant select, insert on ledger_seal to colonnade_worker;

-- The month that an agency's statements are made of next; it begins where the one before has ended, whatever became of the
-- agency's zone since. `due_at` is when it is worth to look.
create table statement_calendar (
    agency_id text collate "C" not null references agency (agency_id),
    month date not null check (extract(day from month) = 1),
    starts_at timestamptz not null,
    due_at timestamptz not null,
    primary key (agency_id)
);
create index statement_calendar_due on statement_calendar (due_at);
select enforce_tenancy('statement_calendar', 'agency_only');
grant select, insert, update on statement_calendar to colonnade_worker;

-- What is signed of a statement; its lines are the entries of the ledger between two versions of the account `used`.
create table statement (
    agency_id text collate "C" not null,
    workspace_id text collate "C" not null,
    id text collate "C" not null check (id ~ '^stmt_'),
    month date not null,
    zone text not null,
    starts_at timestamptz not null,
    ends_at timestamptz not null check (ends_at > starts_at),
    from_version bigint,
    to_version bigint,
    opening bigint not null,
    charged bigint not null check (charged >= 0),
    refunded bigint not null check (refunded >= 0),
    unfunded_events bigint not null check (unfunded_events >= 0),
    unfunded_cost bigint not null check (unfunded_cost >= 0),
    unfunded_digest bytea check (octet_length(unfunded_digest) = 32),
    previous_hash bytea check (octet_length(previous_hash) = 32),
    head_hash bytea check (octet_length(head_hash) = 32),
    mac bytea not null check (octet_length(mac) = 32),
    key_id integer not null,
    made_at timestamptz not null,
    primary key (agency_id, id),
    unique (agency_id, workspace_id, id),
    constraint statement_once unique (agency_id, workspace_id, month),
    foreign key (agency_id, workspace_id) references workspace (agency_id, id),
    check ((from_version is null) = (to_version is null) and from_version <= to_version),
    check ((from_version is null) = (head_hash is null) and (unfunded_events = 0) = (unfunded_digest is null))
);
select enforce_tenancy('statement', 'workspace');
grant select on statement to colonnade_app;
grant select, insert on statement to colonnade_worker;

-- Work that nothing paid for, in the order in which it was told.
create index usage_event_unfunded on usage_event (agency_id, workspace_id, id) where not is_funded;

create policy look_up on ledger_unsealed for select to colonnade_lookup using (true);
create policy look_up on statement_calendar for select to colonnade_lookup using (true);
grant select on ledger_unsealed, statement_calendar to colonnade_lookup;

create function ledgers_to_seal(most integer) returns table (agency_id text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select u.agency_id from ledger_unsealed u group by u.agency_id order by min(u.recorded_at), u.agency_id limit most
$$;

create function statements_due(most integer) returns table (agency_id text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select a.agency_id from agency a left join statement_calendar c on c.agency_id = a.agency_id
    where c.due_at is null or c.due_at <= now()
    order by c.due_at nulls first, a.agency_id limit most
$$;

create function ledger_lag() returns table (accounts bigint, oldest_seconds double precision)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select count(distinct (u.agency_id, u.account_id)),
           coalesce(extract(epoch from clock_timestamp() - min(u.recorded_at)), 0)::double precision
    from ledger_unsealed u
$$;

grant create on schema public to colonnade_lookup;
alter function ledgers_to_seal(integer) owner to colonnade_lookup;
alter function statements_due(integer) owner to colonnade_lookup;
alter function ledger_lag() owner to colonnade_lookup;
revoke create on schema public from colonnade_lookup;
revoke all on function ledgers_to_seal(integer), statements_due(integer), ledger_lag() from public;
grant execute on function ledger_lag() to colonnade_app, colonnade_worker;
grant execute on function ledgers_to_seal(integer), statements_due(integer) to colonnade_worker;

-- What was entered before there was a seal. Row security holds for the owner as well, hence agency by agency.
do $$
declare
    one record;
begin
    for one in select a.agency_id from list_agencies() a loop
        perform set_config('app.agency_id', one.agency_id, true), set_config('app.workspace_ids', '*', true);
        insert into ledger_unsealed (agency_id, workspace_id, account_id)
        select c.agency_id, c.workspace_id, c.id from credit_account c
        where c.agency_id = one.agency_id and c.version > 0;
    end loop;
    perform set_config('app.agency_id', '', true), set_config('app.workspace_ids', '', true);
end $$;

do $$
declare
    target regclass;
begin
    foreach target in array array['ledger_unsealed', 'ledger_seal', 'statement_calendar', 'statement']::regclass[] loop
        execute format('alter table %s alter column agency_id set (n_distinct = 10)', target);
    end loop;
end $$;
