//! The radio of the node: what it says goes to presence, what presence wants goes out.

use super::Node;
use crate::proto::io::{Event, Output, RadioEvent};
use crate::proto::presence::{Attention, Near};
use crate::proto::talk::Stage;

impl Node {
    pub(super) fn radio(&mut self, event: RadioEvent) {
        // Without an event there is nobody to be there for.
        if self.event.is_none() {
            return;
        }
        match event {
            RadioEvent::On => self.presence.switch(&mut self.rng, self.now, true),
            RadioEvent::Off => self.presence.switch(&mut self.rng, self.now, false),
            RadioEvent::Heard { advert, rssi_dbm } => self.presence.hear(self.now, &advert, rssi_dbm),
            RadioEvent::OutOfReach { id } => self.presence.out_of_reach(self.now, id),
        }
    }

    pub(super) fn tick_radio(&mut self) {
        self.presence.attend(self.attention());
        let commands = self.presence.tick(&mut self.rng, self.now);
        self.out.extend(commands.into_iter().map(Output::Radio));
        if self.presence.take_changed() {
            self.tell(Event::NearbyChanged);
        }
    }

    fn attention(&self) -> Attention {
        let attention = |stage: &Stage| match stage {
            Stage::Drafted(_) => Attention::Background,
            Stage::Open(_) => Attention::Talking,
            Stage::Hosting(_) | Stage::Waiting(_) => Attention::Gathering,
        };
        self.talks.values().map(|talk| attention(&talk.stage)).max().unwrap_or_default()
    }

    /// Who is near by radio, the strongest first; `None`: there is no radio to hear them with.
    pub fn nearby(&self) -> Option<Vec<Near>> {
        self.presence.is_on().then(|| self.presence.near())
    }
}
