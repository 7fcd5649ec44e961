//! How long a processor has worked, which is not how long it has taken: whoever waits for a
//! processor, or for anything else, uses none.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// For this thread, since it began.
pub fn of_thread() -> Duration {
    read(ClockId::ThreadCPUTime)
}

/// For all threads of this process, since it began.
pub fn of_process() -> Duration {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time_and_waiting_takes_none() {
        let begun = of_thread();
        std::thread::sleep(Duration::from_millis(300));
        let waited = of_thread().saturating_sub(begun);
        assert!(waited < Duration::from_millis(200), "{waited:?}");
        let mut number = 1_u64;
        while of_thread() <= begun + waited {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
        assert!(of_process() >= of_thread().saturating_sub(begun));
    }
}
