//! `alcove node`: an attendee without a screen, for scripts and tests. JSON lines in, JSON lines out.
//!
//! Laws: commands are carried out one after the other and each gets one answer; nothing but JSON lines goes to standard output; no
//! person's words and no secret go to standard error; no buffer keeps a line that has passed; the end of the input is a farewell. What
//! the lines mean stands in `docs/NODE.md`. No protocol decision here.

pub mod code;
mod command;
pub mod edit;
mod line;
mod notice;
pub mod request;
mod view;

use super::start::{self, Ways};
use crate::proto::node::Node;
use crate::shell::driver::{self, DriverHandle, Notice, Parts};
use crate::shell::hardening;
use crate::shell::keystore::Level;
use clap::Args;
use line::{LINE_BYTES_MAX, Line, Lines};
use request::{Failure, Request};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

/// Lines that wait to be read by whoever started us; then events wait, and commands with them.
const LINES_OUT_MAX: usize = 1_024;
/// Commands that wait while one is carried out; then their writer waits.
const LINES_IN_MAX: usize = 1;

/// An attendee without a screen, driven by JSON lines: for scripts and tests.
///
/// Reads one command per line from standard input and writes answers and events to standard output, one JSON object per line. It ends
/// with the command quit, at the end of its input, or with Ctrl-C. docs/NODE.md describes every command, event and error.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  alcove node --profile /tmp/heron
      Then type:  {\"id\":1,\"do\":\"join-event\",\"file\":\"event.alcove\"}
                  {\"id\":2,\"do\":\"board\"}
  echo '{\"id\":1,\"do\":\"receipts\"}' | alcove node --profile /tmp/heron --lan off
      Asks one question and ends.
  alcove node --profile /tmp/heron --lan loopback --keystore file
      Several of these, each with a profile of its own, find each other on one machine.")]
pub struct NodeArgs {
    /// Where this attendee's event, talks and receipts lie; made if it is not there
    #[arg(long, value_name = "DIR")]
    profile: PathBuf,
    #[command(flatten)]
    ways: Ways,
}

/// Runs until the input ends. A failure to start is told as a JSON line and on standard error, with exit code 1.
pub fn run(args: NodeArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Failure::new("failed", format!("the operating system gives no threads or timers: {error}"))),
    };
    let started = start(&args);
    // What was restored has been on this thread's stack.
    hardening::wipe_stack();
    let code = match started {
        Ok((parts, ready)) => runtime.block_on(serve(parts, ready)),
        Err(failure) => fail(&failure),
    };
    // A read of standard input that nobody answers must not hold us.
    runtime.shutdown_background();
    code
}

fn fail(failure: &Failure) -> ExitCode {
    println!("{}", json!({ "event": "failed", "error": failure.code, "message": failure.message }));
    eprintln!("{}", failure.message);
    ExitCode::FAILURE
}

/// Opens the profile and restores the node in it; with it the first line to write.
fn start(args: &NodeArgs) -> Result<(Parts, Value), Failure> {
    let (parts, opened) = start::open(&args.profile, &args.ways)?;
    let ready = json!({
        "event": "ready",
        "version": env!("CARGO_PKG_VERSION"),
        "profile": args.profile,
        "forgets": opened.level == Level::Forgets,
        "keystore": opened.level.description(),
        "joined": view::joined(parts.node.pack()),
        "lost_talks": opened.lost.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "corrupt_records": opened.corrupt.iter().map(|corrupt| corrupt.name.as_str()).collect::<Vec<_>>(),
        "lan": args.ways.has_lan(),
    });
    Ok((parts, ready))
}

async fn serve(parts: Parts, ready: Value) -> ExitCode {
    let (out, lines_out) = mpsc::channel(LINES_OUT_MAX);
    let writer = spawn_blocking(|| write(lines_out));
    let _ = out.send(ready).await;
    let (driver, notices) = driver::start(parts);
    let forwarder = tokio::spawn(forward(notices, out.clone()));
    let ended = tokio::select! {
        ended = converse(&driver, &out) => ended,
        () = stop_signal() => Ok(()),
    };
    let saved = finish_typing(&driver).await;
    driver.shutdown().await;
    drop(out);
    let _ = forwarder.await;
    let _ = writer.await;
    match ended.and(saved) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{}", why.message);
            ExitCode::FAILURE
        }
    }
}

/// Answers commands until there are no more, or nobody reads the answers.
async fn converse(driver: &DriverHandle, out: &mpsc::Sender<Value>) -> Result<(), Failure> {
    let (sender, mut lines) = mpsc::channel(LINES_IN_MAX);
    spawn_blocking(|| read(sender));
    loop {
        let Some(line) = lines.recv().await else { return Ok(()) };
        let line = line.map_err(|error| Failure::new("failed", format!("standard input cannot be read: {error}")))?;
        let (answer, is_last) = match line {
            Line::TooLong => {
                let why = format!("this line has more than {LINE_BYTES_MAX} bytes and was not read: send less at a time");
                (Failure::new("line-too-long", why).into_reply(Value::Null), false)
            }
            Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => continue,
            Line::Whole(line) => match Request::parse(&line) {
                Err(answer) => (answer, false),
                Ok(request) => {
                    let is_quit = request.name == "quit";
                    let answer = command::reply(driver, request).await;
                    let is_last = is_quit && answer.get("ok").is_some();
                    (answer, is_last)
                }
            },
        };
        let is_ended = answer.get("error").is_some_and(|error| error == "ended");
        if out.send(answer).await.is_err() || is_last {
            return Ok(());
        }
        if is_ended {
            return Err(Failure::new(
                "ended",
                "Alcove has stopped working here: start it again, nothing that was confirmed is lost",
            ));
        }
    }
}

/// What was typed and is not a change of the notes yet becomes one.
async fn finish_typing(driver: &DriverHandle) -> Result<(), Failure> {
    let flush = |node: &mut Node| {
        for talk in node.talks() {
            // One that is not open has no notes to finish.
            let _ = node.flush(talk.talk);
        }
    };
    Ok(driver.change(flush).await?)
}

async fn forward(mut notices: mpsc::Receiver<Notice>, out: mpsc::Sender<Value>) {
    while let Some(notice) = notices.recv().await {
        if out.send(notice::line(notice)).await.is_err() {
            return;
        }
    }
}

/// Reads lines from standard input until it ends or nobody wants them any more. Neither the standard library's stream nor Tokio's: their
/// buffers live as long as the process and are never wiped.
fn read(to: mpsc::Sender<io::Result<Line>>) {
    let input = match io::stdin().as_fd().try_clone_to_owned() {
        Ok(input) => File::from(input),
        Err(error) => return drop(to.blocking_send(Err(error))),
    };
    let mut lines = Lines::new(input);
    while let Some(line) = lines.next().transpose() {
        let is_last = line.is_err();
        if to.blocking_send(line).is_err() || is_last {
            return;
        }
    }
}

/// Writes lines to standard output, each at once and past the standard library's buffer for the same reason.
fn write(mut lines: mpsc::Receiver<Value>) {
    let Ok(output) = io::stdout().as_fd().try_clone_to_owned() else { return };
    let mut output = File::from(output);
    while let Some(line) = lines.blocking_recv() {
        if output.write_all(print(line).as_bytes()).is_err() {
            return;
        }
    }
}

/// One line, with what tells it from others at its beginning.
fn print(line: Value) -> String {
    let Value::Object(mut fields) = line else { return format!("{line}\n") };
    let first = ["reply", "event", "ok", "error", "message"].into_iter().filter_map(|name| Some((name, fields.remove(name)?)));
    let first: Vec<String> = first.map(|(name, value)| format!("\"{name}\":{value}")).collect();
    let rest = Value::Object(fields).to_string();
    let comma = if rest == "{}" { "" } else { "," };
    format!("{{{}{comma}{}\n", first.join(","), &rest[1..])
}

async fn stop_signal() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_same_object_with_its_kind_first() {
        assert_eq!(print(json!({ "a": 1, "reply": "x", "ok": true })), "{\"reply\":\"x\",\"ok\":true,\"a\":1}\n");
        assert_eq!(print(json!({ "ok": true, "reply": null })), "{\"reply\":null,\"ok\":true}\n");
        let told = json!({ "talk": "7f", "event": "said", "a": { "event": 1 } });
        assert_eq!(serde_json::from_str::<Value>(&print(told.clone())).unwrap(), told);
    }
}
