//! What things cost: processor time, memory and context switches of other processes, and the
//! arithmetic that nobody can do without.

use std::{collections::HashMap, fs, hint::black_box, time::Duration};

use nix::{
    time::{ClockId, clock_getcpuclockid},
    unistd::Pid,
};
use zegel::dkim::{digest::sha256, key::SigningKey};

/// A process and all its descendants, as they were when looked for.
pub(crate) struct Family(Vec<i32>);

impl Family {
    /// Of this process.
    pub(crate) fn of(process: u32) -> Self {
        let mut parents = HashMap::new();
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let name = entry.file_name();
            let Some(process) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            // Behind the name, which may hold anything: the state and the parent.
            let parent = stat
                .rsplit(") ")
                .next()
                .and_then(|rest| rest.split(' ').nth(1));
            if let Some(parent) = parent.and_then(|parent| parent.parse::<i32>().ok()) {
                parents.insert(process, parent);
            }
        }
        let mut family = vec![i32::try_from(process).expect("a process id")];
        let mut index = 0;
        while let Some(&parent) = family.get(index) {
            let children = parents.iter().filter(|&(_, of)| *of == parent);
            family.extend(children.map(|(child, _)| *child));
            index += 1;
        }
        Self(family)
    }

    /// What they have used up to now.
    pub(crate) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for &process in &self.0 {
            usage.processor += processor_time(process);
            usage.switches.extend(switches(process));
        }
        usage
    }

    /// A line of `/proc/PID/status` in KiB, such as `VmRSS`, of all of them together.
    pub(crate) fn memory(&self, name: &str) -> u64 {
        let of_each = self.0.iter().map(|process| {
            let status = fs::read_to_string(format!("/proc/{process}/status"));
            number(&status.unwrap_or_default(), name)
        });
        of_each.sum()
    }
}

/// What processes have used, all their threads together, those that are gone included.
#[derive(Default)]
pub(crate) struct Usage {
    /// User and system.
    pub(crate) processor: Duration,
    /// Context switches, voluntary and not, of each thread that is there.
    switches: HashMap<String, u64>,
}

impl Usage {
    /// The processor time used since.
    pub(crate) fn processor_since(&self, before: &Self) -> Duration {
        self.processor.saturating_sub(before.processor)
    }

    /// The context switches since, of the threads that are there now.
    pub(crate) fn switches_since(&self, before: &Self) -> u64 {
        let of_each = self.switches.iter().map(|(thread, now)| {
            let before = before.switches.get(thread).copied().unwrap_or(0);
            now.saturating_sub(before)
        });
        of_each.sum()
    }
}

/// Of the scheduler's clock, in nanoseconds.
fn processor_time(process: i32) -> Duration {
    let clock = clock_getcpuclockid(Pid::from_raw(process));
    let time = clock.and_then(ClockId::now);
    // None once the process is gone.
    time.map_or(Duration::ZERO, Into::into)
}

fn switches(process: i32) -> Vec<(String, u64)> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else {
        return Vec::new();
    };
    let of_each = tasks.flatten().map(|task| {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let number = number(&status, "voluntary_ctxt_switches")
            + number(&status, "nonvoluntary_ctxt_switches");
        (task.file_name().to_string_lossy().into_owned(), number)
    });
    of_each.collect()
}

fn number(status: &str, name: &str) -> u64 {
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(found, _)| *found == name);
    let value = found.and_then(|(_, value)| value.split_whitespace().next()?.parse().ok());
    value.unwrap_or(0)
}

/// The arithmetic of one message: nobody signs for less.
#[derive(Clone, Copy)]
pub(crate) struct Raw {
    /// One signature.
    pub(crate) signature: Duration,
    /// The hash of the body.
    pub(crate) hash: Duration,
}

impl Raw {
    /// Measured now, on this thread.
    pub(crate) fn measure(key: &SigningKey, body: &[u8]) -> Self {
        const TIME: Duration = Duration::from_millis(60);
        Self {
            signature: mean(TIME, || {
                black_box(
                    key.sign(black_box(b"the canonical header"))
                        .expect("a signature"),
                );
            }),
            hash: mean(TIME, || {
                black_box(sha256(black_box(body)));
            }),
        }
    }

    /// Of one measured before and one after.
    pub(crate) fn mean(self, other: Self) -> Self {
        Self {
            signature: (self.signature + other.signature) / 2,
            hash: (self.hash + other.hash) / 2,
        }
    }

    /// Both.
    pub(crate) fn total(self) -> Duration {
        self.signature + self.hash
    }
}

/// The processor time of one call.
fn mean(time: Duration, mut call: impl FnMut()) -> Duration {
    let now = || -> Duration {
        let clock = ClockId::CLOCK_THREAD_CPUTIME_ID.now();
        clock.expect("a thread has a clock").into()
    };
    call();
    let (begin, mut calls) = (now(), 0);
    loop {
        for _ in 0..8 {
            call();
        }
        calls += 8;
        let used = now().saturating_sub(begin);
        if used >= time {
            return used / calls;
        }
    }
}
