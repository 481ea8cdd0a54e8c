-- The ground: who may see what, the door for credentials, repeated requests, rate windows, the request log.
-- Runs as the owner of the database, who is no superuser; the roles exist already.

grant usage on schema public to colonnade_app, colonnade_worker, colonnade_lookup;

-- After its first use in a session a custom setting reads '' and not NULL, hence the nullif.
create function app_agency() returns text language sql stable parallel safe
    return nullif(current_setting('app.agency_id', true), '');

create function app_whole_agency() returns boolean language sql stable parallel safe
    return coalesce(current_setting('app.workspace_ids', true), '') = '*';

create function app_workspaces() returns text[] language sql stable parallel safe
    return string_to_array(nullif(current_setting('app.workspace_ids', true), ''), ',');

-- Puts a table behind the third wall. The classes:
--   agency_only      seen and written only with the whole agency in reach
--   agency_readable  read by every caller of the agency, written only with the whole agency in reach
--   workspace        each row belongs to one workspace (the column may have another name: the workspace table's is its id)
--   either           rows of a workspace, or of the agency itself where the workspace is null
create function enforce_tenancy(target regclass, class text, workspace_column name default 'workspace_id') returns void
language plpgsql as $$
declare
    mine constant text := 'agency_id = (select app_agency())';
    whole constant text := mine || ' and (select app_whole_agency())';
    inside constant text := format(
        '%s and ((select app_whole_agency()) or %I = any ((select app_workspaces())::text[]))', mine, workspace_column);
begin
    execute format('alter table %s enable row level security', target);
    execute format('alter table %s force row level security', target);
    if class = 'agency_only' then
        execute format('create policy tenancy on %s using (%s)', target, whole);
    elsif class = 'agency_readable' then
        execute format('create policy tenancy_read on %s for select using (%s)', target, mine);
        execute format('create policy tenancy on %s using (%s)', target, whole);
    elsif class in ('workspace', 'either') then
        execute format('create policy tenancy on %s using (%s)', target, inside);
    else
        raise exception 'unknown class of table: %', class;
    end if;
    execute format('comment on table %s is %L', target, 'tenancy: ' || class);
end $$;

-- One row per credential of any kind; resolves a digest before a scope is known.
create table door (
    digest bytea primary key check (octet_length(digest) = 32),
    kind text not null check (kind in ('key', 'session', 'portal', 'approval', 'invitation')),
    agency_id text collate "C" not null,
    id text collate "C" not null
);
comment on table door is 'tenancy: global';
grant select, insert, delete on door to colonnade_lookup;

-- Answers of writing requests that carried an Idempotency-Key, written in the request's own transaction.
create table idempotency (
    agency_id text collate "C" not null,
    workspace_id text collate "C" not null,   -- '' where the caller had the whole agency in reach
    caller_id text collate "C" not null,
    key text collate "C" not null check (length(key) between 1 and 255),
    method text not null,
    path text not null,
    body_digest bytea not null,
    status smallint not null,
    headers jsonb not null,
    body bytea not null,
    created_at timestamptz not null default now(),
    primary key (agency_id, workspace_id, caller_id, key)
);
create index idempotency_age on idempotency (created_at);
select enforce_tenancy('idempotency', 'either');
grant select, insert, update, delete on idempotency to colonnade_app;
grant select, delete on idempotency to colonnade_worker;

-- Fixed windows that open with the first call after the last one ended, on this clock alone.
create table rate_window (
    subject text collate "C" primary key,     -- a key's id, or `address:…` for anonymous calls
    started_at timestamptz not null,
    used integer not null check (used >= 0),
    last_granted integer not null
) with (fillfactor = 50);
comment on table rate_window is 'tenancy: global';
grant select, insert, update, delete on rate_window to colonnade_lookup;
grant select, delete on rate_window to colonnade_worker;

-- Every API request. Agency null: nobody known was calling. No foreign keys: a log outlives what it names.
create table request_log (
    agency_id text collate "C",
    workspace_id text collate "C",
    request_id text not null,
    at timestamptz not null,
    key_id text collate "C",
    address inet,
    method text not null,
    path text not null,
    route text,
    status smallint not null,
    duration_ms real not null,
    code text,
    reason text
);
create index request_log_agency on request_log (agency_id, at desc);
create index request_log_age on request_log using brin (at);
select enforce_tenancy('request_log', 'either');
grant select on request_log to colonnade_app;
grant delete, select on request_log to colonnade_worker;
-- One batch holds the requests of many agencies, so it is written past the scope, by a function that only inserts.
create policy log_writer on request_log for insert to colonnade_lookup with check (true);
grant insert on request_log to colonnade_lookup;

create function log_requests(entries jsonb) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    insert into request_log (agency_id, workspace_id, request_id, at, key_id, address, method, path, route, status,
                             duration_ms, code, reason)
    select e.agency_id, e.workspace_id, e.request_id, e.at, e.key_id, e.address, e.method, e.path, e.route, e.status,
           e.duration_ms, e.code, e.reason
    from jsonb_to_recordset(entries) as e (agency_id text, workspace_id text, request_id text, at timestamptz, key_id text,
        address inet, method text, path text, route text, status smallint, duration_ms real, code text, reason text)
$$;
grant create on schema public to colonnade_lookup;
alter function log_requests(jsonb) owner to colonnade_lookup;
revoke create on schema public from colonnade_lookup;
revoke all on function log_requests(jsonb) from public;
grant execute on function log_requests(jsonb) to colonnade_app;
