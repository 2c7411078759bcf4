//! Did you mean: the nearest of the words that would have been right.

/// Further apart than this, a suggestion is a guess (cargo draws the line at the same distance).
const FARTHEST: usize = 3;

/// The word of `words` nearest to `written`, if one is near: a slip of the finger, a swap, another case.
pub fn nearest<'w>(written: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let written = written.to_lowercase();
    let length = written.chars().count();
    words
        .into_iter()
        .map(|word| (strsim::osa_distance(&written, &word.to_lowercase()), word))
        // A word of which more than half is other letters is no slip: `drop` was not meant as `keep`.
        .filter(|(distance, word)| *distance <= FARTHEST && distance * 2 <= word.chars().count().max(length))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// `, did you mean "hq_wins"?`, or nothing where no word is near.
pub(super) fn hint<'w>(written: &str, words: impl IntoIterator<Item = &'w str>) -> String {
    nearest(written, words).map_or_else(String::new, |word| format!(", did you mean {word:?}?"))
}

/// `"a", "b" or "c"`.
pub(super) fn either(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
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
