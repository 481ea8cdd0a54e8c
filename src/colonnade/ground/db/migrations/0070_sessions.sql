-- Signing in: what a person knows and has, sessions, and links by which a password is chosen anew.

-- A person may belong to several agencies, so what they prove themselves with is global; the functions below alone reach
-- it. The password as argon2id, the secret of the second factor sealed; a code of a step that was used is used up.
create table person_secret (
    person_id text collate "C" primary key references person (id),
    password text check (password ~ '^[$]argon2id[$]'),
    totp bytea,
    totp_confirmed_at timestamptz,
    totp_step bigint,
    check (totp_confirmed_at is null or totp is not null)
);
comment on table person_secret is 'tenancy: global';

create table recovery_code (
    person_id text collate "C" not null references person (id),
    digest bytea not null check (octet_length(digest) = 32),
    primary key (person_id, digest)
);
comment on table recovery_code is 'tenancy: global';

-- One for each person: the newest link wins.
create table password_reset (
    person_id text collate "C" primary key references person (id),
    digest bytea not null unique check (octet_length(digest) = 32),
    expires_at timestamptz not null
);
comment on table password_reset is 'tenancy: global';

create table session (
    agency_id text collate "C" not null,
    id text collate "C" not null check (id ~ '^sess_'),
    member_id text collate "C" not null,
    person_id text collate "C" not null references person (id),
    digest bytea not null check (octet_length(digest) = 32),
    second_factor boolean not null,            -- whether it was begun with one
    address inet,
    user_agent text not null check (length(user_agent) <= 255),
    created_at timestamptz not null,
    last_seen_at timestamptz not null,
    expires_at timestamptz not null,
    primary key (agency_id, id),
    foreign key (agency_id, member_id) references member (agency_id, id) on delete cascade
) with (fillfactor = 70);
create index session_member on session (agency_id, member_id, id);
create index session_person on session (person_id);
create index session_age on session (expires_at);
select enforce_tenancy('session', 'agency_only');
grant select, insert, delete on session to colonnade_app;
grant select on session to colonnade_worker;

create policy look_up on session to colonnade_lookup using (true) with check (true);
create policy look_up on member for select to colonnade_lookup using (true);
grant select, delete, update (last_seen_at, address) on session to colonnade_lookup;
grant select, insert, update on person_secret to colonnade_lookup;
grant select, insert, delete on recovery_code to colonnade_lookup;
grant select, insert, update, delete on password_reset to colonnade_lookup;
grant update (name, updated_at) on person to colonnade_lookup;

-- Whoever keeps sessions in mind hears when the agency asks more of them, and when a person has another name.
create function agency_sessions_heard() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    perform pg_notify('colonnade_sessions', new.agency_id);
    return null;
end $$;
create trigger agency_sessions_heard after update of settings on agency for each row
    when ((old.settings -> 'requireTwoFactor', old.settings -> 'ipAllowlist')
          is distinct from (new.settings -> 'requireTwoFactor', new.settings -> 'ipAllowlist'))
    execute function agency_sessions_heard();

create function person_heard() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    perform pg_notify('colonnade_sessions', new.id);
    return null;
end $$;
create trigger person_heard after update of name, email on person for each row
    when ((old.name, old.email) is distinct from (new.name, new.email)) execute function person_heard();

-- Now that look-ups see members of every agency, the scope stands in the text where row security kept it before.
create or replace function people_of_agency(wanted text[]) returns table (id text, email text, name text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select p.id, p.email, p.name from person p
    where p.id = any (wanted) and (select app_whole_agency()) and exists (
        select from member m where m.agency_id = (select app_agency()) and m.person_id = p.id)
$$;

grant create on schema public to colonnade_lookup;

-- The door follows the sessions, and every process hears of those that end.
create function session_door() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    if tg_op = 'DELETE' then
        delete from door where digest = old.digest;
        perform pg_notify('colonnade_sessions', old.id);
    else
        insert into door (digest, kind, agency_id, id) values (new.digest, 'session', new.agency_id, new.id);
    end if;
    return null;
end $$;
create trigger session_door after insert or delete on session for each row execute function session_door();

-- What stands behind the cookie of a session, before any scope is known.
create function door_session(digests bytea[])
returns table (digest bytea, loaded_at timestamptz, agency_id text, id text, member_id text, person_id text, email text,
               name text, role text, workspaces text, in_workspaces jsonb, second_factor boolean,
               requires_two_factor boolean, agency_allowlist jsonb, last_seen_at timestamptz, expires_at timestamptz)
language plpgsql stable security definer set search_path = pg_catalog, public, pg_temp as $$
#variable_conflict use_column
begin
    return query
    select d.digest, clock_timestamp(), s.agency_id, s.id, s.member_id, s.person_id, p.email, p.name, m.role, m.workspaces,
           (select coalesce(jsonb_object_agg(w.workspace_id, w.role), '{}') from workspace_member w
            where w.agency_id = s.agency_id and w.member_id = s.member_id),
           s.second_factor, coalesce(a.settings -> 'requireTwoFactor' = 'true', false), a.settings -> 'ipAllowlist',
           s.last_seen_at, s.expires_at
    from door d
    join session s on s.agency_id = d.agency_id and s.id = d.id and s.digest = d.digest
    join member m on m.agency_id = s.agency_id and m.id = s.member_id
    join person p on p.id = s.person_id
    join agency a on a.agency_id = s.agency_id
    where d.digest = any (digests) and d.kind = 'session';
end $$;

-- One batch holds sessions of many agencies; an older note never covers a newer one.
create function note_session_uses(ids text[], ats timestamptz[], addresses inet[]) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    with due as (   -- in one order, so that no two processes wait for each other
        select s.id, n.at, n.address from unnest(ids, ats, addresses) as n (id, at, address)
        join session s on s.id = n.id where s.last_seen_at < n.at order by s.id for no key update of s)
    update session s set last_seen_at = due.at, address = coalesce(due.address, s.address) from due where s.id = due.id
$$;
create index session_id on session (id);

create function end_sessions_of_person(whose text, but_for text) returns integer
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    ended integer;
begin
    delete from session where person_id = whose and id is distinct from but_for;
    get diagnostics ended = row_count;
    return ended;
end $$;

create function forget_sessions(idle interval, most integer) returns integer
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    ended integer;
begin
    delete from session where ctid = any (array(
        select ctid from session where expires_at < now() or last_seen_at < now() - idle limit most));
    get diagnostics ended = row_count;
    return ended;
end $$;

-- A person by address or by id, with what they prove themselves with.
create function person_to_prove(by_email text, by_id text)
returns table (id text, email text, name text, password text, totp bytea, totp_confirmed_at timestamptz,
               recovery_codes integer)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select p.id, p.email, p.name, s.password, s.totp, s.totp_confirmed_at,
           (select count(*)::integer from recovery_code r where r.person_id = p.id)
    from person p left join person_secret s on s.person_id = p.id
    where p.email = by_email or p.id = by_id
$$;

-- The same for as long as a transaction lasts: who replaces it waits, and then sees the session that was begun with it.
create function hold_person_secret(whose text) returns table (password text, is_enrolled boolean)
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    select s.password, s.totp_confirmed_at is not null from person_secret s where s.person_id = whose for no key update
$$;

-- Where a person is a member: first where they were last, then where they have been for longest.
create function memberships_of_person(whose text)
returns table (agency_id text, name text, member_id text, role text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select a.agency_id, a.name, m.id, m.role
    from member m join agency a on a.agency_id = m.agency_id
    where m.person_id = whose
    order by (select max(s.last_seen_at) from session s where s.agency_id = m.agency_id and s.member_id = m.id)
             desc nulls last, m.created_at, m.id
$$;

create function people_with_two_factor(wanted text[]) returns table (person_id text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select s.person_id from person_secret s
    where s.person_id = any (wanted) and s.totp_confirmed_at is not null and (select app_whole_agency()) and exists (
        select from member m where m.agency_id = (select app_agency()) and m.person_id = s.person_id)
$$;

create function rename_person(whose text, new_name text) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    update person set name = new_name, updated_at = now() where id = whose
$$;

create function keep_password(whose text, encoded text) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    insert into person_secret (person_id, password) values (whose, encoded)
    on conflict (person_id) do update set password = excluded.password
$$;

-- Begins anew with another secret while none is confirmed; without one it ends the second factor.
create function keep_totp(whose text, sealed bytea) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    if sealed is null then
        delete from recovery_code where person_id = whose;
    end if;
    insert into person_secret as s (person_id, totp) values (whose, sealed)
    on conflict (person_id) do update set totp = excluded.totp, totp_confirmed_at = null, totp_step = null
        where sealed is null or s.totp_confirmed_at is null;
    return found;
end $$;

-- Uses up the code of a step, and with it all of earlier steps; false when that was done before. The first one confirms.
create function use_totp_step(whose text, step bigint) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    update person_secret s set totp_step = step, totp_confirmed_at = coalesce(s.totp_confirmed_at, now())
    where s.person_id = whose and s.totp is not null and (s.totp_step is null or s.totp_step < step);
    return found;
end $$;

create function keep_recovery_codes(whose text, digests bytea[]) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    delete from recovery_code where person_id = whose;
    insert into recovery_code (person_id, digest) select whose, d from unnest(digests) as d;
$$;

create function use_recovery_code(whose text, digests bytea[]) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    delete from recovery_code where person_id = whose and digest = any (digests);
    return found;
end $$;

create function keep_reset(whose text, link bytea, lasts interval) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    insert into password_reset (person_id, digest, expires_at) values (whose, link, now() + lasts)
    on conflict (person_id) do update set digest = excluded.digest, expires_at = excluded.expires_at
$$;

-- Whose link this is, if it is still good; looking does not use it up.
create function door_reset(digests bytea[]) returns table (person_id text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select r.person_id from password_reset r where r.digest = any (digests) and r.expires_at > now()
$$;

create function use_reset(whose text, digests bytea[]) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    delete from password_reset where person_id = whose and digest = any (digests) and expires_at > now();
    return found;
end $$;

do $$
declare
    made regprocedure;
begin
    foreach made in array array[
        'session_door()', 'door_session(bytea[])', 'note_session_uses(text[], timestamptz[], inet[])',
        'end_sessions_of_person(text, text)', 'forget_sessions(interval, integer)', 'person_to_prove(text, text)',
        'hold_person_secret(text)', 'memberships_of_person(text)', 'people_with_two_factor(text[])', 'rename_person(text, text)',
        'keep_password(text, text)', 'keep_totp(text, bytea)', 'use_totp_step(text, bigint)',
        'keep_recovery_codes(text, bytea[])', 'use_recovery_code(text, bytea[])', 'keep_reset(text, bytea, interval)',
        'door_reset(bytea[])', 'use_reset(text, bytea[])']::regprocedure[]
    loop
        execute format('alter function %s owner to colonnade_lookup', made);
        execute format('revoke all on function %s from public', made);
        if made not in ('session_door()'::regprocedure, 'forget_sessions(interval, integer)'::regprocedure) then
            execute format('grant execute on function %s to colonnade_app', made);
        end if;
    end loop;
end $$;
revoke create on schema public from colonnade_lookup;
grant execute on function forget_sessions(interval, integer), keep_reset(text, bytea, interval) to colonnade_worker;
