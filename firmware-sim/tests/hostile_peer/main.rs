//! Hostile neighbours and hostile members against the real node, in virtual time: nothing panics, nothing piles up, and what honest
//! people say still arrives. Each attack has a control in which the same thing done properly works.

mod close;
mod link;
mod member;
mod neighbour;
mod replay;
mod table;
mod world;
