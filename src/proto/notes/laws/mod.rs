//! Laws of the notes.
