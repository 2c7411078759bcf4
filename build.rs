//! Migrations are compiled in; a change to them alone must rebuild the crate.
fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
