-- What a row was like when HQ's version was last taken: a fingerprint, or `base` with the values.
ALTER TABLE milkrun_ledger ADD COLUMN local_hash bigint;
-- Both sides of every decision. No version before this one wrote a line, so the table is made anew.
-- `told` is what an operator said, `resolved_at` when that, or the rule, was carried out.
DROP TABLE milkrun_conflicts;
CREATE TABLE milkrun_conflicts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job text COLLATE "C" NOT NULL,
    hq_name text COLLATE "C" NOT NULL,
    local_key text COLLATE "C",
    kind text COLLATE "C" NOT NULL,
    hq_modified text COLLATE "C",
    base text,
    hq text,
    local text,
    rule text COLLATE "C" NOT NULL,
    run bigint,
    raised_at text COLLATE "C" NOT NULL,
    hq_version bigint NOT NULL,
    local_version bigint NOT NULL,
    told text COLLATE "C",
    resolved_at text COLLATE "C",
    resolution text COLLATE "C"
);
CREATE INDEX milkrun_conflicts_job ON milkrun_conflicts (job, hq_name);
CREATE INDEX milkrun_conflicts_resolved_at ON milkrun_conflicts (job, resolved_at);
