-- Templates: named, versioned sets of settings, brand and content, and where which version of them is deployed.

create table template (
    agency_id text collate "C" not null references agency (agency_id),
    id text collate "C" not null check (id ~ '^tmpl_'),
    name text not null check (length(name) between 1 and 255),
    name_key text collate "C" not null,        -- the folded name: unique as long as the template is there
    version integer not null check (version >= 1),
    created_at timestamptz not null,
    updated_at timestamptz not null,
    deleted_at timestamptz,
    primary key (agency_id, id)
);
create unique index template_name on template (agency_id, name_key) where deleted_at is null;
select enforce_tenancy('template', 'agency_readable');
grant select, insert, update (name, name_key, version, updated_at, deleted_at) on template to colonnade_app;
grant select on template to colonnade_worker;

-- Never changed: what was deployed somewhere is what later changes are compared with.
create table template_version (
    agency_id text collate "C" not null,
    template_id text collate "C" not null,
    number integer not null check (number >= 1),
    name text not null,
    description text not null,
    contents jsonb not null check (jsonb_typeof(contents) = 'object'),
    created_by jsonb not null,                 -- kind, id and name: who follows the template gets it in this name
    created_at timestamptz not null,
    primary key (agency_id, template_id, number),
    foreign key (agency_id, template_id) references template (agency_id, id)
);
select enforce_tenancy('template_version', 'agency_readable');
grant select, insert on template_version to colonnade_app;
grant select on template_version to colonnade_worker;

-- One row for each template in a workspace. `version` is what was deployed last (none yet: null), `wanted` what shall be:
-- a background process deploys what is pending, in the name of who asked for it.
create table template_deployment (
    agency_id text collate "C" not null,
    workspace_id text collate "C" not null,
    template_id text collate "C" not null,
    mode text not null default 'pin' check (mode in ('pin', 'follow')),
    state text not null check (state in ('pending', 'applied', 'failed')),
    version integer,
    wanted integer check (wanted >= 1),
    posts jsonb not null default '{}' check (jsonb_typeof(posts) = 'object'),   -- which draft each post has become
    kept jsonb not null default '[]' check (jsonb_typeof(kept) = 'array'),      -- fields that were left as they stood
    error jsonb,
    asked_by jsonb not null,
    deployed_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (agency_id, workspace_id, template_id),
    foreign key (agency_id, workspace_id) references workspace (agency_id, id),
    foreign key (agency_id, template_id) references template (agency_id, id),
    check ((version is null) = (deployed_at is null)),
    check (state <> 'pending' or wanted is not null)
);
create index template_deployment_of on template_deployment (agency_id, template_id, workspace_id);
create index template_deployment_pending on template_deployment (updated_at) where state = 'pending';
select enforce_tenancy('template_deployment', 'workspace');
grant select, insert, update on template_deployment to colonnade_app, colonnade_worker;
create policy lookup_read on template_deployment for select to colonnade_lookup using (true);
grant select on template_deployment to colonnade_lookup;

-- How a deployment is told with its workspace.
create function deployment_told(d template_deployment) returns jsonb language sql stable parallel safe
    set search_path = pg_catalog, public, pg_temp as $$
    select jsonb_build_object(
        'templateId', d.template_id, 'version', case when d.state = 'applied' then d.version else d.wanted end,
        'state', d.state, 'mode', d.mode,
        'at', to_char(d.updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
$$;

create function deployments_due(most integer) returns table (agency_id text, workspace_id text, template_id text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select d.agency_id, d.workspace_id, d.template_id from template_deployment d
    where d.state = 'pending' order by d.updated_at limit most
$$;

create or replace function purged_tables() returns text[] language sql immutable parallel safe
    set search_path = pg_catalog, public, pg_temp as $$
    select array['template_deployment', 'integration_use', 'approval_comment', 'approval', 'run_event', 'run_step',
                 'bulk_item', 'run', 'post_revision', 'post', 'api_key_use', 'api_key_secret', 'api_key', 'provider_key',
                 'workspace_member', 'workspace_activity', 'workspace_gram', 'idempotency']
$$;
grant delete on template_deployment to colonnade_lookup;

-- What an action has done in a workspace, where it is more than done or not done.
alter table bulk_item add column result jsonb;

-- As before, and besides: a purge that is under way, the templates of each workspace; a tombstone is not there.
drop function read_workspaces(text[], text[], text[]);
create function read_workspaces(agencies text[], scopes text[], ids text[])
returns table (scope text, agency_id text, id text, name text, primary_domain text, allow_duplicate_domain boolean,
               slug text, external_id text, industry text, timezone text, tags text[], metadata text, settings text,
               brand text, white_label text, owner_id text, archived_at timestamptz, purging_at timestamptz,
               version bigint, created_at timestamptz, updated_at timestamptz, agency_settings text,
               last_active_at timestamptz, templates text)
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
               w.brand::text, w.white_label::text, w.owner_id, w.archived_at, w.purging_at, w.version,
               w.created_at, w.updated_at,
               (select g.settings::text from agency g where g.agency_id = reach.agency), l.last_active_at,
               (select coalesce(jsonb_agg(deployment_told(d) order by d.created_at, d.template_id), '[]')::text
                from template_deployment d where d.agency_id = reach.agency and d.workspace_id = w.id)
        from workspace w
        left join workspace_activity l on l.agency_id = reach.agency and l.workspace_id = w.id
        where w.agency_id = reach.agency and w.id = any (reach.ids) and w.purged_at is null
              and (reach.scope = '*' or w.id = any (reach.workspaces));
    end loop;
    perform set_config('app.agency_id', agency_before, true), set_config('app.workspace_ids', scope_before, true);
end $$;
revoke all on function read_workspaces(text[], text[], text[]) from public;
grant execute on function read_workspaces(text[], text[], text[]) to colonnade_app;

grant create on schema public to colonnade_lookup;
alter function deployments_due(integer) owner to colonnade_lookup;
revoke create on schema public from colonnade_lookup;
revoke all on function deployments_due(integer) from public;
grant execute on function deployments_due(integer) to colonnade_worker;
