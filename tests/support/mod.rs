//! What tests share: an outlet in a folder of its own, databases of all three kinds, and comparing both ends.

pub(crate) mod canary;
pub(crate) mod daemon;
pub(crate) mod databases;
pub(crate) mod outlet;
pub(crate) mod proxy;
pub(crate) mod servers;
pub(crate) mod shop;
pub(crate) mod terminal;
pub(crate) mod tls;

/// Says what a test that holds has seen, for who runs it with `--nocapture`.
macro_rules! say {
    ($($told:tt)*) => {{
        use std::io::Write as _;
        writeln!(std::io::stdout(), $($told)*).unwrap();
    }};
}
pub(crate) use say;

pub(crate) use databases::{Database, Kind};
pub(crate) use outlet::{Outcome, Outlet};
pub(crate) use proxy::Proxy;
pub(crate) use servers::Server;
pub(crate) use shop::Shop;
pub(crate) use terminal::Terminal;
