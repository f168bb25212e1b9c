//! One command as it comes in: a JSON object whose fields are taken out one by one, each checked where it is taken.
//!
//! Law: a field that is missing, of the wrong kind, out of range or unknown is named in the answer. It does not know the commands.

use super::notice::sentence;
use crate::proto::error::Refused;
use crate::shell::driver::NotAnswered;
use serde_json::{Map, Value, json};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// Why a command was not carried out: a code for programs and a sentence for people.
#[derive(Clone, PartialEq, Debug)]
pub struct Failure {
    /// Stable, see `docs/NODE.md`.
    pub code: &'static str,
    /// What to do.
    pub message: String,
}

impl Failure {
    /// A failure with this code.
    pub fn new(code: &'static str, message: impl Display) -> Failure {
        Failure { code, message: sentence(message) }
    }

    /// A field that is not as it must be.
    pub fn bad(message: impl Display) -> Failure {
        Failure::new("bad-request", message)
    }

    /// The answer to the request with this id.
    pub fn into_reply(self, id: Value) -> Value {
        json!({ "reply": id, "error": self.code, "message": self.message })
    }
}

impl From<NotAnswered> for Failure {
    fn from(why: NotAnswered) -> Failure {
        let code = match why {
            NotAnswered::NotSaved(_) => "not-saved",
            NotAnswered::Ended => "ended",
        };
        Failure::new(code, why)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        let code = match refused {
            Refused::NoEvent => "no-event",
            Refused::PackInvalid => "pack-invalid",
            Refused::EventOver => "event-over",
            Refused::OtherEvent => "other-event",
            Refused::UnknownTalk => "unknown-talk",
            Refused::UnknownCard => "unknown-card",
            Refused::OwnCard => "own-card",
            Refused::SeatTaken => "seat-taken",
            Refused::Full => "full",
            Refused::NotOpen => "not-open",
            Refused::Closing => "closing",
            Refused::ReadOnly => "read-only",
            Refused::NoProposal => "no-proposal",
            Refused::OutOfRange => "out-of-range",
            Refused::TooMany => "too-many",
            Refused::NotACode => "not-a-code",
            Refused::CodeExpired => "code-expired",
            Refused::CodeOfOtherEvent => "code-of-other-event",
            Refused::NobodyWaits => "nobody-waits",
            Refused::UnknownSeat => "unknown-seat",
            Refused::NotChair => "not-chair",
            Refused::NoLan => "no-lan",
            Refused::NotOrganizer => "not-organizer",
        };
        Failure::new(code, refused)
    }
}

/// A command that was asked for.
#[derive(Debug)]
pub struct Request {
    /// Given back with the answer, whatever it is.
    pub id: Value,
    /// Which command.
    pub name: String,
    /// What it needs.
    pub fields: Fields,
}

impl Request {
    /// Reads a line.
    ///
    /// # Errors
    /// The answer to give.
    pub fn parse(line: &[u8]) -> Result<Request, Value> {
        let not_json = |why: &dyn Display| {
            Failure::new(
                "not-json",
                format!("this line is not a JSON object ({why}): write one object per line, such as {EXAMPLE}"),
            )
            .into_reply(Value::Null)
        };
        let value: Value = serde_json::from_slice(line).map_err(|error| not_json(&error))?;
        let Value::Object(mut map) = value else { return Err(not_json(&"it is another JSON value")) };
        let id = map.remove("id").unwrap_or(Value::Null);
        match map.remove("do") {
            Some(Value::String(name)) => Ok(Request { id, name, fields: Fields { map, within: String::new() } }),
            Some(_) | None => {
                let missing = format!("the field \"do\" must name a command, as in {EXAMPLE}");
                Err(Failure::bad(missing).into_reply(id))
            }
        }
    }
}

const EXAMPLE: &str = r#"{"id":1,"do":"status"}"#;

/// The fields of a command, or of an object inside it.
#[derive(Debug)]
pub struct Fields {
    map: Map<String, Value>,
    /// Where we are, for messages: empty, or `edits[2].splice.`
    within: String,
}

impl Fields {
    /// The fields of an object inside a command.
    ///
    /// # Errors
    /// It is not an object.
    pub fn of(value: Value, place: &str) -> Result<Fields, Failure> {
        match value {
            Value::Object(map) => Ok(Fields { map, within: format!("{place}.") }),
            other => Err(Failure::bad(format!("{place} must be an object, not {}", kind(&other)))),
        }
    }

    /// Whether the field is there.
    pub fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// A text.
    ///
    /// # Errors
    /// Missing, or not a text.
    pub fn text(&mut self, name: &str) -> Result<String, Failure> {
        self.optional_text(name)?.ok_or_else(|| self.missing(name, "a text"))
    }

    /// A text that may be missing.
    ///
    /// # Errors
    /// Not a text.
    pub fn optional_text(&mut self, name: &str) -> Result<Option<String>, Failure> {
        match self.map.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(name, "a text", &other)),
        }
    }

    /// A path.
    ///
    /// # Errors
    /// Missing, or not a text.
    pub fn path(&mut self, name: &str) -> Result<PathBuf, Failure> {
        self.text(name).map(PathBuf::from)
    }

    /// A path that may be missing.
    ///
    /// # Errors
    /// Not a text.
    pub fn optional_path(&mut self, name: &str) -> Result<Option<PathBuf>, Failure> {
        Ok(self.optional_text(name)?.map(PathBuf::from))
    }

    /// A list of texts that may be missing.
    ///
    /// # Errors
    /// Not a list of texts.
    pub fn optional_texts(&mut self, name: &str) -> Result<Option<Vec<String>>, Failure> {
        let Some(value) = self.map.remove(name) else { return Ok(None) };
        let wrong = self.wrong(name, "a list of texts", &value);
        let Value::Array(items) = value else { return Err(wrong) };
        let texts = items.into_iter().map(|item| if let Value::String(text) = item { Some(text) } else { None });
        texts.collect::<Option<Vec<_>>>().map(Some).ok_or(wrong)
    }

    /// A list.
    ///
    /// # Errors
    /// Missing, or not a list.
    pub fn list(&mut self, name: &str) -> Result<Vec<Value>, Failure> {
        match self.map.remove(name) {
            None => Err(self.missing(name, "a list")),
            Some(Value::Array(items)) => Ok(items),
            Some(other) => Err(self.wrong(name, "a list", &other)),
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// Missing, not a whole number, or out of the range.
    pub fn number<T: TryFrom<u64>>(&mut self, name: &str, range: RangeInclusive<u64>) -> Result<T, Failure> {
        let what = format!("a whole number from {} to {}", range.start(), range.end());
        self.optional_number(name, range)?.ok_or_else(|| self.missing(name, &what))
    }

    /// A whole number that may be missing.
    ///
    /// # Errors
    /// Not a whole number, or out of the range.
    pub fn optional_number<T: TryFrom<u64>>(&mut self, name: &str, range: RangeInclusive<u64>) -> Result<Option<T>, Failure> {
        let Some(value) = self.map.remove(name) else { return Ok(None) };
        let number = value.as_u64().filter(|number| range.contains(number)).and_then(|number| T::try_from(number).ok());
        let what = format!("a whole number from {} to {}", range.start(), range.end());
        number.map(Some).ok_or_else(|| self.wrong(name, &what, &value))
    }

    /// A number that may be missing, or null to take it away.
    ///
    /// # Errors
    /// Neither a whole number in the range nor null.
    pub fn nullable_number<T: TryFrom<u64>>(
        &mut self,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<Option<T>>, Failure> {
        if self.map.get(name).is_some_and(Value::is_null) {
            self.map.remove(name);
            return Ok(Some(None));
        }
        Ok(self.optional_number(name, range)?.map(Some))
    }

    /// True or false, or missing.
    ///
    /// # Errors
    /// Neither.
    pub fn optional_flag(&mut self, name: &str) -> Result<Option<bool>, Failure> {
        match self.map.remove(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.wrong(name, "true or false", &other)),
        }
    }

    /// A name as this program prints it.
    ///
    /// # Errors
    /// Missing, or not so many hex digits.
    pub fn hex<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, Failure> {
        let text = self.text(name)?;
        let within = &self.within;
        read(&text).ok_or_else(|| {
            Failure::bad(format!("the field {within}{name} must be the hex digits that this program printed for it"))
        })
    }

    /// One of several words.
    ///
    /// # Errors
    /// Missing, or another word.
    pub fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Result<T, Failure> {
        let text = self.text(name)?;
        choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            Failure::bad(format!("the field {}{name} must be one of: {}", self.within, words.join(", ")))
        })
    }

    /// Everything was taken.
    ///
    /// # Errors
    /// A field is left that the command does not know.
    pub fn finish(self) -> Result<(), Failure> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(name) => Err(Failure::bad(format!("there is no field {}{name} here: see docs/NODE.md", self.within))),
        }
    }

    fn missing(&self, name: &str, what: &str) -> Failure {
        Failure::bad(format!("the field {}{name} is missing: it must be {what}", self.within))
    }

    fn wrong(&self, name: &str, what: &str, found: &Value) -> Failure {
        Failure::bad(format!("the field {}{name} must be {what}, not {}", self.within, kind(found)))
    }
}

/// What a value is, without repeating what may be somebody's words.
fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(value: Value) -> Fields {
        Fields::of(value, "x").unwrap()
    }

    #[test]
    fn every_wrong_field_is_named() {
        let message = |failure: Failure| failure.message;
        assert_eq!(message(fields(json!({})).text("talk").unwrap_err()), "The field x.talk is missing: it must be a text.");
        assert_eq!(
            message(fields(json!({"n": -1})).number::<u8>("n", 0..=9).unwrap_err()),
            "The field x.n must be a whole number from 0 to 9, not -1."
        );
        assert_eq!(
            message(fields(json!({"n": 300})).number::<u8>("n", 0..=999).unwrap_err()),
            "The field x.n must be a whole number from 0 to 999, not 300."
        );
        assert_eq!(message(fields(json!({"f": 1})).optional_flag("f").unwrap_err()), "The field x.f must be true or false, not 1.");
        assert_eq!(
            message(fields(json!({"t": ["a", 1]})).optional_texts("t").unwrap_err()),
            "The field x.t must be a list of texts, not a list."
        );
        assert_eq!(
            message(fields(json!({"c": "z"})).choice("c", &[("a", 1), ("b", 2)]).unwrap_err()),
            "The field x.c must be one of: a, b."
        );
        assert_eq!(message(fields(json!({"typo": 1})).finish().unwrap_err()), "There is no field x.typo here: see docs/NODE.md.");
    }

    #[test]
    fn a_line_that_is_no_command_gets_an_answer_with_its_id_if_it_has_one() {
        assert_eq!(Request::parse(b"{nonsense").unwrap_err()["error"], "not-json");
        assert_eq!(Request::parse(b"[1]").unwrap_err()["error"], "not-json");
        let nameless = Request::parse(br#"{"id": [7]}"#).unwrap_err();
        assert_eq!((&nameless["reply"], &nameless["error"]), (&json!([7]), &json!("bad-request")));
        let request = Request::parse(br#"{"id": "a", "do": "say", "text": "hi"}"#).unwrap();
        assert_eq!((request.id, request.name.as_str()), (json!("a"), "say"));
    }
}
