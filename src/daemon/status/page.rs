//! `/`: the snapshot as a page. Plain HTML that loads itself again; everything that is not ours goes through [`esc`].

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::daemon::answer::{Answer, Mood};
use crate::daemon::snapshot::{JobSnapshot, Snapshot, Status, distance};
use crate::run::{Counts, Run};

/// How often the page loads itself again, in seconds.
const RELOAD: u32 = 10;

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub(super) fn render(snapshot: &Snapshot) -> String {
    let site = esc(&snapshot.site);
    let answer = Answer::of(snapshot);
    let jobs: String = snapshot.jobs.iter().map(|job| card(job, snapshot)).collect();
    frame(
        &format!("{site} · milkrun"),
        &format!(
            "<header><h1>{site}</h1><p class=\"answer {mood}\">{answer}</p><p>{summary}</p></header><main>{newer}{jobs}</main>\
             <footer>milkrun {version}{in_force} · {now} · HQ last answered {hq} · <a href=\"/metrics\">metrics</a> · <a href=\"/healthz\">health</a></footer>",
            mood = mood(answer.mood),
            answer = esc(&answer.sentence),
            summary = summary(snapshot),
            hq = when(snapshot.hq_answered_at, snapshot, "not yet"),
            newer = newer(snapshot),
            in_force = in_force(snapshot),
            version = env!("CARGO_PKG_VERSION"),
            now = moment(snapshot.now, snapshot),
        ),
    )
}

/// ` · sync.toml 3f2a9c1e since 07:42`.
fn in_force(snapshot: &Snapshot) -> String {
    let in_force = snapshot.version.as_ref().and_then(|version| version.in_force.as_ref());
    in_force.map_or_else(String::new, |known| {
        format!(" · sync.toml {} since {}", esc(&known.id), moment(known.loaded_at, snapshot))
    })
}

/// What keeps a newer `sync.toml` from being in force.
fn newer(snapshot: &Snapshot) -> String {
    let Some(version) = snapshot.version.as_ref().filter(|version| version.newer.is_some()) else {
        return String::new();
    };
    let mut said = version.sentences(|at| moment(at, snapshot)).into_iter().skip(1);
    let head = said.next().unwrap_or_default();
    let more: String = said.map(|sentence| format!("<p class=\"error\">{}</p>", esc(&sentence))).collect();
    format!("<article class=\"failed\"><h2>{}</h2>{more}</article>", esc(&head))
}

/// The page that says why there is none.
pub(super) fn unreadable(reason: &str) -> String {
    let body = format!(
        "<header><h1>milkrun</h1></header><main><article class=\"failed\"><h2>The outlet's database cannot be read</h2>\
         <p class=\"error\">{}</p></article></main>",
        esc(reason)
    );
    frame("milkrun", &body)
}

fn frame(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"refresh\" content=\"{RELOAD}\"><title>{title}</title><style>{STYLE}</style></head>\
         <body>{body}</body></html>\n"
    )
}

fn mood(mood: Mood) -> &'static str {
    match mood {
        Mood::Good => "good",
        Mood::Note => "note",
        Mood::Bad => "bad",
    }
}

/// `3 jobs: 2 ok, 1 failed`.
fn summary(snapshot: &Snapshot) -> String {
    let mut counts: BTreeMap<Status, usize> = BTreeMap::new();
    for job in &snapshot.jobs {
        *counts.entry(job.status).or_default() += 1;
    }
    let counted: Vec<String> = counts.iter().map(|(status, count)| format!("{count} {status}")).collect();
    let all = snapshot.jobs.len();
    format!("{all} {}: {}", if all == 1 { "job" } else { "jobs" }, counted.join(", "))
}

fn card(job: &JobSnapshot, snapshot: &Snapshot) -> String {
    let status = job.status;
    let fact = |name: &str, value: String| format!("<div><dt>{name}</dt><dd>{value}</dd></div>");
    let last_run = job.last_run.as_ref();
    let facts = [
        fact("as of", when(job.last_ok, snapshot, "never")),
        fact("next run", when(job.next_run, snapshot, "none")),
        fact("rows", job.rows.map_or_else(|| "–".to_owned(), grouped)),
        fact("in quarantine", grouped(job.parked)),
        fact("waiting for a decision", grouped(job.conflicts)),
        fact("last run", last_run.map_or_else(|| "none yet".to_owned(), |run| ran(run, snapshot))),
    ];
    format!(
        "<article class=\"{status}\"><h2>{name} <span class=\"badge\">{status}</span></h2>\
         <p class=\"way\">{doctype} → <code>{table}</code> · <code>{schedule}</code></p><dl>{facts}</dl>\
         {compared}{error}</article>",
        name = esc(&job.name),
        doctype = esc(&job.doctype),
        table = esc(&job.table),
        schedule = esc(&job.schedule),
        facts = facts.concat(),
        compared = compared(job, snapshot),
        error = last_run.map(error).unwrap_or_default(),
    )
}

/// What comparing all of HQ with all of the outlet came to, and when that is done next.
fn compared(job: &JobSnapshot, snapshot: &Snapshot) -> String {
    let told = job.sentence.as_deref().map(esc);
    let next = job.next_reconcile.map(|next| format!("next reconcile {}", when(Some(next), snapshot, "")));
    let told = [told, next].into_iter().flatten().collect::<Vec<_>>().join(" · ");
    if told.is_empty() { told } else { format!("<p class=\"way\">{told}</p>") }
}

/// A moment by its distance, and exactly on hovering.
fn when(then: Option<DateTime<Utc>>, snapshot: &Snapshot, otherwise: &str) -> String {
    let told = |then| format!("<span title=\"{}\">{}</span>", moment(then, snapshot), distance(then, snapshot.now));
    then.map_or_else(|| otherwise.to_owned(), told)
}

fn moment(then: DateTime<Utc>, snapshot: &Snapshot) -> String {
    esc(&then.with_timezone(&snapshot.time_zone).format("%Y-%m-%d %H:%M:%S %Z").to_string())
}

fn ran(run: &Run, snapshot: &Snapshot) -> String {
    let started = when(Some(run.started_at), snapshot, "");
    let Some(ended_at) = run.ended_at else { return format!("#{} since {started}", run.id) };
    let took = ended_at.signed_duration_since(run.started_at).as_seconds_f64();
    format!("#{} {started}, {took:.1} s, {}", run.id, counted(&run.counts))
}

/// What is not zero; how many requests it took is always told.
fn counted(counts: &Counts) -> String {
    let kinds = [
        (counts.inserted, "inserted"),
        (counts.updated, "updated"),
        (counts.deleted, "deleted"),
        (counts.unchanged, "unchanged"),
        (counts.quarantined, "quarantined"),
    ];
    let mut told: Vec<String> = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!("{} {kind}", grouped(*count)))
        .collect();
    if told.is_empty() {
        told.push("nothing new".to_owned());
    }
    let plural = if counts.requests == 1 { "" } else { "s" };
    told.push(format!("{} request{plural}", grouped(counts.requests)));
    told.join(", ")
}

fn error(run: &Run) -> String {
    let text = |class: &str, text: &Option<String>| {
        text.as_ref().map(|text| format!("<p class=\"{class}\">{}</p>", esc(text))).unwrap_or_default()
    };
    text("error", &run.error) + &text("remedy", &run.remedy)
}

/// A number with its thousands apart, by a space that does not break.
fn grouped(number: u64) -> String {
    crate::reconciled::thousands(number, '\u{202f}')
}

/// A text so that it is nothing but text, between tags and in quoted attributes.
fn esc(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::super::tests::snapshot;
    use super::*;

    #[test]
    fn the_page_tells_how_each_job_stands() {
        let page = render(&snapshot());
        for told in [
            "<title>outlet-042 · milkrun</title>",
            "<p class=\"answer bad\">1 of 2 jobs needs you: &lt;b&gt;",
            "2 jobs: 1 ok, 1 blocked",
            "<h2>items <span class=\"badge\">ok</span></h2>",
            "Item → <code>items</code>",
            "<span title=\"2027-01-01 05:30:00 IST\">2 min ago</span>",
            "in 3 min",
            "12\u{202f}345",
            "2.0 s, 10 updated, 1 request",
            "<p class=\"remedy\">give the user the permission</p>",
        ] {
            assert!(page.contains(told), "{told}\nis not in\n{page}");
        }
    }

    #[test]
    fn nothing_that_came_from_outside_becomes_markup() {
        let page = render(&snapshot());
        assert!(page.contains("&lt;b&gt;&quot;bad\\&quot;&lt;/b&gt;"), "{page}");
        assert!(page.contains("no permission for &lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
        assert!(!page.contains("<b>") && !page.contains("<script"));
        assert!(unreadable("<i>'x'</i>").contains("&lt;i&gt;&#39;x&#39;&lt;/i&gt;"));
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]);
    }
}
