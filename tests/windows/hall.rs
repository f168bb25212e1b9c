//! Two windows without a network: what they know of each other they have from the simulated radio, to which the app's own Bluetooth stack
//! talks as to BlueZ.

use super::person::{Person, Table};
use super::{TOPIC, open_talk};
use radio::{Facade, Options};
use std::path::Path;
use tokio::runtime::Runtime;

/// Two people at one table meet in "Around me", open a talk by Bluetooth alone, and are members of one talk to each other there.
pub fn meet(table: &Table<'_>, pack: &Path) {
    let table = &Table { lan: "off", ..*table };
    let pack = pack.to_str().expect("a plain path");
    let runtime = Runtime::new().expect("threads");
    let facade = runtime.block_on(Facade::start(Options { phones: 2, seed: 3, ..Options::default() }));
    let facade = facade.expect("the simulated radio starts");
    let phones = [facade.phone(0), facade.phone(1)];
    phones[1].place(0.2, 0.0);

    phones[1].set_powered(false);
    let one = Person::start_with_radio(table, &phones[0], "near", 20, &[pack]);
    let other = Person::start_with_radio(table, &phones[1], "nearer", 660, &[pack]);
    one.touch("Around me");
    other.touch("Around me");
    other.sees("Nobody can be found now");
    one.sees("0 devices near");
    other.picture("adapter switched off");
    phones[1].set_powered(true);
    other.touch("Try Bluetooth again");
    for person in [&one, &other] {
        person.sees("1 device near");
        person.sees("1 device close");
        person.picture("somebody close");
    }

    one.touch("Talks");
    other.touch("Talks");
    open_talk(&one, &other);
    for person in [&one, &other] {
        person.touch("Back to the talks");
        person.touch("Around me");
    }
    let member = format!("({TOPIC}) is close");
    for person in [&one, &other] {
        person.sees_in_part(&member);
        person.picture("a member close");
        person.touch_in_part(&member);
        person.sees("Nothing said yet");
    }
    one.end();
    other.end();
    runtime.block_on(facade.shutdown());
}
