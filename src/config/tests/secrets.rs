//! No secret is ever shown.

use secrecy::ExposeSecret as _;

use super::*;
use crate::config::Auth;

const HIDDEN: &str = "hunter22";

#[test]
fn a_configuration_prints_no_secret() {
    let text = with_job("", "")
        .replace("api_secret = \"s\"", "api_secret = \"${SECRET}\"")
        .replace("sqlite://outlet.db", "postgres://milk:${SECRET}@db/outlet");
    let config = read_with(&text, &[("SECRET", HIDDEN)]).unwrap();
    let Auth::Token { api_secret, .. } = &config.hq.auth else { panic!("token") };
    assert_eq!(api_secret.expose_secret(), HIDDEN);
    assert_eq!(config.local.url.expose_secret(), "postgres://milk:hunter22@db/outlet");
    assert_eq!(config.local.shown(), "postgres://milk@db/outlet");
    assert!(!format!("{config:?}{config:#?}").contains(HIDDEN));
}

#[test]
fn what_came_through_a_substitution_is_shown_as_written_wherever_it_is_wrong() {
    let text = format!(
        r#"[site]
name = "${{S}}\n"
time_zone = "${{S}}"
[hq]
url = "${{S}}"
auth = {{ kind = "${{S}}", api_key = "${{S}} x", api_secret = "${{EMPTY}}" }}
time_zone = "${{S}}"
timeout = "${{S}}"
[local]
url = "mysql://u:${{S}}@"
[daemon]
listen = "${{S}}"
[[job]]
name = "${{S}}?"
doctype = "Item"
schedule = "${{S}}"
after = ["${{S}}"]
filters = [["${{S}}?", "${{S}}", 1], ["${{S}}", "Item", "=", 1]]
table = "${{S}}-"
key = "${{S}}-"
deletes = "${{S}}"
conflict = "${{S}}"
{FIELDS}a = "${{S}}-"
b = {{ from = "b", type = "${{S}}", owner = "${{S}}" }}
c = {{ expr = "((${{S}}" }}
[[job]]
{JOB}{FIELDS}"#
    );
    let problems = read_with(&text, &[("S", HIDDEN), ("EMPTY", "")]).unwrap_err();
    let all = format!("{problems}\n{problems:?}\n{}\n{}", shown(&problems), problems.to_json());
    assert!(!all.contains("hunter"), "{all}");
    assert!(problems.len() >= 20, "{problems}");
    for expected in [
        r#"unknown time zone "${S}"; write"#,
        r#"unknown conflict rule "${S}"; expected "hq_wins", "local_wins", "newest_wins", "merge" or "manual""#,
        r#""${EMPTY}" must not be empty"#,
        r#""${S}" is not a cron pattern"#,
    ] {
        assert!(problems.to_string().contains(expected), "{expected}\n{problems}");
    }
}

#[test]
fn a_secret_written_into_the_file_is_starred_out_of_the_shown_line() {
    for (text, at) in [
        (with_job("", "").replace("kind = \"token\"", "kind = \"tokn\"").replace("\"s\"", "\"hunter22\""), 6),
        (with_job("", "").replace("api_secret = \"s\"", "api_secrt = \"hunter22\""), 6),
        (with_job("", "").replace("api_secret = \"s\"", "api_secret = \"hunter22 \""), 6),
        (
            with_job("", "")
                .replace("auth = { kind = \"token\", api_key = \"k\", api_secret = \"s\" }", "auth = \"k:hunter22\""),
            6,
        ),
        (with_job("", "").replace("api_secret = \"s\"", "api_secret = hunter22"), 6),
        (with_job("", "").replace("sqlite://outlet.db", "mysq://milk:hunter22@db/x"), 9),
        (with_job("", "").replace("https://hq", "https://a:hunter22@hq"), 5),
    ] {
        let problems = read(&text).unwrap_err();
        assert!(problems.iter().any(|problem| problem.line == Some(at)), "{problems}");
        let all = format!("{problems}{problems:?}{}{}", shown(&problems), problems.to_json());
        assert!(!all.contains("hunter"), "{all}");
        assert!(all.contains("***"), "{all}");
    }
}

#[test]
fn a_substitution_that_fails_is_reported_at_its_value() {
    let text = with_job("", "")
        .replace("api_key = \"k\"", "api_key = \"${HQ_API_KEY}\"")
        .replace("\"s\"", "\"${file:none}\"");
    let expected = "sync.toml:6:36: the environment variable HQ_API_KEY is not set; set it for milkrun, or name a file: ${file:PATH}\n\
        sync.toml:6:66: ${file:none}: the file cannot be read: no such file or directory";
    assert_eq!(wrong(&text), expected);
}

#[test]
fn a_secret_is_read_from_a_file_beside_the_config() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "hunter22\n").unwrap();
    let text = with_job("", "").replace("\"s\"", "\"${file:secret}\"");
    let config = parse("sync.toml", &text, folder.path(), &environment(&[])).unwrap();
    let Auth::Token { api_secret, .. } = &config.hq.auth else { panic!("token") };
    assert_eq!(api_secret.expose_secret(), HIDDEN);
}

#[test]
fn substitution_reaches_filters_constants_and_tests_and_can_be_escaped() {
    let text = with_job(
        "filters = { company = \"${COMPANY}\" }\n[[job.test]]\ngiven = { name = \"$${x}\" }\nexpect = { item_code = \"${COMPANY}\" }",
        "shop = { const = \"${COMPANY}\" }",
    );
    // The fields of the example stand after the test, which TOML allows.
    let config = read_with(&text, &[("COMPANY", "Cone & Co")]).unwrap();
    let job = &config.jobs[0];
    assert_eq!(job.filters, [serde_json::json!(["company", "=", "Cone & Co"])]);
    assert_eq!(job.tests[0].given["name"], "${x}");
    assert_eq!(job.tests[0].expect["item_code"], "Cone & Co");
}
