//! What keeps the secrets inside a process that dies: no core is dumped, and a panic tells where, but no value.

use std::any::Any;
use std::panic::{self, PanicHookInfo};

/// Raises the guard, before anything is read.
pub(super) fn raise() {
    panic::set_hook(Box::new(|panic| {
        tracing::error!("{}", told(panic));
        // Where nothing logs, or not at this level, a panic must not pass in silence.
        if !tracing::enabled!(tracing::Level::ERROR) {
            use std::io::Write as _;
            writeln!(std::io::stderr().lock(), "{}", told(panic)).ok();
        }
    }));
    no_core();
}

/// A core holds every secret, and travels with bug reports. The limit keeps a file from being written; only the flag
/// keeps the kernel from handing the core to a program, as systemd-coredump and apport have it do.
fn no_core() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        setrlimit(Resource::Core, none).ok();
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable).ok();
    }
}

/// A message that was put together at run time may hold what was being worked on: only a fixed one is told.
fn told(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    sentence(&place, panic.payload())
}

fn sentence(place: &str, payload: &(dyn Any + Send)) -> String {
    let message = payload.downcast_ref::<&'static str>().copied();
    let message = message.unwrap_or("its message may hold a value and is not shown");
    format!("milkrun has a fault at {place}: {message}; please report this line")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_tells_its_place_and_nothing_that_was_worked_on() {
        let fixed = sentence("src/x.rs:1:2", &"index out of bounds");
        assert!(fixed.contains("src/x.rs:1:2: index out of bounds"), "{fixed}");
        let made = sentence("src/x.rs:1:2", &"inside of `canary`".to_owned());
        assert!(made.contains("src/x.rs:1:2") && !made.contains("canary"), "{made}");
    }
}
