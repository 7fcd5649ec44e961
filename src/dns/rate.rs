//! How many questions may be asked in a second.

use std::{sync::Mutex, time::Duration};

use tokio::time::{Instant, sleep_until};

/// A token bucket: so many questions a second, and as many at once after a pause.
#[derive(Debug)]
pub struct Rate {
    /// Between two questions.
    interval: Duration,
    /// How far the questions may run ahead of their time.
    burst: Duration,
    /// When the next question is due.
    next: Mutex<Instant>,
}

impl Rate {
    /// At most `questions` a second on average; 0 counts as 1.
    pub fn per_second(questions: u32) -> Self {
        Self {
            interval: Duration::from_secs(1) / questions.max(1),
            burst: Duration::from_secs(1),
            next: Mutex::new(Instant::now()),
        }
    }

    /// Waits until one more question may be asked.
    pub(super) async fn wait(&self) {
        let due = {
            let now = Instant::now();
            let mut next = self
                .next
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let due = (*next).max(now.checked_sub(self.burst).unwrap_or(now));
            *next = due + self.interval;
            due
        };
        // In the past for those within the burst.
        sleep_until(due).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_rate_holds_after_the_burst() {
        let rate = Rate::per_second(50);
        let begin = Instant::now();
        // Nothing is saved up when it is new: 25 questions take half a second.
        for _ in 0..25 {
            rate.wait().await;
        }
        let taken = begin.elapsed();
        assert!(taken >= Duration::from_millis(450), "{taken:?}");
        assert!(taken < Duration::from_secs(2), "{taken:?}");
    }
}
