-- What a grown installation holds, made by the owner in sets: agencies beside the measured one, and in each of them
-- workspaces with everything that lists and reads look at. Row security holds for the owner too, so each agency is
-- filled within its own scope.

create function pg_temp.an_id(prefix text, number bigint) returns text language sql immutable as $$
    select prefix || '_01m' || lpad(to_hex(number), 8, '0') || substr(md5(number::text), 1, 15)
$$;

-- Names that look like brands; a number makes each of them one of a kind.
create function pg_temp.a_name(number bigint) returns text language sql immutable as $$
    select (array['Amber', 'Blue', 'Cedar', 'Dawn', 'Ember', 'Fern', 'Golden', 'Hazel', 'Iron', 'Juniper'])[number % 10 + 1]
           || ' ' || (array['Harbor', 'Bakery', 'Cycles', 'Dental', 'Energy', 'Fitness', 'Garden', 'Hotel', 'Insurance',
                            'Joinery', 'Kitchen', 'Logistics', 'Museum'])[number % 13 + 1]
           || ' ' || lpad(number::text, 5, '0')
$$;

create function pg_temp.enter(agency text) returns void language sql as $$
    select set_config('app.agency_id', agency, true), set_config('app.workspace_ids', '*', true)
$$;

create function pg_temp.found(agency text, number bigint) returns void language plpgsql as $$
begin
    perform pg_temp.enter(agency);
    insert into agency (agency_id, name, settings, created_at, updated_at)
    values (agency, 'Agency ' || number, '{"timezone": "Europe/Berlin"}', now(), now());
    insert into credit_account (agency_id, id, kind, balance) values (agency, 'issued', 'issued', -1000000);
    insert into credit_account (agency_id, id, kind, balance) values (agency, 'pool', 'pool', 1000000);
    insert into credit_grant (agency_id, id, pool_id, amount, remaining, created_at, updated_at)
    values (agency, pg_temp.an_id('grant', number), 'pool', 1000000, 1000000, now(), now());
end $$;

create function pg_temp.people(agency text, base bigint, many integer) returns void language plpgsql as $$
begin
    insert into person (id, email, name)
    select pg_temp.an_id('person', base + n), 'person-' || base + n || '@crowd.example', 'Person ' || n
    from generate_series(1, many) n;
    insert into member (agency_id, id, person_id, role, created_at, updated_at)
    select agency, pg_temp.an_id('mem', base + n), pg_temp.an_id('person', base + n),
           case when n = 1 then 'owner' else 'manager' end, now(), now()
    from generate_series(1, many) n;
end $$;

create function pg_temp.workspaces(agency text, base bigint, many integer) returns void language sql as $$
    insert into workspace (agency_id, id, name, sort_name, primary_domain, slug, external_id, industry, timezone, tags,
                           metadata, settings, brand, archived_at, created_at, updated_at)
    select agency, pg_temp.an_id('ws', base + n), pg_temp.a_name(base + n), lower(pg_temp.a_name(base + n)),
           'brand-' || base + n || '.example', 'brand-' || base + n, 'crm-' || base + n, 'industry ' || n % 17, 'Europe/Berlin',
           array['tier:' || (array['basic', 'plus', 'premium'])[n % 3 + 1], 'region:' || n % 12, 'manager:' || n % 40],
           jsonb_build_object('crm', base + n),
           jsonb_build_object('primaryLocation', 'de', 'primaryLanguage', 'de',
                              'approvalPolicy', jsonb_build_object('publish', 'require_approval')),
           jsonb_build_object(
               'shortDescription', 'What brand ' || n || ' makes, in one plain sentence that fits into a preview',
               'detailedDescription', repeat('A paragraph about the brand, its people and its customers. ', 6),
               'voice', 'Plain, warm and direct; second person; short sentences; no superlatives.',
               'primaryKeywords', jsonb_build_array('first keyword ' || n, 'second keyword ' || n, 'third keyword ' || n),
               'pillars', jsonb_build_array('Repair', 'Materials', 'Places')),
           case when n % 50 = 49 then now() end, now() - make_interval(mins => many - n), now()
    from generate_series(1, many) n
$$;

create function pg_temp.inside(agency text, base bigint, many integer) returns void language sql as $$
    insert into workspace_activity (agency_id, workspace_id, last_active_at)
    select agency, pg_temp.an_id('ws', base + n), now() - make_interval(secs => n * 37 % 1000000)
    from generate_series(1, many) n where n % 5 > 0
    on conflict (agency_id, workspace_id) do update set last_active_at = excluded.last_active_at;
    insert into credit_account (agency_id, workspace_id, id, kind, balance)
    select agency, pg_temp.an_id('ws', base + n), kind || ':' || pg_temp.an_id('ws', base + n), kind, 0
    from generate_series(1, many) n, unnest(array['held', 'used']) as kind;
    insert into provider_key (agency_id, workspace_id, id, provider, sealed, hint, created_by, created_at)
    select agency, pg_temp.an_id('ws', base + n), pg_temp.an_id('conn', base + n), 'anthropic',
           decode(repeat('00', 120), 'hex'), 'abcd', 'key_of_the_crowd', now()
    from generate_series(1, many) n where n % 5 = 0;
    insert into usage_daily (agency_id, day, workspace_id, feature, key_id, credits, events)
    select agency, (now() at time zone 'Europe/Berlin')::date - age, pg_temp.an_id('ws', base + n), feature, '', 1000, 1
    from generate_series(1, many) n, generate_series(0, 19) as age, unnest(array['generation', 'publish']) as feature;
    insert into post (agency_id, workspace_id, id, title, slug, outline, body, meta_description, status, revision, version,
                      created_at, updated_at)
    select agency, pg_temp.an_id('ws', base + n), pg_temp.an_id('post', (base + n) * 4 + one), 'Post ' || one,
           'post-' || one, array['One', 'Two'], repeat('A sentence of the post. ', 40), 'What it is about', 'DRAFT', 1, 1,
           now() - make_interval(mins => n), now()
    from generate_series(1, many) n, generate_series(1, 3) as one;
    insert into audit_entry (agency_id, id, workspace_id, at, actor_kind, actor_id, actor_name, event, resource_id,
                             request_id, hmac, key_id)
    select agency, pg_temp.an_id('aud', (base + n) * 16 + one), pg_temp.an_id('ws', base + n), now(), 'agency_key',
           'key_of_the_crowd', 'crowd', 'workspaces.updated', pg_temp.an_id('ws', base + n), 'req_crowd',
           decode(repeat('00', 32), 'hex'), 1
    from generate_series(1, many) n, generate_series(1, 10) as one
$$;

create function pg_temp.keys(agency text, base bigint, many integer) returns void language sql as $$
    insert into api_key (agency_id, workspace_id, id, scope, name, hint, scopes, rate_requests, rate_window_seconds, mode,
                         created_by, created_at, updated_at)
    select agency, pg_temp.an_id('ws', base + n), pg_temp.an_id('key', base + n), 'workspace', 'Key ' || n, 'abcd',
           array['workspaces:read', 'content:read'], 100, 60, 'live', 'key_of_the_crowd', now(), now()
    from generate_series(1, many) n;
    insert into api_key_secret (agency_id, workspace_id, key_id, digest, pepper_id, created_at)
    select agency, pg_temp.an_id('ws', base + n), pg_temp.an_id('key', base + n),
           sha256(convert_to(pg_temp.an_id('key', base + n), 'UTF8')), 1, now()
    from generate_series(1, many) n;
    insert into api_key_use (agency_id, workspace_id, key_id, last_used_at, last_used_ip)
    select agency, pg_temp.an_id('ws', base + n), pg_temp.an_id('key', base + n), now(), '192.0.2.1'
    from generate_series(1, many) n;
    insert into rate_window (subject, started_at, used, last_granted, window_seconds, most)
    select pg_temp.an_id('key', base + n), now() - interval '1 hour', 1, 1, 60, 100 from generate_series(1, many) n
$$;

create function pg_temp.fill(agency text, base bigint, many integer) returns void language sql as $$
    select pg_temp.enter(agency);
    select pg_temp.people(agency, base, least(many, 200));
    select pg_temp.workspaces(agency, base, many);
    select pg_temp.inside(agency, base, many);
    select pg_temp.keys(agency, base, many)
$$;
