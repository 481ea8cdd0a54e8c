-- API keys: what a key may do, the digests that open it, when it was last used, and how often it may call.

create table api_key (
    agency_id text collate "C" not null references agency (agency_id),
    workspace_id text collate "C",
    id text collate "C" not null check (id ~ '^key_'),
    scope text not null check (scope in ('agency', 'workspace')),
    name text not null check (length(name) between 1 and 255),
    description text not null default '' check (length(description) <= 2000),
    hint text not null check (length(hint) = 4),
    scopes text[] not null check (cardinality(scopes) > 0),
    workspaces text[] check (cardinality(workspaces) > 0),   -- null: every workspace of the agency
    ip_allowlist cidr[] not null default '{}',               -- empty: from anywhere
    rate_requests integer check (rate_requests > 0),         -- null: no limit
    rate_window_seconds integer check (rate_window_seconds > 0),
    mode text not null check (mode in ('live', 'test')),
    expires_at timestamptz,
    revoked_at timestamptz,
    revoked_by text,
    created_by text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    version integer not null default 1,
    primary key (agency_id, id),
    foreign key (agency_id, workspace_id) references workspace (agency_id, id),
    check ((scope = 'workspace') = (workspace_id is not null)),
    check (scope = 'agency' or workspaces is null),
    check ((rate_requests is null) = (rate_window_seconds is null)),
    check ((revoked_at is null) = (revoked_by is null))
);
create index api_key_workspace on api_key (agency_id, workspace_id, id);
create index api_key_id on api_key (id);   -- the limiter knows a key by its id alone
select enforce_tenancy('api_key', 'either');
grant select, insert, update on api_key to colonnade_app;
grant select on api_key to colonnade_worker;

-- A child of the key, so that a roll keeps the key's id. The text itself is nowhere.
create table api_key_secret (
    agency_id text collate "C" not null,
    workspace_id text collate "C",
    key_id text collate "C" not null,
    digest bytea not null check (octet_length(digest) = 32),
    pepper_id integer not null,
    ends_at timestamptz,                                     -- null: as long as the key
    created_at timestamptz not null,
    primary key (agency_id, key_id, digest),
    foreign key (agency_id, key_id) references api_key (agency_id, id)
);
select enforce_tenancy('api_key_secret', 'either');
grant select, insert, update on api_key_secret to colonnade_app;

-- Apart from the key, because it changes all the time.
create table api_key_use (
    agency_id text collate "C" not null,
    workspace_id text collate "C",
    key_id text collate "C" not null,
    last_used_at timestamptz not null,
    last_used_ip inet,
    primary key (agency_id, key_id),
    foreign key (agency_id, key_id) references api_key (agency_id, id)
) with (fillfactor = 50);
select enforce_tenancy('api_key_use', 'either');
grant select on api_key_use to colonnade_app, colonnade_worker;

create policy look_up on api_key for select to colonnade_lookup using (true);
create policy look_up on api_key_secret for select to colonnade_lookup using (true);
create policy look_up on api_key_use to colonnade_lookup using (true) with check (true);
grant select on api_key, api_key_secret to colonnade_lookup;
grant select, insert, update on api_key_use to colonnade_lookup;

-- A window is judged by the length and limit that the call brings, so a changed limit counts at once.
alter table rate_window
    add column window_seconds integer not null check (window_seconds > 0),
    add column most integer not null check (most >= 0);

grant create on schema public to colonnade_lookup;

-- The door follows the secrets: there is no secret without its row in the door, and none in the door without a secret.
create function api_key_secret_door() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    if tg_op = 'DELETE' then
        delete from door where digest = old.digest;
        return old;
    end if;
    insert into door (digest, kind, agency_id, id) values (new.digest, 'key', new.agency_id, new.key_id);
    return new;
end $$;
alter function api_key_secret_door() owner to colonnade_lookup;
revoke all on function api_key_secret_door() from public;
create trigger api_key_secret_door after insert or delete on api_key_secret
    for each row execute function api_key_secret_door();

-- The agency's own allowlist holds for each of its keys, so whoever keeps keys in mind hears when it changes.
create function agency_allowlist_heard() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    perform pg_notify('colonnade_keys', new.agency_id);
    return new;
end $$;
create trigger agency_allowlist_heard after update of settings on agency for each row
    when (old.settings -> 'ipAllowlist' is distinct from new.settings -> 'ipAllowlist')
    execute function agency_allowlist_heard();

-- What stands behind a digest, before any scope is known.
create function door_key(digests bytea[])
returns table (digest bytea, secret_ends_at timestamptz, agency_allowlist jsonb, loaded_at timestamptz,
               agency_id text, workspace_id text, id text, scope text, name text, description text, hint text,
               scopes text[], workspaces text[], ip_allowlist cidr[], rate_requests integer, rate_window_seconds integer,
               mode text, expires_at timestamptz, revoked_at timestamptz, revoked_by text, created_by text,
               created_at timestamptz, updated_at timestamptz, version integer)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select d.digest, s.ends_at, a.settings -> 'ipAllowlist', clock_timestamp(),
           k.agency_id, k.workspace_id, k.id, k.scope, k.name, k.description, k.hint, k.scopes, k.workspaces, k.ip_allowlist,
           k.rate_requests, k.rate_window_seconds, k.mode, k.expires_at, k.revoked_at, k.revoked_by, k.created_by,
           k.created_at, k.updated_at, k.version
    from door d
    join api_key_secret s on s.agency_id = d.agency_id and s.key_id = d.id and s.digest = d.digest
    join api_key k on k.agency_id = d.agency_id and k.id = d.id
    join agency a on a.agency_id = d.agency_id
    where d.digest = any (digests) and d.kind = 'key'
$$;

-- Grants what is left of each subject's window. One row each, locked in one order, so that no two calls wait for each
-- other; the commit is not awaited: a crash of the server may forget the counts of its last moment, nothing else.
-- A call that waited for a lock keeps the instant at which it came, which can only move it into the window before.
create function rate_take(subjects text[], limits integer[], windows integer[], wanted integer[])
returns table (subject text, granted integer, used integer, resets_in_ms bigint, revoked_at timestamptz, key_version integer)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
#variable_conflict use_column
declare
    at constant timestamptz := clock_timestamp();
begin
    perform set_config('synchronous_commit', 'off', true);
    return query
    with asked as (
        select a.subject, greatest(a.most, 0) as most, greatest(a.seconds, 1) as seconds,
               least(greatest(a.wanted, 0), greatest(a.most, 0)) as wanted
        from unnest(subjects, limits, windows, wanted) as a (subject, most, seconds, wanted)
    ), taken as (
        insert into rate_window as w (subject, started_at, used, last_granted, window_seconds, most)
        select a.subject, at, a.wanted, a.wanted, a.seconds, a.most
        from asked a order by a.subject
        on conflict (subject) do update set
            (started_at, used, last_granted, window_seconds, most) = (
                select case when over then at else w.started_at end,
                       case when over then 0 else w.used end + given,
                       given, excluded.window_seconds, excluded.most
                from (select w.started_at + make_interval(secs => excluded.window_seconds) <= at as over) o,
                     lateral (select case when over then excluded.used
                                          else least(excluded.used, greatest(excluded.most - w.used, 0)) end as given) g)
        returning w.subject, w.last_granted, w.used, w.started_at, w.window_seconds
    )
    select t.subject, t.last_granted, t.used,
           ceil(extract(epoch from t.started_at + make_interval(secs => t.window_seconds) - at) * 1000)::bigint,
           k.revoked_at, k.version
    from taken t left join api_key k on k.id = t.subject;
end $$;

-- Notes when and from where keys were last used; an older note never covers a newer one.
create function note_key_uses(ids text[], ats timestamptz[], addresses inet[]) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    insert into api_key_use as u (agency_id, workspace_id, key_id, last_used_at, last_used_ip)
    select k.agency_id, k.workspace_id, k.id, n.at, n.address
    from unnest(ids, ats, addresses) as n (id, at, address)
    join api_key k on k.id = n.id
    order by k.agency_id, k.id
    on conflict (agency_id, key_id) do update set last_used_at = excluded.last_used_at, last_used_ip = excluded.last_used_ip
    where u.last_used_at < excluded.last_used_at
$$;

alter function door_key(bytea[]) owner to colonnade_lookup;
alter function rate_take(text[], integer[], integer[], integer[]) owner to colonnade_lookup;
alter function note_key_uses(text[], timestamptz[], inet[]) owner to colonnade_lookup;
revoke create on schema public from colonnade_lookup;
revoke all on function door_key(bytea[]) from public;
revoke all on function rate_take(text[], integer[], integer[], integer[]) from public;
revoke all on function note_key_uses(text[], timestamptz[], inet[]) from public;
grant execute on function door_key(bytea[]) to colonnade_app;
grant execute on function rate_take(text[], integer[], integer[], integer[]) to colonnade_app;
grant execute on function note_key_uses(text[], timestamptz[], inet[]) to colonnade_app;
