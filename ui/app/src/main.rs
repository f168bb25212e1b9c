//! The attendee's app as a program of its own, until it is the default command of `alcove`.

use alcove::shell::{hardening, worker};
use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: hardening::Allocator = hardening::ALLOCATOR;

/// The quiet recess in a busy room: private talks at a conference, offline first, gone when all close.
#[derive(Parser)]
#[command(name = "alcove-app", version)]
struct Cli {
    #[command(flatten)]
    attendee: alcove_app::AttendeeArgs,
}

fn main() -> ExitCode {
    hardening::hush_panics();
    if let Err(error) = hardening::harden() {
        eprintln!("This system does not let Alcove keep its memory to itself ({error}), so it does not start.");
        return ExitCode::FAILURE;
    }
    if std::env::args().nth(1).as_deref() == Some(worker::SUBCOMMAND) {
        return worker::serve();
    }
    alcove_app::run(Cli::parse().attendee)
}
