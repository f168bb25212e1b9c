//! The simulated air as a program: one D-Bus address per phone on stdout, commands on stdin.
//!
//! Laws: it ends with `quit` or with the end of its input, and its daemons with it.

use std::process::ExitCode;
use std::time::Duration;

use radio::{Facade, Options};
use tokio::io::{AsyncBufReadExt, BufReader};

const USAGE: &str = "\
Simulated Bluetooth LE phones. Each has a D-Bus bus of its own on which BlueZ seems to run.

  air [--phones N] [--loss PERCENT] [--near METRES] [--seed N] [--interval MS]

  --phones N       how many phones (2)
  --loss PERCENT   share of advertisements lost (0)
  --near METRES    they stand in a row, so far apart (2); up to about 20 m they hear each other
  --seed N         decides addresses, shadowing, losses (0)
  --interval MS    advertising interval when a program names none (1280, as the kernel has it)

It prints one line per phone:

  DBUS_SYSTEM_BUS_ADDRESS=unix:path=/...

Start the Bluetooth programs of that phone with this variable set, for example
  env DBUS_SYSTEM_BUS_ADDRESS=unix:path=/... busctl --system tree org.bluez
and type commands here; `help` lists them.";

const HELP: &str = "\
place PHONE X Y    put a phone at a place, in metres
loss PERCENT       lose this share of the advertisements
off PHONE          switch its Bluetooth off       on PHONE     and on again
pull PHONE         pull its controller out        plug PHONE   and in again
bearers N          a connection has so many, and values overtake each other
delay MS           StartNotify comes so long after its answer
rotate yes|no      a fresh address with each new advertisement
capture            what went over the air so far
quit               end; so does the end of the input";

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let Some((options, loss, interval_ms)) = read(&args) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let facade = match Facade::start(options).await {
        Ok(facade) => facade,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    facade.set_loss_percent(loss);
    facade.set_advertising_interval(Duration::from_millis(interval_ms));
    for phone in facade.phones() {
        println!("DBUS_SYSTEM_BUS_ADDRESS={}", phone.bus_address());
    }
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words == ["quit"] {
            break;
        }
        if !words.is_empty() && act(&facade, &words).is_none() {
            println!("not understood: {line}\n{HELP}");
        }
    }
    facade.shutdown().await;
    ExitCode::SUCCESS
}

fn read(args: &[String]) -> Option<(Options, u8, u64)> {
    let (mut options, mut loss, mut interval_ms) = (Options::default(), 0, 1_280);
    for pair in args.chunks(2) {
        let [name, value] = pair else { return None };
        match name.as_str() {
            "--phones" => options.phones = value.parse().ok()?,
            "--loss" => loss = value.parse().ok()?,
            "--near" => options.near_m = value.parse().ok()?,
            "--seed" => options.seed = value.parse().ok()?,
            "--interval" => interval_ms = value.parse().ok()?,
            _ => return None,
        }
    }
    Some((options, loss, interval_ms))
}

/// Carries out a command; `None` when it is none.
fn act(facade: &Facade, words: &[&str]) -> Option<()> {
    let phone = |number: &str| facade.phones().nth(number.parse().ok()?);
    match words {
        ["place", number, x_m, y_m] => phone(number)?.place(x_m.parse().ok()?, y_m.parse().ok()?),
        ["loss", percent] => facade.set_loss_percent(percent.parse().ok()?),
        ["off", number] => phone(number)?.set_powered(false),
        ["on", number] => phone(number)?.set_powered(true),
        ["pull", number] => phone(number)?.set_present(false),
        ["plug", number] => phone(number)?.set_present(true),
        ["delay", ms] => facade.set_start_notify_delay(Duration::from_millis(ms.parse().ok()?)),
        ["bearers", number] => facade.set_bearers(number.parse().ok()?),
        ["rotate", "yes"] => facade.set_rotates_address(true),
        ["rotate", "no"] => facade.set_rotates_address(false),
        ["capture"] => {
            for record in facade.capture() {
                let bytes: String = record.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                println!("{:>12.6} {} {:?} {bytes}", record.at.as_secs_f64(), record.sender, record.kind);
            }
        }
        ["help"] => println!("{HELP}"),
        _ => return None,
    }
    Some(())
}
