//! What the benches share: the machine in one line, the size of a run, times by rank, rows of Markdown.
#![allow(dead_code)] // each bench uses a part of it

use std::process::Command;
use std::time::{Duration, Instant};

/// The numbers among the arguments; `cargo bench` adds words of its own.
pub fn numbers() -> Vec<usize> {
    std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect()
}

/// The first of them: how much to run.
pub fn size(default: usize) -> usize {
    numbers().first().copied().unwrap_or(default).max(1)
}

/// Cores, compiler, and how busy the machine is with other things.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let rustc = Command::new("rustc").arg("--version").output().ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let rustc = rustc.and_then(|text| text.split(' ').nth(1).map(str::to_owned)).unwrap_or_else(|| "unknown".into());
    let load = std::fs::read_to_string("/proc/loadavg").ok().and_then(|text| text.split(' ').next().map(str::to_owned));
    format!("{cores} cores, rustc {rustc}, load average {}", load.as_deref().unwrap_or("unknown"))
}

/// How long things took.
#[derive(Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Does it so often, and once more before without counting.
    pub fn of(runs: usize, mut run: impl FnMut()) -> Times {
        run();
        let mut times = Times::default();
        (0..runs).for_each(|_| times.time(&mut run));
        times
    }

    /// Does it and counts the time.
    pub fn time<T>(&mut self, run: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = run();
        self.0.push(began.elapsed());
        result
    }

    /// Counts a time that something else measured.
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The smallest time that is not exceeded in so many per cent of the runs (nearest rank).
    pub fn at(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        sorted.get((sorted.len() * percent).div_ceil(100).max(1) - 1).copied().unwrap_or_default()
    }

    /// In half of the runs.
    pub fn median(&self) -> Duration {
        self.at(50)
    }
}

/// A table's head.
pub fn head(cells: &[&str]) {
    println!("\n| {} |\n|{}", cells.join(" | "), "---|".repeat(cells.len()));
}

/// A table's row.
pub fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

/// Median, and in brackets the quickest run, which other work on the machine disturbs least, and the 95th percentile.
pub fn shown(times: &Times) -> String {
    format!("{:.2} ms ({:.2}–{:.2})", ms(times.median()), ms(times.at(0)), ms(times.at(95)))
}

/// Milliseconds.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Bytes as kB (1,000).
pub fn kb(bytes: u64) -> String {
    format!("{:.1} kB", bytes as f64 / 1_000.0)
}
