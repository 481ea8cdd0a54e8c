-- Members: where they may work, invitations to become one, and who was one once.

alter table member
    add column workspaces text not null default 'all' check (workspaces in ('all', 'assigned')),
    add column version bigint not null default 1;

-- Who may work in a workspace besides those who work everywhere, and as what.
create table workspace_member (
    agency_id text collate "C" not null,
    workspace_id text collate "C" not null,
    member_id text collate "C" not null,
    role text not null check (role in ('manager', 'viewer')),
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (agency_id, workspace_id, member_id),
    foreign key (agency_id, workspace_id) references workspace (agency_id, id),
    foreign key (agency_id, member_id) references member (agency_id, id) on delete cascade
);
create index workspace_member_of on workspace_member (agency_id, member_id, workspace_id);
select enforce_tenancy('workspace_member', 'workspace');
grant select, insert, update, delete on workspace_member to colonnade_app;
grant select on workspace_member to colonnade_worker, colonnade_lookup;
create policy look_up on workspace_member for select to colonnade_lookup using (true);

-- Who left: what they made and decided still names them.
create table former_member (
    agency_id text collate "C" not null references agency (agency_id),
    id text collate "C" not null check (id ~ '^mem_'),
    person_id text collate "C" not null references person (id),
    left_at timestamptz not null,
    primary key (agency_id, id)
);
select enforce_tenancy('former_member', 'agency_only');
grant select, insert on former_member to colonnade_app;
grant select on former_member to colonnade_worker, colonnade_lookup;

-- The link's digest is there from when it is mailed until it is used, withdrawn or mailed anew; the link is nowhere.
create table invitation (
    agency_id text collate "C" not null references agency (agency_id),
    id text collate "C" not null check (id ~ '^invite_'),
    email text collate "C" not null check (email = lower(email) and length(email) between 3 and 320),
    name text check (length(name) between 1 and 255),
    role text not null check (role in ('owner', 'admin', 'manager', 'viewer')),
    workspaces jsonb check (jsonb_typeof(workspaces) = 'array'),   -- null: all, as the role says
    invited_by text collate "C" not null,
    invited_by_name text not null,
    digest bytea check (octet_length(digest) = 32),
    mails integer not null default 1 check (mails > 0),
    expires_at timestamptz not null,
    accepted_at timestamptz,
    withdrawn_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (agency_id, id),
    check (accepted_at is null or withdrawn_at is null),
    check (digest is null or (accepted_at is null and withdrawn_at is null))
);
create unique index invitation_open on invitation (agency_id, email)
    where accepted_at is null and withdrawn_at is null;
create index invitation_to on invitation (agency_id, email, updated_at);
create index invitation_by on invitation (agency_id, invited_by) where accepted_at is null and withdrawn_at is null;
select enforce_tenancy('invitation', 'agency_only');
grant select, insert, update on invitation to colonnade_app;
grant select, update (digest, updated_at) on invitation to colonnade_worker;
grant select on invitation to colonnade_lookup;
create policy look_up on invitation for select to colonnade_lookup using (true);

-- Sessions of a member hear when what the member may do changes; whoever listens forgets what it knew.
create function member_heard() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    perform pg_notify('colonnade_sessions', old.id);
    return null;
end $$;
create trigger member_heard after update of role, workspaces or delete on member
    for each row execute function member_heard();

create function workspace_member_heard() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    perform pg_notify('colonnade_sessions', coalesce(new.member_id, old.member_id));
    return null;
end $$;
create trigger workspace_member_heard after insert or update or delete on workspace_member
    for each row execute function workspace_member_heard();

grant create on schema public to colonnade_lookup;

-- The door follows the digests of invitations, as it follows the secrets of keys.
create function invitation_door() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    if old.digest is not null then
        delete from door where digest = old.digest;
    end if;
    if new.digest is not null then
        insert into door (digest, kind, agency_id, id) values (new.digest, 'invitation', new.agency_id, new.id);
    end if;
    return null;
end $$;
create trigger invitation_door after update of digest on invitation for each row
    when (old.digest is distinct from new.digest) execute function invitation_door();

-- What stands behind the link of an invitation, before anybody is known.
create function door_invitation(digests bytea[])
returns table (agency_id text, agency_name text, id text, email text, name text, role text, expires_at timestamptz)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select i.agency_id, a.name, i.id, i.email, i.name, i.role, i.expires_at
    from door d
    join invitation i on i.agency_id = d.agency_id and i.id = d.id and i.digest = d.digest
    join agency a on a.agency_id = d.agency_id
    where d.digest = any (digests) and d.kind = 'invitation' and i.expires_at > now()
$$;

-- Members and open invitations of the agency in scope, from the newest on. People are global, hence past the scope; the
-- conditions name it, and only who has the whole agency in reach sees anybody.
create function page_members(only_status text, only_role text, search text, only_ids text[],
                             before_at timestamptz, before_id text, most integer)
returns table (id text, person_id text, email text, name text, role text, workspaces text, version bigint, status text,
               expires_at timestamptz, invited_by text, created_at timestamptz, updated_at timestamptz,
               two_factor boolean, last_seen_at timestamptz)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select f.*,
           exists (select from person_secret s where s.person_id = f.person_id and s.totp_confirmed_at is not null),
           (select max(s.last_seen_at) from session s where s.agency_id = (select app_agency()) and s.member_id = f.id)
    from (
        select g.*
        from (
            select m.id, m.person_id, p.email, p.name, m.role, m.workspaces, m.version, 'active' as status,
                   null::timestamptz as expires_at, null::text as invited_by, m.created_at, m.updated_at
            from member m join person p on p.id = m.person_id
            where m.agency_id = (select app_agency()) and (select app_whole_agency())
                  and coalesce(only_status, 'active') = 'active'
            union all
            select i.id, null, i.email, i.name, i.role, case when i.workspaces is null then 'all' else 'assigned' end, 1,
                   'invited', i.expires_at, i.invited_by, i.created_at, i.updated_at
            from invitation i
            where i.agency_id = (select app_agency()) and (select app_whole_agency())
                  and i.accepted_at is null and i.withdrawn_at is null and coalesce(only_status, 'invited') = 'invited'
        ) as g
        where (only_role is null or g.role = only_role) and (only_ids is null or g.id = any (only_ids))
              and (search is null or strpos(g.email, lower(search)) > 0 or strpos(lower(g.name), lower(search)) > 0)
              and (before_id is null or (g.created_at, g.id) < (before_at, before_id))
        order by g.created_at desc, g.id desc
        limit most
    ) as f
    order by f.created_at desc, f.id desc
$$;

-- Who may work in one workspace of the agency in scope, as what, and why. Owners and admins work everywhere; others by
-- their role where they work everywhere, by their assignment where they do not; an assignment never takes away.
create function page_workspace_members(workspace text, only_role text, search text, only_ids text[],
                                       before_at timestamptz, before_id text, most integer)
returns table (member_id text, person_id text, email text, name text, role text, source text, created_at timestamptz)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select f.id, f.person_id, p.email, p.name, case when f.by_workspace then f.assigned else f.role end,
           case when f.by_workspace then 'workspace' else 'agency' end, f.created_at
    from (
        select m.id, m.person_id, m.role, m.created_at, w.role as assigned,
               m.role in ('manager', 'viewer') and w.role is not null
                   and (m.workspaces = 'assigned' or (w.role = 'manager' and m.role = 'viewer')) as by_workspace
        from member m
        left join workspace_member w
            on w.agency_id = m.agency_id and w.workspace_id = workspace and w.member_id = m.id
        where m.agency_id = (select app_agency()) and (select app_whole_agency())
              and (m.role in ('owner', 'admin') or m.workspaces = 'all' or w.role is not null)
    ) as f
    join person p on p.id = f.person_id
    where (only_role is null or case when f.by_workspace then f.assigned else f.role end = only_role)
          and (only_ids is null or f.id = any (only_ids))
          and (search is null or strpos(p.email, lower(search)) > 0 or strpos(lower(p.name), lower(search)) > 0)
          and (before_id is null or (f.created_at, f.id) < (before_at, before_id))
    order by f.created_at desc, f.id desc
    limit most
$$;

create function member_by_email(wanted text) returns text
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select m.id from member m join person p on p.id = m.person_id
    where m.agency_id = app_agency() and app_whole_agency() and p.email = wanted
$$;

-- To whom a mail goes: people of the agency in scope, also those who have just left it.
create function addressee(wanted text) returns table (id text, email text, name text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select p.id, p.email, p.name from person p
    where p.id = wanted and (
        exists (select from member m where m.agency_id = app_agency() and m.person_id = p.id)
        or exists (select from former_member m where m.agency_id = app_agency() and m.person_id = p.id))
$$;

alter function invitation_door() owner to colonnade_lookup;
alter function door_invitation(bytea[]) owner to colonnade_lookup;
alter function page_members(text, text, text, text[], timestamptz, text, integer) owner to colonnade_lookup;
alter function page_workspace_members(text, text, text, text[], timestamptz, text, integer) owner to colonnade_lookup;
alter function member_by_email(text) owner to colonnade_lookup;
alter function addressee(text) owner to colonnade_lookup;
revoke create on schema public from colonnade_lookup;
revoke all on function invitation_door() from public;
revoke all on function door_invitation(bytea[]) from public;
revoke all on function page_members(text, text, text, text[], timestamptz, text, integer) from public;
revoke all on function page_workspace_members(text, text, text, text[], timestamptz, text, integer) from public;
revoke all on function member_by_email(text) from public;
revoke all on function addressee(text) from public;
grant execute on function door_invitation(bytea[]) to colonnade_app;
grant execute on function page_members(text, text, text, text[], timestamptz, text, integer) to colonnade_app;
grant execute on function page_workspace_members(text, text, text, text[], timestamptz, text, integer) to colonnade_app;
grant execute on function member_by_email(text) to colonnade_app;
grant execute on function addressee(text) to colonnade_worker;
