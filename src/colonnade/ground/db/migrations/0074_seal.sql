-- The seal of the audit log: a chain over every entry of an agency, its signed head and checkpoints; what becomes of old
-- payloads; the request log made ready to be read.

-- What is recorded and not sealed yet, written with the entry and taken away by the sealing. A queue, not a mark on the
-- entry: the entry never changes, nothing is skipped whichever transaction commits last, and it survives a restore into a
-- server whose transaction ids begin anew.
create table audit_unsealed (
    agency_id text collate "C" not null,
    workspace_id text collate "C",
    xid xid8 not null default pg_current_xact_id(),
    entry_id text collate "C" not null,
    recorded_at timestamptz not null default now(),
    lost boolean not null default false,      -- the entry is gone: nothing to seal, and something to tell
    primary key (agency_id, xid, entry_id)
);
select enforce_tenancy('audit_unsealed', 'either');
grant select, insert on audit_unsealed to colonnade_app;
grant select, insert, delete on audit_unsealed to colonnade_worker;
grant update (lost) on audit_unsealed to colonnade_worker;

-- One link for every sealed entry. `hash` is a plain SHA-256, so that anybody can follow the chain; `mac` is made of it
-- with a key that is not in the database, so that nobody can make another chain.
create table audit_seal (
    agency_id text collate "C" not null,
    position bigint not null check (position > 0),
    entry_id text collate "C" not null check (entry_id ~ '^aud_'),
    previous_hash bytea check (octet_length(previous_hash) = 32),
    hash bytea not null check (octet_length(hash) = 32),
    mac bytea not null check (octet_length(mac) = 32),
    key_id integer not null,
    primary key (agency_id, position),
    unique (agency_id, entry_id),
    check ((previous_hash is null) = (position = 1))
);
select enforce_tenancy('audit_seal', 'agency_only');
grant select on audit_seal to colonnade_app;
grant select, insert on audit_seal to colonnade_worker;

-- Where the chain ends, signed, apart from it: a cut end is noticed. Positions have no gaps, so this one is the count, too.
create table audit_head (
    agency_id text collate "C" not null,
    position bigint not null check (position > 0),
    hash bytea not null check (octet_length(hash) = 32),
    at timestamptz not null,
    mac bytea not null check (octet_length(mac) = 32),
    key_id integer not null,
    primary key (agency_id)
);
select enforce_tenancy('audit_head', 'agency_only');
grant select on audit_head to colonnade_app;
grant select, insert, update on audit_head to colonnade_worker;

-- Heads of the past, one for every hour in which something was sealed and for every ten thousand entries.
create table audit_checkpoint (
    agency_id text collate "C" not null,
    position bigint not null check (position > 0),
    hash bytea not null check (octet_length(hash) = 32),
    at timestamptz not null,
    mac bytea not null check (octet_length(mac) = 32),
    key_id integer not null,
    primary key (agency_id, position)
);
select enforce_tenancy('audit_checkpoint', 'agency_only');
grant select on audit_checkpoint to colonnade_app;
grant select, insert on audit_checkpoint to colonnade_worker;

-- How the last verification by the house itself ended.
create table audit_check (
    agency_id text collate "C" not null,
    checked_at timestamptz not null,
    sealed bigint not null,
    problem text,                             -- null: all was well
    entry_id text collate "C",
    position bigint,
    primary key (agency_id)
);
select enforce_tenancy('audit_check', 'agency_only');
grant select, insert, update on audit_check to colonnade_worker;

-- The queue takes the place of this order.
drop index audit_entry_sealing;
-- Payloads that are still there, by age: what an agency no longer wants to keep.
create index audit_entry_payload on audit_entry (agency_id, at) where before is not null or after is not null;

-- What was recorded before there was a seal. Row security holds for the owner as well, hence agency by agency.
do $$
declare
    one record;
begin
    for one in select a.agency_id from list_agencies() a loop
        perform set_config('app.agency_id', one.agency_id, true), set_config('app.workspace_ids', '*', true);
        insert into audit_unsealed (agency_id, workspace_id, xid, entry_id)
        select e.agency_id, e.workspace_id, e.xid, e.id from audit_entry e where e.agency_id = one.agency_id;
    end loop;
    perform set_config('app.agency_id', '', true), set_config('app.workspace_ids', '', true);
end $$;

create policy look_up on audit_unsealed for select to colonnade_lookup using (true);
grant select on audit_unsealed to colonnade_lookup;
create policy look_up on audit_head for select to colonnade_lookup using (true);
grant select on audit_head to colonnade_lookup;
create policy look_up on audit_check for select to colonnade_lookup using (true);
grant select on audit_check to colonnade_lookup;

create function agencies_to_seal(most integer) returns table (agency_id text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select u.agency_id from audit_unsealed u where not u.lost group by u.agency_id order by min(u.recorded_at), u.agency_id limit most
$$;

create function agencies_to_verify(older_than interval, most integer) returns table (agency_id text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select h.agency_id from audit_head h left join audit_check c on c.agency_id = h.agency_id
    where c.checked_at is null or c.checked_at < now() - older_than
    order by c.checked_at nulls first, h.agency_id limit most
$$;

create function seal_lag() returns table (unsealed bigint, oldest_seconds double precision, broken bigint)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select count(*), coalesce(extract(epoch from clock_timestamp() - min(u.recorded_at)), 0)::double precision,
           (select count(*) from (
                select c.agency_id from audit_check c where c.problem is not null
                union select l.agency_id from audit_unsealed l where l.lost) as found)
    from audit_unsealed u where not u.lost
$$;

-- Takes payloads away from entries of the agency in scope: older ones, or those of one workspace. Their digests stay, so
-- that the seal holds. Nobody else can change an entry at all.
create policy look_up on audit_entry for select to colonnade_lookup using (true);
create policy erase on audit_entry for update to colonnade_lookup using (true);
grant select on audit_entry to colonnade_lookup;
grant update (before, after) on audit_entry to colonnade_lookup;

create function erase_audit_payloads(before_at timestamptz, of_workspace text, most integer) returns bigint
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    with gone as (
        update audit_entry e set before = null, after = null
        where e.agency_id = app_agency() and app_whole_agency() and e.id = any (array(
            select d.id from audit_entry d
            where d.agency_id = app_agency() and d.at < before_at and (d.before is not null or d.after is not null)
              and (of_workspace is null or d.workspace_id = of_workspace)
            limit most))
        returning 1)
    select count(*) from gone
$$;

-- Agencies that keep payloads for so many days alone, and have some that are older.
create function agencies_to_erase() returns table (agency_id text, days integer)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select a.agency_id, (a.settings ->> 'auditRetentionDays')::integer
    from agency a
    where a.settings ? 'auditRetentionDays' and exists (
        select from audit_entry e
        where e.agency_id = a.agency_id and (e.before is not null or e.after is not null)
          and e.at < now() - make_interval(days => (a.settings ->> 'auditRetentionDays')::integer))
$$;

-- The request log: who was signed in, a number that keeps the order of calls of one instant, and an index for each of the
-- questions that are asked of millions of rows: the newest, one request, one key, what was refused.
alter table request_log
    add column number bigint generated always as identity,
    add column member_id text collate "C";
drop index request_log_agency;
create index request_log_newest on request_log (agency_id, at desc, number desc);
create index request_log_request on request_log (agency_id, request_id);
create index request_log_key on request_log (agency_id, key_id, at desc, number desc);
create index request_log_refused on request_log (agency_id, at desc, number desc) where status >= 400;

create or replace function log_requests(entries jsonb) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    insert into request_log (agency_id, workspace_id, request_id, at, key_id, member_id, address, method, path, route,
                             status, duration_ms, code, reason)
    select e.agency_id, e.workspace_id, e.request_id, e.at, e.key_id, e.member_id, e.address, e.method, e.path, e.route,
           e.status, e.duration_ms, e.code, e.reason
    from jsonb_to_recordset(entries) as e (agency_id text, workspace_id text, request_id text, at timestamptz, key_id text,
        member_id text, address inet, method text, path text, route text, status smallint, duration_ms real, code text,
        reason text)
$$;

-- Each agency keeps its calls for as long as it wants; calls of nobody known for as long as the installation does.
create or replace function forget_requests(older_than interval, most integer) returns bigint
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    with old as (
        select r.place from agency a cross join lateral (
            select l.ctid as place from request_log l
            where l.agency_id = a.agency_id and l.at < now() - coalesce(
                make_interval(days => (a.settings ->> 'requestLogRetentionDays')::integer), older_than)
            limit most) r
        union all
        select l.ctid from request_log l where l.agency_id is null and l.at < now() - older_than
        limit most
    ), gone as (
        delete from request_log where ctid = any (array(select place from old)) returning 1)
    select count(*) from gone
$$;

grant create on schema public to colonnade_lookup;
alter function agencies_to_seal(integer) owner to colonnade_lookup;
alter function agencies_to_verify(interval, integer) owner to colonnade_lookup;
alter function seal_lag() owner to colonnade_lookup;
alter function erase_audit_payloads(timestamptz, text, integer) owner to colonnade_lookup;
alter function agencies_to_erase() owner to colonnade_lookup;
revoke create on schema public from colonnade_lookup;
revoke all on function agencies_to_seal(integer), agencies_to_verify(interval, integer), seal_lag(),
    erase_audit_payloads(timestamptz, text, integer), agencies_to_erase() from public;
grant execute on function agencies_to_seal(integer), agencies_to_verify(interval, integer),
    erase_audit_payloads(timestamptz, text, integer), agencies_to_erase() to colonnade_worker;
grant execute on function seal_lag() to colonnade_app, colonnade_worker, current_user;
