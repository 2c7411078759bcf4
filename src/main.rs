//! The command line: arguments, log set-up, exit code.
fn main() {}
