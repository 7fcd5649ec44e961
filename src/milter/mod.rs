//! The milter: what an MTA sends becomes a session, and the session says what to insert.
//!
//! The way of a message, from top to bottom:
//!
//! 1. [`listener`] accepts the connection, [`stream`] and [`frames`] watch and limit it,
//! 2. indymilter reads the protocol, [`callbacks`] hand its events to the [`session`],
//! 3. the session collects the header section and asks for a [`decision`],
//! 4. the body passes through `dkim`, and [`signing`] ends it with signatures or a refusal,
//! 5. [`report`] says what became of it.

mod address;
mod callbacks;
mod context;
pub mod decision;
mod frames;
mod listener;
mod report;
mod server;
mod session;
pub mod signing;
mod stream;
mod traffic;

pub use self::{
    listener::BoundSocket,
    server::{ListenerParts, serve},
    traffic::Connections,
};
