-- Charging by one call of the database: the same checks and the same rows as the house's own, for one charge at a time.
create table bench_pool (balance bigint not null);
comment on table bench_pool is 'tenancy: global';
insert into bench_pool values (0);
create table bench_ledger (amount bigint not null);
comment on table bench_ledger is 'tenancy: global';

create function bench_charge(agency text, ws text, ref text, cost bigint, actor text, request text, chg text, led_pool text,
                             led_used text, evt text, aud text, told text, mac bytea) returns void
language plpgsql as $$
declare
    pool credit_account;
    used credit_account;
    lot credit_grant;
    turn credit_cycle;
    moment timestamptz;
begin
    perform set_config('app.agency_id', agency, true), set_config('app.workspace_ids', '*', true);
    select * into pool from credit_account a where a.agency_id = agency and a.id = 'pool' for update;
    select * into used from credit_account a where a.agency_id = agency and a.id = 'used:' || ws for update;
    perform from credit_transfer t where t.agency_id = agency and t.source = 'api' and t.reference = ref;
    if found then
        return;
    end if;
    perform from workspace w where w.agency_id = agency and w.id = ws and w.archived_at is null;
    moment := clock_timestamp();
    select * into turn from credit_cycle c where c.agency_id = agency and c.starts_at <= moment and moment < c.ends_at;
    perform from credit_cap c join credit_tally t on t.agency_id = agency and t.cycle = turn.starts_on
        where c.agency_id = agency and t.taken + cost > c.credits;
    select * into lot from credit_grant g where g.agency_id = agency and g.pool_id = 'pool' and not g.is_spent
        order by g.priority, g.expires_at nulls last, g.created_at, g.id limit 1;
    insert into credit_transfer (agency_id, id, kind, amount, from_account, to_account, rule, workspace_id, source, reference,
        feature, grant_id, price_version, cycle, actor_id, actor_name, request_id, at)
        values (agency, chg, 'charge', cost, 'pool', used.id, 'pool', ws, 'api', ref, 'image', lot.id, 0, turn.starts_on, actor,
                actor, request, moment);
    insert into ledger_entry (agency_id, id, transfer_id, account_id, workspace_id, amount, balance_after, account_version, at)
        values (agency, led_pool, chg, 'pool', null, -cost, pool.balance - cost, pool.version + 1, moment),
               (agency, led_used, chg, used.id, ws, cost, used.balance + cost, used.version + 1, moment);
    update credit_account a set balance = a.balance - cost, version = a.version + 1, updated_at = moment
        where a.agency_id = agency and a.id = 'pool';
    update credit_account a set balance = a.balance + cost, version = a.version + 1, updated_at = moment
        where a.agency_id = agency and a.id = used.id;
    update credit_grant g set remaining = g.remaining - cost, updated_at = moment where g.agency_id = agency and g.id = lot.id;
    update credit_tally t set taken = t.taken + cost, used = t.used + cost
        where t.agency_id = agency and t.cycle = turn.starts_on
          and t.subject = any (array['agency', 'agency#image', ws, ws || '#image', 'pool']);
    insert into usage_event (agency_id, workspace_id, at, id, feature, transfer_id, cycle, credits, quantity)
        values (agency, ws, moment, evt, 'image', chg, turn.starts_on, cost, 1);
    insert into usage_daily as d (agency_id, day, workspace_id, feature, key_id, model, credits, events)
        values (agency, (moment at time zone turn.zone)::date, ws, 'image', '', '', cost, 1)
        on conflict (agency_id, day, workspace_id, feature, key_id, model) do update
        set credits = d.credits + excluded.credits, events = d.events + 1;
    insert into audit_entry (agency_id, id, workspace_id, at, actor_kind, actor_id, actor_name, event, resource_id, request_id,
        hmac, key_id) values (agency, aud, ws, moment, 'operator', actor, actor, 'credits.charged', chg, request, mac, 1);
    insert into audit_unsealed (agency_id, workspace_id, entry_id) values (agency, ws, aud);
    insert into outbox (agency_id, id, workspace_id, event, resource_id, audit_id, at)
        values (agency, told, ws, 'credits.charged', chg, aud, moment);
end $$;
grant execute on function bench_charge(text, text, text, bigint, text, text, text, text, text, text, text, text, bytea)
    to colonnade_app;
