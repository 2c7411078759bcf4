//! Canaries: secrets and private values that all tests work with, and that no output may ever hold.
//!
//! Every secret of the test scenes is one, or holds the word `canary`; so does every value of a field marked private.

use base64::Engine as _;

/// The password of the outlet's user at the databases that have users.
pub(crate) const PASSWORD: &str = "canary-pass-word";

/// An API key and its secret.
pub(crate) const LOGIN: (&str, &str) = ("canary-key-a1", "canary-secret-b2");

/// Words that none but a secret of a test holds.
pub(crate) const WORDS: [&str; 3] = ["canary", "demo-secret", "demo-manager"];

/// The first canary in `text`, plain or in base64 (as basic auth would have it), with what stands around it.
pub(crate) fn find(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let plain = WORDS.iter().find_map(|word| Some((lower.find(word)?, &lower)));
    let exact = text.to_owned();
    let (at, text) = plain.or_else(|| encoded().into_iter().find_map(|code| Some((exact.find(&code)?, &exact))))?;
    let start = (0..=at.saturating_sub(60)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    Some(text.get(start..)?.chars().take(160).collect())
}

/// Fails if `text` holds a canary.
#[track_caller]
pub(crate) fn assert_absent(what: &str, text: &str) {
    if let Some(found) = find(text) {
        panic!("a secret or private value shows in {what}: …{found}…");
    }
}

/// What base64 makes of the words, wherever they stand in what is encoded: the letters that depend on neighbours are
/// left out.
fn encoded() -> Vec<String> {
    let engine = base64::engine::general_purpose::STANDARD_NO_PAD;
    let code = |word: &str, offset: usize| {
        let code = engine.encode(format!("{}{word}", "x".repeat(offset)));
        let start = [0, 2, 3][offset];
        code.get(start..code.len() - 1).unwrap().to_owned()
    };
    WORDS.iter().flat_map(|word| (0..3).map(move |offset| code(word, offset))).collect()
}

#[test]
fn a_canary_is_found_plain_in_any_case_and_in_base64() {
    for text in ["x Canary-9", "token demo-manager:…", "ü…demo-secret"] {
        assert!(find(text).is_some(), "{text}");
    }
    for before in ["", "a", "ab", "abc"] {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{before}canary-key:x"));
        assert!(find(&format!("Authorization: Basic {pair}")).is_some(), "{pair}");
    }
    assert_eq!(find("an outlet's usual news"), None);
}
