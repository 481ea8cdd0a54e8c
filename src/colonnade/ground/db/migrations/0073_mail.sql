-- Mails that are to be sent: ids alone, written with the reaction to a fact. What a mail says is made when it is sent, and
-- the token that it carries with it, so that neither lies here.
create table mail (
    agency_id text collate "C" not null references agency (agency_id),
    id text collate "C" not null check (id ~ '^evt_'),        -- the announcement's: one event is told once to each
    recipient_id text collate "C" not null check (recipient_id ~ '^(person|invite)_'),
    kind text not null,
    resource_id text collate "C" not null,
    state text not null default 'waiting' check (state in ('waiting', 'sent', 'failed', 'dropped')),
    attempts integer not null default 0 check (attempts >= 0),
    available_at timestamptz not null default now(),
    claimed_by text,
    problem text check (length(problem) <= 200),
    created_at timestamptz not null,
    ended_at timestamptz,
    primary key (agency_id, id, recipient_id),
    check ((state = 'waiting') = (ended_at is null))
);
create index mail_due on mail (available_at) where state = 'waiting';
create index mail_about on mail (agency_id, resource_id, id);
create index mail_ended on mail (ended_at);
select enforce_tenancy('mail', 'agency_only');
grant select on mail to colonnade_app;
grant select, insert, update on mail to colonnade_worker;

create policy mail_claim_read on mail for select to colonnade_lookup using (true);
create policy mail_claim on mail for update to colonnade_lookup using (true);
create policy mail_forget on mail for delete to colonnade_lookup using (true);
grant select, update, delete on mail to colonnade_lookup;

grant create on schema public to colonnade_lookup;

-- A worker takes mails of every agency, and then opens each agency's own scope.
create function claim_mail(worker text, most integer, lease_seconds integer)
returns table (agency_id text, id text, recipient_id text, kind text, resource_id text, attempts integer)
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    update mail m
    set available_at = clock_timestamp() + make_interval(secs => lease_seconds), claimed_by = worker,
        attempts = m.attempts + 1
    from (select w.agency_id, w.id, w.recipient_id from mail w
          where w.state = 'waiting' and w.available_at <= clock_timestamp()
          order by w.available_at, w.id limit most for update skip locked) as free
    where m.agency_id = free.agency_id and m.id = free.id and m.recipient_id = free.recipient_id
    returning m.agency_id, m.id, m.recipient_id, m.kind, m.resource_id, m.attempts
$$;

-- How it goes with mails over all agencies: numbers for the operator.
create function mail_lag() returns table (waiting bigint, stuck bigint, failed bigint)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select count(*) filter (where state = 'waiting'),
           count(*) filter (where state = 'waiting' and attempts > 1),
           count(*) filter (where state = 'failed' and ended_at > now() - interval '7 days')
    from mail
$$;

create function forget_mail(kept interval, most integer) returns integer
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    gone integer;
begin
    delete from mail where ctid = any (array(select ctid from mail where ended_at < now() - kept limit most));
    get diagnostics gone = row_count;
    return gone;
end $$;

alter function claim_mail(text, integer, integer) owner to colonnade_lookup;
alter function mail_lag() owner to colonnade_lookup;
alter function forget_mail(interval, integer) owner to colonnade_lookup;
revoke create on schema public from colonnade_lookup;
revoke all on function claim_mail(text, integer, integer) from public;
revoke all on function mail_lag() from public;
revoke all on function forget_mail(interval, integer) from public;
grant execute on function claim_mail(text, integer, integer) to colonnade_worker;
grant execute on function mail_lag() to current_user;
grant execute on function forget_mail(interval, integer) to colonnade_worker;
