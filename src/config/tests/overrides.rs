//! The environment over the file.

use secrecy::ExposeSecret as _;

use super::*;
use crate::config::Auth;

#[test]
fn a_variable_overrides_a_scalar_of_the_file() {
    let text = with_job("", "");
    let config = read_with(
        &text,
        &[
            ("MILKRUN__SITE__NAME", "007"),
            ("MILKRUN__HQ__URL", "http://127.0.0.1:7879/"),
            ("MILKRUN__HQ__AUTH__API_KEY", "true"),
            ("MILKRUN__HQ__RETRY__MAX_ATTEMPTS", "3"),
            ("MILKRUN__HQ__RETRY__FIRST_DELAY", "1s"),
            ("MILKRUN__LOCAL__URL", "postgres://milk@db/outlet"),
            ("MILKRUN__DAEMON__LISTEN", "[::1]:80"),
            ("MILKRUN_CONFIG", "elsewhere.toml"),
        ],
    )
    .unwrap();
    assert_eq!(config.site.name, "007");
    assert_eq!(config.hq.url, "http://127.0.0.1:7879");
    let Auth::Token { api_key, .. } = &config.hq.auth else { panic!("token") };
    assert_eq!(api_key.expose_secret(), "true");
    assert_eq!((config.hq.retry.max_attempts, config.hq.retry.first_delay.as_secs()), (3, 1));
    assert_eq!(config.local.shown(), "postgres://milk@db/outlet");
    assert_eq!(config.daemon.listen.unwrap().to_string(), "[::1]:80");
}

#[test]
fn a_variable_stands_in_for_what_the_file_leaves_out_or_cannot_read() {
    let text = with_job("", "")
        .replace("api_key = \"k\"", "api_key = \"${UNSET}\"")
        .replace("[local]\nurl = \"sqlite://outlet.db\"\n", "");
    let config = read_with(&text, &[("MILKRUN__HQ__AUTH__API_KEY", "k"), ("MILKRUN__LOCAL__URL", "sqlite://a.db")]);
    assert_eq!(config.unwrap().local.url.expose_secret(), "sqlite:///etc/milkrun/a.db");
}

#[test]
fn a_variable_that_does_not_fit_is_named_and_its_value_is_not() {
    let problems = wrong_with(
        &with_job("", ""),
        &[
            ("MILKRUN__HQ__RETRY__MAX_ATTEMPTS", "lots"),
            ("MILKRUN__HQ__TIMEOUT", "30"),
            ("MILKRUN__HQ__URL", "ftp://hunter22@hq"),
            ("MILKRUN__SITE__TIME_ZONE", "Asia/Kolkatta"),
            ("MILKRUN__HQ__AUTH__API_SECRET", ""),
            ("MILKRUN__LOCAL__URL", "sqlite://:memory:"),
        ],
    );
    let expected = r#"sync.toml: environment variable MILKRUN__HQ__AUTH__API_SECRET: the value must not be empty
sync.toml: environment variable MILKRUN__HQ__RETRY__MAX_ATTEMPTS: the value is not a whole number
sync.toml: environment variable MILKRUN__HQ__TIMEOUT: the value is not a length of time; write a whole number and a unit, such as "500ms", "30s", "5m", "2h" or "1d"
sync.toml: environment variable MILKRUN__HQ__URL: the value has an unknown scheme; it begins with "http://" or "https://", as in "https://hq.example.com"
sync.toml: environment variable MILKRUN__LOCAL__URL: the value is in memory, where the watermark would be forgotten with every restart; name a file as in "sqlite://outlet.db"
sync.toml: environment variable MILKRUN__SITE__TIME_ZONE: the value is no known time zone; write the name of the IANA zone, such as "Asia/Kolkata""#;
    assert_eq!(problems, expected);
}

#[test]
fn an_unknown_variable_is_an_error_that_names_the_nearest() {
    let problems = wrong_with(
        &with_job("", ""),
        &[("MILKRUN__HQ__ULR", "x"), ("MILKRUN__JOB__NAME", "x"), ("MILKRUN__HQ", "x"), ("milkrun__hq__url", "x")],
    );
    let expected = r#"sync.toml: environment variable MILKRUN__HQ overrides no key; the key url of [hq] is MILKRUN__HQ__URL: section and key in capitals, "__" between them
sync.toml: environment variable MILKRUN__HQ__ULR overrides no key, did you mean "MILKRUN__HQ__URL"?
sync.toml: environment variable MILKRUN__JOB__NAME overrides no key; jobs cannot be overridden by the environment
sync.toml: environment variable milkrun__hq__url overrides no key, did you mean "MILKRUN__HQ__URL"?"#;
    assert_eq!(problems, expected);
}

#[test]
fn a_variable_with_other_underscores_is_not_passed_over_and_one_of_another_kind_is() {
    let problems = wrong_with(
        &with_job("", ""),
        &[
            ("MILKRUN_HQ_URL", "x"),
            ("MILKRUN_LOCAL__URL", "x"),
            ("MILKRUN_HQ_AUTH_API_SECRET", "x"),
            ("MILKRUN_CONFIG", "x"),
            ("MILKRUN_LOG", "x"),
            ("MILKRUN_TEST_POSTGRES", "x"),
            ("MILKRUN_CRASH_AT", "x"),
            ("MILKRUN_SERVICE_HOST", "x"),
            ("MILKRUN_PORT_7878_TCP", "x"),
        ],
    );
    let expected = r#"sync.toml: environment variable MILKRUN_HQ_AUTH_API_SECRET overrides no key, did you mean "MILKRUN__HQ__AUTH__API_SECRET"?
sync.toml: environment variable MILKRUN_HQ_URL overrides no key, did you mean "MILKRUN__HQ__URL"?
sync.toml: environment variable MILKRUN_LOCAL__URL overrides no key, did you mean "MILKRUN__LOCAL__URL"?"#;
    assert_eq!(problems, expected);
}

#[test]
fn a_variable_that_is_no_text_is_refused_where_it_is_used() {
    let text = with_job("", "").replace("api_key = \"k\"", "api_key = \"${KEY}\"");
    let garbled = format!("k{}", char::REPLACEMENT_CHARACTER);
    let problems = wrong_with(&text, &[("KEY", garbled.as_str()), ("MILKRUN__SITE__NAME", garbled.as_str())]);
    let expected = "sync.toml: environment variable MILKRUN__SITE__NAME: the value is not UTF-8; set it anew\n\
        sync.toml:6:36: the environment variable KEY is not UTF-8; set it for milkrun, or name a file: ${file:PATH}";
    assert_eq!(problems, expected);
}
