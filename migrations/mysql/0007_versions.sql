-- What the daemon says of itself: which version of sync.toml is in force, and what keeps a newer one from it, as JSON.
-- One row; `holder` is the process.
-- DDL commits by itself here: IF NOT EXISTS lets a migration that was cut off be run again.
CREATE TABLE IF NOT EXISTS milkrun_daemon (
    id bigint NOT NULL,
    holder varchar(500) NOT NULL,
    state longtext NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The mapping by which each job last read everything, as JSON: what an edit changes is told by it.
CREATE TABLE IF NOT EXISTS milkrun_mappings (
    job varchar(140) NOT NULL,
    outline longtext NOT NULL,
    PRIMARY KEY (job)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
