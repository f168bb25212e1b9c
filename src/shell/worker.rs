//! The quarantine's prison: jobs run in a child process of this same binary, which may be killed at any time.
//!
//! Laws: one job at a time, at most `config::JOB_TIME_MAX` of the processor and `config::JOB_MEMORY_BYTES_MAX` each; a busy machine is
//! nobody's fault, so by the clock a job may take [`PATIENCE`]; a child that is late, dies or talks nonsense gives no answer and is
//! replaced at the next job; the child opens no file and no connection, inherits no environment, says nothing but answers, keeps nothing
//! but the notes it last tried, until the next job or its end, and does not outlive its parent by more than the job it runs. It does not
//! know what jobs mean.
//!
//! Each side writes the length as 4 bytes little-endian and then that much postcard: [`Job`]s in, [`Answer`]s out.

use super::hardening;
use crate::proto::config::{JOB_MEMORY_BYTES_MAX, JOB_TIME_MAX};
use crate::proto::io::{Answer, Job};
use crate::proto::job;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// The subcommand by which the binary becomes a worker.
pub const SUBCOMMAND: &str = "quarantine-worker";
/// The largest job or answer: a full batch of the largest changes and a large document.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// How long a job may take by the clock: five times what it may use of the processor, for a machine that has much else to do.
pub const PATIENCE: Duration = JOB_TIME_MAX.saturating_mul(5);

/// The one child and how to make it anew.
#[derive(Debug)]
pub struct Worker {
    binary: PathBuf,
    child: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
}

impl Worker {
    /// A worker made from this program, which must understand [`SUBCOMMAND`]; started when the first job comes.
    pub fn new(binary: PathBuf) -> Worker {
        Worker { binary, child: None }
    }

    /// Runs a job. `None`: it broke its limits, or the child died of it.
    pub async fn run(&mut self, job: &Job) -> Option<Answer> {
        let message = postcard::to_stdvec(job).ok().filter(|message| message.len() <= MESSAGE_BYTES_MAX)?;
        // It is put back only if all went well; otherwise dropping it kills it.
        let mut running = self.child.take().and_then(Running::if_alive).or_else(|| self.start())?;
        let answer = match timeout(PATIENCE, running.exchange(&message)).await {
            Ok(Ok(bytes)) => postcard::from_bytes(&bytes).ok()?,
            Ok(Err(_)) | Err(_) => return None,
        };
        self.child = Some(running);
        Some(answer)
    }

    /// Ends the child, with all that may be left in its memory. The next job starts another.
    pub async fn end(&mut self) {
        if let Some(mut running) = self.child.take() {
            // It is dead already if it cannot be killed.
            let _ = running.child.kill().await;
        }
    }

    /// The child's process id, while there is one.
    pub fn process_id(&self) -> Option<u32> {
        self.child.as_ref().and_then(|running| running.child.id())
    }

    fn start(&self) -> Option<Running> {
        let mut command = Command::new(&self.binary);
        command.arg(SUBCOMMAND).env_clear().kill_on_drop(true);
        // A panic's message may hold somebody's words, so it goes nowhere.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                tracing::error!(%error, "no quarantine could be started, so no notes of others are taken");
                return None;
            }
        };
        Some(Running { stdin: child.stdin.take()?, stdout: child.stdout.take()?, child })
    }
}

impl Running {
    /// One that died between two jobs is no fault of the next one.
    fn if_alive(mut self) -> Option<Running> {
        matches!(self.child.try_wait(), Ok(None)).then_some(self)
    }

    async fn exchange(&mut self, message: &[u8]) -> io::Result<Vec<u8>> {
        self.stdin.write_all(&header(message)).await?;
        self.stdin.write_all(message).await?;
        self.stdin.flush().await?;
        let mut length = [0; 4];
        self.stdout.read_exact(&mut length).await?;
        let mut answer = vec![0; checked(length)?];
        self.stdout.read_exact(&mut answer).await?;
        Ok(answer)
    }
}

/// Where this program's own binary is: on Linux by a name that stays right when the file is replaced by an update.
pub fn this_binary() -> PathBuf {
    if cfg!(target_os = "linux") {
        return "/proc/self/exe".into();
    }
    std::env::current_exe().unwrap_or_else(|_| OsString::from("alcove").into())
}

/// The child's side: locks itself in, then answers jobs from standard input until it ends.
pub fn serve() -> ExitCode {
    if lock_in_and_answer().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn lock_in_and_answer() -> io::Result<()> {
    // Not the standard library's own streams: their buffers live as long as the process and are never wiped.
    let (mut from, mut to) =
        (File::from(io::stdin().as_fd().try_clone_to_owned()?), File::from(io::stdout().as_fd().try_clone_to_owned()?));
    lock_in()?;
    answer_all(&mut from, &mut to)
}

/// From here on no file and no connection can be opened, and memory ends where it must.
fn lock_in() -> io::Result<()> {
    hardening::harden()?;
    lower(Resource::As, JOB_MEMORY_BYTES_MAX)?;
    lower(Resource::Nofile, 0)?;
    lower(Resource::Fsize, 0)
}

/// For good: the hard limit goes down with the soft one.
fn lower(resource: Resource, most: u64) -> io::Result<()> {
    let most = getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}

fn answer_all(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut runner = job::Runner::default();
    loop {
        let mut length = [0; 4];
        match from.read_exact(&mut length) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        let mut message = vec![0; checked(length)?];
        from.read_exact(&mut message)?;
        let job: Job = postcard::from_bytes(&message).map_err(|_| io::ErrorKind::InvalidData)?;
        limit_time()?;
        let answer = postcard::to_stdvec(&runner.run(&job)).map_err(|_| io::ErrorKind::InvalidData)?;
        to.write_all(&header(&answer))?;
        to.write_all(&answer)?;
        to.flush()?;
    }
}

/// The kernel ends a job that takes too much of the processor, whether its parent is still there or not. It counts whole seconds, so up to
/// one more.
fn limit_time() -> io::Result<()> {
    let used = u64::try_from(clock_gettime(ClockId::ProcessCPUTime).tv_sec).unwrap_or(0);
    let (wanted, maximum) = (used + JOB_TIME_MAX.as_secs() + 1, getrlimit(Resource::Cpu).maximum);
    Ok(setrlimit(Resource::Cpu, Rlimit { current: Some(maximum.map_or(wanted, |most| most.min(wanted))), maximum })?)
}

fn header(message: &[u8]) -> [u8; 4] {
    u32::try_from(message.len()).unwrap_or(u32::MAX).to_le_bytes()
}

/// A length that may be allocated.
fn checked(length: [u8; 4]) -> io::Result<usize> {
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length <= MESSAGE_BYTES_MAX { Ok(length) } else { Err(io::ErrorKind::InvalidData.into()) }
}
