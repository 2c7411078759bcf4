//! A reconcile that is cut and taken up again, and one that HQ answers wrongly in its middle.

use milkrun::demo::{Fault, When};
use serde_json::json;

use super::{assert_unchanged, read_shop, reconcile};
use crate::support::shop::{JOBS, item};
use crate::support::{Kind, Shop};

/// Records whose list ends with its first page, and records whose list needs one page more to be known to have ended.
const LENGTHS: [usize; 2] = [25, 20];

/// Has a reconcile of the items die once it has kept its first page.
#[track_caller]
fn cut(shop: &Shop) {
    let crash = [("MILKRUN_CRASH_AT", "page_compared:1")];
    assert_eq!(shop.outlet.run_with(&crash, &["reconcile", "items"]).code, -1);
}

#[test]
fn what_hq_changed_behind_a_cut_walk_is_not_lost() {
    for length in LENGTHS {
        let shop = Shop::empty(Kind::Sqlite);
        shop.items(length);
        shop.outlet.sync_well(&[]);
        shop.hq.update_silently("Item", "ICE-0010", json!({"standard_rate": 2})).unwrap();
        cut(&shop);
        shop.item("NEW", json!({}));
        shop.hq.delete("Item", "ICE-0001").unwrap();
        shop.hq.update("Item", "ICE-0002", json!({"is_sales_item": 0})).unwrap();
        shop.hq.update("Item", "ICE-0003", json!({"standard_rate": 3})).unwrap();
        reconcile(&shop, &[]);
        shop.assert_in_step();
        // And nothing is owed to the runs after it.
        let after = shop.outlet.sync_well(&["items"]);
        assert_unchanged(&after[0]);
    }
}

#[test]
fn deletes_that_a_run_was_told_of_are_carried_out_by_a_reconcile_too() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(60);
    shop.outlet.sync_well(&[]);
    shop.hq.delete("Item", "ICE-0001").unwrap();
    shop.hq.update("Item", "ICE-0002", json!({"is_sales_item": 0})).unwrap();
    // Made again, and back under the filters, between the poll and the walk.
    shop.hq.delete("Item", "ICE-0003").unwrap();
    shop.hq.update("Item", "ICE-0004", json!({"is_sales_item": 0})).unwrap();
    shop.hq.after_list("Item", 1, |hq| {
        hq.insert("Item", item("ICE-0003", json!({}))).unwrap();
    });
    shop.hq
        .after_list("Item", 5, |hq| hq.update("Item", "ICE-0004", json!({"is_sales_item": 1})).unwrap());
    reconcile(&shop, &[]);
    shop.assert_in_step();
}

#[test]
fn one_empty_answer_about_names_deletes_no_record_that_lives() {
    let without = JOBS.replace("filters = [[\"is_sales_item\", \"=\", 1]]\n", "");
    assert_ne!(without, JOBS);
    for jobs in [JOBS, without.as_str()] {
        let mut has_asked = true;
        for at in 1..12 {
            if !has_asked {
                break;
            }
            let shop = Shop::empty(Kind::Sqlite);
            shop.items(25);
            shop.as_reader(jobs);
            shop.outlet.sync_well(&[]);
            cut(&shop);
            // The ledger has them and the list that was walked has not: HQ is asked for their names.
            for n in 0..15 {
                shop.item(&format!("NEW-{n:02}"), json!({}));
            }
            shop.outlet.sync_well(&[]);
            shop.hq.fault_when(When::doctype("Item").nth(at), Fault::EmptyList);
            let outcome = shop.outlet.run(&["reconcile", "items"]);
            assert_eq!(shop.outlet.database.count("items"), 40, "after list {at}\n{}", shop.outlet.told(&outcome));
            has_asked = shop.hq.faults_left() == 0;
            shop.hq.heal();
            reconcile(&shop, &[]);
            shop.assert_in_step();
        }
    }
}

#[test]
fn a_list_page_that_came_empty_is_asked_for_again_by_the_next_reconcile() {
    let names_only = JOBS.replace("page_size = 100", "page_size = 100\nreconcile_requests = 0");
    // With none in the ledger, what the list did not show is missed by no name.
    let cases = [(JOBS, 20), (&names_only, 20), (JOBS, 0)];
    for (jobs, length, at) in cases.into_iter().flat_map(|(jobs, length)| (1..5).map(move |at| (jobs, length, at))) {
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

#[test]
fn a_renamed_record_that_was_saved_and_polled_before_the_reconcile_goes_on_blocks_nothing() {
    for length in LENGTHS {
        let shop = read_shop(Kind::Sqlite, length);
        shop.hq.rename("Item", "ICE-0003", "CUP").unwrap();
        cut(&shop);
        shop.hq.update("Item", "CUP", json!({"standard_rate": 7})).unwrap();
        shop.outlet.sync_well(&[]);
        let run = reconcile(&shop, &[]);
        assert_eq!(run["reconciled"]["repaired"]["gone"], 1, "{run:#}");
        shop.assert_in_step();
    }
}

#[test]
fn a_small_table_that_hq_emptied_with_a_trace_is_emptied() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(3);
    shop.outlet.sync_well(&[]);
    shop.hq.update("Item", "ICE-0000", json!({"is_sales_item": 0})).unwrap();
    for name in ["ICE-0001", "ICE-0002"] {
        shop.hq.delete("Item", name).unwrap();
    }
    let run = reconcile(&shop, &[]);
    assert_eq!(run["reconciled"]["repaired"]["gone"], 3, "{run:#}");
    assert_eq!(shop.outlet.database.count("items"), 0);
    shop.assert_in_step();
}
