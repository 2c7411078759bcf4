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

/// The head of the file with these lines for those of [hq] and [local].
fn with_lines(auth: &str, local: &str) -> String {
    with_job("", "")
        .replace("auth = { kind = \"token\", api_key = \"k\", api_secret = \"s\" }", auth)
        .replace("url = \"sqlite://outlet.db\"", local)
}

#[test]
fn a_secret_that_is_torn_or_in_the_wrong_form_is_in_no_message_and_no_shown_line() {
    let (auth, local) = ("auth = { kind = \"token\", api_key = \"k\", api_secret = \"s\" }", "url = \"sqlite://a\"");
    let broken = |secret: &str| auth.replace("\"s\"", secret);
    let mut texts: Vec<String> = Vec::new();
    for secret in [
        "\"demo\nhunter22\"",
        "\"demo\r\nhunter22\"",
        "\"demo\n  hunter22  \"",
        "\"demo\nhunter22:x\"",
        "\"demo\nx = hunter22\"",
        "\"demo\nhunter22 = x\"",
        "\"demo\nhunter22 x\"",
        "\"demo\n[hunter22]\nx\"",
        "\"demo\n\nhunter22==\"",
        "\n\"hunter22\"",
        "\n\"hunter:22\"",
        "demo\nhunter22",
        "'demo\nhunter22'",
        "“demo\nhunter22”",
        "[\"hunter22\"]",
        "[\"demo\nhunter22\"]",
        "{ hunter22 = 1 }",
        "{ \"hunter22\" = 1 }",
        "\"demo\" hunter22",
        "\"demo\", hunter22 = 1",
        "\"demo\", \"hunter22\" = 1",
    ] {
        texts.push(with_lines(&broken(secret), local));
        let parts = format!("[hq.auth]\nkind = \"token\"\napi_key = \"k\"\napi_secret = {secret}");
        texts.push(with_job("", "").replace("[local]", &format!("{parts}\n[local]")).replace(&format!("{auth}\n"), ""));
    }
    for local in [
        "url =\n  \"u:hunter22@h/d\"",
        "url = \"postgres://u:\nhunter22@h/d\"",
        "url = [\"postgres://u:hunter22@h/d\"]",
        "url = { a = \"postgres://u:hunter22@h/d\" }",
        "url = { \"postgres://u:hunter22@h/d\" = 1 }",
        "\"postgres://u:hunter22@h/d\" = 1",
        "\"postgres://u:hunter22@h/d\"",
        "url = postgres://u\nhunter22@h/d",
        "url = \"sqlite://a\"\nhunter22@h/d",
        "url = \"sqlite://a\"\n\"hunter22\"",
    ] {
        texts.push(with_lines(auth, local));
    }
    for text in texts {
        // A value on a line of its own is TOML 1.1.
        let Err(problems) = read(&text) else { continue };
        let public: Vec<String> = problems.iter().map(Problem::in_public).collect();
        let all = format!("{problems}\n{}\n{}\n{public:?}", shown(&problems), problems.to_json());
        assert!(!all.contains("hunter"), "{text}\n{all}");
    }
}

#[test]
fn a_secret_in_the_wrong_section_in_a_comment_or_as_a_default_is_not_shown() {
    let good = with_job("", "").replace("api_secret = \"s\"", "api_secret = \"hunter22\"");
    for (text, is_told) in [
        (good.replace("[hq]\n", ""), true),
        (good.replace("[hq]\n", "hq]\n"), true),
        (good.replace("[hq]\n", "[daemon]\n"), true),
        (with_job("api_key = \"hunter22\"\n", ""), true),
        (with_job("database = \"postgres://u:hunter22@h/d\"\n", ""), true),
        (with_job("", "").replace("timeout = \"30s\"", "timeout = 30 # api_secret = \"hunter22\""), false),
        (with_job("", "").replace("api_secret = \"s\"", "api_secret = \"${S:-hunter22}\""), true),
        (with_job("", "").replace("api_secret = \"s\"", "api_secret = \"${hunter22-x}\""), true),
        (with_job("", "").replace("kind = \"token\"", "kind = \"token k:hunter22\""), true),
    ] {
        let Err(problems) = read(&text) else {
            assert!(!is_told, "taken for good:\n{text}");
            continue;
        };
        let all = format!("{problems}\n{}\n{}", shown(&problems), problems.to_json());
        assert!(!all.contains("hunter"), "{text}\n{all}");
    }
}

#[test]
fn a_number_in_the_place_of_a_secret_is_not_shown() {
    for number in ["48151623", "4815.1623", "048151623", "48,151,623", "[48151623]", "4815-16-23"] {
        let problems =
            read(&with_job("", "").replace("api_secret = \"s\"", &format!("api_secret = {number}"))).unwrap_err();
        let all = format!("{problems}\n{}\n{}", shown(&problems), problems.to_json());
        assert!(!all.contains("4815") && !all.contains("48151"), "{number}\n{all}");
    }
}

#[test]
fn what_the_daemon_tells_of_the_place_of_secrets_is_the_place_and_the_kind() {
    let text = with_job("", "")
        .replace("timeout", "x")
        .replace("[local]", "x_y = 1\n[local]")
        .replace("[site]", "[site]\nx_y = 1");
    let public: Vec<String> = read(&text).unwrap_err().iter().map(Problem::in_public).collect();
    let expected = [
        "sync.toml:2:1: unknown key \"x_y\" in [site]; it knows \"name\" and \"time_zone\"",
        "sync.toml:9:1: unknown key; see `milkrun check --offline`",
    ];
    assert_eq!(public, expected);
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
fn what_a_substitution_lacks_is_public_where_it_is_a_name_and_not_where_it_may_be_the_secret_itself() {
    let public = |value: &str| {
        let text = with_job("", "").replace("api_secret = \"s\"", &format!("api_secret = \"{value}\""));
        read(&text).unwrap_err().iter().map(Problem::in_public).collect::<Vec<_>>().join("\n")
    };
    assert!(public("${HQ_SECRET}").contains("the environment variable HQ_SECRET is not set"));
    assert!(public("${file:none/api_secret}").contains("${file:none/api_secret}: the file cannot be read"));
    assert!(public("${file:${CREDENTIALS_DIRECTORY}/x}").contains("CREDENTIALS_DIRECTORY is not set"));
    for pasted in ["${hunter22}", "${file:hunter22}", "${S:-hunter22}", "${file:${hunter22}/x}"] {
        assert!(!public(pasted).contains("hunter"), "{}", public(pasted));
    }
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
