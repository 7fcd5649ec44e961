//! A process that reads private keys shows itself to nobody: not in a core, and not to other
//! processes of its user.
//!
//! What is guarded is the memory. Files are the business of [`crate::keystore`].

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit};

/// Why a process goes without its guard, and so without keys.
#[derive(Debug, thiserror::Error)]
#[error("this process can't be kept from being dumped, and keys would be in the dump: {0}")]
pub struct Unguarded(#[from] io::Error);

/// Guards this process and those that it starts: no core, whatever `core_pattern` says, and no
/// `ptrace`, `/proc/PID/mem`, `/proc/PID/environ` or `/proc/PID/fd` for anybody but root.
/// Comes before the first key is read.
///
/// # Errors
/// When the kernel forbids it, as a filter of system calls may.
pub fn guard() -> Result<(), Unguarded> {
    // Counts for cores that go through a pipe as well, for which there is no limit (core(5)).
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(io::Error::from)?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // A filter may forbid to set it where a unit has done so already.
    if rustix::process::getrlimit(Resource::Core) != none {
        rustix::process::setrlimit(Resource::Core, none).map_err(io::Error::from)?;
    }
    Ok(())
}
