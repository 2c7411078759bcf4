//! What a command answers is about what was asked, is true, and says what comes next.

use crate::support::{Kind, Shop};

#[test]
fn a_database_that_is_not_there_is_told_with_the_statement_that_makes_it() {
    for (kind, statement) in [
        (Kind::Postgres, "CREATE DATABASE \"no such\";"),
        (Kind::Mysql, "CREATE DATABASE `no such` CHARACTER SET utf8mb4;"),
    ] {
        let shop = Shop::empty(kind);
        let url = &shop.outlet.database.url;
        let (server, _) = url.rsplit_once('/').unwrap();
        // A user of MariaDB's that may see no other database is not told whether there is one.
        let server = if kind == Kind::Mysql { crate::support::databases::server(kind) } else { server.to_owned() };
        shop.outlet
            .write_config(&shop.outlet.config().replace(url.as_str(), &format!("{server}/no%20such")));
        let sync = shop.outlet.run(&["sync"]);
        assert!(sync.expect_code(4).stderr.contains("the local database does not exist: "), "{sync}");
        assert!(sync.stderr.contains(&format!("do: Make it first, empty: {statement}")), "{sync}");
        assert!(!sync.stderr.contains("at line"), "{sync}");
        let check = shop.outlet.run(&["check"]);
        assert!(check.stdout.contains(statement), "{check}");
    }
}
