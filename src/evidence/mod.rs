//! What reports prove: kept, rolled up, and sorted into streams. It knows reports and nothing of
//! keys or configuration.
//!
//! [`rollup`] says what is kept of a report, [`identity`] what its rows are known by, and
//! [`store`] keeps it. [`streams`] sorts what is kept by who sends it, and [`selectors`] by the key
//! that signed it.

pub mod identity;
pub mod rollup;
pub mod selectors;
mod store;
pub mod streams;
pub mod suffix;
mod varint;

#[cfg(test)]
pub(crate) mod tests;

pub use rollup::Rollup;
pub use store::{Incoming, NumberKind, Numbers, Store, StoreError, Taken, standing};
