//! `alcove event`: makes, signs, shows and draws event packs, and hands out what tables' beacons need, on the organizer's machine.
//!
//! Laws: the organizer's key is written once, readable by its owner only, and never overwritten unless asked; a bad file ends with one
//! sentence and exit code 1. It decides nothing about packs: the rules are `model::event`'s.

mod show;

use crate::model::event::{EventPack, OrganizerKeys, Programme, RelayAddress, SignedPack, Table, plan, signed};
use crate::proto::rng::Rng;
use crate::proto::time::WallTime;
use crate::proto::wire::table_advert::TablePlan;
use crate::shell::picture::{Correction, Ground, MODULE_PX, Qr};
use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Subcommand};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

const PACK_FILE: &str = "event.alcove";
const KEY_FILE: &str = "organizer.key";
/// At least so many rooms share a relay bucket, so that reading one says little about which room is read.
const TALKS_PER_BUCKET: u16 = 20;

/// Makes, signs and shows event packs: what every attendee scans before an event.
///
/// An event pack holds the event's dates, tables and relay, and the keys that all its attendees share. Whoever has it can read the
/// event's board, so give it to attendees only. It is signed with the organizer's key, which never leaves the organizer.
#[derive(Args, Debug)]
#[command(after_help = "\
A first event, in three steps:
  alcove event new --name 'Offline Days' --starts 2026-11-24 --ends 2026-11-26 --zone Europe/Berlin --tables 20
  alcove event show event.alcove
  alcove event qr event.alcove --out event.png      # print it, put it into the mail with the tickets
And for a table with a beacon:
  alcove event beacon event.alcove --table 12")]
pub struct EventArgs {
    #[command(subcommand)]
    command: EventCommand,
}

#[derive(Subcommand, Debug)]
enum EventCommand {
    New(NewArgs),
    Show(ShowArgs),
    Link(LinkArgs),
    Qr(QrArgs),
    Beacon(BeaconArgs),
}

/// Describes an event, makes its keys and signs its pack.
///
/// Writes two files: event.alcove, the pack, for attendees; and organizer.key, which makes you the organizer. Keep a copy of the key in a
/// safe place: with it (--keys) you sign a changed pack of the same event, and open the reports that attendees send you (the command
/// open-reports of alcove node).
#[derive(Args, Debug)]
#[command(after_help = "\
With a relay and a floor plan:
  alcove relay                                       # on a server; prints its address and the hash of its certificate
  alcove event new --name 'Offline Days' --starts 2026-11-24 --ends 2026-11-26 --zone Europe/Berlin \\
      --relay 'wss://relay.example:7878#9f2c…' --plan tables.csv
where tables.csv begins with the line  number,seats,zone,x_m,y_m  and has one line for each table.

After a table more, the same event again:
  alcove event new … --plan tables.csv --keys organizer.key --force")]
struct NewArgs {
    /// What the event is called
    #[arg(long)]
    name: String,
    /// Where it is, as people say it
    #[arg(long, default_value = "")]
    place: String,
    /// The first day, such as 2026-11-24
    #[arg(long, value_name = "DATE")]
    starts: Date,
    /// The last day; it counts to its midnight
    #[arg(long, value_name = "DATE")]
    ends: Date,
    /// The time zone of the days, by its IANA name, such as Europe/Berlin
    #[arg(long)]
    zone: String,
    /// A blind relay for the time before, between and after: its address, and behind a # the hash of its certificate, as `alcove relay`
    /// prints them. May be given several times, the best first. Without any, talks live on Bluetooth and the local network only
    #[arg(long = "relay", value_name = "URL[#HASH]")]
    relays: Vec<RelayAddress>,
    /// How many talks you expect at the same time. The relay's mailboxes are made so coarse that at least 20 talks share one
    #[arg(long, value_name = "N", default_value_t = TALKS_PER_BUCKET)]
    talks: u16,
    /// So many tables, numbered from 1, in rows of ten
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "plan")]
    tables: u16,
    /// Seats at each of them
    #[arg(long, value_name = "N", default_value_t = 4, conflicts_with = "plan")]
    seats: u8,
    /// The tables from a CSV file with the columns number,seats,zone,x_m,y_m (metres from the plan's upper left corner)
    #[arg(long, value_name = "FILE.csv")]
    plan: Option<PathBuf>,
    /// How many kiosks will sell tables. Their keys come from the organizer's
    #[arg(long, value_name = "N", default_value_t = 0)]
    kiosks: u16,
    /// The programme's file: the pack holds its hash, so that nobody can swap it
    #[arg(long, value_name = "FILE", requires = "programme_url")]
    programme: Option<PathBuf>,
    /// Where attendees fetch that file
    #[arg(long, value_name = "https://…", requires = "programme")]
    programme_url: Option<String>,
    /// Sign with the key of an event that exists, instead of a new one
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Where to write the files
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Replace files that are there already. An organizer.key that is replaced is lost for ever, and its event with it
    #[arg(long)]
    force: bool,
}

/// Checks a pack and says what is in it.
///
/// The signature proves that the pack is as its organizer made it, not who that is: compare the event's number with the one on the
/// organizer's own page.
#[derive(Args, Debug)]
struct ShowArgs {
    /// The pack
    file: PathBuf,
}

/// Prints the event's code as text: attendees may paste it where they cannot scan.
#[derive(Args, Debug)]
struct LinkArgs {
    /// The pack
    file: PathBuf,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Draws the event's QR code: as a PNG with --out, else right here in the terminal.
#[derive(Args, Debug)]
struct QrArgs {
    /// The pack
    file: PathBuf,
    /// The picture to write
    #[arg(long, value_name = "PNG")]
    out: Option<PathBuf>,
    /// Pixels for each module of the code
    #[arg(long, value_name = "N", default_value_t = MODULE_PX)]
    module_px: usize,
    /// The terminal shows dark text on a light ground
    #[arg(long, conflicts_with = "out")]
    light: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Writes what is flashed into the beacon of one table, beside its program.
///
/// A table's beacon tells attendees nearby which table it is, and carries a little of what is said there to those who come later, without
/// being able to read it. The file holds the event's number, a key that reads the beacons' adverts and nothing else, a secret of this one
/// device, which is drawn anew each time, and the table's number. Flash it into one device and delete it: two devices with one file would
/// show the same names.
#[derive(Args, Debug)]
#[command(after_help = "\
For tables 1 to 20:
  for n in $(seq 20); do alcove event beacon event.alcove --table $n --out table-$n.beacon; done

The file: event 16 bytes, beacon key 32, secret 32, number 2 (high byte first). The firmware reads it with Table::from_bytes
(firmware-sim/beacon).")]
struct BeaconArgs {
    /// The pack
    file: PathBuf,
    /// The number that stands on the table; it must be on the pack's plan
    #[arg(long, value_name = "NUMBER")]
    table: u16,
    /// The file to write; table-NUMBER.beacon without it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file if it is there already
    #[arg(long)]
    force: bool,
}

#[derive(Args, Debug)]
struct PlaceArgs {
    /// Where the pack can be fetched: an https:// address, or a relay's as in `event new`. The code then holds this address and the
    /// pack's hash instead of the pack. Without it a pack of up to 1,200 bytes is put into the code, and a larger one is looked for at
    /// the event's first relay
    #[arg(long, value_name = "URL[#HASH]")]
    at: Option<String>,
}

/// Carries out the command with the machine's clock and entropy. A failure is told on standard error in one sentence, with exit code 1.
pub fn run(args: EventArgs) -> ExitCode {
    let mut seed = [0; 32];
    let done = match getrandom::fill(&mut seed) {
        Ok(()) => execute(args, wall_clock(), &mut Rng::new(seed), &mut std::io::stdout().lock()),
        Err(_) => Err(anyhow!("the operating system has no randomness to make keys from")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Carries out the command at the given time with the given chance, and writes what it has to say to `out`.
///
/// # Errors
/// What is wrong with the arguments or files, in one sentence.
pub fn execute(args: EventArgs, wall: WallTime, rng: &mut Rng, out: &mut dyn Write) -> Result<()> {
    match args.command {
        EventCommand::New(args) => new(args, rng, out),
        EventCommand::Show(args) => Ok(show::describe(&read_pack(&args.file)?, wall, out)?),
        EventCommand::Link(args) => Ok(writeln!(out, "{}", link(&read_pack(&args.file)?, &args.place)?)?),
        EventCommand::Qr(args) => qr(args, out),
        EventCommand::Beacon(args) => beacon(args, rng, out),
    }
}

fn new(args: NewArgs, rng: &mut Rng, out: &mut dyn Write) -> Result<()> {
    let (pack_path, key_path) = (args.out.join(PACK_FILE), args.out.join(KEY_FILE));
    if args.keys.is_none() && !args.force && key_path.exists() {
        bail!(
            "{} exists already: with --keys {0} you sign a changed pack of its event, with --out you make a new event elsewhere",
            key_path.display()
        );
    }
    spare(&pack_path, args.force)?;
    let keys = match &args.keys {
        Some(path) => read_keys(path)?,
        None => OrganizerKeys::new(rng),
    };
    let signed = SignedPack::sign(describe(&args, &keys)?, &keys)?;
    fs::create_dir_all(&args.out).with_context(|| format!("{} cannot be made", args.out.display()))?;
    if args.keys.is_none() {
        write_file(&key_path, &keys.to_bytes(), args.force)?;
    }
    write_file(&pack_path, signed.bytes(), args.force)?;

    writeln!(out, "{} is signed: event {}\n", signed.pack().name, signed.event())?;
    writeln!(
        out,
        "  {}  {} bytes, for your attendees and nobody else: it holds the keys that they share",
        pack_path.display(),
        signed.bytes().len()
    )?;
    if args.keys.is_none() {
        writeln!(out, "  {}  yours alone: keep a copy in a safe place, nobody can make it again", key_path.display())?;
    }
    writeln!(out, "\nNext:")?;
    writeln!(out, "  alcove event show {0}\n  alcove event qr {0} --out event.png", pack_path.display())?;
    if signed.pack().relays.is_empty() {
        writeln!(
            out,
            "No relay is named, so talks live on Bluetooth and the local network only. `alcove relay --help` says how to run one."
        )?;
    }
    if signed.to_link().is_ok_and(|link| link.starts_with("ALCOVE:H")) {
        writeln!(
            out,
            "The pack is too large for one code: the code names your first relay, or the place that you give with --at."
        )?;
    }
    Ok(())
}

fn describe(args: &NewArgs, keys: &OrganizerKeys) -> Result<EventPack> {
    let zone = TimeZone::get(&args.zone).map_err(|_| {
        anyhow!("there is no time zone {:?}: use an IANA name such as Europe/Berlin or America/New_York", args.zone)
    })?;
    let bare = EventPack::bare(&args.name, args.starts, args.ends, &zone, keys)
        .ok_or_else(|| anyhow!("an event lasts 1 to 31 days, and its last day is not before its first"))?;
    Ok(EventPack {
        place: args.place.clone(),
        zone: args.zone.clone(),
        relays: args.relays.clone(),
        room_buckets: (args.talks / TALKS_PER_BUCKET).max(1),
        tables: tables(args)?,
        kiosk_keys: (0..args.kiosks).map(|kiosk| keys.kiosk_key(kiosk)).collect(),
        programme: programme(args)?,
        ..bare
    })
}

fn tables(args: &NewArgs) -> Result<Vec<Table>> {
    let Some(path) = &args.plan else { return Ok(plan::in_rows(args.tables, args.seats)) };
    let text = String::from_utf8(read_file(path, signed::PACK_BYTES_MAX * 4)?)
        .map_err(|_| anyhow!("{} is not UTF-8 text", path.display()))?;
    plan::from_csv(&text).with_context(|| format!("{}", path.display()))
}

fn programme(args: &NewArgs) -> Result<Option<Programme>> {
    let (Some(path), Some(url)) = (&args.programme, &args.programme_url) else { return Ok(None) };
    let mut sha = Sha256::new();
    File::open(path)
        .and_then(|mut file| std::io::copy(&mut file, &mut sha))
        .with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(Some(Programme { sha256: sha.finalize().into(), url: url.clone() }))
}

fn link(signed: &SignedPack, place: &PlaceArgs) -> Result<String> {
    match &place.at {
        None => Ok(signed.to_link()?),
        Some(url) if url.starts_with("https://") => Ok(signed.to_link_at(url, None)?),
        Some(relay) => {
            let relay: RelayAddress = relay.parse()?;
            Ok(signed.to_link_at(&relay.url, relay.tls_pin)?)
        }
    }
}

fn qr(args: QrArgs, out: &mut dyn Write) -> Result<()> {
    let signed = read_pack(&args.file)?;
    let code = Qr::new(&link(&signed, &args.place)?, Correction::Medium)?;
    let Some(path) = &args.out else {
        let ground = if args.light { Ground::Light } else { Ground::Dark };
        return Ok(out.write_all(code.terminal(ground).as_bytes())?);
    };
    fs::write(path, code.png(args.module_px)?).with_context(|| format!("{} cannot be written", path.display()))?;
    let side = code.modules();
    writeln!(out, "{}: the code of {}, {side} × {side} modules", path.display(), signed.pack().name)?;
    // A phone resolves a module of 0.5 mm at arm's length.
    writeln!(out, "Print it at least {} cm wide, with its white border.", (side + 8).div_ceil(20))?;
    Ok(())
}

fn beacon(args: BeaconArgs, rng: &mut Rng, out: &mut dyn Write) -> Result<()> {
    let signed = read_pack(&args.file)?;
    let (pack, number) = (signed.pack(), args.table);
    let plan = TablePlan::new(&pack.board_key, pack.tables.iter().map(|table| table.number));
    let bytes = plan.flash(signed.event(), number, rng.bytes()).ok_or_else(|| off_plan(pack, number))?;
    let path = args.out.unwrap_or_else(|| format!("table-{number}.beacon").into());
    spare(&path, args.force)?;
    write_file(&path, &bytes[..], args.force)?;
    writeln!(out, "{}: for the beacon of table {number} of {}", path.display(), pack.name)?;
    writeln!(out, "Flash it into one device, then delete it: it holds that device's secret.")?;
    Ok(())
}

fn off_plan(pack: &EventPack, number: u16) -> anyhow::Error {
    match (pack.tables.first(), pack.tables.last()) {
        (Some(first), Some(last)) => anyhow!(
            "table {number} is not on the plan of {}: it has {} tables, from {} to {}",
            pack.name,
            pack.tables.len(),
            first.number,
            last.number
        ),
        _ => anyhow!("{} has no tables: describe them with --tables or --plan of `alcove event new`", pack.name),
    }
}

fn read_pack(path: &Path) -> Result<SignedPack> {
    let bytes = read_file(path, signed::PACK_BYTES_MAX)?;
    SignedPack::decode(&bytes).with_context(|| format!("{}", path.display()))
}

/// The organizer's keys from their file.
///
/// # Errors
/// What is wrong with the file, in one sentence.
pub(super) fn read_keys(path: &Path) -> Result<OrganizerKeys> {
    let bytes = zeroize::Zeroizing::new(read_file(path, 1024)?);
    OrganizerKeys::from_bytes(&bytes).with_context(|| format!("{}", path.display()))
}

/// At most one byte more than `bytes_max`, so that whoever parses it finds it too large.
fn read_file(path: &Path, bytes_max: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(bytes_max as u64 + 1).read_to_end(&mut bytes))
        .with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(bytes)
}

/// Writes a file that its owner alone may read. One that exists is replaced only if `force`, and then in one step.
/// What is there is replaced only on demand.
fn spare(path: &Path, force: bool) -> Result<()> {
    if !force && path.exists() {
        bail!("{} exists already: replace it with --force, or write elsewhere with --out", path.display());
    }
    Ok(())
}

fn write_file(path: &Path, bytes: &[u8], force: bool) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let target = if force { path.with_extension("new") } else { path.to_owned() };
    if force {
        // What a run left that was cut short.
        let _ = fs::remove_file(&target);
    }
    let written = options.open(&target).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    let moved = written.and_then(|()| if force { fs::rename(&target, path) } else { Ok(()) });
    moved.with_context(|| format!("{} cannot be written", path.display()))
}

fn wall_clock() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
