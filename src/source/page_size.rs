//! How much is asked for at once: less where the line or HQ is too weak for it, more where it comes easily.
//!
//! A request costs what no record of it costs: the way there and back, a place in the pace. So a page is best as large as
//! HQ, the line and the memory allow, and each page that comes tells how large that is: how long HQ took over it, which is
//! what passed before its first byte less what passes before the first byte of any answer; how long the line took; and how
//! large its records are.

use std::time::Duration;

/// A page grows to so many records at most, and to eighty times what was configured.
const CEILING: usize = 5_000;

/// A page grows beyond its configured size to so many bytes at most, unpacked: some 2,500 records of twelve fields. With its
/// rows and statements, and the next page beside it, it takes some twenty times that.
const CEILING_BYTES: usize = 512 << 10;

/// Records of twelve fields in a page of that many bytes.
const USUAL_MOST: u64 = 2_500;

/// So many times as much on a long way, which larger pages go less often. That costs no more memory in all: on such a way the
/// database waits for the line, and no page lies ready while one is written.
const FARTHER: usize = 2;

/// From what was configured to the most.
const GROWTH: usize = 80;

/// Who asks for fewer records at a time means it: such a page does not grow.
const FEW: usize = 10;

/// One that had to be smaller grows back to its configured size up to so many bytes, well below what is taken at all.
const REGROWTH_BYTES: usize = 16 << 20;

/// A page beyond its configured size takes so much of HQ's time at most: others are served there too.
const HQ_TIME: Duration = Duration::from_secs(1);

/// Rows of a statement: pages of so many, or of a multiple of that, are written by the fewest. Smaller than four of the large
/// ones, a page is best of small ones.
const STATEMENTS: [usize; 2] = [500, 100];

/// From one page to the next it grows to this many times at most, as what a page costs need not be in proportion.
const STEP: usize = 8;

/// After so many good pages one that had to be smaller grows again; twice as many after each further time.
const GOOD_PAGES: u32 = 3;

/// The size of the next page, in records or names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize {
    now: usize,
    start: usize,
    least: usize,
    most: usize,
    good: u32,
    shrunk: u32,
    /// What HQ took for a record, when that was last to be told.
    hq_each: Duration,
}

/// What became of a page that was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Came {
    /// Records or names asked for.
    pub asked: usize,
    /// Rows that came.
    pub rows: usize,
    /// Bytes of the answer, unpacked.
    pub bytes: usize,
    /// From the request to the last byte.
    pub took: Duration,
    /// How much of that HQ took; `None` where there is no telling, as another answer was on the line.
    pub by_hq: Option<Duration>,
    /// How much of it lay between the first byte and the last.
    pub on_line: Duration,
    /// The way to HQ is a long one.
    pub is_far: bool,
    /// How long HQ may stay silent, `hq.timeout`.
    pub patience: Duration,
}

impl Came {
    /// A page of so many records that came in no time.
    #[cfg(test)]
    pub(super) fn of(asked: usize) -> Self {
        let zero = Duration::ZERO;
        Self {
            asked,
            rows: asked,
            bytes: 0,
            took: zero,
            by_hq: Some(zero),
            on_line: zero,
            is_far: false,
            patience: zero,
        }
    }

    /// So many records would have taken `limit` where these took `took`.
    fn within(&self, limit: Duration, took: Duration) -> usize {
        let (rows, limit, took) = (self.rows as u128, limit.as_micros(), took.as_micros().max(1));
        usize::try_from(rows * limit / took).unwrap_or(usize::MAX)
    }
}

impl PageSize {
    /// Starts at `start`; grows beyond it as far as HQ, the line and the memory allow.
    #[must_use]
    pub fn new(start: usize) -> Self {
        let start = start.max(1);
        let growth = if start < FEW { 1 } else { GROWTH };
        let most = start.saturating_mul(growth);
        Self { now: start, start, least: 1, most, good: 0, shrunk: 0, hq_each: Duration::ZERO }
    }

    /// About how many pages so many records come in, of pages that start at `start`: on a line and from an HQ that let them
    /// grow, with records of a usual size.
    #[must_use]
    pub fn pages(start: usize, records: u64) -> u64 {
        let (mut size, mut most) = (start.max(1) as u64, start.max(1) as u64);
        if start >= FEW {
            most = most.max((most * GROWTH as u64).min(USUAL_MOST));
        }
        let (mut left, mut pages) = (records, 1);
        while size < most && left > size {
            left -= size;
            pages += 1;
            size = (size * STEP as u64).min(most);
        }
        pages + left.saturating_sub(1) / size
    }

    /// Starts at `most` and never goes beyond it, nor below `least`.
    #[must_use]
    pub fn between(least: usize, most: usize) -> Self {
        Self { least, most, ..Self::new(most) }
    }

    /// Always `size`.
    #[must_use]
    pub fn fixed(size: usize) -> Self {
        Self::between(size, size)
    }

    /// Grows to `most` at most, if it was not configured to be larger.
    #[must_use]
    pub fn up_to(self, most: usize) -> Self {
        Self { most: self.most.min(most).max(self.start), ..self }
    }

    /// How much to ask for.
    #[must_use]
    pub fn get(&self) -> usize {
        self.now
    }

    /// A quarter from now on; whether that is less than before.
    pub fn shrink(&mut self) -> bool {
        let smaller = (self.now / 4).max(self.least);
        let is_smaller = smaller < self.now;
        if is_smaller {
            self.now = smaller;
            self.good = 0;
            self.shrunk = self.shrunk.saturating_add(1);
        }
        is_smaller
    }

    /// How long HQ takes over so many records, by what it last took.
    #[must_use]
    pub fn by_hq(&self, records: usize) -> Duration {
        self.hq_each.saturating_mul(u32::try_from(records).unwrap_or(u32::MAX))
    }

    /// Takes in how a page came; only one that was asked for in full tells something.
    pub fn came(&mut self, page: &Came) {
        if let (Some(by_hq), Some(rows)) = (page.by_hq, u32::try_from(page.rows).ok().filter(|rows| *rows > 0)) {
            self.hq_each = by_hq / rows;
        }
        if page.asked < self.now || page.rows == 0 {
            return;
        }
        let each = (page.bytes / page.rows).max(1);
        // Twice the time must still be far from the patience.
        let easily = page.patience / 6;
        let allowed = page.within(HQ_TIME, self.by_hq(page.rows)).min(page.within(easily, page.took)).min(self.most);
        let times = if page.is_far { FARTHER } else { 1 };
        let best = allowed.min(CEILING * times).min(CEILING_BYTES * times / each).max(self.start);
        let best = round(best, self.start);
        if best < self.now {
            self.good = 0;
            self.now = best;
        } else if self.shrunk == 0 {
            self.now = best.min(self.now.saturating_mul(STEP));
        } else if page.took > easily {
            self.good = 0;
        } else {
            self.grow_back(best, each);
        }
    }

    /// What was too much once is tried again, but not at once.
    fn grow_back(&mut self, best: usize, each: usize) {
        self.good = self.good.saturating_add(1);
        if self.good >= GOOD_PAGES << self.shrunk.min(5) {
            self.good = 0;
            let bound = if self.now < self.start { self.start.min(REGROWTH_BYTES / each) } else { best };
            self.now = (self.now * 2).min(bound).max(self.now);
        }
    }
}

/// Down to whole statements, not below where the size began.
fn round(size: usize, start: usize) -> usize {
    let statement = STATEMENTS.into_iter().find(|rows| size >= 4 * rows).unwrap_or(1);
    (size - size % statement).max(start.min(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn page(asked: usize, bytes_each: usize, took: Duration, by_hq: Duration) -> Came {
        Came { bytes: asked * bytes_each, took, by_hq: Some(by_hq), patience: PATIENCE, ..Came::of(asked) }
    }

    /// The sizes asked for of an HQ and a line that need `fixed` a request, and so many microseconds a record.
    fn sizes(size: &mut PageSize, pages: usize, bytes_each: usize, fixed: u64, (hq, line): (u64, u64)) -> Vec<usize> {
        let micros = |each: u64, size: usize| Duration::from_micros(each * size as u64);
        let next = |_| {
            let by_hq = micros(hq, size.get());
            let took = Duration::from_millis(fixed) + by_hq + micros(line, size.get());
            size.came(&page(size.get(), bytes_each, took, by_hq));
            size.get()
        };
        (0..pages).map(next).collect()
    }

    fn after(size: &mut PageSize, pages: usize, bytes_each: usize, millis: u64) -> usize {
        let took = Duration::from_millis(millis);
        for _ in 0..pages {
            size.came(&page(size.get(), bytes_each, took, took));
        }
        size.get()
    }

    #[test]
    fn a_page_shrinks_to_a_quarter_down_to_one_record() {
        let mut size = PageSize::new(500);
        let mut sizes = vec![size.get()];
        while size.shrink() {
            sizes.push(size.get());
        }
        assert_eq!(sizes, [500, 125, 31, 7, 1]);
    }

    #[test]
    fn the_best_size_is_reached_in_two_steps() {
        assert_eq!(sizes(&mut PageSize::new(500), 3, 100, 300, (10, 0)), [4_000, 5_000, 5_000]);
        // Small ones stay as small as they were meant to be.
        assert_eq!(sizes(&mut PageSize::new(20), 3, 200, 300, (10, 0)), [160, 1_280, 1_600]);
        assert_eq!(sizes(&mut PageSize::new(9), 3, 200, 300, (10, 0)), [9, 9, 9]);
        assert_eq!(sizes(&mut PageSize::new(9_000), 2, 100, 5, (10, 0)), [9_000, 9_000]);
        assert_eq!(sizes(&mut PageSize::new(500).up_to(1_000), 3, 100, 5, (10, 0)), [1_000; 3]);
    }

    #[test]
    fn on_a_long_way_pages_are_larger() {
        let mut size = PageSize::new(500);
        let far = |asked: usize, each: usize| Came {
            bytes: asked * each,
            is_far: true,
            patience: PATIENCE,
            ..Came::of(asked)
        };
        let mut next = |each| {
            size.came(&far(size.get(), each));
            size.get()
        };
        assert_eq!([next(100), next(100), next(100), next(800)], [4_000, 10_000, 10_000, 1_300]);
    }

    #[test]
    fn where_hqs_time_is_not_told_it_is_what_it_was() {
        let mut size = PageSize::new(500);
        sizes(&mut size, 3, 100, 5, (250, 0));
        let page = page(4_000, 100, Duration::from_secs(3), Duration::ZERO);
        size.came(&Came { by_hq: None, ..page });
        assert_eq!((size.get(), size.by_hq(4_000)), (4_000, Duration::from_secs(1)));
    }

    #[test]
    fn of_hqs_time_a_page_takes_a_second_at_most() {
        assert_eq!(sizes(&mut PageSize::new(500), 3, 100, 5, (250, 0)), [4_000, 4_000, 4_000]);
        assert_eq!(sizes(&mut PageSize::new(500), 3, 100, 5, (4_000, 0)), [500; 3], "two seconds as configured");
    }

    #[test]
    fn on_a_narrow_line_a_page_takes_a_sixth_of_the_patience() {
        // 2 Mbit/s, uncompressed.
        let sizes = sizes(&mut PageSize::new(500), 2, 100, 300, (10, 1_000));
        assert!(sizes == [3_000, 4_500], "{sizes:?}");
    }

    #[test]
    fn no_page_grows_beyond_its_bytes() {
        assert_eq!(sizes(&mut PageSize::new(500), 3, 1_024, 5, (10, 0)), [500; 3]);
        assert_eq!(sizes(&mut PageSize::new(500), 3, 40_000, 5, (10, 0)), [500; 3]);
        let mut size = PageSize::new(500);
        sizes(&mut size, 3, 100, 5, (10, 0));
        assert_eq!(sizes(&mut size, 1, 1_024, 5, (10, 0)), [500], "larger records came");
    }

    #[test]
    fn where_hq_or_the_line_grows_slow_a_page_is_smaller_again() {
        let mut size = PageSize::new(500);
        sizes(&mut size, 3, 100, 5, (10, 0));
        assert_eq!(sizes(&mut size, 2, 100, 5, (250, 0)), [4_000, 4_000]);
        assert_eq!(sizes(&mut size, 2, 100, 5, (10_000, 0)), [500, 500], "not below what was configured");
        assert_eq!(sizes(&mut size, 2, 100, 5, (10, 0)), [4_000, 5_000]);
    }

    #[test]
    fn a_shrunk_page_grows_back_and_takes_longer_the_more_often_it_shrank() {
        let mut size = PageSize::new(500);
        size.shrink();
        assert_eq!((after(&mut size, 5, 100, 4_000), after(&mut size, 1, 100, 4_000)), (125, 250));
        assert_eq!(after(&mut size, 6, 100, 4_000), 500);
        assert_eq!(after(&mut size, 50, 100, 4_000), 500, "not beyond, at that speed");
        size.shrink();
        assert_eq!(after(&mut size, 48, 200_000, 10), 125, "records of that size are too much");
        assert_eq!((after(&mut size, 11, 100, 10), after(&mut size, 1, 100, 10)), (125, 250));
        assert_eq!(after(&mut size, 50, 100, 6_000), 250, "too slow for more");
    }

    #[test]
    fn one_that_was_too_large_grows_by_doubling() {
        let mut size = PageSize::new(500);
        sizes(&mut size, 3, 100, 5, (10, 0));
        size.shrink();
        assert_eq!(sizes(&mut size, 6, 100, 5, (10, 0)), [1_250, 1_250, 1_250, 1_250, 1_250, 2_500]);
    }

    #[test]
    fn a_page_that_was_not_full_tells_nothing_and_a_fixed_size_stays() {
        let mut size = PageSize::new(500);
        for _ in 0..20 {
            size.came(&page(499, 100, Duration::from_millis(1), Duration::ZERO));
        }
        assert_eq!(size.get(), 500);
        let mut fixed = PageSize::fixed(7);
        assert!(!fixed.shrink());
        assert_eq!(after(&mut fixed, 50, 100, 1), 7);
    }
}
