//! What the mesh says to whom: who has links to many learns no author by it, and two who meet come to an end.

mod author;
mod full;
mod slow;
