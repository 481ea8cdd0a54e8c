-- Keys by who made them: what a member leaves behind is found without looking through all keys.
create index api_key_maker on api_key (agency_id, created_by);

-- A test twin follows its live agency: a reaction, which workers carry out.
grant update (name, website, branding, settings, updated_at, version) on agency to colonnade_worker;
grant execute on function test_twin_of(text) to colonnade_worker;
