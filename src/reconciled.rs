//! What comparing all of HQ with all of the outlet came to: what the command, the status page and the log all speak of.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// What one reconcile came to. Counts are records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciled {
    /// When it came to its end.
    pub checked_at: DateTime<Utc>,
    /// Its run in the log.
    pub run: i64,
    /// Records that HQ and the outlet hold alike, repaired ones included.
    pub matching: u64,
    /// Records that one of the two holds.
    pub total: u64,
    /// Records whose values were compared too; of the others name and stamp were.
    pub compared: u64,
    /// What was found and put right.
    pub repaired: Repaired,
    /// What it left as it was, and why.
    pub error: Option<String>,
    /// What a person can do about it.
    pub remedy: Option<String>,
}

/// What a reconcile put right. Counts are records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Repaired {
    /// Renamed at HQ: their rows moved.
    pub renamed: u64,
    /// Gone at HQ, or out of the filters.
    pub gone: u64,
    /// At HQ and not here.
    pub new: u64,
    /// Of another stamp than the one taken.
    pub changed: u64,
    /// Of other values under the stamp that was taken.
    pub silent: u64,
    /// Their rows had been removed here.
    pub remade: u64,
    /// Edited here in fields that the rule gives to HQ.
    pub edited: u64,
}

impl Repaired {
    fn words(&self) -> String {
        let Self { renamed, gone, new, changed, silent, remade, edited } = *self;
        let rows = if remade == 1 { "row made again" } else { "rows made again" };
        let told = [
            (renamed, "renamed"),
            (gone, "gone"),
            (new, "new"),
            (changed, "changed"),
            (silent, "changed without a new stamp"),
            (remade, rows),
            (edited, "edited here"),
        ];
        let told = told.iter().filter(|(count, _)| *count > 0);
        told.map(|(count, what)| format!("{} {what}", grouped(*count))).collect::<Vec<_>>().join(", ")
    }
}

impl Reconciled {
    /// The sentence for people: `items: 12,418 of 12,418 match, checked 04:10`, and what was put right.
    #[must_use]
    pub fn sentence(&self, job: &str, zone: Tz, now: DateTime<Utc>) -> String {
        let at = self.checked_at.with_timezone(&zone);
        let is_today = at.date_naive() == now.with_timezone(&zone).date_naive();
        let at = at.format(if is_today { "%H:%M" } else { "%Y-%m-%d %H:%M" });
        let (matching, total) = (grouped(self.matching), grouped(self.total));
        let mut sentence = format!("{job}: {matching} of {total} match, checked {at}");
        if self.compared < self.matching {
            sentence.push_str(&format!("; values compared in {}, the next goes on from there", grouped(self.compared)));
        }
        let repaired = self.repaired.words();
        if !repaired.is_empty() {
            sentence.push_str(&format!("; repaired: {repaired}"));
        }
        sentence
    }
}

/// `12,418`.
fn grouped(number: u64) -> String {
    thousands(number, ',')
}

/// A number with its thousands apart, by this character.
#[must_use]
pub fn thousands(number: u64, apart: char) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 * apart.len_utf8());
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(apart);
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_tells_what_matches_what_was_repaired_and_how_far_values_were_compared() {
        let at: DateTime<Utc> = "2027-01-01T22:40:00Z".parse().unwrap();
        let zone = chrono_tz::Asia::Kolkata;
        let mut reconciled = Reconciled {
            checked_at: at,
            run: 7,
            matching: 12_418,
            total: 12_418,
            compared: 12_418,
            repaired: Repaired::default(),
            error: None,
            remedy: None,
        };
        assert_eq!(reconciled.sentence("items", zone, at), "items: 12,418 of 12,418 match, checked 04:10");
        reconciled.repaired = Repaired { renamed: 30, gone: 30, silent: 1_031, remade: 1, ..Repaired::default() };
        reconciled.compared = 8_000;
        let later = at + chrono::Duration::days(2);
        assert_eq!(
            reconciled.sentence("items", zone, later),
            "items: 12,418 of 12,418 match, checked 2027-01-02 04:10; values compared in 8,000, the next goes on from \
             there; repaired: 30 renamed, 30 gone, 1,031 changed without a new stamp, 1 row made again"
        );
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
