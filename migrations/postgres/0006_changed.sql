-- Which run made a row, and which changed it last; null where a first load did. An index would cost every run: who asks
-- walks the ledger.
ALTER TABLE milkrun_ledger ADD COLUMN made_in bigint, ADD COLUMN changed_in bigint;
ALTER TABLE milkrun_runs ADD COLUMN is_first_load bigint;

-- Rows that went, and keys that a row has no more: it then has `moved_to`. `local_key` is null where it is private.
CREATE TABLE milkrun_gone (
    job text COLLATE "C" NOT NULL,
    hq_name text COLLATE "C" NOT NULL,
    run bigint NOT NULL,
    local_key text COLLATE "C",
    moved_to text COLLATE "C",
    gone_at text COLLATE "C" NOT NULL,
    PRIMARY KEY (job, hq_name, run)
);
CREATE INDEX milkrun_gone_gone_at ON milkrun_gone (job, gone_at);
