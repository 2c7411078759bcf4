//! Merge conflicts that were left in the file: each is told once, and its first side is read.

use std::ops::Range;

use super::draft::Draft;
use super::reading::{Step, blanked};
use crate::config::said::{Code, Said};

/// What Git puts before the first side, before what both came from, before the second side, and after it.
const MARKS: [&str; 4] = ["<<<<<<<", "|||||||", "=======", ">>>>>>>"];

/// The mark that the line is.
pub(in crate::config) fn mark(line: &str) -> Option<&'static str> {
    let found = MARKS.into_iter().find(|mark| line.starts_with(mark))?;
    let rest = line.strip_prefix(found)?;
    (rest.trim().is_empty() || rest.starts_with(' ')).then_some(found)
}

/// What is said of each conflict in `text`, and its first side alone.
pub(super) fn settle(text: &str) -> Step {
    let [first, base, second, end] = MARKS;
    let mut step = Step::default();
    let mut open: Option<(Range<usize>, Option<usize>)> = None;
    let mut at = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let range = at..at + line.trim_end().len();
        at += line.len();
        let Some(found) = mark(line) else { continue };
        if found == first {
            open = Some((range, None));
        } else if found == base || found == second {
            // From here on nothing is read.
            open = open.map(|(mark, rest)| (mark, rest.or(Some(range.start))));
        } else if found == end
            && let Some((mark, Some(rest))) = open.take()
        {
            let what = format!("a merge conflict begins here and ends in line {}", number + 1);
            let said = Said::new(Code::Syntax, what).help("keep one of the two sides and delete the marks");
            step.said.push((mark.start..mark.start + first.len(), said));
            for range in [mark, rest..range.end] {
                let blank = Draft::new(&blanked(text.get(range.clone()).unwrap_or_default()));
                step.changes.push((range, blank));
            }
        }
    }
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_side_of_a_conflict_stays() {
        let text = "a = 1\n<<<<<<< HEAD\nb = 2\n||||||| 1234\nb = 0\n=======\nb = 3\n>>>>>>> other\nc = 4\n";
        let step = settle(text);
        let mut draft = Draft::new(text);
        for (at, change) in step.changes.into_iter().rev() {
            draft.adopt(at, &change);
        }
        assert_eq!(draft.text().split_whitespace().collect::<Vec<_>>().join(" "), "a = 1 b = 2 c = 4");
        assert_eq!(draft.text().lines().count(), text.lines().count());
        assert_eq!(step.said.len(), 1);
        assert!(settle("<<<<<<< HEAD\na = 1\n").said.is_empty());
    }
}
