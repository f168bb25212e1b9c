//! The beacon: what it shows and when, whom it lets in, and what goes over which link.
//!
//! Laws: id and address change together, behind a silence in which no link stands; the state is of one size whatever comes.

use crate::Broken;
use crate::allowance::Allowance;
use crate::config::{
    ADVERT_BYTES, ADVERTISE_INTERVAL_ALONE_US, ADVERTISE_INTERVAL_US, CELL_BYTES, CONTACT_TIME_MAX_US, GAP_US,
    HANDSHAKE_TIME_MAX_US, IDLE_TIME_MAX_US, LINKS_MAX, LISTEN_US, ROTATION_US,
};
use crate::counter::Counter;
use crate::hardware::{Hardware, between};
use crate::link::Link;
use crate::store::{Links, Store};
use crate::table::Table;

/// Version 1, an attendee: whose advert tells that somebody is about.
const ATTENDEE_HEAD: u8 = 0x10;
/// Cells of a parcel on a link.
const PARCEL_CELLS: usize = 2;

/// What a board tells the firmware.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// It is [`Beacon::wake_at`], or later.
    Wake,
    /// Service data of Alcove's that was heard while listening.
    Heard(&'a [u8]),
    /// Somebody connected and subscribed to our cells. Who connects and does not subscribe is the board's to disconnect, after 5 s.
    Connected(u16),
    /// Bytes that somebody wrote, however they are cut.
    Received(u16, &'a [u8]),
    /// A connection takes cells again.
    Ready(u16),
    /// A connection is gone.
    Disconnected(u16),
}

/// A table's beacon.
pub struct Beacon {
    table: Table,
    counter: Counter,
    shown: Shown,
    /// Somebody was about since the last id began.
    is_visited: bool,
    links: [Option<Link>; LINKS_MAX],
    store: Store,
    handshakes: Allowance,
}

/// What is on the air.
#[derive(Clone, Copy)]
enum Shown {
    /// Nothing: the next id comes when the gap is over.
    Nothing { until: u64 },
    /// An id.
    Id { until: u64 },
}

impl Beacon {
    /// The power is on. It begins with a gap: whoever watches must not see that what went off here comes on again.
    pub fn power_up(hardware: &mut impl Hardware, table: Table) -> Beacon {
        let mut beacon = Beacon {
            table,
            counter: Counter::default(),
            shown: Shown::Nothing { until: 0 },
            is_visited: false,
            links: [const { None }; LINKS_MAX],
            store: Store::default(),
            handshakes: Allowance::default(),
        };
        beacon.fall_silent(hardware);
        beacon
    }

    /// When to hand in [`Input::Wake`] at the latest.
    pub fn wake_at(&self) -> u64 {
        let (Shown::Nothing { until } | Shown::Id { until }) = self.shown;
        let links = self.links.iter().flatten().map(Link::ends);
        links.chain(self.store.next_end()).fold(until, u64::min)
    }

    /// Takes what happened, and does what follows.
    pub fn handle(&mut self, hardware: &mut impl Hardware, input: Input<'_>) {
        let now = hardware.now_us();
        self.store.expire(now);
        match input {
            Input::Wake | Input::Ready(_) => {}
            Input::Heard(advert) => self.is_visited |= advert.len() == ADVERT_BYTES && advert[0] == ATTENDEE_HEAD,
            Input::Connected(connection) => self.connected(hardware, now, connection),
            Input::Received(connection, bytes) => self.received(hardware, now, connection, bytes),
            Input::Disconnected(connection) => {
                if let Some(place) = self.place(connection) {
                    self.leave(place);
                }
            }
        }
        for place in 0..LINKS_MAX {
            if self.links[place].as_ref().is_some_and(|link| link.ends() <= now) {
                self.close(hardware, place);
            }
        }
        self.rotate(hardware, now);
        self.give(hardware, now);
    }

    fn rotate(&mut self, hardware: &mut impl Hardware, now: u64) {
        match self.shown {
            Shown::Id { until } if until <= now => self.fall_silent(hardware),
            Shown::Nothing { until } if until <= now => {
                // A flash that keeps nothing leaves the table silent: an id that comes twice would be worse.
                let Some(counter) = self.counter.next(hardware, &self.table) else {
                    return self.shown = Shown::Nothing { until: now + ROTATION_US.1 };
                };
                let (address, advert) = (address(hardware), self.table.advert(counter));
                let interval = if self.is_visited { ADVERTISE_INTERVAL_US } else { ADVERTISE_INTERVAL_ALONE_US };
                hardware.advertise(address, advert, interval);
                self.is_visited = false;
                self.shown = Shown::Id { until: now + between(hardware, ROTATION_US) };
            }
            Shown::Id { .. } | Shown::Nothing { .. } => {}
        }
    }

    fn fall_silent(&mut self, hardware: &mut impl Hardware) {
        hardware.silence();
        (0..LINKS_MAX).for_each(|place| self.close(hardware, place));
        hardware.listen(LISTEN_US);
        self.shown = Shown::Nothing { until: hardware.now_us() + between(hardware, GAP_US) };
    }

    fn connected(&mut self, hardware: &mut impl Hardware, now: u64, connection: u16) {
        // A number that comes again is a new connection.
        if let Some(place) = self.place(connection) {
            self.leave(place);
        }
        let free = (0..LINKS_MAX).filter(|place| self.links[*place].is_none());
        match self.store.fullest(free).filter(|_| matches!(self.shown, Shown::Id { .. })) {
            Some(place) => self.links[place] = Some(Link::new(connection, now)),
            None => hardware.disconnect(connection),
        }
    }

    fn received(&mut self, hardware: &mut impl Hardware, now: u64, connection: u16, mut bytes: &[u8]) {
        let Some(place) = self.place(connection) else { return };
        while !bytes.is_empty() {
            let Some(link) = &mut self.links[place] else { return };
            let cell = match link.gather(&mut bytes) {
                Ok(Some(cell)) => cell,
                Ok(None) => return,
                Err(Broken) => return self.close(hardware, place),
            };
            if self.take(hardware, now, place, &cell).is_err() {
                return self.close(hardware, place);
            }
        }
    }

    fn take(&mut self, hardware: &mut impl Hardware, now: u64, place: usize, cell: &[u8; CELL_BYTES]) -> Result<(), Broken> {
        let others = self.neighbours() & !(1 << place);
        let Some(link) = &mut self.links[place] else { return Ok(()) };
        if link.is_waiting() {
            return if self.handshakes.take(now) { link.answer(hardware, &self.table.event, cell) } else { Err(Broken) };
        }
        let was_up = link.is_up();
        let parcel = link.open(cell)?;
        if !was_up {
            self.is_visited = true;
            self.store.greet(place);
        }
        if let Some(parcel) = parcel
            && self.store.take(now, place, others, parcel)
        {
            link.news = now;
        }
        Ok(())
    }

    /// Hands over what is owed, as far as the radio takes it. To who has not shown that it is of the event nothing is.
    fn give(&mut self, hardware: &mut impl Hardware, now: u64) {
        for place in 0..LINKS_MAX {
            while let Some(link) = &mut self.links[place]
                && hardware.room(link.connection) >= PARCEL_CELLS
                && let Some(parcel) = self.store.give(place)
            {
                link.news = now;
                if link.send(hardware, &parcel).is_err() {
                    self.close(hardware, place);
                }
            }
        }
    }

    fn neighbours(&self) -> Links {
        let up = self.links.iter().enumerate().filter(|(_, link)| link.as_ref().is_some_and(Link::is_up));
        up.fold(0, |links, (place, _)| links | 1 << place)
    }

    fn place(&self, connection: u16) -> Option<usize> {
        self.links.iter().position(|link| link.as_ref().is_some_and(|link| link.connection == connection))
    }

    fn close(&mut self, hardware: &mut impl Hardware, place: usize) {
        if let Some(link) = self.leave(place) {
            hardware.disconnect(link.connection);
        }
    }

    fn leave(&mut self, place: usize) -> Option<Link> {
        self.store.forget(place);
        self.links[place].take()
    }
}

impl Link {
    /// When it is to be closed.
    fn ends(&self) -> u64 {
        let patience = if self.is_up() { self.news + IDLE_TIME_MAX_US } else { self.since + HANDSHAKE_TIME_MAX_US };
        patience.min(self.since + CONTACT_TIME_MAX_US)
    }
}

/// A non-resolvable private address (Bluetooth Core, Vol 6, Part B, 1.3.2.2): its two highest bits are zero.
fn address(hardware: &mut impl Hardware) -> [u8; 6] {
    let mut address = [0; 6];
    hardware.random(&mut address);
    address[5] &= 0x3f;
    address
}
