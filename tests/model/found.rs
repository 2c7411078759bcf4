//! Histories that failed once, shrunk: each with the seed of its outlet.

use super::step::Step::{self, *};

/// Played before all others.
pub(crate) const FOUND: &[(u64, &[Step])] = &[
    // Child rows alone were written for a row that was removed here.
    (39, &[Insert(0, 0), Insert(0, 3), Poll(1), Parts(216, 182, 3), DeleteRow(86, 23)]),
    // An emptied table whose records had all left the filters was blocked for ever.
    (29, &[Insert(1, 2), Poll(1), DeleteRow(142, 214), Sold(125, 37)]),
    // A conflict that a repair found in a version of the ledger's stamp waited for ever, whatever the operator said.
    (546, &[Insert(0, 1), Poll(1), Edit(242, 78, 183), Silent(238, 251, 26)]),
    // An answer that held each child row twice had them written twice.
    (225, &[Insert(0, 1), Fault(121, 3, true), Poll(33)]),
    // A table was emptied while a record waited for a decision; when HQ deleted that, it waited for ever.
    (
        1299,
        &[
            Insert(0, 0),
            Insert(0, 2),
            Poll(1),
            DeleteRow(36, 12),
            Update(104, 110, 75),
            Poll(1),
            DeleteRow(210, 214),
            LateDelete(218, 4),
        ],
    ),
    // What pages by offset lose.
    (1, &[Insert(0, 0), Insert(0, 1), Insert(0, 2), Insert(0, 3), Between(0, 0, 1), Poll(1)]),
];
