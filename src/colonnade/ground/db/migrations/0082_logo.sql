-- The agency's logo: one picture, already drawn anew, and the one function by which its public page finds it.

create table agency_logo (
    agency_id text collate "C" primary key references agency (agency_id),
    digest bytea not null check (octet_length(digest) = 32),   -- of the content; part of its public address
    media_type text not null check (media_type in ('image/png', 'image/jpeg', 'image/svg+xml')),
    content bytea not null check (octet_length(content) between 1 and 4194304),
    created_at timestamptz not null
);
select enforce_tenancy('agency_logo', 'agency_readable');
grant select, insert, update, delete on agency_logo to colonnade_app;
grant select, delete on agency_logo to colonnade_worker;   -- a twin that follows its agency forgets its own

-- Pictures are compressed already; out of line and as they are, the row itself stays small.
alter table agency_logo alter column content set storage external;

-- Who asks for a picture has no credential: the digest in the address is what they must know.
create policy look_up on agency_logo for select to colonnade_lookup using (true);
grant select on agency_logo to colonnade_lookup;
create function public_logo(agency text, wanted bytea)
returns table (media_type text, content bytea)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select l.media_type, l.content from agency_logo l where l.agency_id = agency and l.digest = wanted
$$;
grant create on schema public to colonnade_lookup;
alter function public_logo(text, bytea) owner to colonnade_lookup;
revoke create on schema public from colonnade_lookup;
revoke all on function public_logo(text, bytea) from public;
grant execute on function public_logo(text, bytea) to colonnade_app;
