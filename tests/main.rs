//! One test binary, one module per promise.

#[cfg(test)]
mod support;

/// Runs each named test on SQLite, PostgreSQL and MariaDB.
macro_rules! on_each_database {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[test] fn $name() { super::$name(crate::support::Kind::Sqlite); })*
        }
        mod postgres {
            $(#[test] fn $name() { super::$name(crate::support::Kind::Postgres); })*
        }
        mod mysql {
            $(#[test] fn $name() { super::$name(crate::support::Kind::Mysql); })*
        }
    };
}

#[cfg(test)]
mod answers;
#[cfg(test)]
mod beside;
#[cfg(test)]
mod broken_files;
#[cfg(test)]
mod check;
#[cfg(test)]
mod clocks;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod config_problems;
#[cfg(test)]
mod conflicts;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod crash_points;
#[cfg(test)]
mod daemon;
#[cfg(test)]
mod deletes_refused;
#[cfg(test)]
mod disks;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod dry_run;
#[cfg(test)]
mod fault_table;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod handbook;
#[cfg(test)]
mod init;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod kind_to_hq;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod model;
#[cfg(test)]
mod new_mapping;
#[cfg(test)]
mod nothing_lost;
#[cfg(test)]
mod nothing_missed;
#[cfg(test)]
mod operator;
#[cfg(test)]
mod plan;
#[cfg(test)]
mod private_fields;
#[cfg(test)]
mod quarantine;
#[cfg(test)]
mod reconcile;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod schedule;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod service;
#[cfg(test)]
mod slow_line;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod told_truth;
#[cfg(test)]
mod values;
#[cfg(test)]
mod year;
