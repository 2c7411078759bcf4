//! What may happen in a history, step by step.
//!
//! A step names its targets by numbers that are taken modulo what exists, and is passed over where there is nothing to do;
//! so any part of a history is a history, and `{:?}` of one is the code that makes it again.

use milkrun::crash::Point;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

/// One step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Step {
    // HQ: of which DocType, which record or name, and what.
    Insert(u8, u8),
    Update(u8, u8, u8),
    /// All records whose place is in the mask, under one stamp.
    Bulk(u8, u8, u8),
    Parts(u8, u8, u8),
    LateUpdate(u8, u8, u8),
    LateInsert(u8, u8),
    LateDelete(u8, u8),
    /// The oldest transaction that is open.
    Commit,
    Delete(u8, u8),
    Remake(u8, u8),
    Rename(u8, u8, u8),
    Merge(u8, u8, u8),
    /// Out of the filter, or back.
    Sold(u8, u8),
    Future(u8, u8, u8),
    Unstamped(u8, u8, u8),
    /// A title that the mapping refuses.
    Bad(u8, u8),
    Silent(u8, u8, u8),
    SilentParts(u8, u8, u8),
    SilentDelete(u8, u8),
    HideField(u8),
    ShowField(u8),
    HideRows(u8),
    ShowRows(u8),
    /// An update that falls between two pages of the next round.
    Between(u8, u8, u8),
    // The outlet: in which job's table, which row, which column.
    Edit(u8, u8, u8),
    PutBack(u8, u8, u8),
    Own(u8, u8),
    Once(u8, u8),
    InsertOwn(u8),
    InsertKey(u8, u8),
    DeleteRow(u8, u8),
    // The line: which fault, for which request from now, and whether it stays.
    Fault(u8, u8, bool),
    Heal,
    // milkrun. The first number is of minutes that pass before.
    Wait(u8),
    Poll(u8),
    /// The process dies at a named place.
    Crash(u8, Point, u8),
    /// The power goes at the n-th step of the round.
    Cut(u8, u8),
    Full(u8),
    Since(u8, u8),
    Name(u8, u8),
    Reconcile(u8),
    Restart,
    /// An operator decides what waits in a job: for HQ, or not.
    Resolve(u8, bool),
    // The configuration of a job.
    Narrow(u8),
    Remap(u8),
    Rule(u8, u8),
}

use Step::*;

/// Whether records lose their stamps. Not before a reconcile finds out what became of those that were renamed, too.
const UNSTAMPED: bool = false;

/// The history of a seed; the same one on every machine.
pub(crate) fn history(seed: u64) -> Vec<Step> {
    let random = &mut StdRng::seed_from_u64(seed ^ 0x005A_17ED);
    let length = random.random_range(8..26);
    let mut steps: Vec<Step> = Vec::with_capacity(length + 2);
    // Some begin with records that were there before milkrun was.
    if random.random_bool(0.8) {
        let many = random.random_range(2..7);
        steps.extend((0..many).map(|n| Insert(random.random_range(0..2), n)));
        if random.random_bool(0.5) {
            steps.push(Bulk(random.random(), random.random_range(1..64), 255));
        }
        // Others are too old to be listed by the first poll.
        if random.random_bool(0.4) {
            steps.extend([Wait(45), Insert(random.random_range(0..2), many)]);
        }
        steps.push(match random.random_range(0..8) {
            0..2 => Between(random.random(), random.random(), random.random()),
            2 => Fault(random.random(), random.random_range(3..9), false),
            3 => Crash(1, *Point::ALL.choose(random).unwrap(), random.random_range(1..6)),
            4 => Cut(1, random.random()),
            _ => Poll(1),
        });
        steps.push(Poll(1));
    }
    while steps.len() < length {
        steps.push(any(random));
    }
    steps
}

fn any(random: &mut StdRng) -> Step {
    let mut n = || random.random::<u8>();
    let (a, b, c) = (n(), n(), n());
    // Mostly the small numbers, so that steps meet.
    let few = c % 6;
    let minutes = [0, 1, 4, 11, 20, 33][usize::from(b % 6)];
    match random.random_range(0..100) {
        0..8 => Insert(a, b),
        8..16 => Update(a, b, c),
        16..21 => Bulk(a, c, b | 1),
        21..24 => Parts(a, b, few),
        24..27 => LateUpdate(a, b, c),
        27..29 => LateInsert(a, b),
        29..30 => LateDelete(a, b),
        30..34 => Commit,
        34..37 => Delete(a, b),
        37..38 => Remake(a, b),
        38..41 => Rename(a, b, c),
        41..42 => Merge(a, b, c),
        42..46 => Sold(a, b),
        46..47 => Future(a, b, c),
        47..48 if UNSTAMPED => Unstamped(a, b, c),
        47..48 => Update(a, b, c),
        48..49 => Bad(a, b),
        49..51 => Silent(a, b, c),
        51..52 => SilentParts(a, b, few),
        52..53 => SilentDelete(a, b),
        53..54 => *[HideField(a), HideRows(a)].choose(random).unwrap(),
        54..55 => *[ShowField(a), ShowRows(a)].choose(random).unwrap(),
        55..58 => Between(a, b, c),
        58..64 => Edit(a, b, c),
        64..66 => PutBack(a, b, c),
        66..67 => Own(a, b),
        67..68 => Once(a, b),
        68..69 => InsertOwn(a),
        69..71 => InsertKey(a, b),
        71..73 => DeleteRow(a, b),
        // Empty lists of the one DocType or the other.
        73..75 => Fault(*[11, 173].choose(random).unwrap(), 1 + few / 2, few > 2),
        75..78 => Fault(a, 1 + few, c & 64 > 0),
        78..79 => Heal,
        79..80 => Wait(minutes),
        80..91 => Poll(minutes),
        91..93 => Crash(minutes, *Point::ALL.choose(random).unwrap(), 1 + few),
        93..95 => Cut(minutes, a),
        95..96 => Full(minutes),
        96..97 => *[Since(a, minutes), Reconcile(minutes)].choose(random).unwrap(),
        97..98 => Name(a, b),
        98..99 => *[Restart, Resolve(a, few > 2)].choose(random).unwrap(),
        _ => *[Narrow(a), Remap(a), Rule(a, b)].choose(random).unwrap(),
    }
}
