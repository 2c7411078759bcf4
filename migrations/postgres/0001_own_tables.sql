-- milkrun's own tables. Moments are UTC text of fixed width, `YYYY-MM-DD HH:MM:SS.ffffff`, so that they sort as text
-- and read the same on every database; HQ's stamps are kept as HQ wrote them. Collation "C": names differ by bytes.

-- How far each job has come.
CREATE TABLE milkrun_watermarks (
    job text COLLATE "C" NOT NULL,
    stream text COLLATE "C" NOT NULL,
    seen_modified text COLLATE "C",
    seen_name text COLLATE "C",
    seen_at text COLLATE "C",
    settled_modified text COLLATE "C",
    settled_name text COLLATE "C",
    settled_as_of text COLLATE "C",
    pass_modified text COLLATE "C",
    pass_name text COLLATE "C",
    pass_newest text COLLATE "C",
    pass_started_at text COLLATE "C",
    pass_is_repair bigint,
    mapping bigint,
    updated_at text COLLATE "C" NOT NULL,
    PRIMARY KEY (job, stream)
);

-- What was last taken from HQ; `local_key` is null where it equals `hq_name`, which it mostly does.
CREATE TABLE milkrun_ledger (
    job text COLLATE "C" NOT NULL,
    hq_name text COLLATE "C" NOT NULL,
    local_key text COLLATE "C",
    hq_modified text COLLATE "C" NOT NULL,
    row_hash bigint NOT NULL,
    children_hash bigint NOT NULL,
    base text,
    PRIMARY KEY (job, hq_name)
);
CREATE INDEX milkrun_ledger_local_key ON milkrun_ledger (job, local_key) WHERE local_key IS NOT NULL;

-- News that a record does not belong here: `absent` (left the filter, deleted), `buried` (a delete was processed).
CREATE TABLE milkrun_tombstones (
    job text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    hq_name text COLLATE "C" NOT NULL,
    hq_modified text COLLATE "C" NOT NULL,
    noted_at text COLLATE "C" NOT NULL,
    PRIMARY KEY (job, kind, hq_name)
);
CREATE INDEX milkrun_tombstones_hq_modified ON milkrun_tombstones (job, kind, hq_modified);

-- The run log.
CREATE TABLE milkrun_runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job text COLLATE "C" NOT NULL,
    trigger_kind text COLLATE "C" NOT NULL,
    started_at text COLLATE "C" NOT NULL,
    ended_at text COLLATE "C",
    status text COLLATE "C" NOT NULL,
    fetched bigint NOT NULL,
    inserted bigint NOT NULL,
    updated bigint NOT NULL,
    unchanged bigint NOT NULL,
    deleted bigint NOT NULL,
    quarantined bigint NOT NULL,
    requests bigint NOT NULL,
    bytes bigint NOT NULL,
    retries bigint NOT NULL,
    watermark_before text,
    watermark_after text,
    error text,
    remedy text
);
CREATE INDEX milkrun_runs_job ON milkrun_runs (job, id);

-- Records that could not be mapped or written.
CREATE TABLE milkrun_quarantine (
    job text COLLATE "C" NOT NULL,
    hq_name text COLLATE "C" NOT NULL,
    payload text NOT NULL,
    reason text NOT NULL,
    tries bigint NOT NULL,
    hq_modified text COLLATE "C" NOT NULL,
    first_at text COLLATE "C" NOT NULL,
    last_at text COLLATE "C" NOT NULL,
    next_at text COLLATE "C",
    PRIMARY KEY (job, hq_name)
);

-- Both sides of what was changed at both ends.
CREATE TABLE milkrun_conflicts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job text COLLATE "C" NOT NULL,
    hq_name text COLLATE "C" NOT NULL,
    local_key text COLLATE "C",
    base text,
    hq text,
    local text,
    rule text COLLATE "C" NOT NULL,
    run bigint,
    raised_at text COLLATE "C" NOT NULL,
    resolved_at text COLLATE "C",
    resolution text
);
CREATE INDEX milkrun_conflicts_job ON milkrun_conflicts (job, hq_name);

-- Who runs a job now; a lease past `expires_at` is anybody's.
CREATE TABLE milkrun_leases (
    job text COLLATE "C" NOT NULL PRIMARY KEY,
    holder text NOT NULL,
    expires_at text COLLATE "C" NOT NULL
);
