//! Runs a [`Job`]: the one door through which foreign notes enter.
//!
//! The answer is a function of the job alone, bounded in bytes and operations. What it cannot bound from inside (an endless loop or an
//! exhausted allocator in the library beneath) is bounded from outside by whoever runs it: `config::JOB_TIME_MAX` and
//! `config::JOB_MEMORY_BYTES_MAX`.

use super::io::{Answer, Job, Verdict};
use super::notes::quarantine::{Ground, is_sound};

/// Runs jobs one after the other. It keeps the notes that the last one left proven, which most often are those that the next one begins
/// with: reading them anew would cost more than all the rest of a trial.
#[derive(Default)]
pub struct Runner {
    ground: Option<Ground>,
}

impl Runner {
    /// The answer to a job. The same job always gets the same answer, whatever ran before.
    pub fn run(&mut self, job: &Job) -> Answer {
        let kept = self.ground.take();
        match job {
            Job::Quarantine { document, heads, changes } => {
                self.ground = kept.filter(|ground| ground.stands_at(heads)).or_else(|| Ground::load(document, heads));
                // If the notes themselves cannot be read nothing can be said of any change: all wait.
                let verdicts = match &mut self.ground {
                    Some(ground) => ground.try_changes(changes),
                    None => vec![Verdict::Waiting; changes.len()],
                };
                Answer::Quarantined { verdicts }
            }
            Job::Load { document } => Answer::Loaded { sound: is_sound(document) },
        }
    }
}

/// The answer to a single job.
pub fn run(job: &Job) -> Answer {
    Runner::default().run(job)
}
