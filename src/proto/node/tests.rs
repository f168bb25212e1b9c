//! The model check: every order of steps in small worlds of real nodes, to a stated depth. See `model` for how, `laws` for what holds.

mod hostile;
mod laws;
mod model;
mod phone;
mod world;
