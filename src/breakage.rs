//! Mistakes made on purpose, so that the simulation of `tests/model` can show that it finds them.
//!
//! Only in builds for development, and only where `MILKRUN_BREAK=name` asks for one; in a release nothing of it is left.

/// A mistake that a program like this is known to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breakage {
    /// The next page begins above the stamp that the last one ended with, not above its mark.
    StrictKeyset,
    /// Pages go by offset.
    OffsetPaging,
    /// The progress is saved before the rows are.
    WatermarkFirst,
    /// What was seen counts as settled at once.
    NoOverlap,
    /// Ledger entries are committed apart from the rows.
    LedgerApart,
    /// Of records with one stamp only the first counts as news.
    TiesIgnored,
    /// A page that could not be had counts as read.
    ErrorDropped,
    /// Names are compared here, in the order of their bytes: what does not stand above the cursor counts as read.
    ClientOrder,
    /// What an answer does not hold counts as gone.
    AbsenceIsDelete,
    /// The base stays where it was after a conflict was decided.
    StaleBase,
    /// A page that was asked for by its place is taken without proof.
    UnprovenPlace,
}

impl Breakage {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::StrictKeyset,
        Self::OffsetPaging,
        Self::WatermarkFirst,
        Self::NoOverlap,
        Self::LedgerApart,
        Self::TiesIgnored,
        Self::ErrorDropped,
        Self::ClientOrder,
        Self::AbsenceIsDelete,
        Self::StaleBase,
        Self::UnprovenPlace,
    ];

    /// The name that `MILKRUN_BREAK` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::StrictKeyset => "strict_keyset",
            Self::OffsetPaging => "offset_paging",
            Self::WatermarkFirst => "watermark_first",
            Self::NoOverlap => "no_overlap",
            Self::LedgerApart => "ledger_apart",
            Self::TiesIgnored => "ties_ignored",
            Self::ErrorDropped => "error_dropped",
            Self::ClientOrder => "client_order",
            Self::AbsenceIsDelete => "absence_is_delete",
            Self::StaleBase => "stale_base",
            Self::UnprovenPlace => "unproven_place",
        }
    }
}

/// Whether this mistake is to be made.
#[cfg(debug_assertions)]
pub fn is(breakage: Breakage) -> bool {
    use std::sync::OnceLock;

    static WANTED: OnceLock<Option<String>> = OnceLock::new();
    let wanted = WANTED.get_or_init(|| std::env::var("MILKRUN_BREAK").ok());
    wanted.as_deref() == Some(breakage.name())
}

/// Never, in a release.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn is(_breakage: Breakage) -> bool {
    false
}
