//! The peripheral's side where there is none: this device finds others and is not found. Same face as on Linux.

use super::BleState;
use crate::proto::config::ADVERT_BYTES;
use crate::proto::io::Input;
use crate::shell::queue::Links;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Nothing.
pub struct Peripheral;

impl Peripheral {
    /// There is none.
    ///
    /// # Errors
    /// None.
    pub async fn open(
        _name: Option<&str>,
        _links: Arc<Links>,
        _events: mpsc::Sender<Input>,
    ) -> Result<Option<Peripheral>, BleState> {
        Ok(None)
    }

    /// Nothing is shown.
    pub async fn advertise(&mut self, _advert: [u8; ADVERT_BYTES], _interval: Duration) {}

    /// Nothing was shown.
    pub async fn silence(&mut self) {}

    /// The end of nothing.
    pub async fn end(self) {}
}
