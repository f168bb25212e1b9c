//! Codes and files at the edge of the commands: event packs read and fetched, pictures of codes read and drawn.
//!
//! Laws: a foreign file is read to its bound and no further; a picture of a handoff code can be read by its owner only; heavy drawing
//! and reading happens beside the node's loop.

use super::request::{Failure, Fields};
use crate::model::event::{PackError, PackLink, SignedPack, signed};
use crate::proto::error::Refused;
use crate::proto::handoff::fountain::Sender;
use crate::shell::picture::{Correction, MODULE_PX, PictureError, Qr, decode_png};
use crate::shell::relay::{self, RelayAddress};
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Frames of one answer: more than the longest notes need.
pub const FRAMES_MAX: u64 = 1_000;

/// Where a code or a pack comes from.
#[derive(Debug)]
pub enum Source {
    /// A pack's file.
    File(PathBuf),
    /// A code's text.
    Text(String),
    /// A picture of a code.
    Image(PathBuf),
}

impl Source {
    /// Takes the one of the fields `file` (for packs), `link` or `text`, and `image` that is given.
    ///
    /// # Errors
    /// None or several are given.
    pub fn take(fields: &mut Fields) -> Result<Source, Failure> {
        let file = fields.optional_path("file")?.map(Source::File);
        let link = fields.optional_text("link")?.map(Source::Text);
        let text = fields.optional_text("text")?.map(Source::Text);
        let image = fields.optional_path("image")?.map(Source::Image);
        let mut given = [file, link, text, image].into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(source), None) => Ok(source),
            _ => Err(Failure::bad(
                "give exactly one of: text (or link) with the code's text, image with the path of its picture, file with the path of an event pack",
            )),
        }
    }
}

/// The event pack that a file, a code or a picture of a code stands for.
pub async fn fetch_pack(source: Source) -> Result<SignedPack, Failure> {
    let text = match source {
        Source::File(path) => return beside(move || Ok(SignedPack::decode(&read_file(&path, signed::PACK_BYTES_MAX)?)?)).await,
        source => read_text(source).await?,
    };
    let link = PackLink::parse(&text)?;
    let (url, sha256, tls_pin) = match &link {
        PackLink::Inline(_) => return Ok(link.accept(&[])?),
        PackLink::Fetch { url, sha256, tls_pin } => (url.clone(), *sha256, *tls_pin),
    };
    if url.starts_with("https://") {
        return Err(Failure::new(
            "fetch-failed",
            format!("this code names a page on the web: load {url} yourself and join with the file"),
        ));
    }
    let fetched = relay::fetch_pack(&RelayAddress { url, tls_pin }, sha256).await;
    let bytes = fetched.map_err(|error| Failure::new("fetch-failed", error))?;
    Ok(link.accept(&bytes)?)
}

/// The text of a code.
pub async fn read_text(source: Source) -> Result<String, Failure> {
    match source {
        Source::Text(text) => Ok(text),
        Source::Image(path) => beside(move || Ok(decode_png(&path)?)).await,
        Source::File(_) => Err(Failure::bad("file is for event packs: give text or image")),
    }
}

/// Draws a code into a file, if one is wanted.
pub async fn draw(text: &str, png: Option<PathBuf>) -> Result<(), Failure> {
    let Some(path) = png else { return Ok(()) };
    let text = text.to_owned();
    beside(move || write_picture(&path, &text)).await
}

/// So many frames of an animated code, by default a few more than are needed; drawn too, if a folder is given.
pub async fn animate(sender: Sender, count: Option<u64>, folder: Option<PathBuf>) -> Result<Value, Failure> {
    beside(move || {
        let needed = sender.frames_needed();
        let count = count.and_then(|count| usize::try_from(count).ok()).unwrap_or(needed + needed / 10 + 2);
        let frames: Vec<String> = sender.frames().take(count).collect();
        let mut pictures = Vec::new();
        if let Some(folder) = folder {
            fs::create_dir_all(&folder).map_err(|error| unreadable(&folder, "made", &error))?;
            for (number, frame) in frames.iter().enumerate() {
                let path = folder.join(format!("frame-{number:04}.png"));
                write_picture(&path, frame)?;
                pictures.push(path);
            }
        }
        Ok(json!({ "needed": needed, "frames": frames, "pngs": pictures }))
    })
    .await
}

fn write_picture(path: &Path, text: &str) -> Result<(), Failure> {
    let png = Qr::new(text, Correction::Medium)?.png(MODULE_PX)?;
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(&png)).map_err(|error| unreadable(path, "written", &error))
}

/// At most one byte more than `bytes_max`, so that whoever parses it finds it too large.
fn read_file(path: &Path, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(bytes_max as u64 + 1).read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|error| unreadable(path, "read", &error))
}

fn unreadable(path: &Path, what: &str, error: &io::Error) -> Failure {
    Failure::new("file", format!("{} cannot be {what} ({error}): check the path and whether it is yours", path.display()))
}

/// Away from the loop, because it takes a while.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Failure::new("failed", "this is a defect of Alcove, please report it")))
}

impl From<PackError> for Failure {
    fn from(error: PackError) -> Failure {
        // The code is the node's, the sentence is the one that knows more.
        Failure::new(Failure::from(Refused::from(error)).code, error)
    }
}

impl From<PictureError> for Failure {
    fn from(error: PictureError) -> Failure {
        let code = match &error {
            PictureError::Unreadable(_) => "file",
            PictureError::NoCode => "no-code",
            PictureError::NotAPicture | PictureError::PictureTooLarge => "not-a-picture",
            PictureError::TextTooLong | PictureError::DrawingTooLarge => "out-of-range",
        };
        Failure::new(code, error)
    }
}
