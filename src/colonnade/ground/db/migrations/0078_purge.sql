-- Workspaces whole: searching them at any number, how their integrations are, and erasing them for good.

-- A purge begins with `purging_at` (the work is a background process's) and ends with `purged_at`: what is left then is a
-- tombstone, the row with its id, which ledger, usage and audit go on naming.
alter table workspace
    add column purging_at timestamptz,
    add column purging_by jsonb,               -- who asked for it: it is carried out in their name
    add column purged_at timestamptz,
    add check (purging_at is null or archived_at is not null),
    add check ((purging_at is null) = (purging_by is null)),
    add check (purged_at is null or purging_at is not null);
create index workspace_purging on workspace (purging_at) where purging_at is not null and purged_at is null;

-- Every three neighbouring characters of a workspace's names, each of its tags behind an equals sign, and whether it is
-- archived. Under row security no operator that looks inside a text or an array is let down to an index; comparing whole texts is.
-- Kept by the workspace's own trigger and by nobody else.
create table workspace_gram (
    agency_id text collate "C" not null,
    workspace_id text collate "C" not null,
    gram text collate "C" not null,
    primary key (agency_id, gram, workspace_id)
);
create index workspace_gram_workspace on workspace_gram (agency_id, workspace_id);
select enforce_tenancy('workspace_gram', 'workspace');
grant select, insert, delete on workspace_gram to colonnade_app, colonnade_worker;

-- The last ones are shorter than three, so that a word of one or two characters is the beginning of some gram as well.
create function grams_of(texts text[], tags text[], is_archived boolean) returns setof text
language sql immutable parallel safe as $$
    select substr(t, n, 3) collate "C" from unnest(texts) as t, generate_series(1, length(t)) as n
    union select '=' || tag from unnest(tags) as tag
    union select '!archived' where is_archived
$$;

-- New workspaces may come by the thousand in one statement, and so do their grams.
create function workspace_grams_add() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    insert into workspace_gram (agency_id, workspace_id, gram)
    select w.agency_id, w.id, g.gram
    from fresh w, grams_of(array[w.sort_name, w.primary_domain, w.slug, lower(w.external_id)], w.tags,
                           w.archived_at is not null) as g (gram);
    return null;
end $$;
create trigger workspace_grams_add after insert on workspace referencing new table as fresh
    for each statement execute function workspace_grams_add();

create function workspace_grams_change() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    delete from workspace_gram where agency_id = new.agency_id and workspace_id = new.id;
    if new.purged_at is null then
        insert into workspace_gram (agency_id, workspace_id, gram)
        select new.agency_id, new.id, g.gram
        from grams_of(array[new.sort_name, new.primary_domain, new.slug, lower(new.external_id)], new.tags,
                      new.archived_at is not null) as g (gram);
    end if;
    return null;
end $$;
create trigger workspace_grams_change after update on workspace for each row
    when (old.sort_name is distinct from new.sort_name or old.primary_domain is distinct from new.primary_domain
          or old.slug is distinct from new.slug or old.external_id is distinct from new.external_id
          or old.tags is distinct from new.tags or (old.archived_at is null) <> (new.archived_at is null))
    execute function workspace_grams_change();

do $$
declare
    home record;
begin
    for home in select agency_id from list_agencies() loop
        perform set_config('app.agency_id', home.agency_id, true), set_config('app.workspace_ids', '*', true);
        insert into workspace_gram (agency_id, workspace_id, gram)
        select w.agency_id, w.id, g.gram
        from workspace w,
             grams_of(array[w.sort_name, w.primary_domain, w.slug, lower(w.external_id)], w.tags,
                      w.archived_at is not null) as g (gram)
        where w.agency_id = home.agency_id;
    end loop;
    perform set_config('app.agency_id', '', true), set_config('app.workspace_ids', '', true);
end $$;

-- How the last calls by an own key, or to a workspace's own receiver, went: the facts behind `health`.
create table integration_use (
    agency_id text collate "C" not null,
    workspace_id text collate "C" not null,
    integration text not null check (integration ~ '^[a-z][a-z0-9_]{0,39}$'),
    target text,                               -- tells one receiver from another; an outcome is that receiver's
    worked_at timestamptz,
    failed_at timestamptz,
    reason text,
    updated_at timestamptz not null default now(),
    primary key (agency_id, workspace_id, integration),
    foreign key (agency_id, workspace_id) references workspace (agency_id, id)
) with (fillfactor = 70);
select enforce_tenancy('integration_use', 'workspace');
grant select on integration_use to colonnade_app;
grant select, insert, update on integration_use to colonnade_worker;

-- A workspace that is about to go lets nobody in any more: its keys end with the command that asks for the purge, in
-- every process at once. (What hears of an agency looks all of its keys up afresh.)
create function workspace_purging() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    update api_key set revoked_at = now(), revoked_by = new.purging_by ->> 'id', updated_at = now(), version = version + 1
    where agency_id = new.agency_id and workspace_id = new.id and revoked_at is null;
    perform pg_notify('colonnade_keys', new.agency_id);
    return new;
end $$;
create trigger workspace_purging after update of purging_at on workspace for each row
    when (old.purging_at is null and new.purging_at is not null) execute function workspace_purging();

-- What lies inside a workspace and goes with it, children before their parents. A later table replaces this function.
create function purged_tables() returns text[] language sql immutable parallel safe
    set search_path = pg_catalog, public, pg_temp as $$
    select array['integration_use', 'approval_comment', 'approval', 'run_event', 'run_step', 'bulk_item', 'run',
                 'post_revision', 'post', 'api_key_use', 'api_key_secret', 'api_key', 'provider_key', 'workspace_member',
                 'workspace_activity', 'workspace_gram', 'idempotency']
$$;

-- Erases up to so many rows of one table and tells how many it were; none are left when it tells 0. It works within the
-- scope of its caller, as row security says, and on nothing but a workspace that is being purged.
create function purge_rows(of_workspace text, most integer) returns bigint
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    -- Events of runs are found by their runs: they have no index by workspace, for they are written all the time.
    by_runs constant text := 'delete from run_event where ctid = any (array(
        select e.ctid from run r join run_event e on e.agency_id = r.agency_id and e.run_id = r.id
        where r.agency_id = $1 and r.workspace_id = $2 limit $3))';
    target text;
    gone bigint;
begin
    if not app_whole_agency() or not exists (
        select from workspace w where w.agency_id = app_agency() and w.id = of_workspace
                                      and w.purging_at is not null and w.purged_at is null) then
        return 0;
    end if;
    foreach target in array purged_tables() loop
        execute case when target = 'run_event' then by_runs else format(
            'delete from %1$I where ctid = any (array(
                select ctid from %1$I where agency_id = $1 and workspace_id = $2 limit $3))', target) end
        using app_agency(), of_workspace, most;
        get diagnostics gone = row_count;
        if gone > 0 then
            return gone;
        end if;
    end loop;
    return 0;
end $$;

create function purges_due(most integer) returns table (agency_id text, workspace_id text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select w.agency_id, w.id from workspace w
    where w.purging_at is not null and w.purged_at is null order by w.purging_at limit most
$$;

do $$
declare
    target text;
begin
    foreach target in array purged_tables() loop
        execute format('grant select, delete on %I to colonnade_lookup', target);
    end loop;
end $$;

-- A tombstone is never active again.
create or replace function touch_workspaces(entries jsonb) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    insert into workspace_activity (agency_id, workspace_id, last_active_at)
    select e.agency_id, e.workspace_id, now()
    from jsonb_to_recordset(entries) as e (agency_id text, workspace_id text)
    join workspace w on w.agency_id = e.agency_id and w.id = e.workspace_id
    where w.purging_at is null
    group by e.agency_id, e.workspace_id
    order by e.agency_id, e.workspace_id
    on conflict (agency_id, workspace_id) do update
    set last_active_at = greatest(workspace_activity.last_active_at, excluded.last_active_at)
$$;

grant create on schema public to colonnade_lookup;
alter function purge_rows(text, integer) owner to colonnade_lookup;
alter function purges_due(integer) owner to colonnade_lookup;
revoke create on schema public from colonnade_lookup;
revoke all on function purge_rows(text, integer), purges_due(integer) from public;
grant execute on function purge_rows(text, integer), purges_due(integer) to colonnade_worker;
