//! Deletes that the outlet's own database refuses: a sale of the till's still refers to the item.

use serde_json::json;

use crate::support::{Kind, Shop};

on_each_database! {
    one_refused_delete_holds_back_no_other_and_is_tried_again
    one_refused_leaver_holds_back_no_other_nor_the_watermark
    of_a_tree_parents_and_children_go_in_one_run
    what_a_reconcile_may_not_delete_is_tried_again_by_the_runs_after_it
}

const ITEMS: &str = r#"
[[job]]
name = "items"
doctype = "Item"
schedule = "0 */5 * * * *"
filters = [["is_sales_item", "=", 1]]
overlap = "0s"
table = "items"
key = "item_code"
[job.fields]
item_code = "name"
title = "item_name"
"#;

/// A shop of `items` items, one of which was sold here.
fn shop_with_a_sale(kind: Kind, items: usize) -> Shop {
    let shop = Shop::with_jobs(kind, ITEMS);
    shop.items(items);
    let execute = |sql: &str| shop.outlet.database.execute(sql);
    execute("create table items (item_code varchar(140) primary key, title varchar(200))");
    execute("create table sale (item varchar(140), foreign key (item) references items (item_code))");
    shop.outlet.sync_well(&[]);
    execute("insert into sale values ('ICE-0007')");
    shop
}

/// A run that may not delete what was sold, and says so.
fn assert_refused(shop: &Shop, arguments: &[&str]) {
    let outcome = shop.outlet.run(arguments);
    outcome.expect_code(4);
    let told = outcome.to_string();
    for word in ["\"ICE-0007\" stays", "refuses the values for table items", "what refers to it"] {
        assert!(told.contains(word), "{word}: {told}");
    }
}

/// How many records are noted as of this kind.
fn remembered(shop: &Shop, kind: &str) -> usize {
    shop.outlet.database.count(&format!("milkrun_tombstones where kind = '{kind}'"))
}

fn one_refused_delete_holds_back_no_other_and_is_tried_again(kind: Kind) {
    let shop = shop_with_a_sale(kind, 300);
    for n in 0..250 {
        shop.hq.delete("Item", &format!("ICE-{n:04}")).unwrap();
    }
    assert_refused(&shop, &["sync", "--confirm-deletes"]);
    assert_eq!(shop.outlet.database.count("items"), 51, "all others went");
    // Whatever is deleted later goes, too, and the list of tombstones is not read from the same place for ever.
    let mark = |shop: &Shop| shop.outlet.database.rows("milkrun_watermarks", &["seen_modified"], "stream");
    shop.hq.delete("Item", "ICE-0260").unwrap();
    let before = mark(&shop);
    assert_refused(&shop, &["sync"]);
    assert_eq!(shop.outlet.database.count("items"), 50);
    assert_ne!(mark(&shop), before);
    assert_refused(&shop, &["sync"]);
    shop.outlet.database.execute("delete from sale");
    shop.outlet.sync_well(&[]);
    assert_eq!(shop.outlet.database.count("items"), 49);
    assert_eq!(remembered(&shop, "refused"), 0);
}

fn one_refused_leaver_holds_back_no_other_nor_the_watermark(kind: Kind) {
    let shop = shop_with_a_sale(kind, 40);
    for n in 0..20 {
        shop.hq.update("Item", &format!("ICE-{n:04}"), json!({"is_sales_item": 0})).unwrap();
    }
    assert_refused(&shop, &["sync"]);
    assert_eq!((shop.outlet.database.count("items"), remembered(&shop, "absent")), (21, 20));
    assert_refused(&shop, &["sync"]);
    // One that comes back is no leaver any more.
    shop.hq.update("Item", "ICE-0007", json!({"is_sales_item": 1})).unwrap();
    shop.outlet.sync_well(&[]);
    assert_eq!((shop.outlet.database.count("items"), remembered(&shop, "refused")), (21, 0));
}

fn of_a_tree_parents_and_children_go_in_one_run(kind: Kind) {
    let shop = Shop::with_jobs(
        kind,
        "[[job]]\nname = \"groups\"\ndoctype = \"Item Group\"\nschedule = \"@hourly\"\ntable = \"grp\"\n\
         key = \"name\"\n[job.fields]\nname = \"name\"\nparent = \"parent_item_group\"\n",
    );
    shop.outlet.database.execute(
        "create table grp (name varchar(140) primary key, parent varchar(140), \
         foreign key (parent) references grp (name))",
    );
    // By name the parents come first, which is how MariaDB looks at the rows of a statement.
    for depth in 0..5 {
        let parent = if depth == 0 { "Cones".to_owned() } else { format!("Tree-{}", depth - 1) };
        shop.hq
            .insert("Item Group", json!({"item_group_name": format!("Tree-{depth}"), "parent_item_group": parent}))
            .unwrap();
    }
    shop.outlet.sync_well(&[]);
    for depth in (0..5).rev() {
        shop.hq.delete("Item Group", &format!("Tree-{depth}")).unwrap();
    }
    shop.outlet.sync_well(&[]);
    assert_eq!((shop.outlet.database.count("grp"), remembered(&shop, "refused")), (1, 0));
}

fn what_a_reconcile_may_not_delete_is_tried_again_by_the_runs_after_it(kind: Kind) {
    let shop = shop_with_a_sale(kind, 40);
    for n in 5..10 {
        shop.hq.delete_without_trace("Item", &format!("ICE-{n:04}")).unwrap();
    }
    assert_refused(&shop, &["reconcile"]);
    assert_eq!(shop.outlet.database.count("items"), 36);
    assert_refused(&shop, &["sync"]);
    shop.outlet.database.execute("delete from sale");
    shop.outlet.sync_well(&[]);
    assert_eq!(shop.outlet.database.count("items"), 35);
    shop.outlet.run(&["reconcile"]).expect_code(0);
}
