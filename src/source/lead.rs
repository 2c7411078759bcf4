//! Whether the page after the one that is under way is asked for as well, and how long after it.
//!
//! Where the way to HQ is long, the line is silent for as long between two pages that are asked for one after the other.
//! A second request under way fills that. It is to cost HQ nothing: it goes when HQ should be done with the first, so that
//! HQ works on one of them at a time, and only where the way is what is waited for.

use std::time::Duration;

use super::page_size::Came;

/// A way that is shorter than this is no line but a network.
pub(super) const LONG: Duration = Duration::from_millis(20);

/// The way counts where a page takes so many times as long at most.
const SHARE: u32 = 16;

/// After a second page that was of no use so many go without one; twice as many after each further time.
const REST: u32 = 4;

#[derive(Debug, Clone, Copy, Default)]
enum Taken {
    #[default]
    WhereItPays,
    Always,
    Never,
}

/// What the pages of a pass told about that.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lead {
    taken: Taken,
    /// What the line took for a record of the last page.
    line_each: Duration,
    /// How often a second page was of no use.
    missed: u32,
    /// So many pages go without one.
    rest: u32,
}

impl Lead {
    /// Where it pays. In a build for development what `MILKRUN_LEAD` says, `always` or `never`: what a test counts must not
    /// hang on how busy its machine is, which looks like a long way.
    #[must_use]
    pub fn usual() -> Self {
        #[cfg(debug_assertions)]
        match std::env::var("MILKRUN_LEAD").as_deref() {
            Ok("always") => return Self::always(),
            Ok("never") => return Self::never(),
            Ok(_) | Err(_) => {}
        }
        Self::default()
    }

    /// Wherever there is one to ask for, and at once: for tests, which have no line.
    #[must_use]
    pub fn always() -> Self {
        Self { taken: Taken::Always, ..Self::default() }
    }

    /// No second page.
    #[must_use]
    pub fn never() -> Self {
        Self { taken: Taken::Never, ..Self::default() }
    }

    /// Takes in how a page came.
    pub fn came(&mut self, page: &Came) {
        if let Some(rows) = u32::try_from(page.rows).ok().filter(|rows| *rows > 0) {
            self.line_each = page.on_line / rows;
        }
    }

    /// Whether a way of such a length is one on which pages are asked for so.
    #[must_use]
    pub fn is_for(&self, way: Option<Duration>) -> bool {
        match self.taken {
            Taken::Always => true,
            Taken::Never => false,
            Taken::WhereItPays => way.is_some_and(|way| way >= LONG),
        }
    }

    /// A second page did not follow the first, or did not come.
    pub fn missed(&mut self) {
        self.rest = REST << self.missed.min(5);
        self.missed = self.missed.saturating_add(1);
    }

    /// How long after the request for so many records the one for the page after them is to go, where that way is of such
    /// a length and HQ takes so long over them; `None` where it is not to go.
    pub fn apart(&mut self, records: usize, by_hq: Duration, way: Option<Duration>) -> Option<Duration> {
        match self.taken {
            Taken::WhereItPays => {}
            Taken::Always => return Some(Duration::ZERO),
            Taken::Never => return None,
        }
        if self.rest > 0 {
            self.rest -= 1;
            return None;
        }
        let way = way.filter(|way| *way >= LONG)?;
        let on_line = self.line_each.saturating_mul(u32::try_from(records).unwrap_or(u32::MAX));
        let is_share = way.saturating_mul(SHARE) >= way.saturating_add(by_hq).saturating_add(on_line);
        // Two that share a line come one half after the other.
        is_share.then(|| by_hq.max(on_line / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// After a page of 1,000 records that the line took so long for.
    fn after(on_line: Duration) -> Lead {
        let mut lead = Lead::default();
        lead.came(&Came { on_line, ..Came::of(1_000) });
        lead
    }

    #[test]
    fn a_second_page_is_asked_for_once_hq_should_be_done_with_the_first() {
        assert_eq!(after(40 * MS).apart(2_000, 200 * MS, Some(50 * MS)), Some(200 * MS));
        assert_eq!(
            after(400 * MS).apart(2_000, 100 * MS, Some(300 * MS)),
            Some(400 * MS),
            "or the line with half of it"
        );
        assert_eq!(
            Lead::default().apart(500, Duration::ZERO, Some(300 * MS)),
            Some(Duration::ZERO),
            "nothing is known"
        );
    }

    #[test]
    fn only_the_way_is_reason_enough() {
        assert_eq!(after(MS).apart(1_000, MS, None), None);
        assert_eq!(after(MS).apart(1_000, MS, Some(MS)), None, "a network");
        assert_eq!(after(40 * MS).apart(1_000, 900 * MS, Some(50 * MS)), None, "HQ is what is waited for");
        assert_eq!(after(5_000 * MS).apart(1_000, MS, Some(300 * MS)), None, "the line is what is waited for");
    }

    #[test]
    fn seconds_that_are_of_no_use_become_rare() {
        let mut lead = Lead::default();
        let mut rests = || {
            lead.missed();
            (0..).take_while(|_| lead.apart(500, Duration::ZERO, Some(50 * MS)).is_none()).count()
        };
        assert_eq!([rests(), rests(), rests()], [4, 8, 16]);
        assert_eq!((0..9).map(|_| rests()).last(), Some(128));
    }
}
