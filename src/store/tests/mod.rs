//! One suite of claims, held against SQLite, PostgreSQL and MariaDB.
//!
//! The servers are those of `MILKRUN_TEST_POSTGRES` and `MILKRUN_TEST_MYSQL` (URLs without a database); every test makes
//! and drops a database of its own.

mod changed;
mod dry;
mod faults;
mod journal;
mod layout;
mod pages;
mod speed;
mod values;
mod world;

/// Makes a test of each claim for each database.
macro_rules! on_every_database {
    ($($claim:ident)*) => {
        mod sqlite { $(#[tokio::test] async fn $claim() {
            crate::store::tests::world::hold(crate::config::DatabaseKind::Sqlite, |world| Box::pin(async move { super::$claim(&world).await })).await;
        })* }
        mod postgres { $(#[tokio::test] async fn $claim() {
            crate::store::tests::world::hold(crate::config::DatabaseKind::Postgres, |world| Box::pin(async move { super::$claim(&world).await })).await;
        })* }
        mod mysql { $(#[tokio::test] async fn $claim() {
            crate::store::tests::world::hold(crate::config::DatabaseKind::Mysql, |world| Box::pin(async move { super::$claim(&world).await })).await;
        })* }
    };
}
use on_every_database;
