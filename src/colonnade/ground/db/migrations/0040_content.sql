-- Content: posts of a workspace, and every text that each of them has had.

create table post (
    agency_id text collate "C" not null,
    workspace_id text collate "C" not null,
    id text collate "C" not null check (id ~ '^post_'),
    run_id text collate "C" check (run_id ~ '^inv_'),   -- no foreign key: runs lie above
    run_step text,
    title text not null check (length(title) between 1 and 300),
    slug text collate "C" not null check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and length(slug) <= 80),
    outline text[] not null,
    body text not null,
    meta_description text not null,
    model text,
    keyword text,
    topic text,
    status text not null check (status in ('DRAFT', 'IN_REVIEW', 'APPROVED', 'REJECTED', 'PUBLISHED')),
    revision integer not null check (revision >= 1),
    version integer not null check (version >= 1),
    published_url text,
    published_at timestamptz,
    published_revision integer check (published_revision between 1 and revision),
    rejected_reason text,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    deleted_at timestamptz,
    primary key (agency_id, id),
    unique (agency_id, workspace_id, id),
    foreign key (agency_id, workspace_id) references workspace (agency_id, id),
    check ((status = 'PUBLISHED') = (published_at is not null)),
    check (num_nonnulls(published_url, published_at, published_revision) in (0, 3)),
    check (status <> 'PUBLISHED' or deleted_at is null),
    check (run_step is null or run_id is not null)
);
create unique index post_slug on post (agency_id, workspace_id, slug) where deleted_at is null;
-- A step of a run that is repeated after a kill finds the post that it wrote.
create unique index post_run_step on post (agency_id, workspace_id, run_id, run_step) where run_step is not null;
create index post_created on post (agency_id, created_at desc, id desc) where deleted_at is null;
create index post_workspace_created on post (agency_id, workspace_id, created_at desc, id desc) where deleted_at is null;
select enforce_tenancy('post', 'workspace');
grant select, insert on post to colonnade_app, colonnade_worker;
-- Where a post belongs and which run wrote it never changes.
grant update (title, slug, outline, body, meta_description, model, keyword, topic, status, revision, version, published_url,
              published_at, published_revision, rejected_reason, updated_at, deleted_at)
    on post to colonnade_app, colonnade_worker;

create table post_revision (
    agency_id text collate "C" not null,
    workspace_id text collate "C" not null,
    id text collate "C" not null check (id ~ '^rev_'),
    post_id text collate "C" not null,
    number integer not null check (number >= 1),
    title text not null,
    slug text collate "C" not null,
    outline text[] not null,
    body text not null,
    meta_description text not null,
    model text,
    author text collate "C" not null,
    reason text not null check (reason in ('written', 'edited', 'approved_with_edits')),
    at timestamptz not null,
    primary key (agency_id, id),
    unique (agency_id, workspace_id, id),
    unique (agency_id, post_id, number),
    foreign key (agency_id, workspace_id, post_id) references post (agency_id, workspace_id, id)
);
select enforce_tenancy('post_revision', 'workspace');
grant select, insert on post_revision to colonnade_app, colonnade_worker;
