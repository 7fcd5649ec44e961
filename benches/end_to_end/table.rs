//! Tables in Markdown, and the numbers in them.

use std::{fs, time::Duration};

/// Rows below a head.
pub(crate) struct Table(Vec<Vec<String>>);

impl Table {
    /// With the names of its columns.
    pub(crate) fn new<const N: usize>(head: [&str; N]) -> Self {
        Self(vec![head.map(str::to_owned).to_vec()])
    }

    /// One more row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.push(cells.into_iter().collect());
    }

    /// Prints it, its columns in line.
    pub(crate) fn print(&self) {
        let columns = self.0[0].len();
        let width = |column: usize| {
            let cells = self.0.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (index, row) in self.0.iter().enumerate() {
            let cell = |column: usize| row.get(column).map_or("", String::as_str);
            let cells: Vec<String> = (0..columns)
                .map(|column| format!("{:<1$}", cell(column), widths[column]))
                .collect();
            println!("| {} |", cells.join(" | "));
            if index == 0 {
                println!("|{}", "---|".repeat(columns));
            }
        }
    }
}

/// The one in the middle.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// The value that so many of a hundred are not above.
pub(crate) fn percentile(ascending: &[Duration], hundredths: usize) -> Duration {
    let place = (ascending.len() * hundredths).div_ceil(100).max(1) - 1;
    ascending.get(place).copied().unwrap_or_default()
}

/// With three digits, or all those before the point.
pub(crate) fn short(value: f64) -> String {
    let digits = match value.abs() {
        0.0..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}

/// As people write it.
pub(crate) fn size(bytes: usize) -> String {
    match bytes {
        0x10_0000.. => format!("{} MiB", bytes >> 20),
        1024.. => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}

/// What the figures are of.
pub(crate) fn print_machine() {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models: Vec<&str> = information
        .lines()
        .filter_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map(|(_, model)| model.trim())
        .collect();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    println!(
        "{}: {} × {}, Linux {}, {}, load {}\n",
        jiff::Zoned::now().strftime("%-d %B %Y, %H:%M"),
        models.len(),
        models.first().unwrap_or(&"processor"),
        kernel.trim(),
        zegel::dkim::BACKEND,
        load(),
    );
}

/// The load of the machine in the last minute.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
