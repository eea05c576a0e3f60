//! Ranges of seeds, run on all cores.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{available_parallelism, scope};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// `FROM..TO` on a command line.
pub(crate) fn parse(text: &str) -> Result<Range<u64>, String> {
    let seeds = text
        .split_once("..")
        .and_then(|(from, to)| Some(from.trim().parse().ok()?..to.trim().parse().ok()?));
    match seeds {
        Some(seeds) if seeds.start < seeds.end => Ok(seeds),
        _ => Err("seeds look like 0..1000, the last one excluded".to_owned()),
    }
}

/// Runs every seed, until `stop` have failed. What they gave, in the order of the seeds; seeds that
/// were not run any more are not in it.
pub(crate) fn run<T: Send, E: Send>(
    seeds: Range<u64>,
    stop: usize,
    run: impl Fn(u64) -> Result<T, E> + Sync,
) -> Vec<(u64, Result<T, E>)> {
    let progress = bar(seeds.end - seeds.start);
    let next = AtomicU64::new(seeds.start);
    let done = Mutex::new((0, Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let stopped = done.lock().is_ok_and(|done| done.0 >= stop);
            if seed >= seeds.end || stopped {
                return;
            }
            let outcome = run(seed);
            progress.inc(1);
            if let Ok(mut done) = done.lock() {
                done.0 += usize::from(outcome.is_err());
                done.1.push((seed, outcome));
            }
        }
    };
    scope(|threads| {
        for _ in 0..available_parallelism().map_or(1, usize::from) {
            threads.spawn(work);
        }
    });
    progress.finish_and_clear();
    let (_, mut all) = done
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    all.sort_by_key(|(seed, _)| *seed);
    all
}

fn bar(seeds: u64) -> ProgressBar {
    let bar = ProgressBar::new(seeds);
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_understood_and_empty_ones_refused() {
        assert_eq!(parse("5..7"), Ok(5..7));
        for wrong in ["", "5", "7..7", "8..7", "a..b", "1..=2"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_seed_is_run_once_and_in_order() {
        let all = run(3..40, 1, |seed| Ok::<_, ()>(seed * 2));
        let expected: Vec<_> = (3..40).map(|seed| (seed, Ok(seed * 2))).collect();
        assert_eq!(all, expected);
    }

    #[test]
    fn enough_failures_end_it() {
        let all = run(0..1_000_000, 2, |seed| {
            if seed % 2 == 0 { Ok(()) } else { Err(()) }
        });
        let failed = all.iter().filter(|(_, outcome)| outcome.is_err()).count();
        assert!((2..10).contains(&failed) && all.len() < 1000);
    }
}
