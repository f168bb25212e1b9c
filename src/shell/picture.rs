//! Pictures of codes: QR drawn as PNG or as terminal text, and read from a PNG or a camera frame.
//!
//! Laws: what is drawn keeps a quiet zone of 4 modules (ISO/IEC 18004, 6.3.8); a hostile picture costs at most [`PIXELS_MAX`] pixels and
//! is refused before they are allocated. It does not know what the texts mean, and keeps no picture.

use png::{BitDepth, ColorType, Decoder, Encoder, Limits, Transformations};
use qrcode::{EcLevel, QrCode, Version};
use rxing::{BarcodeFormat, DecodeHints};
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// The quiet zone around a code, in modules.
pub const QUIET_MODULES: usize = 4;
/// Pixels per module unless asked otherwise: at 300 dpi a module is 0.7 mm, and a screen's picture survives a messenger.
pub const MODULE_PX: usize = 8;
/// The largest picture that is read: a phone camera's.
pub const PIXELS_MAX: u64 = 32 << 20;
/// The largest PNG file that is read.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// Why there is no picture or no text.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// More than a version 40 code holds.
    #[error("this is too long for one QR code")]
    TextTooLong,
    /// The picture would be unreasonably large.
    #[error("a code of that size would be too large: use fewer pixels per module")]
    DrawingTooLarge,
    /// The file cannot be opened or read.
    #[error("the picture cannot be read ({0}): check the path and whether it is yours")]
    Unreadable(#[from] std::io::Error),
    /// Not a PNG, or a damaged one.
    #[error("this is not a PNG picture, or a damaged one")]
    NotAPicture,
    /// More than [`PIXELS_MAX`] or [`FILE_BYTES_MAX`].
    #[error("this picture is too large: at most 32 megapixels and 64 MiB")]
    PictureTooLarge,
    /// No QR code was found.
    #[error("there is no readable QR code in this picture: come closer, hold still, avoid reflections")]
    NoCode,
}

/// How much of a code may be covered or dirty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Correction {
    /// About 7 %: on a screen, where size matters more.
    Low,
    /// About 15 %: on paper and badges.
    Medium,
}

/// What is behind terminal text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ground {
    /// Light text on a dark ground.
    Dark,
    /// Dark text on a light ground.
    Light,
}

/// A picture in shades of grey, one byte per pixel, row by row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Luma {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` of them; 0 is black.
    pub pixels: Vec<u8>,
}

/// A QR code: which modules are dark.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Qr {
    dark: Vec<bool>,
    modules: usize,
    version: u8,
}

impl Qr {
    /// The smallest code for a text. Texts of the QR alphanumeric set are packed 11 bits to two characters.
    ///
    /// # Errors
    /// [`PictureError::TextTooLong`]: more than a version 40 code holds.
    pub fn new(text: &str, correction: Correction) -> Result<Qr, PictureError> {
        let level = match correction {
            Correction::Low => EcLevel::L,
            Correction::Medium => EcLevel::M,
        };
        let code = QrCode::with_error_correction_level(text, level).map_err(|_| PictureError::TextTooLong)?;
        let version = match code.version() {
            Version::Normal(version) | Version::Micro(version) => version.unsigned_abs() as u8,
        };
        let modules = code.width();
        Ok(Qr { dark: code.into_colors().into_iter().map(|color| color == qrcode::Color::Dark).collect(), modules, version })
    }

    /// The QR version, 1 to 40.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// Modules along one side, without the quiet zone: 17 + 4 × version.
    pub fn modules(&self) -> usize {
        self.modules
    }

    /// Drawn with so many pixels per module (at least 1), quiet zone included.
    ///
    /// # Errors
    /// [`PictureError::DrawingTooLarge`]: more than [`PIXELS_MAX`] pixels.
    pub fn luma(&self, module_px: usize) -> Result<Luma, PictureError> {
        let module_px = module_px.max(1);
        let side = (self.modules + 2 * QUIET_MODULES).saturating_mul(module_px);
        if (side as u64).saturating_mul(side as u64) > PIXELS_MAX {
            return Err(PictureError::DrawingTooLarge);
        }
        let row = |y: usize| (0..side).map(move |x| if self.is_dark(x / module_px, y / module_px) { 0 } else { 255 });
        Ok(Luma { width: side, height: side, pixels: (0..side).flat_map(row).collect() })
    }

    /// A PNG file in shades of grey, with so many pixels per module.
    ///
    /// # Errors
    /// [`PictureError::DrawingTooLarge`]: more than [`PIXELS_MAX`] pixels.
    pub fn png(&self, module_px: usize) -> Result<Vec<u8>, PictureError> {
        self.luma(module_px)?.png()
    }

    /// Terminal text, two rows of modules to a line, for light text on a dark ground or the other way round. It needs no colours, so
    /// it can be copied into a chat.
    pub fn terminal(&self, ground: Ground) -> String {
        let side = self.modules + 2 * QUIET_MODULES;
        let is_ink = |x: usize, y: usize| match ground {
            Ground::Dark => y < side && !self.is_dark(x, y),
            Ground::Light => y < side && self.is_dark(x, y),
        };
        let mut text = String::with_capacity(side * side * 2);
        for y in (0..side).step_by(2) {
            text.extend((0..side).map(|x| match (is_ink(x, y), is_ink(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            }));
            text.push('\n');
        }
        text
    }

    /// With the quiet zone counted.
    fn is_dark(&self, x: usize, y: usize) -> bool {
        match (x.checked_sub(QUIET_MODULES), y.checked_sub(QUIET_MODULES)) {
            (Some(x), Some(y)) => x < self.modules && y < self.modules && self.dark[y * self.modules + x],
            (None, _) | (_, None) => false,
        }
    }
}

impl Luma {
    /// As a PNG file.
    ///
    /// # Errors
    /// [`PictureError::DrawingTooLarge`]: a side does not fit a PNG, or there are not `width * height` pixels.
    pub fn png(&self) -> Result<Vec<u8>, PictureError> {
        let mut file = Vec::new();
        let sides = (u32::try_from(self.width), u32::try_from(self.height));
        let (Ok(width), Ok(height)) = sides else { return Err(PictureError::DrawingTooLarge) };
        let mut encoder = Encoder::new(&mut file, width, height);
        encoder.set_color(ColorType::Grayscale);
        encoder.set_depth(BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&self.pixels));
        written.map_err(|_| PictureError::DrawingTooLarge)?;
        Ok(file)
    }
}

/// The text of the QR code in a PNG file.
///
/// # Errors
/// [`PictureError::Unreadable`], [`PictureError::PictureTooLarge`], [`PictureError::NotAPicture`] or [`PictureError::NoCode`].
pub fn decode_png(path: &Path) -> Result<String, PictureError> {
    let mut bytes = Vec::new();
    let mut file = BufReader::new(File::open(path)?).take(FILE_BYTES_MAX + 1);
    if file.read_to_end(&mut bytes)? as u64 > FILE_BYTES_MAX {
        return Err(PictureError::PictureTooLarge);
    }
    decode_png_bytes(&bytes)
}

/// The text of the QR code in a PNG file's bytes.
///
/// # Errors
/// [`PictureError::PictureTooLarge`], [`PictureError::NotAPicture`] or [`PictureError::NoCode`].
pub fn decode_png_bytes(bytes: &[u8]) -> Result<String, PictureError> {
    let luma = read_png(bytes)?;
    decode_luma(luma.width, luma.height, &luma.pixels)
}

/// The text of the QR code in a camera frame: one byte of brightness per pixel, row by row, without padding.
///
/// # Errors
/// [`PictureError::PictureTooLarge`], [`PictureError::NotAPicture`] (not `width * height` bytes) or [`PictureError::NoCode`].
pub fn decode_luma(width: usize, height: usize, pixels: &[u8]) -> Result<String, PictureError> {
    let (Ok(columns), Ok(rows)) = (u32::try_from(width), u32::try_from(height)) else { return Err(PictureError::PictureTooLarge) };
    if u64::from(columns) * u64::from(rows) > PIXELS_MAX {
        return Err(PictureError::PictureTooLarge);
    }
    if width * height != pixels.len() || pixels.is_empty() {
        return Err(PictureError::NotAPicture);
    }
    // Inverted too: terminal text on a dark ground that was copied onto a light one.
    let mut hints = DecodeHints { TryHarder: Some(true), AlsoInverted: Some(true), ..DecodeHints::default() };
    // The reader is a large port and pictures are foreign: one that it stumbles over holds no code for us.
    let read = catch_unwind(AssertUnwindSafe(|| {
        rxing::helpers::detect_in_luma_slice_with_hints(pixels, columns, rows, Some(BarcodeFormat::QR_CODE), &mut hints)
    }));
    match read {
        Ok(Ok(found)) => Ok(found.getText().to_owned()),
        Ok(Err(_)) | Err(_) => Err(PictureError::NoCode),
    }
}

fn read_png(bytes: &[u8]) -> Result<Luma, PictureError> {
    let invalid = |error: png::DecodingError| match error {
        png::DecodingError::LimitsExceeded => PictureError::PictureTooLarge,
        png::DecodingError::IoError(_) | png::DecodingError::Format(_) | png::DecodingError::Parameter(_) => {
            PictureError::NotAPicture
        }
    };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: 4 * PIXELS_MAX as usize });
    decoder.set_transformations(Transformations::normalize_to_color8());
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let (width, height) = decoder.read_header_info().map_err(invalid)?.size();
    if u64::from(width) * u64::from(height) > PIXELS_MAX {
        return Err(PictureError::PictureTooLarge);
    }
    let mut reader = decoder.read_info().map_err(invalid)?;
    // At most 4 bytes per pixel after the transformation.
    let mut buffer = vec![0; reader.output_buffer_size().ok_or(PictureError::PictureTooLarge)?];
    let frame = reader.next_frame(&mut buffer).map_err(invalid)?;
    buffer.truncate(frame.buffer_size());
    let samples = frame.color_type.samples();
    let pixels = match frame.color_type {
        ColorType::Grayscale => buffer,
        ColorType::Indexed => return Err(PictureError::NotAPicture),
        ColorType::GrayscaleAlpha | ColorType::Rgb | ColorType::Rgba => buffer.chunks_exact(samples).map(brightness).collect(),
    };
    Ok(Luma { width: width as usize, height: height as usize, pixels })
}

/// Rec. 601 brightness of a grey or coloured pixel, with what shines through it taken for white paper.
fn brightness(pixel: &[u8]) -> u8 {
    let (grey, alpha) = match *pixel {
        [grey, alpha] => (u32::from(grey), alpha),
        [r, g, b] => (weigh(r, g, b), 255),
        [r, g, b, alpha] => (weigh(r, g, b), alpha),
        _ => (255, 255),
    };
    let alpha = u32::from(alpha);
    ((grey * alpha + 255 * (255 - alpha)) / 255) as u8
}

fn weigh(r: u8, g: u8, b: u8) -> u32 {
    (299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b)) / 1000
}

#[cfg(test)]
#[path = "picture_tests.rs"]
mod tests;
