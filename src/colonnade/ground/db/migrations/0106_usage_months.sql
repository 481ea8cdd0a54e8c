-- Usage by months: a partition for each, made before it begins and dropped whole when its time is over; ids of events are
-- forgotten row by row. Months are those of UTC.

-- What has come to lie in the default partition meanwhile moves over, one agency after the other. Rows that are being
-- written elsewhere are waited for, not for long: who needs the month asks again.
create function add_usage_month(month date) returns void
language plpgsql set search_path = pg_catalog, public, pg_temp set lock_timeout = '2s' as $$
declare
    part constant text := to_char(month, '"usage_event_"YYYY_MM');
    starts constant timestamptz := month::timestamp at time zone 'UTC';
    ends constant timestamptz := (month::timestamp + interval '1 month') at time zone 'UTC';
    home record;
begin
    lock table usage_event in share update exclusive mode;
    lock table usage_event_rest in access exclusive mode;
    execute format('create table public.%I (like usage_event including all)', part);
    perform enforce_tenancy(part::regclass, 'workspace');
    execute format('alter table %I alter column agency_id set (n_distinct = 10)', part);
    for home in select agency_id from list_agencies() loop
        perform set_config('app.agency_id', home.agency_id, true), set_config('app.workspace_ids', '*', true);
        execute format(
            'with moved as (delete from usage_event_rest where agency_id = $1 and at >= $2 and at < $3 returning *)
             insert into %I select * from moved', part) using home.agency_id, starts, ends;
    end loop;
    perform set_config('app.agency_id', '', true), set_config('app.workspace_ids', '', true);
    execute format('alter table usage_event attach partition %I for values from (%L) to (%L)', part, starts, ends);
end $$;
revoke all on function add_usage_month(date) from public;

-- One change for each call, so that nobody waits for more than that: the month that it made or dropped, or null when all
-- is as it should be. Events are taken that are thirteen months old, so as many months are always there.
create function keep_usage_months(ahead integer, keep integer) returns text
language plpgsql security definer set search_path = pg_catalog, public, pg_temp set lock_timeout = '2s' as $$
declare
    running constant date := date_trunc('month', now() at time zone 'UTC')::date;
    first_kept constant date := running - make_interval(months => greatest(keep, 13));
    month date;
    part text;
begin
    if not pg_try_advisory_xact_lock(77, 0) then
        return null;
    end if;
    for month in
        select generate_series(running - interval '13 months', running + make_interval(months => ahead), '1 month')
    loop
        part := to_char(month, '"usage_event_"YYYY_MM');
        if to_regclass('public.' || part) is null then
            perform add_usage_month(month);
            return part;
        end if;
    end loop;
    select c.relname into part from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'usage_event'::regclass and c.relname ~ 'usage_event_\d{4}_\d{2}$'
      and c.relname < to_char(first_kept, '"usage_event_"YYYY_MM')
    order by c.relname limit 1;
    if part is not null then
        lock table usage_event in access exclusive mode;
        execute format('drop table public.%I', part);
    end if;
    return part;
end $$;
revoke all on function keep_usage_months(integer, integer) from public;
grant execute on function keep_usage_months(integer, integer) to colonnade_worker;

-- What lies in the default partition already may be of months before those.
do $$
declare
    running constant timestamp := date_trunc('month', now() at time zone 'UTC');
    home record;
    month date;
    earliest timestamptz;
begin
    for home in select agency_id from list_agencies() loop
        perform set_config('app.agency_id', home.agency_id, true), set_config('app.workspace_ids', '*', true);
        earliest := least(earliest, (select min(e.at) from usage_event_rest e where e.agency_id = home.agency_id));
    end loop;
    perform set_config('app.agency_id', '', true), set_config('app.workspace_ids', '', true);
    for month in
        select generate_series(least(date_trunc('month', earliest at time zone 'UTC'), running - interval '13 months'),
                               running + interval '2 months', '1 month')
    loop
        perform add_usage_month(month);
    end loop;
end $$;

-- An id is known for as long as an event may be told late, counted from when it was told.
create policy usage_event_id_age on usage_event_id for select to colonnade_lookup using (true);
create policy usage_event_id_forgotten on usage_event_id for delete to colonnade_lookup using (true);
grant select, delete on usage_event_id to colonnade_lookup;
revoke delete on usage_event_id from colonnade_worker;

create function forget_event_ids(most integer) returns bigint
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    with gone as (
        delete from usage_event_id where ctid = any (array(
            select ctid from usage_event_id where at < now() - interval '13 months' limit most)) returning 1)
    select count(*) from gone
$$;
grant create on schema public to colonnade_lookup;
alter function forget_event_ids(integer) owner to colonnade_lookup;
revoke create on schema public from colonnade_lookup;
revoke all on function forget_event_ids(integer) from public;
grant execute on function forget_event_ids(integer) to colonnade_worker;
