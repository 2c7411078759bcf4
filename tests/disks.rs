//! The disk under a SQLite file: full, read-only, damaged.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use crate::support::shop::JOBS;
use crate::support::{Kind, Shop, say};

/// A mounted folder, unmounted with it.
struct Mount(TempDir);

impl Mount {
    /// `None`, and said so, where this user may not mount.
    fn make(arguments: &[&str]) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let mounted = Command::new("mount").args(arguments).arg(folder.path()).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        say!("skipped: this user may not mount ({})", arguments.join(" "));
        None
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("outlet.db")
    }

    fn change(&self, options: &str) {
        let changed = Command::new("mount").args(["-o", options]).arg(self.0.path()).status().unwrap();
        assert!(changed.success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("umount").arg(self.0.path()).status().unwrap();
    }
}

fn shop_in(file: &Path) -> Shop {
    let shop = Shop::with_jobs(Kind::Sqlite, JOBS);
    let config = shop.outlet.config().replace(&shop.outlet.database.url, &format!("sqlite://{}", file.display()));
    shop.outlet.write_config(&config);
    shop
}

/// What the file holds, for a look without milkrun.
fn copied(shop: &Shop, file: &Path) {
    for end in ["", "-wal", "-shm"] {
        let part = |path: &Path| PathBuf::from(format!("{}{end}", path.display()));
        if part(file).exists() {
            std::fs::copy(part(file), part(&shop.outlet.path("outlet.db"))).unwrap();
        }
    }
}

#[test]
fn a_full_disk_fails_the_run_with_its_remedy_and_what_was_committed_stays_whole() {
    let Some(mount) = Mount::make(&["-t", "tmpfs", "-o", "size=900k", "tmpfs"]) else { return };
    let shop = shop_in(&mount.file());
    shop.items(4_000);
    let outcome = shop.outlet.run(&["sync"]);
    outcome.expect_code(1);
    let told = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(told.contains("no room left") && told.contains("Free disk space"), "{outcome}");
    copied(&shop, &mount.file());
    let found = shop.outlet.database.rows("pragma_integrity_check", &["integrity_check"], "1");
    assert_eq!(found, [[Some("ok".to_owned())]]);
    assert_eq!(
        shop.outlet.database.count("items"),
        shop.outlet.database.count("item_barcodes"),
        "a page is half there"
    );
    mount.change("remount,size=50m");
    shop.outlet.sync_well(&[]);
    copied(&shop, &mount.file());
    shop.assert_in_step();
}

#[test]
fn a_file_that_cannot_be_written_is_blocked_before_anything_is_done() {
    let Some(mount) = Mount::make(&["-t", "tmpfs", "-o", "size=50m", "tmpfs"]) else { return };
    let shop = shop_in(&mount.file());
    shop.items(100);
    shop.outlet.sync_well(&[]);
    shop.hq.update("Item", "ICE-0001", json!({"standard_rate": 3})).unwrap();
    mount.change("remount,ro");
    let outcome = shop.outlet.run(&["sync"]);
    outcome.expect_code(4);
    assert!(outcome.stderr.contains("refuses access") && outcome.stderr.contains("local.url"), "{outcome}");
    mount.change("remount,rw");
    shop.outlet.sync_well(&[]);
    copied(&shop, &mount.file());
    shop.assert_in_step();
}

#[test]
fn a_file_that_an_unclean_end_has_damaged_is_not_written_to() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(1_500);
    // In the middle of a run the process dies, and the disk had lied about what it keeps.
    let died = shop.outlet.run_with(&[("MILKRUN_CRASH_AT", "page_committed:3")], &["sync"]);
    assert_eq!(died.code, -1, "{died}");
    shop.outlet.database.execute("pragma wal_checkpoint(truncate)");
    let file = shop.outlet.path("outlet.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let end = bytes.len();
    bytes[end - 120_000..end - 20_000].fill(0x5a);
    std::fs::write(&file, bytes).unwrap();
    for _ in 0..2 {
        let outcome = shop.outlet.run(&["sync", "items"]);
        outcome.expect_code(4);
        let told = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(told.contains("is damaged") && told.contains("backup"), "{outcome}");
    }
    // From a backup, or anew.
    for end in ["", "-wal", "-shm"] {
        std::fs::remove_file(PathBuf::from(format!("{}{end}", file.display()))).unwrap_or_default();
    }
    shop.outlet.sync_well(&[]);
    shop.assert_in_step();
}
