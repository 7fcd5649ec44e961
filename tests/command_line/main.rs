//! The commands as their users meet them: the binary, its output and its exit status.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod audit;
mod checks;
mod delegation;
mod dmarc;
mod dns;
mod dns_server;
mod doctor;
mod doctor_filters;
mod doctor_services;
mod explain;
mod keys;
mod keystore;
mod leaving;
mod letter;
mod lists;
mod live;
mod messages;
mod moving;
mod onboarding;
mod onboarding_handover;
mod overview;
mod reports;
mod reports_arriving;
mod rotation;
mod setup;
mod standing;
#[path = "../support/mod.rs"]
mod support;
mod unsigned;
