//! `/metrics`: the snapshot and the totals in Prometheus' text format.

use std::fmt::{Display, Write as _};

use chrono::{DateTime, Utc};

use super::totals::Totals;
use crate::daemon::snapshot::{JobSnapshot, Snapshot, Status};
use crate::daemon::version::Why;
use crate::run;

/// How a run may end, for `milkrun_job_runs_total`.
const ENDS: [(run::Status, &str); 5] = [
    (run::Status::Ok, "ok"),
    (run::Status::Quarantine, "quarantine"),
    (run::Status::Conflict, "conflict"),
    (run::Status::Failed, "failed"),
    (run::Status::Blocked, "blocked"),
];

/// The whole answer.
pub(super) fn render(snapshot: &Snapshot, totals: &Totals) -> String {
    let mut text = Text(String::new());
    text.family("milkrun_info", "gauge", "The outlet and the version of milkrun that keeps it in step.");
    let labels = [("site", snapshot.site.as_str()), ("version", env!("CARGO_PKG_VERSION"))];
    text.sample("milkrun_info", &labels, 1);
    version(&mut text, snapshot);
    states(&mut text, snapshot);
    gauges(&mut text, snapshot);
    counters(&mut text, snapshot, totals);
    text.0
}

fn version(text: &mut Text, snapshot: &Snapshot) {
    let Some(version) = &snapshot.version else { return };
    if let Some(in_force) = &version.in_force {
        text.family("milkrun_config_info", "gauge", "The version of sync.toml that is in force.");
        text.sample("milkrun_config_info", &[("version", in_force.id.as_str())], 1);
        text.family("milkrun_config_loaded_timestamp_seconds", "gauge", "Since when it is.");
        text.sample("milkrun_config_loaded_timestamp_seconds", &[], in_force.loaded_at.timestamp());
    }
    let is_refused = version.newer.as_ref().is_some_and(|newer| newer.why == Why::Refused);
    text.family("milkrun_config_refused", "gauge", "1 while the sync.toml on the disk is refused for its problems.");
    text.sample("milkrun_config_refused", &[], u8::from(is_refused));
}

fn states(text: &mut Text, snapshot: &Snapshot) {
    text.family("milkrun_job_status", "gauge", "1 for the status that the job has, 0 for the others.");
    for job in &snapshot.jobs {
        for status in Status::ALL {
            let labels = [("job", job.name.as_str()), ("status", status.word())];
            text.sample("milkrun_job_status", &labels, u8::from(job.status == status));
        }
    }
}

fn gauges(text: &mut Text, snapshot: &Snapshot) {
    let seconds = |moment: DateTime<Utc>| moment.timestamp();
    text.gauge(snapshot, "milkrun_job_last_ok_timestamp_seconds", "When the last good run started.", |job| {
        job.last_ok.map(seconds)
    });
    text.gauge(snapshot, "milkrun_job_last_run_timestamp_seconds", "When the last run started.", |job| {
        job.last_run.as_ref().map(|run| seconds(run.started_at))
    });
    text.gauge(
        snapshot,
        "milkrun_job_last_run_duration_seconds",
        "How long the last run took, once it has ended.",
        |job| {
            let run = job.last_run.as_ref()?;
            Some(run.ended_at?.signed_duration_since(run.started_at).as_seconds_f64())
        },
    );
    text.gauge(snapshot, "milkrun_job_next_run_timestamp_seconds", "When the job starts next.", |job| {
        job.next_run.map(seconds)
    });
    text.gauge(snapshot, "milkrun_job_rows", "Rows that came from HQ.", |job| job.rows);
    text.gauge(snapshot, "milkrun_job_parked", "Records in quarantine.", |job| Some(job.parked));
    text.gauge(snapshot, "milkrun_job_conflicts", "Records that wait for a decision.", |job| Some(job.conflicts));
}

fn counters(text: &mut Text, snapshot: &Snapshot, totals: &Totals) {
    let totals: Vec<_> = snapshot.jobs.iter().map(|job| (job.name.as_str(), totals.of(&job.name))).collect();
    let name = "milkrun_job_records_total";
    text.family(name, "counter", "Records since the daemon started, by what became of them.");
    for (job, total) in &totals {
        let counts = &total.counts;
        for (kind, count) in [
            ("fetched", counts.fetched),
            ("inserted", counts.inserted),
            ("updated", counts.updated),
            ("unchanged", counts.unchanged),
            ("deleted", counts.deleted),
            ("quarantined", counts.quarantined),
        ] {
            text.sample(name, &[("job", job), ("kind", kind)], count);
        }
    }
    let name = "milkrun_job_runs_total";
    text.family(name, "counter", "Runs since the daemon started, by how they ended.");
    for (job, total) in &totals {
        for (status, word) in ENDS {
            let count = total.runs.get(&status).copied().unwrap_or_default();
            text.sample(name, &[("job", job), ("status", word)], count);
        }
    }
    for (name, help, count) in [
        ("milkrun_job_requests_total", "Requests sent to HQ, repeated ones included.", |c| c.requests),
        ("milkrun_job_retries_total", "Requests that were repeated.", |c| c.retries),
        ("milkrun_job_received_bytes_total", "Bytes of HQ's answers.", |c| c.bytes),
    ] as [(&str, &str, fn(&run::Counts) -> u64); 3]
    {
        text.family(name, "counter", help);
        for (job, total) in &totals {
            text.sample(name, &[("job", job)], count(&total.counts));
        }
    }
}

struct Text(String);

impl Text {
    fn gauge<T: Display>(
        &mut self,
        snapshot: &Snapshot,
        name: &str,
        help: &str,
        value: impl Fn(&JobSnapshot) -> Option<T>,
    ) {
        self.family(name, "gauge", help);
        for job in &snapshot.jobs {
            if let Some(value) = value(job) {
                self.sample(name, &[("job", &job.name)], value);
            }
        }
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.line(format_args!("{name}{labels} {value}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a text cannot fail.
        if writeln!(self.0, "{line}").is_err() {
            tracing::debug!("a line of the metrics could not be written");
        }
    }
}

/// A label's value as the format wants it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::super::tests::snapshot;
    use super::*;
    use crate::daemon::snapshot::tests::ended;
    use crate::run::Counts;

    #[test]
    fn the_metrics_tell_state_freshness_and_sums() {
        let totals = Totals::default();
        for requests in [2, 3] {
            let counts = Counts { updated: 10, requests, ..Counts::default() };
            totals.add(&run::Run { counts, ..ended(run::Status::Ok, "2027-01-01T00:00:00Z") });
        }
        let text = render(&snapshot(), &totals);
        for line in [
            "# TYPE milkrun_job_status gauge",
            r#"milkrun_job_status{job="items",status="ok"} 1"#,
            r#"milkrun_job_status{job="items",status="failed"} 0"#,
            r#"milkrun_job_status{job="<b>\"bad\\\"</b>",status="blocked"} 1"#,
            r#"milkrun_job_last_ok_timestamp_seconds{job="items"} 1798761600"#,
            r#"milkrun_job_last_run_duration_seconds{job="items"} 2"#,
            r#"milkrun_job_rows{job="items"} 12345"#,
            r#"milkrun_job_parked{job="items"} 3"#,
            r#"milkrun_job_conflicts{job="items"} 2"#,
            r#"milkrun_job_records_total{job="items",kind="updated"} 20"#,
            r#"milkrun_job_requests_total{job="items"} 5"#,
            r#"milkrun_job_runs_total{job="items",status="ok"} 2"#,
            r#"milkrun_job_runs_total{job="items",status="failed"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\nis not in\n{text}");
        }
        assert!(!text.contains(r#"last_ok_timestamp_seconds{job="<b>"#));
    }
}
