-- An answer that moved money is kept for ever: the same key moves it once, whenever it comes again.
alter table idempotency add column is_money boolean not null default false;
drop index idempotency_age;
create index idempotency_age on idempotency (created_at) where not is_money;

create or replace function forget_answers(most integer) returns bigint
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    with gone as (
        delete from idempotency where ctid = any (array(
            select i.ctid from idempotency i
            where not i.is_money and i.created_at < now() - interval '24 hours' limit most)) returning 1)
    select count(*) from gone
$$;
