//! Runs a [`Job`]: the one door through which foreign notes enter.
//!
//! A pure function of its argument, bounded in bytes and operations. What it cannot bound from inside (an endless loop or an
//! exhausted allocator in the library beneath) is bounded from outside by whoever runs it: `config::JOB_TIME_MAX` and
//! `config::JOB_MEMORY_BYTES_MAX`.

use super::io::{Answer, Job};
use super::notes::quarantine;

/// The answer to a job. The same job always gets the same answer.
pub fn run(job: &Job) -> Answer {
    match job {
        Job::Quarantine { document, changes } => quarantine::try_changes(document, changes),
        Job::Load { document } => quarantine::check_document(document),
    }
}
