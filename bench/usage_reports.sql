-- One agency's usage over ninety days: workspaces that use eight features, by a key of their own and by the agency's, some
-- by one of two models; and what the roll-up keeps of it.
create function pg_temp.use(home text, nth integer, many bigint, last_day date) returns void language plpgsql as $$
begin
    perform set_config('app.agency_id', home, true), set_config('app.workspace_ids', '*', true);
    insert into usage_event (agency_id, workspace_id, at, id, feature, key_id, model, cycle, credits, quantity)
    select home, w.id, e.at, 'evt_' || lpad((nth * 10000000::bigint + e.n)::text, 26, '0'), f.feature,
           case when e.k < 0.8 then replace(w.id, 'ws_', 'key_') else 'key_' || lpad(nth::text, 26, '0') end,
           case when f.models > 0 then (array['claude-sonnet-4-6', 'claude-haiku-4-5'])[1 + (e.k * 100)::integer % f.models] end,
           date_trunc('month', e.at)::date, 1000 + (e.k * 20000)::bigint, 1
    from (select n, random() as k, 1 + (random() * 99)::integer as w, 1 + (random() * 7)::integer as f,
                 last_day + interval '1 day' - (many - n) * (interval '90 days' / many) - interval '1 second' as at
          from generate_series(1, many) n) e
    cross join lateral (select 'ws_' || lpad((nth * 1000 + e.w)::text, 26, '0') as id) w
    join (values (1, 'generation', 2), (2, 'refine', 1), (3, 'brain_session', 2), (4, 'analytics', 0), (5, 'publish', 0),
                 (6, 'rank_check', 0), (7, 'keyword_research', 0), (8, 'webhook_delivery', 0)) f (place, feature, models)
        on f.place = e.f;
    insert into usage_daily (agency_id, day, workspace_id, feature, key_id, model, credits, events)
    select agency_id, (at at time zone 'UTC')::date, workspace_id, feature, key_id, coalesce(model, ''),
           sum(credits), count(*)
    from usage_event where agency_id = home group by 1, 2, 3, 4, 5, 6 order by 1, 2, 3, 4, 5, 6;
end $$;
