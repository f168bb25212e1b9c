//! The commands of `alcove node`: each takes its fields, asks the node, and gives what the answer holds.
//!
//! Laws: nothing is carried out before every field was checked; an answer is given when what it says is durable. The names are a stable
//! interface and stand in `docs/NODE.md`.

use super::edit::Asked;
use super::request::{Failure, Fields, Request};
use super::{code, view};
use crate::proto::board::Terms;
use crate::proto::config::{CARD_HOURS_MAX, SEATS_MAX};
use crate::proto::error::Refused;
use crate::proto::handoff::code::Kind;
use crate::proto::id::{CardId, ItemId, LinkId, SeatId, TalkId};
use crate::proto::node::Node;
use crate::proto::talk::entry::SeatNumber;
use crate::shell::driver::{DriverHandle, Transport};
use serde_json::{Map, Value, json};

/// Every command, in the order of the documentation.
pub const NAMES: [&str; 35] = [
    "status",
    "nearby",
    "join-event",
    "set-interests",
    "board",
    "draft-card",
    "post-card",
    "withdraw",
    "take-seat",
    "talks",
    "talk",
    "say",
    "notes",
    "edit",
    "undo",
    "flush",
    "strike",
    "show-handoff",
    "hide-handoff",
    "scan",
    "newcomers",
    "admit",
    "leave-table",
    "animated-code",
    "hide",
    "remove",
    "report",
    "open-reports",
    "reports",
    "leave",
    "close",
    "receipts",
    "online",
    "offline",
    "quit",
];

/// Carries out a command.
///
/// # Errors
/// What to answer instead.
pub async fn carry_out(driver: &DriverHandle, name: &str, mut fields: Fields) -> Result<Value, Failure> {
    let f = &mut fields;
    match name {
        "status" => {
            fields.finish()?;
            Ok(driver.view(view::status).await?)
        }
        "nearby" => {
            fields.finish()?;
            Ok(driver.view(view::nearby).await?)
        }
        "join-event" => {
            let source = code::Source::take(f)?;
            fields.finish()?;
            let pack = code::fetch_pack(source).await?;
            change(driver, move |node| node.join_event(&pack).map(|()| json!({ "joined": view::joined(node.pack()) }))).await
        }
        "set-interests" => {
            let tags =
                f.optional_texts("tags")?.ok_or_else(|| Failure::bad("the field tags is missing: it must be a list of texts"))?;
            fields.finish()?;
            change(driver, move |node| node.set_interests(tags).map(nothing)).await
        }
        "board" => {
            let interests = f.optional_texts("interests")?;
            fields.finish()?;
            if let Some(tags) = interests {
                change(driver, move |node| node.set_interests(tags)).await?;
            }
            Ok(driver.view(|node, _| json!({ "cards": node.board().iter().map(view::card).collect::<Vec<_>>() })).await?)
        }
        "draft-card" => {
            let card = NewCard::take(f)?;
            fields.finish()?;
            let drafted = move |node: &mut Node| node.draft_card(card.terms(node)).map(|talk| json!({ "talk": talk.to_string() }));
            change(driver, drafted).await
        }
        "post-card" => post_card(driver, fields).await,
        "withdraw" => of_talk(driver, fields, |node, talk| node.withdraw(talk)).await,
        "take-seat" => {
            let card = f.hex("card", CardId::from_hex)?;
            fields.finish()?;
            change(driver, move |node| node.take_seat(card).map(|talk| json!({ "talk": talk.to_string() }))).await
        }
        "talks" => {
            fields.finish()?;
            Ok(driver.view(|node, _| json!({ "talks": node.talks().iter().map(view::talk).collect::<Vec<_>>() })).await?)
        }
        "talk" => {
            let talk = talk_of(f)?;
            fields.finish()?;
            driver.view(move |node, _| node.talk(talk).as_ref().map(view::talk)).await?.ok_or(Refused::UnknownTalk.into())
        }
        "say" => {
            let (talk, text) = (talk_of(f)?, f.text("text")?);
            fields.finish()?;
            change(driver, move |node| node.say(talk, &text).map(nothing)).await
        }
        "notes" => {
            let talk = talk_of(f)?;
            fields.finish()?;
            let notes = move |node: &Node| match node.talk(talk) {
                None => Err(Refused::UnknownTalk),
                Some(_) => view::notes(node, talk).ok_or(Refused::NotOpen),
            };
            Ok(driver.view(move |node, _| notes(node)).await??)
        }
        "edit" => edit(driver, fields).await,
        "undo" => of_talk(driver, fields, |node, talk| node.undo(talk)).await,
        "flush" => of_talk(driver, fields, |node, talk| node.flush(talk)).await,
        "strike" => of_talk(driver, fields, |node, talk| node.strike_for_good(talk)).await,
        "show-handoff" => {
            let (talk, newcomers, png) = (talk_of(f)?, f.optional_flag("newcomers")?, f.optional_path("png")?);
            fields.finish()?;
            let kind = if newcomers.unwrap_or(false) { Kind::Newcomers } else { Kind::Members };
            let text = change(driver, move |node| node.show_handoff(talk, kind)).await?;
            code::draw(&text, png.clone()).await?;
            Ok(json!({ "text": text, "png": png }))
        }
        "hide-handoff" => {
            let talk = talk_of(f)?;
            fields.finish()?;
            Ok(driver.change(move |node| node.hide_handoff(talk)).await.map(nothing)?)
        }
        "scan" => {
            let source = code::Source::take(f)?;
            fields.finish()?;
            let text = code::read_text(source).await?;
            let progress = change(driver, move |node| node.scan(&text)).await?;
            Ok(json!({ "code": if progress.is_some() { "animated" } else { "handoff" }, "progress": progress }))
        }
        "newcomers" => {
            let talk = talk_of(f)?;
            fields.finish()?;
            let links = driver.view(move |node, _| node.talk(talk).and_then(|talk| talk.room).map(|room| room.newcomers)).await?;
            let links = links.ok_or(Refused::NotOpen)?;
            Ok(json!({ "links": links.iter().map(|link| link.0).collect::<Vec<_>>() }))
        }
        "admit" => {
            let (link, admitted) = (LinkId(f.number("link", 0..=u64::MAX)?), f.optional_flag("admitted")?.unwrap_or(true));
            fields.finish()?;
            change(driver, move |node| node.admit(link, admitted).map(nothing)).await
        }
        "leave-table" => of_talk(driver, fields, |node, talk| node.leave_table(talk)).await,
        "animated-code" => {
            let (talk, count, folder) =
                (talk_of(f)?, f.optional_number("frames", 1..=code::FRAMES_MAX)?, f.optional_path("png_dir")?);
            fields.finish()?;
            let sender = change(driver, move |node| node.animated_code(talk)).await?;
            code::animate(sender, count, folder).await
        }
        "hide" => {
            let (talk, seat, hidden) = (talk_of(f)?, seat_of(f)?, f.optional_flag("hidden")?.unwrap_or(true));
            fields.finish()?;
            change(driver, move |node| node.hide(talk, seat, hidden).map(nothing)).await
        }
        "remove" => {
            let (talk, seat) = (talk_of(f)?, seat_of(f)?);
            fields.finish()?;
            change(driver, move |node| node.remove(talk, seat).map(nothing)).await
        }
        "report" => {
            let text = f.text("text")?;
            fields.finish()?;
            change(driver, move |node| node.report(&text).map(nothing)).await
        }
        "open-reports" => {
            let path = f.path("keys")?;
            fields.finish()?;
            let keys = crate::app::event::read_keys(&path).map_err(|error| Failure::new("file", format!("{error:#}")))?;
            change(driver, move |node| node.open_reports(keys.report_secret()).map(nothing)).await
        }
        "reports" => {
            fields.finish()?;
            Ok(driver.view(|node, _| json!({ "reports": node.reports().iter().map(view::report).collect::<Vec<_>>() })).await?)
        }
        "leave" => of_talk(driver, fields, |node, talk| node.leave(talk)).await,
        "close" => of_talk(driver, fields, |node, talk| node.close(talk)).await,
        "receipts" => {
            fields.finish()?;
            Ok(driver.view(|node, _| json!({ "receipts": node.receipts().iter().map(view::receipt).collect::<Vec<_>>() })).await?)
        }
        "online" => switch(driver, fields, true).await,
        "offline" => switch(driver, fields, false).await,
        // Its answer is all there is to it here; whoever reads commands ends after it.
        "quit" => fields.finish().map(nothing),
        _ => {
            let known = NAMES.join(", ");
            Err(Failure::new("unknown-command", format!("there is no command {:?}: the commands are {known}", short(name))))
        }
    }
}

/// Drafts a card if none is named, and posts it.
async fn post_card(driver: &DriverHandle, mut fields: Fields) -> Result<Value, Failure> {
    let reply = |(talk, card): (TalkId, CardId)| json!({ "talk": talk.to_string(), "card": card.to_string() });
    if fields.has("talk") {
        let talk = talk_of(&mut fields)?;
        fields.finish()?;
        return change(driver, move |node| node.post_card(talk).map(|card| reply((talk, card)))).await;
    }
    let card = NewCard::take(&mut fields)?;
    fields.finish()?;
    let post = move |node: &mut Node| {
        let talk = node.draft_card(card.terms(node))?;
        node.post_card(talk).map(|card| (talk, card))
    };
    change(driver, move |node| post(node).map(reply)).await
}

async fn edit(driver: &DriverHandle, mut fields: Fields) -> Result<Value, Failure> {
    let (talk, edits) = (talk_of(&mut fields)?, fields.list("edits")?);
    fields.finish()?;
    let asked = edits.into_iter().enumerate().map(|(place, edit)| Asked::parse(edit, place)).collect::<Result<Vec<_>, _>>()?;
    let items: Vec<String> = asked.iter().filter_map(Asked::new_item).map(|id: ItemId| id.to_string()).collect();
    let carry_out = move |node: &mut Node| {
        let seats: Vec<(SeatNumber, SeatId)> = match node.talk(talk).and_then(|talk| talk.room) {
            Some(room) => room.seats.iter().map(|seat| (seat.number, seat.id)).collect(),
            None => Vec::new(),
        };
        let seat = |number| seats.iter().find(|(of, _)| *of == number).map(|(_, id)| *id);
        // Whether there is such a talk comes before who sits in it.
        let edits = match asked.into_iter().map(|asked| asked.resolve(seat)).collect::<Result<Vec<_>, _>>() {
            Err(_) if seats.is_empty() => Vec::new(),
            edits => edits?,
        };
        node.edit(talk, &edits)
    };
    change(driver, carry_out).await?;
    Ok(json!({ "items": items }))
}

async fn switch(driver: &DriverHandle, mut fields: Fields, is_on: bool) -> Result<Value, Failure> {
    let transports = [("lan", Transport::Lan), ("bluetooth", Transport::Bluetooth), ("relay", Transport::Relay)];
    let transport = fields.choice("transport", &transports)?;
    fields.finish()?;
    if transport == Transport::Bluetooth && driver.view(|_, situation| situation.bluetooth).await?.is_none() {
        return Err(Failure::bad("this node was started without Bluetooth and has none to switch"));
    }
    if transport == Transport::Lan && driver.view(|_, situation| situation.lan).await?.is_none() {
        return Err(Failure::bad("this node was started with --lan off and has no local network to switch"));
    }
    driver.switch(transport, is_on).await?;
    Ok(json!({}))
}

/// What a card is to say, before its end is an hour.
#[derive(Debug)]
struct NewCard {
    terms: Terms,
    hours: u32,
}

impl NewCard {
    fn take(f: &mut Fields) -> Result<NewCard, Failure> {
        let seats = 2..=u64::from(SEATS_MAX);
        let pattern = if f.has("pattern") { f.choice("pattern", &view::PATTERNS)? } else { Default::default() };
        let terms = Terms {
            topic: f.text("topic")?,
            tags: f.optional_texts("tags")?.unwrap_or_default(),
            pattern,
            seats_min: f.number("seats_min", seats.clone())?,
            seats_max: f.number("seats_max", seats)?,
            expires_hours: 0,
        };
        Ok(NewCard { terms, hours: f.number("hours", 1..=u64::from(CARD_HOURS_MAX))? })
    }

    fn terms(&self, node: &Node) -> Terms {
        Terms { expires_hours: node.wall().hours().saturating_add(self.hours), ..self.terms.clone() }
    }
}

async fn change<T: Send + 'static>(
    driver: &DriverHandle,
    act: impl FnOnce(&mut Node) -> Result<T, Refused> + Send + 'static,
) -> Result<T, Failure> {
    Ok(driver.change(act).await??)
}

/// A command that needs nothing but its talk.
async fn of_talk(
    driver: &DriverHandle,
    mut fields: Fields,
    act: impl FnOnce(&mut Node, TalkId) -> Result<(), Refused> + Send + 'static,
) -> Result<Value, Failure> {
    let talk = talk_of(&mut fields)?;
    fields.finish()?;
    change(driver, move |node| act(node, talk).map(nothing)).await
}

fn talk_of(fields: &mut Fields) -> Result<TalkId, Failure> {
    fields.hex("talk", TalkId::from_hex)
}

fn seat_of(fields: &mut Fields) -> Result<SeatNumber, Failure> {
    fields.number("seat", 0..=u64::from(SeatNumber::MAX))
}

fn nothing((): ()) -> Value {
    json!({})
}

/// A name that was not understood, not longer than one can read.
fn short(name: &str) -> String {
    name.chars().take(40).collect()
}

/// The answer to a request.
pub async fn reply(driver: &DriverHandle, request: Request) -> Value {
    match carry_out(driver, &request.name, request.fields).await {
        Err(failure) => failure.into_reply(request.id),
        Ok(answer) => {
            let mut reply = Map::from_iter([("reply".to_owned(), request.id), ("ok".to_owned(), Value::Bool(true))]);
            if let Value::Object(answer) = answer {
                reply.extend(answer);
            }
            Value::Object(reply)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_stands_in_the_documentation() {
        let page = include_str!("../../../docs/NODE.md");
        let missing = NAMES.iter().filter(|name| !page.contains(&format!("`{name}`")));
        assert_eq!(missing.collect::<Vec<_>>(), Vec::<&&str>::new());
    }
}
