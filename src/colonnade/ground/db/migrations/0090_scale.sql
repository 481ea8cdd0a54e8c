-- What keeps its cost when an agency grows to ten thousand workspaces and a thousand agencies stand beside it.

-- Every workspace has its row of activity from the beginning, null as long as nothing happened in it: so a list by last
-- activity is one walk along an index, and no sort of all workspaces.
alter table workspace_activity alter column last_active_at drop not null;
grant insert on workspace_activity to colonnade_app, colonnade_worker;
create index workspace_activity_latest
    on workspace_activity (agency_id, (coalesce(last_active_at, '-infinity'::timestamptz)), workspace_id);

create function workspace_begins_quiet() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    insert into workspace_activity (agency_id, workspace_id) values (new.agency_id, new.id) on conflict do nothing;
    return new;
end $$;
create trigger workspace_begins_quiet after insert on workspace for each row execute function workspace_begins_quiet();

do $$
declare
    home record;
begin
    for home in select agency_id from list_agencies() loop
        perform set_config('app.agency_id', home.agency_id, true), set_config('app.workspace_ids', '*', true);
        insert into workspace_activity (agency_id, workspace_id)
        select w.agency_id, w.id from workspace w where w.agency_id = home.agency_id on conflict do nothing;
    end loop;
    perform set_config('app.agency_id', '', true), set_config('app.workspace_ids', '', true);
end $$;

-- These are asked with lists of a few things. Left to itself PostgreSQL would find a plan made for just this list a
-- little cheaper, and plan anew on each call, which costs more than the call; and the more the larger the tables are.
do $$
declare
    asked text;
begin
    foreach asked in array array[
        'door_key(bytea[])', 'rate_take(text[], integer[], integer[], integer[])',
        'note_key_uses(text[], timestamptz[], inet[])', 'read_workspaces(text[], text[], text[])']
    loop
        execute format('alter function %s set plan_cache_mode = force_generic_plan', asked);
    end loop;
end $$;

-- A kept plan is made for the average agency, of which most installations have many small ones; what it costs there does
-- not matter. So the planner is told to think of large ones: rows are then found by their ids, and lists by their order,
-- instead of by walking through everything of the agency. It counts from the next analysis on.
do $$
declare
    target regclass;
begin
    for target in
        select c.oid::regclass from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'agency_id'
        where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace and a.attnum = 1
    loop
        execute format('alter table %s alter column agency_id set (n_distinct = 10)', target);
        execute format('analyze %s', target);
    end loop;
end $$;

-- The agency's own keys are few beside those of all its workspaces, whatever the average over all agencies is.
create index api_key_of_agency on api_key (agency_id, id) where workspace_id is null;
