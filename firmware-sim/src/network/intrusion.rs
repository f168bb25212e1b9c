//! Links to somebody who has no phone: see [`crate::intruder`]. What is sent to that end waits until it is looked at.

use super::Network;
use alcove::model::event::SignedPack;
use alcove::proto::id::LinkId;
use alcove::proto::io::{Input, Origin};
use alcove::proto::time::Duration;

/// Ends of links with this number and above are held by nobody's phone.
const INTRUDERS: usize = 1 << 32;

impl Network {
    /// The event that all have joined.
    pub fn pack(&self) -> &SignedPack {
        &self.pack
    }

    /// Opens a link between a phone and somebody who has none; `origin` as the phone is to see it. Gives that end of the link.
    pub(crate) fn intrude(&mut self, phone: usize, origin: Origin) -> LinkId {
        let (theirs, phones) = (LinkId(self.next_link), LinkId(self.next_link + 1));
        let nobody = INTRUDERS + self.next_link as usize;
        self.next_link += 2;
        self.links.insert(theirs, (nobody, phone, phones));
        self.links.insert(phones, (nobody, phone, theirs));
        self.overheard.insert(theirs, Vec::new());
        self.tell(phone, Duration::ZERO, Input::LinkUp { link: phones, origin });
        theirs
    }

    /// Sends bytes over such a link.
    pub(crate) fn inject(&mut self, link: LinkId, bytes: Vec<u8>) {
        self.deliver(link, bytes);
    }

    /// What the phone has sent over such a link since the last look; `None` once the link is broken and all was seen.
    pub(crate) fn overheard(&mut self, link: LinkId) -> Option<Vec<u8>> {
        let bytes = self.overheard.get_mut(&link).map(std::mem::take).unwrap_or_default();
        (self.links.contains_key(&link) || !bytes.is_empty()).then_some(bytes)
    }

    /// Whether such a link stands.
    pub(crate) fn stands(&self, link: LinkId) -> bool {
        self.links.contains_key(&link)
    }

    /// Breaks such a link.
    pub(crate) fn withdraw(&mut self, link: LinkId) {
        if let Some((nobody, phone, _)) = self.links.get(&link).copied() {
            self.break_links(nobody, phone);
        }
    }
}
