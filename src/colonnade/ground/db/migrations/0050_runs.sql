-- Runs: invocations of skills, their steps and events, approvals, bulk actions. The engine's own tables live in schema
-- `absurd`, which servers never see: they write rows here and NOTIFY, workers do the rest.

create table run (
    agency_id text collate "C" not null references agency (agency_id),
    id text collate "C" not null check (id ~ '^inv_[0-9a-z]{26}$'),
    workspace_id text collate "C" not null,
    agent_id text collate "C" not null check (agent_id ~ '^agt_[0-9a-z]{26}$'),
    parent_id text collate "C",
    bulk_id text collate "C",
    skill text not null,
    skill_version integer not null,
    input jsonb not null,
    approval_required boolean not null default false,   -- asked for with this run; it can only tighten the policy
    mode text not null check (mode in ('BACKGROUND', 'FOREGROUND')),
    queue text not null check (queue in ('interactive', 'bulk')),
    state text not null default 'PENDING' check (state in ('PENDING', 'RUNNING', 'WAITING_APPROVAL', 'WAITING_INPUT',
        'WAITING_CHILDREN', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
    context jsonb,                                      -- brand, settings and policy as they were when the run began
    hold_id text collate "C",
    estimated bigint not null check (estimated >= 0),
    prices jsonb not null,                              -- of the skill's features when the credits were held
    usage jsonb not null default '{}',                  -- what was used, by step and feature; charged at the end
    credits_used bigint not null default 0 check (credits_used >= 0),
    result jsonb,
    error jsonb,
    started_by text collate "C" not null,
    started_by_kind text not null,
    request_id text not null,
    task_id uuid,                                       -- the engine's task, once admitted
    admitted_at timestamptz,
    cancel_requested_at timestamptz,
    cancelled_by text collate "C",
    events integer not null default 0 check (events >= 0),
    started_at timestamptz,
    ended_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    version bigint not null default 1,
    primary key (agency_id, id),
    unique (agency_id, workspace_id, id),
    foreign key (agency_id, workspace_id) references workspace (agency_id, id),
    check ((state in ('SUCCEEDED', 'FAILED', 'CANCELLED')) = (ended_at is not null))
);
create index run_by_workspace on run (agency_id, workspace_id, id desc);
create index run_by_bulk on run (agency_id, bulk_id) where bulk_id is not null;
create index run_by_parent on run (agency_id, parent_id) where parent_id is not null;
create index run_pending on run (created_at, id) where state = 'PENDING' and admitted_at is null;
create index run_active on run (agency_id, workspace_id) where ended_at is null and admitted_at is not null;
create index run_to_cancel on run (cancel_requested_at) where ended_at is null and cancel_requested_at is not null;
create index run_by_task on run (task_id) where task_id is not null;
select enforce_tenancy('run', 'workspace');
grant select, insert, update on run to colonnade_app, colonnade_worker;

create table run_step (
    agency_id text collate "C" not null,
    id text collate "C" not null check (id ~ '^step_[0-9a-z]{26}$'),
    workspace_id text collate "C" not null,
    run_id text collate "C" not null,
    number integer not null check (number > 0),
    name text not null,
    kind text not null check (kind in ('model', 'tool', 'decision', 'work')),
    summary text not null,
    facts jsonb not null default '{}',
    started_at timestamptz not null,
    ended_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    primary key (agency_id, id),
    unique (agency_id, workspace_id, id),
    unique (agency_id, run_id, name),
    foreign key (agency_id, workspace_id, run_id) references run (agency_id, workspace_id, id)
);
create index run_step_order on run_step (agency_id, run_id, number);
select enforce_tenancy('run_step', 'workspace');
grant select on run_step to colonnade_app;
grant select, insert on run_step to colonnade_worker;

-- What a listener of a run hears, in order; appended in the transaction that did it.
create table run_event (
    agency_id text collate "C" not null,
    workspace_id text collate "C" not null,
    run_id text collate "C" not null,
    number integer not null check (number > 0),
    event text not null,
    data jsonb not null,
    at timestamptz not null default now(),
    primary key (agency_id, run_id, number),
    foreign key (agency_id, workspace_id, run_id) references run (agency_id, workspace_id, id)
);
select enforce_tenancy('run_event', 'workspace');
grant select, insert on run_event to colonnade_app, colonnade_worker;

create table approval (
    agency_id text collate "C" not null,
    id text collate "C" not null check (id ~ '^appr_[0-9a-z]{26}$'),
    workspace_id text collate "C" not null,
    run_id text collate "C" not null,
    skill text not null,
    gate text not null,
    step text not null,
    preview jsonb not null,
    reason text not null,
    routed_to text[] not null default '{}',
    status text not null default 'PENDING'
        check (status in ('PENDING', 'APPROVED', 'REJECTED', 'EXPIRED', 'CANCELLED')),
    edits jsonb,
    approved jsonb,                                     -- the very version that may be acted on
    decided_by text collate "C",
    decided_at timestamptz,
    decision_reason text,
    rerun jsonb,
    started_by text collate "C" not null,
    raised_at timestamptz not null default now(),
    timeout_at timestamptz not null,
    delivered_at timestamptz,                           -- the run has been told
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    version bigint not null default 1,
    primary key (agency_id, id),
    unique (agency_id, workspace_id, id),
    unique (agency_id, run_id, step),
    foreign key (agency_id, workspace_id, run_id) references run (agency_id, workspace_id, id),
    check ((status = 'PENDING') = (decided_at is null)),
    check ((status = 'APPROVED') = (approved is not null))
);
create index approval_inbox on approval (agency_id, status, id desc);
create index approval_by_workspace on approval (agency_id, workspace_id, status, id desc);
create index approval_by_run on approval (agency_id, run_id);
create index approval_due on approval (timeout_at) where status = 'PENDING';
create index approval_undelivered on approval (decided_at) where decided_at is not null and delivered_at is null;
select enforce_tenancy('approval', 'workspace');
grant select, update on approval to colonnade_app;
grant select, insert, update on approval to colonnade_worker;

create table approval_comment (
    agency_id text collate "C" not null,
    id text collate "C" not null check (id ~ '^evt_[0-9a-z]{26}$'),
    workspace_id text collate "C" not null,
    approval_id text collate "C" not null,
    author text collate "C" not null,
    text text not null check (length(text) between 1 and 5000),
    created_at timestamptz not null default now(),
    primary key (agency_id, id),
    unique (agency_id, workspace_id, id),
    foreign key (agency_id, workspace_id, approval_id) references approval (agency_id, workspace_id, id)
);
create index approval_comment_order on approval_comment (agency_id, approval_id, id);
select enforce_tenancy('approval_comment', 'workspace');
grant select, insert on approval_comment to colonnade_app;

-- A bulk action is the agency's: it names many workspaces. Its counts are kept by whoever moves an item, locked last.
create table bulk_action (
    agency_id text collate "C" not null references agency (agency_id),
    id text collate "C" not null check (id ~ '^bulk_[0-9a-z]{26}$'),
    action text not null,
    selection jsonb not null,
    config jsonb not null,
    total integer not null,
    pending integer not null check (pending >= 0),
    running integer not null default 0 check (running >= 0),
    waiting integer not null default 0 check (waiting >= 0),
    succeeded integer not null default 0 check (succeeded >= 0),
    failed integer not null default 0 check (failed >= 0),
    cancelled integer not null default 0 check (cancelled >= 0),
    skipped integer not null default 0 check (skipped >= 0),
    started_by text collate "C" not null,
    request_id text not null,
    cancel_requested_at timestamptz,
    ended_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (agency_id, id),
    check (pending + running + waiting + succeeded + failed + cancelled + skipped = total)
) with (fillfactor = 50);
create index bulk_action_order on bulk_action (agency_id, id desc);
select enforce_tenancy('bulk_action', 'agency_only');
grant select, insert, update on bulk_action to colonnade_app, colonnade_worker;

create table bulk_item (
    agency_id text collate "C" not null,
    id text collate "C" not null check (id ~ '^evt_[0-9a-z]{26}$'),
    workspace_id text collate "C" not null,
    bulk_id text collate "C" not null,
    run_id text collate "C",
    state text not null check (state in ('PENDING', 'RUNNING', 'WAITING', 'SUCCEEDED', 'FAILED', 'CANCELLED', 'SKIPPED')),
    credits_used bigint not null default 0,
    error jsonb,
    before jsonb,                                       -- what an undo of a workspace.update puts back
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (agency_id, id),
    unique (agency_id, workspace_id, id),
    unique (agency_id, bulk_id, workspace_id),
    foreign key (agency_id, bulk_id) references bulk_action (agency_id, id),
    foreign key (agency_id, workspace_id) references workspace (agency_id, id)
);
create index bulk_item_by_run on bulk_item (agency_id, run_id) where run_id is not null;
select enforce_tenancy('bulk_item', 'workspace');
grant select, insert, update on bulk_item to colonnade_app, colonnade_worker;

-- What workers look up before a scope is known: which rows of any agency have work. They return ids, never content.
create policy lookup_read on run for select to colonnade_lookup using (true);
create policy lookup_admit on run for update to colonnade_lookup using (true) with check (true);
create policy lookup_read on approval for select to colonnade_lookup using (true);
grant select on run, approval to colonnade_lookup;
grant update (admitted_at, task_id, updated_at) on run to colonnade_lookup;

-- Takes the oldest runs that may start, one agency after the other, within the limits, and marks them admitted.
-- The caller spawns their tasks in the same transaction. One admission at a time; a second caller gets nothing.
create function admit_runs(most integer, most_per_agency integer, most_per_workspace integer)
returns table (agency_id text, workspace_id text, run_id text, skill text, queue text)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
#variable_conflict use_column
begin
    if not pg_try_advisory_xact_lock(7236528) then
        return;
    end if;
    return query
    with active as (
        select r.agency_id, r.workspace_id, count(*) as n
        from run r
        where r.ended_at is null and r.admitted_at is not null and r.state in ('PENDING', 'RUNNING')
        group by r.agency_id, r.workspace_id
    ), waiting as (
        select r.agency_id, r.workspace_id, r.id, r.created_at,
               row_number() over (partition by r.agency_id, r.workspace_id order by r.created_at, r.id)
                 + coalesce((select a.n from active a
                             where a.agency_id = r.agency_id and a.workspace_id = r.workspace_id), 0) as in_workspace
        from run r
        where r.state = 'PENDING' and r.admitted_at is null and r.cancel_requested_at is null
    ), ranked as (
        select w.agency_id, w.id, w.created_at,
               row_number() over (partition by w.agency_id order by w.in_workspace, w.created_at, w.id)
                 + coalesce((select sum(a.n) from active a where a.agency_id = w.agency_id), 0) as in_agency
        from waiting w
        where w.in_workspace <= most_per_workspace
    ), chosen as (
        select k.agency_id, k.id from ranked k
        where k.in_agency <= most_per_agency
        order by k.in_agency, k.created_at, k.id
        limit most
    )
    update run r set admitted_at = now(), updated_at = now()
    from chosen c
    -- Looked at again: a run may have been cancelled while this statement waited for its row.
    where r.agency_id = c.agency_id and r.id = c.id and r.state = 'PENDING' and r.admitted_at is null
      and r.cancel_requested_at is null
    returning r.agency_id, r.workspace_id, r.id, r.skill, r.queue;
end $$;

create function set_run_task(of_agency text, of_run text, task uuid) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    update run set task_id = task where agency_id = of_agency and id = of_run
$$;

create function runs_to_cancel(most integer) returns table (agency_id text, workspace_id text, run_id text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select r.agency_id, r.workspace_id, r.id from run r
    where r.ended_at is null and r.cancel_requested_at is not null order by r.cancel_requested_at limit most
$$;

create function decisions_to_deliver(most integer) returns table (agency_id text, workspace_id text, approval_id text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select a.agency_id, a.workspace_id, a.id from approval a
    where a.decided_at is not null and a.delivered_at is null order by a.decided_at limit most
$$;

create function approvals_to_expire(most integer) returns table (agency_id text, workspace_id text, approval_id text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select a.agency_id, a.workspace_id, a.id from approval a
    where a.status = 'PENDING' and a.timeout_at <= now() order by a.timeout_at limit most
$$;

create function runs_lag() returns table (pending bigint, oldest_seconds double precision)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select count(*), coalesce(extract(epoch from now() - min(r.created_at)), 0)::double precision
    from run r where r.state = 'PENDING' and r.admitted_at is null
$$;

-- Workers tell that they live, so that readiness can tell whether anybody works.
create table worker_heartbeat (
    worker_id text collate "C" primary key,
    at timestamptz not null,
    started_at timestamptz not null,
    admitted_at timestamptz                             -- when it last looked for runs to admit
);
comment on table worker_heartbeat is 'tenancy: global';
grant select on worker_heartbeat to colonnade_app;
grant select, insert, update, delete on worker_heartbeat to colonnade_worker;

-- Housekeeping over all agencies: what is past its time is deleted in batches; returns how many rows went.
create policy lookup_read on idempotency for select to colonnade_lookup using (true);
create policy lookup_forget on idempotency for delete to colonnade_lookup using (true);
grant select, delete on idempotency to colonnade_lookup;
create policy lookup_read on request_log for select to colonnade_lookup using (true);
create policy lookup_forget on request_log for delete to colonnade_lookup using (true);
grant select, delete on request_log to colonnade_lookup;

create function forget_answers(most integer) returns bigint
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    with gone as (
        delete from idempotency where ctid = any (array(
            select i.ctid from idempotency i where i.created_at < now() - interval '24 hours' limit most)) returning 1)
    select count(*) from gone
$$;

create function forget_requests(older_than interval, most integer) returns bigint
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    with gone as (
        delete from request_log where ctid = any (array(
            select r.ctid from request_log r where r.at < now() - older_than limit most)) returning 1)
    select count(*) from gone
$$;

grant create on schema public to colonnade_lookup;
alter function forget_answers(integer) owner to colonnade_lookup;
alter function forget_requests(interval, integer) owner to colonnade_lookup;
alter function admit_runs(integer, integer, integer) owner to colonnade_lookup;
alter function set_run_task(text, text, uuid) owner to colonnade_lookup;
alter function runs_to_cancel(integer) owner to colonnade_lookup;
alter function decisions_to_deliver(integer) owner to colonnade_lookup;
alter function approvals_to_expire(integer) owner to colonnade_lookup;
alter function runs_lag() owner to colonnade_lookup;
revoke create on schema public from colonnade_lookup;
revoke all on function admit_runs(integer, integer, integer), set_run_task(text, text, uuid), runs_to_cancel(integer),
    decisions_to_deliver(integer), approvals_to_expire(integer), runs_lag(), forget_answers(integer),
    forget_requests(interval, integer) from public;
grant execute on function admit_runs(integer, integer, integer), set_run_task(text, text, uuid), runs_to_cancel(integer),
    decisions_to_deliver(integer), approvals_to_expire(integer), forget_answers(integer),
    forget_requests(interval, integer) to colonnade_worker;
grant execute on function runs_lag() to colonnade_app, colonnade_worker;
