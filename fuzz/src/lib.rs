//! What the fuzz targets share: the rules once more, as simply as they can be written down,
//! and a small world to sign in.
//!
//! A target compares Zegel with the simple form: both would have to be wrong in the same way.

pub mod canonical;
pub mod files;
pub mod from;
pub mod hazards;
pub mod input;
pub mod pieces;
pub mod script;
pub mod talk;
pub mod verify;
pub mod world;
