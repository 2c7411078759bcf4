//! A reconcile that is cut and taken up again, and one that HQ answers wrongly in its middle.

use milkrun::demo::{Fault, When};
use serde_json::json;

use super::{read_shop, reconcile};
use crate::support::Kind;
use crate::support::shop::JOBS;

#[test]
fn a_list_page_that_came_empty_is_asked_for_again_by_the_next_reconcile() {
    let names_only = JOBS.replace("page_size = 100", "page_size = 100\nreconcile_requests = 0");
    for (jobs, length, at) in [JOBS, &names_only].iter().flat_map(|jobs| {
        // None in the ledger: what the list did not show is missed by no name.
        [200, 0].iter().flat_map(move |length| (1..6).map(move |at| (*jobs, *length, at)))
    }) {
        let shop = read_shop(Kind::Sqlite, length);
        shop.as_reader(jobs);
        shop.item("NEW", json!({}));
        shop.hq.fault_when(When::doctype("Item").nth(at), Fault::EmptyList);
        let outcome = shop.outlet.run(&["reconcile", "items"]);
        assert!(shop.outlet.database.count("items") >= length, "{outcome}");
        if outcome.code == 0 {
            shop.assert_in_step();
        }
        shop.hq.heal();
        reconcile(&shop, &[]);
        shop.assert_in_step();
    }
}
