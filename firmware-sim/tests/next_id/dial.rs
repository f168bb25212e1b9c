//! A radio opens one link at a time, whoever floods it with ids.

use alcove::proto::id::EphemeralId;
use alcove::proto::io::RadioCommand;
use alcove::proto::presence::Presence;
use alcove::proto::rng::Rng;
use alcove::proto::time::{Duration, Instant};
use alcove::proto::wire::advert::{Advert, Shower};

#[test]
fn one_link_is_ordered_at_a_time_whoever_floods_the_radio_with_ids() {
    let (mut presence, rng) = (Presence::default(), &mut Rng::new([3; 32]));
    presence.switch(rng, Instant(0), true);
    let mut now = Instant(0) + Duration::from_secs(2);
    presence.tick(rng, now, |_, _| None);
    let mut ordered = 0;
    for number in 0..40_000_u64 {
        now = now + Duration::from_micros(500);
        let mut id = [0xff; 6];
        id[2..].copy_from_slice(&(number as u32).to_be_bytes());
        let advert = Advert { shower: Shower::Attendee, id: EphemeralId(id), hint: [0; 3] };
        presence.hear(now, &advert.to_bytes(), Some(-40));
        let commands = presence.tick(rng, now, |_, _| None);
        ordered += commands.iter().filter(|command| matches!(command, RadioCommand::Connect { .. })).count();
    }
    assert_eq!(ordered, 1, "in twenty seconds none of them was answered, and an order is given up after 35");
}
