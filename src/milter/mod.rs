//! The milter: what an MTA sends becomes a session, and the session says what to insert.
//!
//! The way of a message, from top to bottom:
//!
//! 1. [`listener`] accepts the connection if its [`door`] lets the peer in, [`service`] has a
//!    place for it, and [`tenancy`] limits its time,
//! 2. [`connection`] reads it, [`wire`] cuts it into commands, [`dialogue`] takes them in
//!    their order and tells the [`session`],
//! 3. the session has the header section [`collected`] and asks for a [decision](crate::signer::decide),
//! 4. the body passes through `dkim`; a large one, and each signature, waits for its place in
//!    the [`turns`], and [the signer](crate::signer::Work) ends the message with signatures or a refusal,
//! 5. the connection writes the reply, and [`report`] says what became of the message.

mod address;
mod collected;
mod connection;
mod context;
mod dialogue;
mod door;
mod fair_queue;
mod listener;
mod negotiation;
mod report;
mod server;
mod service;
mod session;
mod tenancy;
mod traffic;
mod turns;
mod wire;

pub use self::{
    door::BoundSocket,
    server::{ListenerParts, serve},
    service::{Service, ServiceParts},
    turns::Turns,
};
