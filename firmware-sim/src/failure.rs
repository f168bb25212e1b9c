//! Plays that fail: caught, played again with fewer steps until none can be left out, and told with the one command that does it.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Plays; a panic is a failure like any other.
///
/// # Errors
/// Why it fails.
pub fn verdict(play: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panics: {}", text.unwrap_or_default()))
    })
}

/// Leaves out as many steps as it can while the play still fails; gives the rest, and why it fails.
pub fn shrunk<S: Clone>(mut steps: Vec<S>, play: impl Fn(&[S]) -> Result<(), String>) -> (Vec<S>, String) {
    let mut why = String::new();
    let mut size = steps.len().max(1);
    loop {
        let mut start = 0;
        while start < steps.len() {
            let end = (start + size).min(steps.len());
            let fewer: Vec<_> = steps[..start].iter().chain(&steps[end..]).cloned().collect();
            match verdict(|| play(&fewer)) {
                Err(still) => (steps, why) = (fewer, still),
                Ok(()) => start += size,
            }
        }
        if size == 1 {
            return (steps, why);
        }
        size = size.div_ceil(2);
    }
}

/// What a failed test says: the seed, why, the one command that replays and shrinks it, and (asked for it) the steps that matter.
pub fn report<S: Clone + Debug>(
    test: &str,
    seed: u64,
    why: &str,
    steps: Vec<S>,
    play: impl Fn(&[S]) -> Result<(), String>,
) -> String {
    let command = format!("ALCOVE_SEED={seed} ALCOVE_SHRINK=1 cargo test --workspace --test {test}");
    let all = steps.len();
    let least = number("ALCOVE_SHRINK")
        .map(|_| shrunk(steps, play))
        .map(|(least, why)| format!("{} of {all} steps are enough: {why}\n{least:#?}", least.len()));
    format!("seed {seed}: {why}\nreplay and shrink: {command}\n{}", least.unwrap_or_default())
}

/// A number from the environment.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_failure_is_what_it_takes() {
        let takes = |steps: &[u32]| if steps.contains(&3) && steps.contains(&77) { Err("both".to_owned()) } else { Ok(()) };
        assert_eq!(shrunk((0..100).collect(), takes), (vec![3, 77], "both".to_owned()));
        let always = |_: &[u32]| Err("always".to_owned());
        assert_eq!(shrunk((0..9).collect(), always), (vec![], "always".to_owned()));
    }

    #[test]
    fn a_panic_is_a_failure_that_says_why() {
        assert_eq!(verdict(|| panic!("seven {}", 7)), Err("panics: seven 7".to_owned()));
        assert_eq!(verdict(|| Ok(())), Ok(()));
    }
}
