//! `alcove tour`: plays a talk's whole life in front of you, with separate processes on this machine, and says what held.
//!
//! It decides nothing about the protocol: it drives `alcove node` and `alcove relay` through the same lines and sockets as anybody.

mod corridor;
mod process;
mod story;
mod tap;
mod verdict;

use clap::Args;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Plays a talk's whole life on this machine: attendees and a relay, each a process of its own, over real sockets and a simulated radio.
///
/// No display, no camera, no Bluetooth adapter and no internet are needed; `dbus-daemon` is, for the radio. It takes less than two minutes and ends with code 0 only if every claim held.
#[derive(Args, Debug)]
#[command(after_help = "\
It leaves in the folder given by --out:
  transcript.txt     what you saw
  verdict.json       each claim with its figure, and a control: the same check where it must fail
  table-1.png, …     the QR codes that one process showed and another read")]
pub struct TourArgs {
    /// Where to leave transcript, pictures and verdict; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "target/tour")]
    out: PathBuf,
}

/// Plays the tour. Code 0: every claim held.
pub fn run(args: &TourArgs) -> ExitCode {
    match play(&args.out) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("The tour could not go on: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn play(out: &Path) -> anyhow::Result<bool> {
    use anyhow::Context;
    fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
    let mut narrator = Narrator::new(fs::File::create(out.join("transcript.txt"))?);
    let stage = Backstage::new(out)?;
    let verdict = story::play(&mut narrator, &stage.0, out);
    let verdict = verdict?;
    fs::write(out.join("verdict.json"), serde_json::to_string_pretty(&verdict.to_json())? + "\n")?;
    let (held, of) = verdict.count();
    narrator.act("The verdict");
    for claim in verdict.to_json().as_array().into_iter().flatten() {
        let mark = if claim["held"] == true { "held" } else { "NOT HELD" };
        narrator.say(&format!("{mark:>8}  {}: {}", claim["claim"].as_str().unwrap_or(""), claim["figure"].as_str().unwrap_or("")));
    }
    narrator.say(&format!("{held} of {of} claims held, each with a control that failed as it must. Left in {}.", out.display()));
    Ok(verdict.holds())
}

/// Where the profiles lie while the tour plays; gone with it.
struct Backstage(PathBuf);

impl Backstage {
    fn new(out: &Path) -> anyhow::Result<Backstage> {
        let folder = out.join(format!("profiles-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Backstage(folder.canonicalize()?))
    }
}

impl Drop for Backstage {
    fn drop(&mut self) {
        let _nothing_to_be_done = fs::remove_dir_all(&self.0);
    }
}

/// Tells what happens: on the screen and in the transcript.
pub(crate) struct Narrator {
    began: Instant,
    transcript: fs::File,
}

impl Narrator {
    fn new(transcript: fs::File) -> Narrator {
        Narrator { began: Instant::now(), transcript }
    }

    /// A new act.
    pub(crate) fn act(&mut self, title: &str) {
        self.line(&format!("\n── {title} {}", "─".repeat(72_usize.saturating_sub(title.chars().count()))));
    }

    /// One line, with the time since the curtain rose.
    pub(crate) fn say(&mut self, line: &str) {
        let at = self.began.elapsed().as_secs_f32();
        self.line(&format!("{at:6.1} s  {line}"));
    }

    fn line(&mut self, line: &str) {
        println!("{line}");
        let _only_the_copy = writeln!(self.transcript, "{line}");
    }
}
