-- Reports walk along the key of the roll-up and read nothing else: groups come in its order, and what they sum is in it.

-- Order by bytes, whatever language the database sorts in; what is compared most often is so compared cheapest.
alter table usage_daily alter column feature type text collate "C", alter column model type text collate "C";
alter table usage_event alter column feature type text collate "C", alter column model type text collate "C";

-- The key alone is read only where the table is known to hold nothing newer: it is looked after as it grows, not when a
-- fifth of it has changed. The day that is going on is written again and again, and has room for that.
alter table usage_daily set (
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_insert_scale_factor = 0.01,
    autovacuum_analyze_scale_factor = 0.02);

-- Sums in whole numbers: `sum` of a bigint is a numeric, and making one for each group costs as much as finding the groups.
create aggregate bigint_sum(bigint) (
    sfunc = int8pl, stype = bigint, initcond = '0', combinefunc = int8pl, parallel = safe);
