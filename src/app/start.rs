//! From a folder to a node in it: what every program with a profile does first.

use super::headless::request::Failure;
use crate::proto::error::Corrupt;
use crate::proto::id::TalkId;
use crate::proto::node::Node;
use crate::proto::rng::Rng;
use crate::shell::ble::BleOptions;
use crate::shell::clock::{self, Clock};
use crate::shell::driver::Parts;
use crate::shell::keystore::{Choice, Level};
use crate::shell::lan::{Discovery, LanOptions};
use crate::shell::vault::{Opened, Vault, VaultError};
use crate::shell::worker;
use clap::{Args, ValueEnum};
use std::net::{IpAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Where keys lie, and by which ways others are found.
#[derive(Args, Clone, Debug)]
pub struct Ways {
    /// Where the key of the open talks lies: auto takes the kernel's keyring if it works here, else a file, which does not forget
    #[arg(long, value_name = "auto|kernel|file", default_value = "auto", hide_possible_values = true)]
    pub keystore: Choice,
    /// How neighbours on the local network are found: by multicast, only on this machine, only by scanned codes, or not at all
    #[arg(long, value_enum, default_value_t = LanChoice::Multicast)]
    pub lan: LanChoice,
    /// Whether neighbours are found by Bluetooth
    #[arg(long, value_enum, default_value_t = BluetoothChoice::Auto)]
    pub bluetooth: BluetoothChoice,
    /// Which Bluetooth adapter, as the system calls it. The first one if it is not given
    #[arg(long, value_name = "NAME")]
    pub adapter: Option<String>,
    /// An address of this machine to listen at; may be given several times. All of them if it is not given
    #[arg(long, value_name = "ADDR")]
    pub bind: Vec<IpAddr>,
    /// Another UDP port than 5353 for multicast, so that the nodes of one test do not meet those of another
    #[arg(long, value_name = "PORT", default_value_t = 5353, hide = true)]
    pub mdns_port: u16,
}

/// How to be on the LAN.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum LanChoice {
    /// mDNS on every interface
    Multicast,
    /// mDNS on the loopback interface alone
    Loopback,
    /// no discovery: links come from scanned codes
    Direct,
    /// no local network
    Off,
}

/// Whether to use Bluetooth.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum BluetoothChoice {
    /// together with --lan multicast: not where several nodes on one machine meet
    Auto,
    /// where there is an adapter
    On,
    /// not at all
    Off,
}

/// How the profile was found.
#[derive(Debug)]
pub struct Found {
    /// What its keystore promises.
    pub level: Level,
    /// Talks whose keys are gone.
    pub lost: Vec<TalkId>,
    /// Records that cannot be read.
    pub corrupt: Vec<Corrupt>,
}

impl Ways {
    /// Whether there is a local network to use.
    pub fn has_lan(&self) -> bool {
        self.lan != LanChoice::Off
    }

    /// Whether Bluetooth is to be used.
    pub fn has_bluetooth(&self) -> bool {
        match self.bluetooth {
            BluetoothChoice::Auto => self.lan == LanChoice::Multicast,
            BluetoothChoice::On => true,
            BluetoothChoice::Off => false,
        }
    }

    fn lan_options(&self, seed: [u8; 32], links: Arc<AtomicU64>) -> Option<LanOptions> {
        let discovery = match self.lan {
            LanChoice::Multicast => Discovery::Multicast,
            LanChoice::Loopback => Discovery::LoopbackOnly,
            LanChoice::Direct => Discovery::Off,
            LanChoice::Off => return None,
        };
        let options = LanOptions::new(seed, links);
        Some(LanOptions { bind: self.bind.clone(), discovery, mdns_port: self.mdns_port, ..options })
    }
}

/// Opens the profile, which is made if it is not there, and restores the node in it.
///
/// # Errors
/// What to do about it.
pub fn open(profile: &Path, ways: &Ways) -> Result<(Parts, Found), Failure> {
    for address in &ways.bind {
        TcpListener::bind((*address, 0)).map_err(|error| {
            Failure::new("bind", format!("{address} cannot be listened at ({error}): give an address of this machine to --bind"))
        })?;
    }
    let [node_seed, vault_seed, lan_seed] = [entropy()?, entropy()?, entropy()?];
    let opened = Vault::open(profile, ways.keystore.clone(), Rng::new(vault_seed)).map_err(|error| cannot_open(&error))?;
    let Opened { vault, records, corrupt, lost } = opened;
    let clock = Clock::start();
    let node = Node::restore(node_seed, clock.now(), clock::wall(), records);
    let found = Found { level: vault.level(), lost, corrupt };
    let links = Arc::new(AtomicU64::new(1));
    let bluetooth = ways.has_bluetooth().then(|| BleOptions { adapter: ways.adapter.clone(), links: links.clone() });
    Ok((Parts { node, vault, clock, lan: ways.lan_options(lan_seed, links), bluetooth, worker: worker::this_binary() }, found))
}

/// The operating system's randomness, once for each generator.
///
/// # Errors
/// There is none.
pub fn entropy() -> Result<[u8; 32], Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|_| Failure::new("failed", "the operating system has no randomness to make keys from"))?;
    Ok(seed)
}

fn cannot_open(error: &VaultError) -> Failure {
    let code = match error {
        VaultError::InUse { .. } => "profile-in-use",
        VaultError::NotYours { .. } | VaultError::Exposed { .. } | VaultError::Io { .. } => "profile-access",
        VaultError::DurableKey { .. } | VaultError::Damaged { .. } => "profile-damaged",
        VaultError::Newer { .. } => "profile-newer",
        VaultError::KeystoreElsewhere(_) | VaultError::Keystore(_) | VaultError::KeyVanished => "keystore",
        VaultError::DiskFull => "disk-full",
        VaultError::TooLong | VaultError::Stopped(_) => "failed",
    };
    Failure::new(code, error)
}
