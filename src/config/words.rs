//! Did you mean: the nearest of the words that would have been right.

/// Further apart than this, a suggestion is a guess (cargo draws the line at the same distance).
const FARTHEST: usize = 3;

/// A slip is at most one in so many letters: `drop` was not meant as `keep`, nor `items` as `filters`.
const LETTERS: usize = 3;

/// The word of `words` nearest to `written`, if one is near: a slip of the finger, a swap, another case.
pub fn nearest<'w>(written: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let written = written.to_lowercase();
    let length = written.chars().count();
    words
        .into_iter()
        .map(|word| (strsim::osa_distance(&written, &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= FARTHEST && distance * LETTERS <= word.chars().count().max(length) + 1)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// The word that was probably meant: one that people write for it, or else the nearest.
pub(super) fn meant<'w>(
    written: &str,
    words: impl IntoIterator<Item = &'w str>,
    aka: &[(&str, &'w str)],
) -> Option<&'w str> {
    let plain = written.to_lowercase().replace(['-', ' '], "_");
    let known = aka.iter().find(|(other, _)| *other == plain).map(|(_, word)| *word);
    known.or_else(|| nearest(&plain, words))
}

/// The text with `_` for all that a name of letters, digits, `_` and `also` cannot hold; `None` where nothing is left.
pub(super) fn plain(text: &str, longest: usize, also: char) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == also;
    let parts = text.trim().split(|c| !is_plain(c)).filter(|part| !part.is_empty());
    let name = parts.collect::<Vec<_>>().join("_");
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.len() <= longest;
    (is_name && name != text && text.is_ascii()).then_some(name)
}

/// `"a", "b" or "c"`.
pub(super) fn either(words: &[&str]) -> String {
    listed(words, "or")
}

/// `"a", "b" and "c"`.
pub(super) fn all(words: &[&str]) -> String {
    listed(words, "and")
}

fn listed(words: &[&str], joint: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} {joint} {last}", rest.join(", ")),
        Some((only, _)) => only.clone(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_named_only_within_three_slips() {
        let words = ["hq_wins", "local_wins", "merge", "manual"];
        assert_eq!(nearest("hq_win", words), Some("hq_wins"));
        assert_eq!(nearest("HQ_WINS", words), Some("hq_wins"));
        assert_eq!(nearest("mnaual", words), Some("manual"));
        assert_eq!(nearest("newest_wins", words), None);
        assert_eq!(nearest("xy", ["is", "in"]), None);
        assert_eq!(nearest("drop", ["keep", "delete"]), None);
    }

    #[test]
    fn choices_are_listed_as_a_person_would() {
        assert_eq!(either(&["a", "b", "c"]), r#""a", "b" or "c""#);
        assert_eq!(either(&["a"]), r#""a""#);
    }
}
