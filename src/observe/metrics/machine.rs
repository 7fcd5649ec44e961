//! What every process has, under the names that Prometheus has for it everywhere.

use std::{
    fmt, fs,
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::Registry,
};

use crate::{dkim, observe::processor_time};

/// A registry whose names begin with `zegel_`, with what it says of this program.
pub(super) fn registry() -> Registry {
    let mut registry = Registry::with_prefix("zegel");
    let build = vec![
        ("version", env!("CARGO_PKG_VERSION")),
        ("backend", dkim::BACKEND),
    ];
    registry.register("build", "This program", Info::new(build));
    registry
}

/// The process; its names begin with `process_`.
#[derive(Debug)]
pub(super) struct Machine {
    registry: Registry,
    /// When the process began, in seconds since 1970.
    pub(super) started: u64,
}

impl Machine {
    /// The process begins about now.
    pub(super) fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let started = since_epoch.unwrap_or_default().as_secs();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(MachineCollector(started)));
        Self { registry, started }
    }

    /// The page of both.
    pub(super) fn render(&self, registry: &Registry) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode_registry(&mut page, registry)?;
        text::encode_registry(&mut page, &self.registry)?;
        text::encode_eof(&mut page)?;
        Ok(page)
    }
}

/// Knows when the process began.
#[derive(Debug)]
struct MachineCollector(u64);

impl Collector for MachineCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let seconds = processor_time::of_process().as_secs_f64();
        let help = "Processor time of all threads";
        let counter =
            encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
        ConstCounter::new(seconds).encode(counter)?;
        let mut gauge = |name, help, value| {
            let gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(gauge)
        };
        if let Some(octets) = resident_memory() {
            gauge("process_resident_memory_bytes", "Memory in use", octets)?;
        }
        let started = i64::try_from(self.0).unwrap_or(i64::MAX);
        gauge("process_start_time_seconds", "When it was started", started)
    }
}

/// In octets, if the kernel tells (proc_pid_status(5), `VmRSS`).
fn resident_memory() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_what_is_in_use() {
        let octets = resident_memory().unwrap();
        assert!(octets > 100_000, "{octets}");
    }
}
