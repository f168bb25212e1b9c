//! Somebody of the event who sits in no talk: has a link to phones, notes every parcel that comes over one, and passes nothing on.
//!
//! Law: each parcel is noted once, however many links it crosses: what it heard is what one shared medium would carry.

use alcove::proto::id::{LinkId, ParcelId};
use alcove::proto::link::{Heard, Link};
use alcove::proto::rng::Rng;
use alcove::proto::time::Instant;
use alcove::proto::wire::frame::Frame;
use alcove::proto::wire::parcel::Parcel;
use std::collections::BTreeMap;

/// The onlooker.
#[derive(Default)]
pub struct Onlooker {
    /// Every parcel it heard, with the most hops that it was seen with.
    pub heard: BTreeMap<ParcelId, Parcel>,
    links: BTreeMap<LinkId, (usize, Link)>,
}

impl Onlooker {
    /// This phone's link ends here.
    pub fn accept(&mut self, now: Instant, event: &[u8], phone: usize, link: LinkId) {
        self.links.insert(link, (phone, Link::accept(now, event)));
    }

    /// Whether this link ends here.
    pub fn holds(&self, link: LinkId) -> bool {
        self.links.contains_key(&link)
    }

    /// Takes what a phone sent; gives the phone and what it is answered.
    ///
    /// # Panics
    /// If the phone breaks the link's rules.
    pub fn hear(&mut self, rng: &mut Rng, link: LinkId, bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
        let (phone, link) = self.links.get_mut(&link)?;
        let mut answer = Vec::new();
        for heard in link.receive(rng, bytes, &[]).expect("an honest phone") {
            match heard {
                Heard::Reply(bytes) => answer.extend(bytes),
                Heard::Frame(Frame::Parcel(parcel)) => {
                    let known = self.heard.entry(parcel.id()).or_insert_with(|| parcel.clone());
                    if known.travel().hops < parcel.travel().hops {
                        *known = parcel;
                    }
                }
                Heard::Frame(Frame::Control(_)) | Heard::Up { .. } => {}
            }
        }
        (!answer.is_empty()).then_some((*phone, answer))
    }
}
