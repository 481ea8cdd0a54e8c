-- Tenancy: the audit log and the outbox, agencies, people and their memberships, workspaces and their last activity.

-- No foreign keys: a log outlives what it names. Append-only by grants; `before` and `after` are covered by their digest,
-- so that they can be erased without breaking what the digest is part of.
create table audit_entry (
    agency_id text collate "C" not null,
    id text collate "C" not null check (id ~ '^aud_'),
    workspace_id text collate "C",
    at timestamptz not null,
    actor_kind text not null,
    actor_id text collate "C" not null,
    actor_name text not null,
    event text collate "C" not null,
    resource_id text collate "C" not null,
    before jsonb,
    after jsonb,
    payload_digest bytea check (octet_length(payload_digest) = 32),
    request_id text not null,
    address inet,
    xid xid8 not null default pg_current_xact_id(),
    hmac bytea not null check (octet_length(hmac) = 32),
    key_id integer not null,
    primary key (agency_id, id),
    check ((before is null and after is null) or payload_digest is not null)
);
create index audit_entry_workspace on audit_entry (agency_id, workspace_id, id);
create index audit_entry_resource on audit_entry (agency_id, resource_id, id);
create index audit_entry_sealing on audit_entry (agency_id, xid, id);
select enforce_tenancy('audit_entry', 'either');
grant select, insert on audit_entry to colonnade_app, colonnade_worker;

-- What happened and waits for its reactions: ids only, written with the fact, deleted when every reaction is started.
create table outbox (
    agency_id text collate "C" not null,
    id text collate "C" not null check (id ~ '^evt_'),
    workspace_id text collate "C",
    event text collate "C" not null,
    resource_id text collate "C" not null,
    audit_id text collate "C" not null,
    at timestamptz not null,
    available_at timestamptz not null default now(),
    claimed_by text,
    attempts integer not null default 0 check (attempts >= 0),
    primary key (agency_id, id)
);
create index outbox_available on outbox (available_at);
select enforce_tenancy('outbox', 'either');
grant insert on outbox to colonnade_app;
grant select, insert, update, delete on outbox to colonnade_worker;

-- A worker takes rows of every agency; it then opens each agency's own scope, reacts and deletes the row there.
create policy outbox_claim_read on outbox for select to colonnade_lookup using (true);
create policy outbox_claim on outbox for update to colonnade_lookup using (true);
grant select, update on outbox to colonnade_lookup;

create function claim_outbox(worker text, most integer, lease_seconds integer)
returns table (agency_id text, id text, workspace_id text, event text, resource_id text, audit_id text,
               at timestamptz, attempts integer)
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    update outbox o
    set available_at = clock_timestamp() + make_interval(secs => lease_seconds), claimed_by = worker,
        attempts = o.attempts + 1
    from (select w.agency_id, w.id from outbox w where w.available_at <= clock_timestamp()
          order by w.available_at, w.id limit most for update skip locked) as free
    where o.agency_id = free.agency_id and o.id = free.id
    returning o.agency_id, o.id, o.workspace_id, o.event, o.resource_id, o.audit_id, o.at, o.attempts
$$;

create table agency (
    agency_id text collate "C" primary key check (agency_id ~ '^agency_'),
    live_agency_id text collate "C" references agency (agency_id),   -- set on a test twin alone
    name text not null check (length(name) between 1 and 255),
    website text,
    branding jsonb not null default '{}' check (jsonb_typeof(branding) = 'object'),
    settings jsonb not null default '{}' check (jsonb_typeof(settings) = 'object'),
    version bigint not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    unique (live_agency_id)
);
select enforce_tenancy('agency', 'agency_readable');
grant select, insert, update on agency to colonnade_app;
grant select on agency to colonnade_worker;

create policy agency_twin on agency for select to colonnade_lookup using (true);
grant select on agency to colonnade_lookup;
create function test_twin_of(live text) returns text
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select agency_id from agency where live_agency_id = live
$$;

-- A person may belong to several agencies, so the table is global; it is reached through the functions below alone.
create table person (
    id text collate "C" primary key check (id ~ '^person_'),
    email text collate "C" not null unique check (email = lower(email) and length(email) between 3 and 320),
    name text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
comment on table person is 'tenancy: global';
grant select, insert on person to colonnade_lookup;

create table member (
    agency_id text collate "C" not null references agency (agency_id),
    id text collate "C" not null check (id ~ '^mem_'),
    person_id text collate "C" not null references person (id),
    role text not null check (role in ('owner', 'admin', 'manager', 'viewer')),
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (agency_id, id),
    unique (agency_id, person_id)
);
select enforce_tenancy('member', 'agency_only');
grant select, insert, update, delete on member to colonnade_app;
grant select on member to colonnade_worker, colonnade_lookup;

create function ensure_person(wanted_id text, wanted_email text, wanted_name text) returns text
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    insert into person (id, email, name) values (wanted_id, wanted_email, wanted_name) on conflict (email) do nothing;
    select id from person where email = wanted_email
$$;

-- Row security on `member` holds inside as well, so only people of the agency in scope are ever answered.
create function people_of_agency(wanted text[]) returns table (id text, email text, name text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select p.id, p.email, p.name from person p
    where p.id = any (wanted) and exists (
        select from member m where m.agency_id = app_agency() and m.person_id = p.id)
$$;

create table workspace (
    agency_id text collate "C" not null references agency (agency_id),
    id text collate "C" not null check (id ~ '^ws_'),
    name text not null check (length(name) between 1 and 255),
    sort_name text collate "C" not null,      -- folded name: what lists are ordered by and searched in
    primary_domain text collate "C" check (primary_domain = lower(primary_domain) and length(primary_domain) <= 253),
    allow_duplicate_domain boolean not null default false,
    slug text collate "C" not null check (slug ~ '^[a-z0-9-]{1,48}$'),
    external_id text collate "C" check (length(external_id) between 1 and 255),
    industry text,
    timezone text not null default 'UTC',
    tags text[] collate "C" not null default '{}',
    metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    settings jsonb not null default '{}' check (jsonb_typeof(settings) = 'object'),
    brand jsonb not null default '{}' check (jsonb_typeof(brand) = 'object'),
    white_label jsonb not null default '{}' check (jsonb_typeof(white_label) = 'object'),
    owner_id text collate "C",
    archived_at timestamptz,
    version bigint not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (agency_id, id),
    constraint workspace_slug unique (agency_id, slug),
    constraint workspace_external_id unique (agency_id, external_id),
    foreign key (agency_id, owner_id) references member (agency_id, id)
);
create unique index workspace_active_domain on workspace (agency_id, primary_domain)
    where archived_at is null and not allow_duplicate_domain;
create index workspace_by_domain on workspace (agency_id, primary_domain);
create index workspace_by_age on workspace (agency_id, created_at, id);
create index workspace_by_name on workspace (agency_id, sort_name, id);
create index workspace_by_owner on workspace (agency_id, owner_id);
-- No index on the tags: under row security an array's `@>` is not let down to an index, and an agency's rows are few.
select enforce_tenancy('workspace', 'workspace', 'id');
grant select, insert, update on workspace to colonnade_app, colonnade_worker;

-- Beside the workspace, so that a moving last-active time never rewrites its row.
create table workspace_activity (
    agency_id text collate "C" not null,
    workspace_id text collate "C" not null,
    last_active_at timestamptz not null,
    primary key (agency_id, workspace_id),
    foreign key (agency_id, workspace_id) references workspace (agency_id, id)
) with (fillfactor = 50);
select enforce_tenancy('workspace_activity', 'workspace');
grant select on workspace_activity to colonnade_app, colonnade_worker;

-- One batch holds the activity of many agencies, so it is written past the scope; times only move forward, rows are
-- taken in one order, and a workspace that is not there is left out.
create policy activity_exists on workspace for select to colonnade_lookup using (true);
create policy activity_read on workspace_activity for select to colonnade_lookup using (true);
create policy activity_add on workspace_activity for insert to colonnade_lookup with check (true);
create policy activity_move on workspace_activity for update to colonnade_lookup using (true);
grant select on workspace to colonnade_lookup;
grant select, insert, update on workspace_activity to colonnade_lookup;

create function touch_workspaces(entries jsonb) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    insert into workspace_activity (agency_id, workspace_id, last_active_at)
    select e.agency_id, e.workspace_id, now()
    from jsonb_to_recordset(entries) as e (agency_id text, workspace_id text)
    join workspace w on w.agency_id = e.agency_id and w.id = e.workspace_id
    group by e.agency_id, e.workspace_id
    order by e.agency_id, e.workspace_id
    on conflict (agency_id, workspace_id) do update
    set last_active_at = greatest(workspace_activity.last_active_at, excluded.last_active_at)
$$;

grant create on schema public to colonnade_lookup;
alter function claim_outbox(text, integer, integer) owner to colonnade_lookup;
alter function test_twin_of(text) owner to colonnade_lookup;
alter function ensure_person(text, text, text) owner to colonnade_lookup;
alter function people_of_agency(text[]) owner to colonnade_lookup;
alter function touch_workspaces(jsonb) owner to colonnade_lookup;
revoke create on schema public from colonnade_lookup;
revoke all on function claim_outbox(text, integer, integer) from public;
revoke all on function test_twin_of(text) from public;
revoke all on function ensure_person(text, text, text) from public;
revoke all on function people_of_agency(text[]) from public;
revoke all on function touch_workspaces(jsonb) from public;
grant execute on function claim_outbox(text, integer, integer) to colonnade_worker;
grant execute on function test_twin_of(text) to colonnade_app;
grant execute on function ensure_person(text, text, text) to colonnade_app;
grant execute on function people_of_agency(text[]) to colonnade_app, colonnade_worker;
grant execute on function touch_workspaces(jsonb) to colonnade_app, colonnade_worker;
