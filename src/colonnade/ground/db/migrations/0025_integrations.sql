-- Own provider keys, sealed: an agency's (workspace null) or one workspace's.

create table provider_key (
    agency_id text collate "C" not null references agency (agency_id),
    workspace_id text collate "C",
    id text collate "C" not null check (id ~ '^conn_'),
    provider text not null check (provider in ('anthropic', 'openai', 'ahrefs', 'dataforseo', 'apollo', 'instantly')),
    sealed bytea not null check (octet_length(sealed) between 99 and 40000),
    hint text not null check (length(hint) <= 4),
    created_by text collate "C" not null,
    created_at timestamptz not null,
    primary key (agency_id, id),
    foreign key (agency_id, workspace_id) references workspace (agency_id, id),
    unique nulls not distinct (agency_id, workspace_id, provider)
);
select enforce_tenancy('provider_key', 'either');
-- The servers store keys and show their hints; only the workers, who call the providers, can read what is sealed.
grant select (agency_id, workspace_id, id, provider, hint, created_by, created_at) on provider_key to colonnade_app;
grant insert, delete on provider_key to colonnade_app;
grant update (id, sealed, hint, created_by, created_at) on provider_key to colonnade_app;
grant select on provider_key to colonnade_worker;
