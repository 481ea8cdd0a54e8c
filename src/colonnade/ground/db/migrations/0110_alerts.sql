-- Alerts are told once, and what ends by the clock is found over all agencies: ids alone.

-- One threshold of one place is one alert.
create unique index usage_alert_once on usage_alert (agency_id, workspace_id, threshold_percent) nulls not distinct;
-- A firing holds its alert against being deleted meanwhile, also where a run's end in a worker fires it.
grant update (updated_at) on usage_alert to colonnade_worker;

create policy credit_grant_due on credit_grant for select to colonnade_lookup using (true);
create policy credit_hold_due on credit_hold for select to colonnade_lookup using (true);
create policy credit_cycle_due on credit_cycle for select to colonnade_lookup using (true);
grant select on credit_grant, credit_hold, credit_cycle to colonnade_lookup;

-- A run's hold ends with the run; those of callers end with their own time.
create function credits_due(most integer) returns table (agency_id text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select d.agency_id
    from ((select g.agency_id, g.expires_at from credit_grant g
           where not g.is_spent and g.expires_at <= now() order by g.expires_at limit most)
          union all
          (select h.agency_id, h.expires_at from credit_hold h
           where h.state = 'open' and h.run_id is null and h.expires_at <= now() order by h.expires_at limit most)) as d
    group by d.agency_id order by min(d.expires_at), d.agency_id limit most
$$;

-- Agencies that have ever counted in cycles, and whose last one ends before long.
create function cycles_due(ahead interval, most integer) returns table (agency_id text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select a.agency_id from agency a
    cross join lateral (select c.ends_at from credit_cycle c where c.agency_id = a.agency_id
                        order by c.starts_at desc limit 1) as last
    where last.ends_at <= now() + ahead order by last.ends_at, a.agency_id limit most
$$;

create function credits_lag() returns table (due bigint, oldest_seconds double precision)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select count(*), coalesce(extract(epoch from clock_timestamp() - min(d.expires_at)), 0)::double precision
    from (select g.expires_at from credit_grant g where not g.is_spent and g.expires_at <= now()
          union all
          select h.expires_at from credit_hold h
          where h.state = 'open' and h.run_id is null and h.expires_at <= now()) as d
$$;

grant create on schema public to colonnade_lookup;
alter function credits_due(integer) owner to colonnade_lookup;
alter function cycles_due(interval, integer) owner to colonnade_lookup;
alter function credits_lag() owner to colonnade_lookup;
revoke create on schema public from colonnade_lookup;
revoke all on function credits_due(integer), cycles_due(interval, integer), credits_lag() from public;
grant execute on function credits_due(integer), cycles_due(interval, integer) to colonnade_worker;
grant execute on function credits_lag() to colonnade_app, colonnade_worker, current_user;
