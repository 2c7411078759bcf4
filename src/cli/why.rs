//! `milkrun why`: what HQ, the last version taken and the table have of one record, and whose word counts.

use std::path::Path;

use serde_json::Value;

use super::conflicts::{self, as_json};
use super::output::{self, Output};
use super::{Exit, load, open, position};
use crate::sync::Why;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The job
    #[arg(value_name = "JOB")]
    job: String,
    /// The record's name at HQ
    #[arg(value_name = "NAME")]
    name: String,
}

pub(super) async fn run(options: &Options, config: &Path, output: &Output) -> anyhow::Result<Exit> {
    let config = load(config)?;
    let at = position(&config, &options.job)?;
    let engine = open(&config, std::sync::Arc::new(|_event| {})).await?;
    let Some(job) = config.jobs.get(at) else { return Ok(Exit::Usage) };
    let why = engine.why(job, &options.name).await?;
    engine.store().close().await;
    let mut json = serde_json::to_value(&why)?;
    if let Some(object) = json.as_object_mut() {
        object.insert("conflicts".to_owned(), why.conflicts.iter().map(as_json).collect::<Vec<_>>().into());
    }
    let zone = config.site.time_zone;
    output.result(&json, || {
        let mut text = format!("{} of job {}", why.name, why.job);
        if let Some(key) = why.key.as_ref().filter(|key| **key != why.name) {
            text.push_str(&format!(", row {key}"));
        }
        text.push('\n');
        for sentence in &why.stands {
            text.push_str(&format!("  {sentence}\n"));
        }
        text.push_str(&columns(&why));
        if !why.conflicts.is_empty() {
            let mut table = output::table(&["CONFLICT", "MET", "RUN", "WHAT", "RULE", "STATE"]);
            for one in &why.conflicts {
                table.add_row([
                    one.id.to_string(),
                    one.raised_at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string(),
                    one.run.to_string(),
                    one.kind.word().to_owned(),
                    one.rule.word().to_owned(),
                    conflicts::state(one).to_owned(),
                ]);
            }
            text.push_str(&format!("\n{table}\n{}\n", output::times_of(zone)));
        }
        text
    })?;
    Ok(Exit::Ok)
}

fn columns(why: &Why) -> String {
    if why.columns.is_empty() {
        return String::new();
    }
    let mut table = output::table(&["COLUMN", "HQ", "LAST TAKEN", "HERE", "RULE", ""]);
    for column in &why.columns {
        let cell = |value: &Option<Value>| match value {
            None => "-".to_owned(),
            Some(value) => output::shortened(&conflicts::plain(value), 60),
        };
        table.add_row([
            column.column.clone(),
            cell(&column.hq),
            cell(&column.base),
            cell(&column.local),
            column.rule.to_owned(),
            column.verdict.to_owned(),
        ]);
    }
    let is_unkept = why.taken_modified.is_some() && why.columns.iter().all(|column| column.base.is_none());
    let unkept = match is_unkept {
        true => {
            "- under LAST TAKEN: of the version last taken a fingerprint is kept, which shows whether the row was edited here; \
             its values are kept where a conflict rule needs them\n"
        }
        false => "",
    };
    format!("\n{table}\n{unkept}")
}
