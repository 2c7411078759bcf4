//! How much is asked for at once: less where the line or HQ is too weak for it, more where it comes easily.

use std::time::Duration;

/// A page grows to so many records at most, and to ten times what was configured.
const CEILING: usize = 5_000;

/// A page grows beyond its configured size to so many bytes at most: with its rows and statements, and the next page beside
/// it, it takes some twenty times that.
const CEILING_BYTES: usize = 512 << 10;

/// One that had to be smaller grows back to its configured size up to so many bytes, well below what is taken at all.
const REGROWTH_BYTES: usize = 16 << 20;

/// An answer that comes within this time may be larger than configured.
const QUICK: Duration = Duration::from_secs(1);

/// After so many good pages the next one is larger; twice as many after each time that one had to be smaller.
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
    /// How long HQ may stay silent, `hq.timeout`.
    pub patience: Duration,
}

impl PageSize {
    /// Starts at `start`; grows beyond it where pages come quickly.
    #[must_use]
    pub fn new(start: usize) -> Self {
        let start = start.max(1);
        let most = CEILING.min(start.saturating_mul(10)).max(start);
        Self { now: start, start, least: 1, most, good: 0, shrunk: 0 }
    }

    /// Starts at `most` and never goes beyond it, nor below `least`.
    #[must_use]
    pub fn between(least: usize, most: usize) -> Self {
        Self { now: most, start: most, least, most, good: 0, shrunk: 0 }
    }

    /// Always `size`.
    #[must_use]
    pub fn fixed(size: usize) -> Self {
        Self::between(size, size)
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

    /// Takes in how a page came; only one that was asked for in full tells something.
    pub fn came(&mut self, page: &Came) {
        if page.asked < self.now || page.rows == 0 {
            return;
        }
        let each = (page.bytes / page.rows).max(1);
        let fitting = CEILING_BYTES / each;
        if self.now > self.start && page.bytes > 2 * CEILING_BYTES {
            self.now = fitting.clamp(self.start, self.now);
        }
        // Twice the time must still be far from the patience.
        let easily = page.patience / 6;
        let limit = if self.now < self.start { easily } else { easily.min(QUICK) };
        if page.took > limit {
            self.good = 0;
            return;
        }
        self.good = self.good.saturating_add(1);
        if self.good >= GOOD_PAGES << self.shrunk.min(5) {
            self.good = 0;
            let bound =
                if self.now < self.start { self.start.min(REGROWTH_BYTES / each) } else { self.most.min(fitting) };
            self.now = (self.now * 2).min(bound).max(self.now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(asked: usize, bytes_each: usize, millis: u64) -> Came {
        let took = Duration::from_millis(millis);
        Came { asked, rows: asked, bytes: asked * bytes_each, took, patience: Duration::from_secs(30) }
    }

    fn after(size: &mut PageSize, pages: usize, bytes_each: usize, millis: u64) -> usize {
        for _ in 0..pages {
            size.came(&page(size.get(), bytes_each, millis));
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
    fn quick_pages_grow_to_the_ceiling_and_slow_ones_stay_as_configured() {
        let mut size = PageSize::new(500);
        assert_eq!((after(&mut size, 2, 100, 200), after(&mut size, 1, 100, 200)), (500, 1_000));
        assert_eq!(after(&mut size, 30, 100, 200), CEILING);
        assert_eq!(after(&mut PageSize::new(500), 30, 100, 1_500), 500);
        assert_eq!(after(&mut PageSize::new(20), 30, 100, 5), 200);
        assert_eq!(after(&mut PageSize::new(9_000), 30, 100, 5), 9_000);
    }

    #[test]
    fn no_page_grows_beyond_its_bytes() {
        assert_eq!(after(&mut PageSize::new(500), 30, 512, 200), 1_024);
        assert_eq!(after(&mut PageSize::new(500), 30, 40_000, 200), 500);
        let mut size = PageSize::new(500);
        after(&mut size, 30, 100, 200);
        assert_eq!(after(&mut size, 1, 512, 200), 1_024, "larger records came");
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
    fn a_page_that_was_not_full_tells_nothing_and_a_fixed_size_stays() {
        let mut size = PageSize::new(500);
        for _ in 0..20 {
            size.came(&page(499, 100, 1));
        }
        assert_eq!(size.get(), 500);
        let mut fixed = PageSize::fixed(7);
        assert!(!fixed.shrink());
        assert_eq!(after(&mut fixed, 50, 100, 1), 7);
    }
}
