//! Bluetooth LE without a radio: [`air`] is the physics, [`facade`] shows it to programs as BlueZ on D-Bus.
//!
//! Laws: what the air does is a function of the seed and of the times it is told; a program cannot tell the
//! facade from bluetoothd 5.66 by what either promises. It does not pair, encrypt or carry classic Bluetooth.
//!
//! ```no_run
//! # async fn story() -> Result<(), radio::Error> {
//! let facade = radio::Facade::start(radio::Options { phones: 2, seed: 7, ..Default::default() }).await?;
//! // Start a Bluetooth program with DBUS_SYSTEM_BUS_ADDRESS set to this, and another one with phone 1's:
//! println!("{}", facade.phone(0).bus_address());
//! facade.phone(1).place(500.0, 0.0); // out of range: the link between them ends
//! facade.shutdown().await;
//! # Ok(())
//! # }
//! ```

pub mod air;
pub mod facade;

pub use facade::{Error, Facade, Kind, Options, Phone, Record};
