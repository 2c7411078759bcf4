//! What tests share: an outlet in a folder of its own, databases of all three kinds, and comparing both ends.

pub(crate) mod canary;
pub(crate) mod databases;
pub(crate) mod outlet;
pub(crate) mod shop;
pub(crate) mod tls;

pub(crate) use databases::{Database, Kind};
pub(crate) use outlet::Outlet;
pub(crate) use shop::Shop;
