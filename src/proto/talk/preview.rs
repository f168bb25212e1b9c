//! What others type, before it is a change.
//!
//! Law: a preview is never stored, shows one place per seat, and goes when its change comes or when nothing follows it for a while.

use super::entry::SeatNumber;
use crate::proto::config::PREVIEW_TIME;
use crate::proto::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was typed since the last change, on its way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Preview {
    /// Who types.
    pub seat: SeatNumber,
    /// Where in the text, in characters.
    pub at: u32,
    /// How many characters go.
    pub delete: u32,
    /// What comes.
    pub insert: String,
}

/// The last one of each seat.
#[derive(Default)]
#[cfg_attr(test, derive(Clone))]
pub struct Previews {
    by_seat: BTreeMap<SeatNumber, (Preview, Instant)>,
}

impl Previews {
    /// Shows a preview in the place of the seat's last one.
    pub fn keep(&mut self, now: Instant, preview: Preview) {
        self.by_seat.insert(preview.seat, (preview, now + PREVIEW_TIME));
    }

    /// The seat's change has come.
    pub fn drop(&mut self, seat: SeatNumber) {
        self.by_seat.remove(&seat);
    }

    /// What is still typed.
    pub fn fresh(&self, now: Instant) -> impl Iterator<Item = &Preview> {
        self.by_seat.values().filter(move |(_, until)| *until > now).map(|(preview, _)| preview)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_shown_until_its_change_comes_or_nothing_follows_it() {
        let mut previews = Previews::default();
        let typed = |seat, insert: &str| Preview { seat, at: 0, delete: 0, insert: insert.into() };
        previews.keep(Instant(0), typed(1, "a"));
        previews.keep(Instant(1), typed(1, "ab"));
        previews.keep(Instant(1), typed(2, "c"));
        assert_eq!(previews.fresh(Instant(1)).collect::<Vec<_>>(), [&typed(1, "ab"), &typed(2, "c")]);
        previews.drop(2);
        assert_eq!(previews.fresh(Instant(0) + PREVIEW_TIME).collect::<Vec<_>>(), [&typed(1, "ab")]);
        assert_eq!(previews.fresh(Instant(1) + PREVIEW_TIME).count(), 0);
    }
}
