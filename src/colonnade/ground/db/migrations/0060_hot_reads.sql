-- Reads that many callers make at the same moment: one call answers all of them, each within its own reach.

-- The rows of the workspaces that are there and in reach, each with the scope of the reach that it was asked in. It runs
-- with the caller's rights, so row security stays in force: the scope is set for each distinct reach in turn, and is what
-- it was before when it returns. A scope is what `app.workspace_ids` takes: `*` for all workspaces of the agency, else
-- their ids joined by commas. Objects come as JSON text: who knows the text knows already what is in it.
create function read_workspaces(agencies text[], scopes text[], ids text[])
returns table (scope text, agency_id text, id text, name text, primary_domain text, allow_duplicate_domain boolean,
               slug text, external_id text, industry text, timezone text, tags text[], metadata text, settings text,
               brand text, white_label text, owner_id text, archived_at timestamptz, version bigint,
               created_at timestamptz, updated_at timestamptz, agency_settings text, last_active_at timestamptz)
language plpgsql volatile
set search_path = pg_catalog, public, pg_temp as $$
#variable_conflict use_column
declare
    agency_before constant text := coalesce(current_setting('app.agency_id', true), '');
    scope_before constant text := coalesce(current_setting('app.workspace_ids', true), '');
    reach record;
begin
    for reach in
        select a.agency, a.scope, array_agg(a.id) as ids, string_to_array(nullif(a.scope, '*'), ',') as workspaces
        from unnest(agencies, scopes, ids) as a (agency, scope, id)
        group by a.agency, a.scope
    loop
        perform set_config('app.agency_id', reach.agency, true), set_config('app.workspace_ids', reach.scope, true);
        return query
        select reach.scope, w.agency_id, w.id, w.name, w.primary_domain, w.allow_duplicate_domain,
               w.slug, w.external_id, w.industry, w.timezone, w.tags, w.metadata::text, w.settings::text,
               w.brand::text, w.white_label::text, w.owner_id, w.archived_at, w.version,
               w.created_at, w.updated_at,
               (select g.settings::text from agency g where g.agency_id = reach.agency), l.last_active_at
        from workspace w
        left join workspace_activity l on l.agency_id = reach.agency and l.workspace_id = w.id
        where w.agency_id = reach.agency and w.id = any (reach.ids)
              and (reach.scope = '*' or w.id = any (reach.workspaces));
    end loop;
    perform set_config('app.agency_id', agency_before, true), set_config('app.workspace_ids', scope_before, true);
end $$;
revoke all on function read_workspaces(text[], text[], text[]) from public;
grant execute on function read_workspaces(text[], text[], text[]) to colonnade_app;
