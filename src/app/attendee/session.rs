//! Between window and driver: carries wishes to the node and looks back to the screen, in a thread of its own.
//!
//! Laws: wishes are carried out in their order; the screen gets at most one look per [`FRAME_MIN`], and none while nothing happens; a look
//! holds every edit that was carried out before it.

use super::snapshot::{Snapshot, Wanted};
use super::wish::{Act, Done, Given, Wish};
use super::words;
use crate::app::headless::code::{self, Source};
use crate::app::headless::request::Failure;
use crate::model::event::{PackError, PackLink};
use crate::proto::io::Event;
use crate::shell::driver::{DriverHandle, Notice, Transport};
use crate::shell::keystore::Level;
use alcove_ui::Word;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver};
use tokio::time::{Duration, Instant, sleep_until};

/// No more than thirty looks in a second: text that somebody types elsewhere need not be smoother than that.
const FRAME_MIN: Duration = Duration::from_millis(33);

/// What is told to the screen.
pub enum News {
    /// What there is to show.
    Look(Box<Snapshot>),
    /// What the node tells.
    Event(Event),
    /// What came of a wish.
    Done(Result<Done, Word>),
    /// Whether the local network can be used.
    LanFailed(bool),
    /// A profile was opened.
    Opened {
        /// What its keystore promises.
        level: Level,
        /// So many talks lost their keys.
        lost: usize,
        /// So many records cannot be read.
        corrupt: usize,
        /// It is not the person's own.
        is_practice: bool,
    },
    /// The profile cannot be opened, and what to do.
    CannotOpen(String),
    /// Nothing is left.
    Erased,
}

/// Why a session ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The window is closed, or the driver has ended.
    Over,
    /// The person wants to try it alone.
    Practice,
    /// Nothing is to be left on this device.
    EraseEverything,
}

/// Serves until the window closes or wants another session.
pub async fn serve(
    driver: &DriverHandle,
    wishes: &mut UnboundedReceiver<Wish>,
    notices: &mut Receiver<Notice>,
    tell: impl Fn(News),
) -> End {
    let mut session = Session { driver, tell, wanted: Wanted { board: true, notes: None }, edits: 0 };
    let (mut is_due, mut last) = (true, Instant::now() - FRAME_MIN);
    loop {
        tokio::select! {
            biased;
            () = sleep_until(last + FRAME_MIN), if is_due => {
                (is_due, last) = (false, Instant::now());
                if session.look().await.is_none() {
                    return End::Over;
                }
            }
            wish = wishes.recv() => match wish {
                None => return End::Over,
                Some(Wish::Practice) => return End::Practice,
                Some(Wish::EraseEverything) => return End::EraseEverything,
                Some(wish) => {
                    session.carry_out(wish).await;
                    is_due = true;
                }
            },
            notice = notices.recv() => match notice {
                None => return End::Over,
                Some(notice) => {
                    session.notice(notice);
                    is_due = true;
                }
            },
        }
    }
}

struct Session<'a, T> {
    driver: &'a DriverHandle,
    tell: T,
    wanted: Wanted,
    edits: u64,
}

impl<T: Fn(News)> Session<'_, T> {
    async fn look(&mut self) -> Option<()> {
        let (wanted, edits) = (self.wanted, self.edits);
        self.wanted.board = false;
        let look = self.driver.view(move |node, situation| Snapshot::of(node, situation, wanted, edits)).await.ok()?;
        (self.tell)(News::Look(Box::new(look)));
        Some(())
    }

    async fn carry_out(&mut self, wish: Wish) {
        let done = match wish {
            Wish::Node(act) => self.act(act).await,
            Wish::Look(talk) => {
                (self.wanted.notes, self.edits) = (talk, 0);
                return;
            }
            Wish::Read(given) => self.read(given).await,
            Wish::Switch(transport, on) => {
                if transport == Transport::Lan {
                    (self.tell)(News::LanFailed(false));
                }
                self.driver.switch(transport, on).await.map(|()| Done::Quietly).map_err(Failure::from)
            }
            // They end the session.
            Wish::Practice | Wish::EraseEverything => return,
        };
        (self.tell)(News::Done(done.map_err(|failure| words::failure(failure.code))));
    }

    async fn act(&mut self, act: Act) -> Result<Done, Failure> {
        let (is_edit, is_own_card) = (act.is_edit(), matches!(act, Act::Post(..) | Act::TakeSeat(_) | Act::Withdraw(_)));
        let done = self.driver.change(move |node| act.carry_out(node)).await;
        // Whatever became of it: the next look tells.
        self.edits += u64::from(is_edit);
        self.wanted.board |= is_own_card;
        Ok(done??)
    }

    async fn read(&mut self, given: Given) -> Result<Done, Failure> {
        let act = meant(given).await?;
        self.wanted.board |= matches!(act, Act::Join(_));
        self.act(act).await
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Node(event) => {
                self.wanted.board |= matches!(event, Event::BoardChanged | Event::TalkErased(_) | Event::CardGone(_));
                (self.tell)(News::Event(event));
            }
            Notice::LanFailed(_) => (self.tell)(News::LanFailed(true)),
            Notice::Listening(addresses) if !addresses.is_empty() => (self.tell)(News::LanFailed(false)),
            Notice::NotSaved(_) => (self.tell)(News::Done(Err(Word::NotSaved))),
            Notice::Missed => self.wanted.board = true,
            Notice::Listening(_) | Notice::Relay(_) | Notice::Bluetooth(_) | Notice::Saved => {}
        }
    }
}

/// What is wanted by whoever gives an event's file or code, or the code of a talk.
///
/// # Errors
/// [`Failure`] for what cannot be read or fetched, with what to do.
pub async fn meant(given: Given) -> Result<Act, Failure> {
    let source = match given {
        Given::Path(path) if is_picture(&path) => Source::Text(code::read_text(Source::Image(path)).await?),
        Given::Path(path) => Source::File(path),
        Given::Text(text) => Source::Text(text),
    };
    if let Source::Text(text) = &source
        && PackLink::parse(text).is_err_and(|error| error == PackError::NotALink)
    {
        return Ok(Act::Scan(text.clone()));
    }
    Ok(Act::Join(Box::new(code::fetch_pack(source).await?)))
}

fn is_picture(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"))
}

/// The folder of a person's own profile.
pub fn default_profile() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(home)?;
    Some(data.join("alcove"))
}
