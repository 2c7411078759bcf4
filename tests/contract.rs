//! The simulated HQ answers as the recorded Frappe did.
//!
//! Each recording in `tests/frappe` is a request and its answer. The request is sent to a site set up alike, and the
//! answers are compared. `tests/frappe/INDEX` names every recording ever made: one that is neither replayed nor named
//! in `left_out` fails the test.

mod compare;
mod fixture;
mod left_out;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use milkrun::demo::{self, Fault, Maintenance, RateLimit, Site, Transport};
use serde_json::{Value, json};

/// One recorded exchange.
struct Recording {
    stem: String,
    exchange: Value,
}

impl Recording {
    fn number(&self) -> &str {
        self.stem.split('-').next().unwrap()
    }

    fn request(&self) -> &Value {
        &self.exchange["request"]
    }

    fn response(&self) -> &Value {
        &self.exchange["response"]
    }

    fn body(&self) -> &Value {
        &self.response()["body"]
    }

    /// Whether the answer was to change something, or came of a state that must be made first.
    fn needs_a_site_of_its_own(&self) -> bool {
        let read_only = matches!(self.request()["method"].as_str(), Some("GET" | "HEAD"))
            || self.request()["path"].as_str().unwrap().ends_with("get_list");
        !read_only || matches!(self.number().as_bytes(), [b'3' | b'7', ..]) || OWN_SITE.contains(&self.number())
    }
}

/// Reads whose state is made for them alone.
const OWN_SITE: [&str; 22] = [
    "406", "407", "408", "409", "412", "413", "518b", "530a", "530b", "814", "870", "871", "872", "873", "880", "881",
    "882", "883", "885", "918", "1110", "1615",
];

fn recordings() -> &'static [Recording] {
    static ALL: LazyLock<Vec<Recording>> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frappe");
        let mut all: Vec<Recording> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .map(|path| Recording {
                stem: path.file_stem().unwrap().to_str().unwrap().to_owned(),
                exchange: serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap(),
            })
            .collect();
        all.sort_by(|left, right| left.stem.cmp(&right.stem));
        all
    });
    &ALL
}

fn recording(stem: &str) -> &'static Recording {
    recordings()
        .iter()
        .find(|recording| recording.stem == stem)
        .unwrap_or_else(|| panic!("recording {stem} is missing"))
}

#[test]
fn every_recording_is_answered_alike() {
    let shared = fixture::site(3_000);
    let server = demo::serve(&shared, ([127, 0, 0, 1], 0).into()).unwrap();
    let mut failures = Vec::new();
    for recording in recordings() {
        if let Err(problem) = if recording.needs_a_site_of_its_own() || recording.number().starts_with("17") {
            let site = fixture::site(if matches!(recording.number(), "541" | "1704") { 3_000 } else { 210 });
            fixture::prepare(&site, recording);
            arrange(&site, recording.number());
            let server = demo::serve(&site, ([127, 0, 0, 1], 0).into()).unwrap();
            if matches!(recording.number(), "871" | "872" | "873") {
                let spends =
                    json!({"method": "GET", "path": "/api/method/ping", "query": {}, "headers": {}, "body": null});
                wire::send(server.address(), &spends).unwrap();
            }
            replay(recording, &server)
        } else {
            shared.set_transport(if recording.number() == "1510" { Transport::Nginx } else { Transport::Gunicorn });
            replay(recording, &server)
        } {
            failures.push(format!("recording {}:\n{problem}\n", recording.stem));
        }
    }
    assert!(failures.is_empty(), "{} of {}\n{}", failures.len(), recordings().len(), failures.join("\n"));
}

#[test]
fn every_recording_is_replayed_or_left_out_for_a_reason() {
    let index = include_str!("frappe/INDEX");
    let all: BTreeSet<&str> = index.lines().collect();
    let replayed: BTreeSet<&str> = recordings().iter().map(|recording| recording.stem.as_str()).collect();
    let left_out: BTreeMap<&str, &str> = left_out::reasons();
    for stem in &all {
        let number = stem.split('-').next().unwrap();
        let is_left_out = left_out.contains_key(number);
        assert!(replayed.contains(stem) != is_left_out, "{stem}: replayed {}, left out {is_left_out}", !is_left_out);
    }
    assert_eq!(
        replayed.difference(&all).collect::<Vec<_>>(),
        Vec::<&&str>::new(),
        "recordings that INDEX does not name"
    );
}

/// The state of the server, rather than of its records, that a recording was made in.
fn arrange(site: &Site, number: &str) {
    let limit = |budget| RateLimit {
        budget: Duration::from_micros(budget),
        window: Duration::from_secs(60),
        cost: Duration::from_micros(29_508),
    };
    match number {
        "409" => berlin(site),
        "861" => site.fault(Fault::Exception(500, "QueryTimeoutError".into())),
        "870" => {
            fixture::freeze(site, "2026-11-21 16:53:04");
            site.set_rate_limit(Some(limit(50_000)));
        }
        "871" | "872" | "873" => {
            fixture::freeze(site, "2026-11-21 16:53:04");
            site.set_rate_limit(Some(RateLimit { cost: Duration::from_micros(60_000), ..limit(50_000) }));
        }
        "880" | "881" | "882" => site.set_maintenance(Maintenance::On),
        "883" | "884" | "885" => site.set_maintenance(Maintenance::ReadsAllowed),
        _ => {}
    }
}

/// Gives three units the stamps a site in Berlin gave them at the end of daylight saving.
fn berlin(site: &Site) {
    let elsewhere = Site::new(chrono_tz::Europe::Berlin).doctype(
        demo::DocType::new("UOM")
            .named_by(demo::Naming::Field("uom_name".into()))
            .field(demo::Field::new("uom_name", "Data")),
    );
    for (name, instant) in
        [("Nos", "2024-10-27T00:30:00Z"), ("Box", "2024-10-27T00:59:59.5Z"), ("Kg", "2024-10-27T01:10:00Z")]
    {
        elsewhere.freeze(instant.parse().unwrap(), Duration::ZERO);
        elsewhere.insert("UOM", json!({"uom_name": name})).unwrap();
        let stamp = elsewhere.get("UOM", name).unwrap()["modified"].as_str().unwrap().to_owned();
        site.update_with_modified("UOM", name, json!({}), Some(&stamp)).unwrap();
    }
}

fn replay(recording: &Recording, server: &demo::Server) -> Result<(), String> {
    let request = completed(recording);
    let answer = wire::send(server.address(), &request)?;
    compare::answers(recording, &answer).map_err(|problem| {
        let short = |text: String| text.chars().take(1_500).collect::<String>();
        format!(
            "  {problem}\n  request {}\n  expected {} {}\n  got {} {}",
            short(request.to_string()),
            recording.response()["status"],
            short(recording.body().to_string()),
            answer.status,
            short(answer.text()),
        )
    })
}

/// The request as it was sent: what the recording cut short is put back.
fn completed(recording: &Recording) -> Value {
    let mut request = recording.request().clone();
    let parents: Vec<String> = (0..1_000).map(|number| format!("ITEM-{number:05}")).collect();
    match recording.number() {
        "540" => request["query"]["filters"] = json!([["parent", "in", parents]]).to_string().into(),
        "541" => request["body"]["filters"] = json!([["parent", "in", parents]]),
        _ => {}
    }
    request
}
