-- What the operator of an installation asks before entering an agency: their names, never what lies inside.
create function list_agencies() returns table (agency_id text, name text, is_test boolean, created_at timestamptz)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select a.agency_id, a.name, a.live_agency_id is not null, a.created_at from agency a order by a.created_at, a.agency_id
$$;
grant create on schema public to colonnade_lookup;
alter function list_agencies() owner to colonnade_lookup;
revoke create on schema public from colonnade_lookup;
revoke all on function list_agencies() from public;
grant execute on function list_agencies() to current_user;

-- Readiness compares the schema with the program.
grant select on migration to colonnade_app;
