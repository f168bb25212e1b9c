//! Plain data of the event: its signed pack, with room for programme and floor plan.

pub mod event;
