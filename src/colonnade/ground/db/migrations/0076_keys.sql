-- Keys by who made them: what a member leaves behind is found without looking through all keys.
create index api_key_maker on api_key (agency_id, created_by);
