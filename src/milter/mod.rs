//! The milter protocol: what an MTA says becomes a message, and what becomes of that is its
//! reply.
//!
//! The way of a message, from top to bottom:
//!
//! 1. [`listener`] accepts the connection if its door lets the peer in and the [`service`]
//!    has a place for it,
//! 2. [`connection`] reads it until its [`deadline`], [`wire`] cuts what comes into commands,
//!    and [`dialogue`] takes them in their order, by what the [`negotiation`] agreed upon,
//! 3. [`transaction`] is the message: it collects the header section, has
//!    [the signer](crate::signer) decide, and lets the body pass through its hash,
//! 4. a large message, and each signature, waits for its place in the [`turns`]; then the
//!    signer signs or refuses,
//! 5. the connection writes the reply, and [`report`] says what became of the message.
//!
//! [`memory`] bounds what all connections hold of messages that have not come whole. [`drain`]
//! is the end of a listener.

mod connection;
mod deadline;
mod dialogue;
mod drain;
mod listener;
mod memory;
mod negotiation;
mod report;
mod service;
mod transaction;
mod turns;
mod wire;

pub use self::{
    listener::{BoundSocket, ListenerParts, listen},
    memory::HeaderMemory,
    service::{Service, ServiceParts},
    turns::Turns,
};
