//! The one binary.

use alcove::app::{event, headless, tour};
use alcove::shell::{hardening, relay, vault, worker};
#[cfg(not(feature = "app"))]
use clap::CommandFactory;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, filter, fmt};

#[global_allocator]
static ALLOCATOR: hardening::Allocator = hardening::ALLOCATOR;

/// The quiet recess in a busy room: private talks at a conference, offline first, gone when all close.
#[derive(Parser)]
#[command(name = "alcove", version)]
#[command(after_help = "\
A talk on this machine, from nothing:
  alcove event new --name 'Try-out' --starts 2026-11-24 --ends 2026-11-26 --zone Europe/Berlin
  alcove node --profile /tmp/heron --lan loopback        # in one terminal
  alcove node --profile /tmp/otter --lan loopback        # in another
and type in each:
  {\"id\":1,\"do\":\"join-event\",\"file\":\"event.alcove\"}

Logs without anybody's words: RUST_LOG=alcove=debug alcove …")]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[cfg(feature = "app")]
    #[command(flatten)]
    attendee: alcove::app::attendee::AttendeeArgs,
}

#[derive(Subcommand)]
enum Command {
    Tour(tour::TourArgs),
    Event(event::EventArgs),
    Relay(relay::Args),
    Node(headless::NodeArgs),
    SetAside(SetAsideArgs),
    /// Runs jobs for another Alcove process; not for people.
    #[command(name = worker::SUBCOMMAND, hide = true)]
    QuarantineWorker,
}

/// Puts a damaged vault aside, so that the profile can start anew.
///
/// The file stays where it is under another name, and nothing in it is changed. Open talks come back from the others at their tables
/// only if the profile's other files are healthy.
#[derive(clap::Args)]
struct SetAsideArgs {
    /// The profile
    #[arg(long, value_name = "DIR")]
    profile: PathBuf,
}

fn main() -> ExitCode {
    hardening::hush_panics();
    // In a build for tests alone: without root a test could not look for what is left in memory.
    let is_looked_into = cfg!(debug_assertions) && std::env::var_os("ALCOVE_TEST_READABLE").is_some();
    if let Err(error) = if is_looked_into { Ok(()) } else { hardening::harden() } {
        eprintln!("This system does not let Alcove keep its memory to itself ({error}), so it does not start.");
        return ExitCode::FAILURE;
    }
    let cli = Cli::parse();
    log_if_asked();
    match cli.command {
        Some(Command::Tour(args)) => tour::run(&args),
        Some(Command::Event(args)) => event::run(args),
        Some(Command::Relay(args)) => relay(args),
        Some(Command::Node(args)) => headless::run(args),
        Some(Command::SetAside(args)) => set_aside(&args),
        Some(Command::QuarantineWorker) => worker::serve(),
        #[cfg(feature = "app")]
        None => alcove::app::attendee::run(cli.attendee),
        #[cfg(not(feature = "app"))]
        None => match Cli::command().print_help() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
    }
}

fn relay(args: relay::Args) -> ExitCode {
    let done = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = done.map_err(anyhow::Error::from).and_then(|runtime| Ok(runtime.block_on(relay::run(args))?));
    report(done)
}

fn set_aside(args: &SetAsideArgs) -> ExitCode {
    let done = vault::Vault::set_aside(&args.profile);
    report(done.map(|at| println!("The old vault is now {}. The next start makes a new one.", at.display())).map_err(Into::into))
}

fn report(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Only with RUST_LOG, and only our own lines: libraries write what passes through them, and keys pass through them.
fn log_if_asked() {
    if std::env::var_os("RUST_LOG").is_none() {
        return;
    }
    let ours = filter::filter_fn(|about| about.target().starts_with("alcove"));
    let lines = fmt::layer().with_writer(std::io::stderr).with_filter(ours);
    let _ = tracing_subscriber::registry().with(EnvFilter::from_default_env()).with(lines).try_init();
}
