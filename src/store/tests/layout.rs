//! Opening, checking and making tables.

use crate::config::{DatabaseKind, Deletes, Local};
use crate::mapping::LookupSpec;
use crate::retry::Retry;
use crate::row::Type;
use crate::store::{Error, Store, migrate};

use super::on_every_database;
use super::world::{Plan, TEXT, World, column};

on_every_database! {
    all_findings_come_at_once_each_with_its_remedy
    a_misspelt_parent_key_is_told_with_the_column_that_was_meant
    a_missing_table_is_found_with_the_statement_that_makes_it
    the_remedies_work
    what_was_made_passes_the_check
    many_may_open_at_once
    odd_names_are_quoted
    a_login_that_fails_is_denied_without_showing_the_password
}

async fn all_findings_come_at_once_each_with_its_remedy(world: &World) {
    let day = if world.kind == DatabaseKind::Sqlite { "TEXT" } else { "date" };
    world
        .outlet(&format!("CREATE TABLE stock (code varchar(40), price {day}, site varchar(40) NOT NULL)"))
        .await;
    world.outlet("CREATE TABLE stock_lines (n integer)").await;
    world.outlet("CREATE TABLE places (id integer)").await;
    let mut plan = Plan::new("stock", &[("code", TEXT), ("price", Type::Decimal { scale: Some(2) }), ("title", TEXT)]);
    plan.deletes = Deletes::Mark;
    plan.child = Some(("stock_lines", "stock_code", vec![column("barcode", TEXT)]));
    plan.lookups = vec![LookupSpec { table: "places".into(), match_column: "name".into(), take_column: "id".into() }];
    let findings = world.findings(&plan).await;
    let mut expected = vec![
        "deleted_at",
        "title",
        "PRIMARY KEY or UNIQUE",
        "site of table stock is NOT NULL",
        "stock_code",
        "barcode",
        "places has no column name",
    ];
    if world.kind != DatabaseKind::Sqlite {
        expected.push("price of table stock is date, which cannot hold a decimal");
    }
    for part in &expected {
        assert!(findings.iter().any(|finding| finding.contains(part)), "{part} is not in {findings:#?}");
    }
    assert_eq!(findings.len(), expected.len(), "{findings:#?}");
    let error = world.store.prepare_wish(&plan.wish()).await.unwrap_err();
    assert_eq!(error.retry(), Retry::ByPerson);
    assert!(matches!(error, Error::Schema(same) if same == findings));
}

async fn a_misspelt_parent_key_is_told_with_the_column_that_was_meant(world: &World) {
    world.outlet("CREATE TABLE stock (code varchar(40) PRIMARY KEY)").await;
    let lines = "CREATE TABLE stock_lines (parent varchar(40) NOT NULL, idx integer NOT NULL, barcode varchar(40))";
    world.outlet(lines).await;
    let mut plan = Plan::new("stock", &[("code", TEXT)]);
    plan.child = Some(("stock_lines", "paret", vec![column("barcode", TEXT)]));
    let findings = world.findings(&plan).await;
    let [only] = findings.as_slice() else { panic!("{findings:#?}") };
    assert!(only.contains("has no column paret. Did you mean parent_key = \"parent\"?"), "{only}");
    assert!(only.contains("run: ALTER TABLE"), "{only}");
}

async fn a_missing_table_is_found_with_the_statement_that_makes_it(world: &World) {
    let mut plan = Plan::new("items", &[("code", TEXT), ("price", Type::Decimal { scale: None })]);
    plan.child = Some(("barcodes", "item", vec![column("idx", Type::Int), column("barcode", TEXT)]));
    plan.create_table = false;
    for _ in 0..10 {
        let findings = world.findings(&plan).await;
        let Some(finding) = findings.first() else { break };
        let (_, statement) = finding.split_once("run: ").unwrap();
        world.outlet(statement).await;
    }
    world.prepare(&plan).await;
}

async fn the_remedies_work(world: &World) {
    world.outlet("CREATE TABLE stock (code varchar(40))").await;
    let every = [TEXT, Type::Int, Type::Bool, Type::Float, Type::Date, Type::Datetime, Type::Time, Type::Json];
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut plan = Plan::new("stock", &[("code", TEXT)]);
    plan.columns.extend(names.into_iter().zip(every).map(|(name, ty)| column(name, ty)));
    plan.deletes = Deletes::Mark;
    for finding in world.findings(&plan).await {
        let (_, statement) = finding.split_once("run: ").or_else(|| finding.split_once("Run: ")).unwrap();
        world.outlet(statement).await;
    }
    assert_eq!(world.findings(&plan).await, Vec::<String>::new());
}

async fn what_was_made_passes_the_check(world: &World) {
    let mut plan = Plan::new("made", &[("code", TEXT), ("n", Type::Int)]);
    plan.child = Some(("made_child", "code", vec![column("v", Type::Duration)]));
    plan.deletes = Deletes::Mark;
    let (a, b) = tokio::join!(world.prepare(&plan), world.prepare(&plan));
    assert_eq!(a.name(), b.name());
    plan.create_table = false;
    assert_eq!(world.findings(&plan).await, Vec::<String>::new());
}

async fn many_may_open_at_once(world: &World) {
    let local = match world.kind {
        DatabaseKind::Sqlite => {
            let url = secrecy::ExposeSecret::expose_secret(&world.local.url).replace("outlet.db", "second.db");
            Local { kind: world.kind, url: url.into() }
        }
        DatabaseKind::Postgres | DatabaseKind::Mysql => {
            let drop = "DROP TABLE milkrun_watermarks, milkrun_ledger, milkrun_tombstones, milkrun_runs, \
                        milkrun_quarantine, milkrun_conflicts, milkrun_leases, milkrun_reconciles, milkrun_instance, \
                        milkrun_gone, milkrun_daemon, milkrun_mappings, milkrun_migrations";
            world.outlet(drop).await;
            world.local.clone()
        }
    };
    let open = || Store::open(&local);
    let opened = tokio::join!(open(), open(), open(), open(), open(), open());
    for store in [opened.0, opened.1, opened.2, opened.3, opened.4, opened.5] {
        store.unwrap().close().await;
    }
    let again = Store::open(&local).await.unwrap();
    assert_eq!(again.kind(), world.kind);
    again.close().await;
}

async fn odd_names_are_quoted(world: &World) {
    let mut plan = Plan::new("select", &[("order", TEXT), ("Group", Type::Int), ("milkrun_page", TEXT)]);
    plan.child = Some(("table", "from", vec![column("where", TEXT)]));
    let table = world.prepare(&plan).await;
    let row = vec![super::world::text("a"), crate::row::Cell::Int(1), super::world::text("x")];
    world.insert(&table, std::slice::from_ref(&row)).await;
    let mut tx = world.begin().await;
    tx.update(&table, &[&row], None).await.unwrap();
    tx.replace_children(&table, 0, &[(super::world::key("a"), vec![vec![super::world::text("v")]])])
        .await
        .unwrap();
    assert_eq!(tx.child_rows(&table, 0, &[super::world::key("a")]).await.unwrap()["a"].len(), 1);
    tx.commit().await.unwrap();
}

async fn a_login_that_fails_is_denied_without_showing_the_password(world: &World) {
    let url = match world.kind {
        DatabaseKind::Sqlite => "sqlite:///nowhere/at/all/outlet.db".to_owned(),
        DatabaseKind::Postgres => "postgres://nobody:hunter2@127.0.0.1:5432/none".to_owned(),
        DatabaseKind::Mysql => "mysql://nobody:hunter2@127.0.0.1:3306/none".to_owned(),
    };
    let error = Store::open(&Local { kind: world.kind, url: url.into() }).await.unwrap_err();
    assert!(matches!(error, Error::Denied(_)), "{error:?}");
    assert!(error.remedy().is_some());
    let shown = {
        let debug = format!("{error:?}");
        format!("{debug} {:#}", anyhow::Error::from(error))
    };
    assert!(!shown.contains("hunter2"));
    assert!(world.kind != DatabaseKind::Sqlite || shown.contains("/nowhere/at/all does not exist"), "{shown}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unavailable() {
    let local = Local { kind: DatabaseKind::Postgres, url: "postgres://a:hunter2@127.0.0.1:1/none".to_owned().into() };
    let error = Store::open(&local).await.unwrap_err();
    assert_eq!(error.retry(), Retry::Later(None), "{error:?}");
}

#[test]
fn migrations_have_the_same_versions_on_every_database() {
    let versions =
        |kind| migrate::migrator(kind).iter().map(|m| (m.version, m.description.clone())).collect::<Vec<_>>();
    assert_eq!(versions(DatabaseKind::Sqlite), versions(DatabaseKind::Postgres));
    assert_eq!(versions(DatabaseKind::Sqlite), versions(DatabaseKind::Mysql));
}
