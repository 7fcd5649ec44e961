//! What lookup tables say, as far as someone can ask them.

/// What a lookup table says of a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// This.
    Found(String),
    /// That it has nothing of it.
    Nothing,
    /// Nobody could ask it.
    Unknown,
}

/// Who asks lookup tables, as `postmap -q` does.
pub trait Tables {
    /// What `table`, such as `cidr:/etc/postfix/clients`, says of `key`.
    fn look_up(&self, table: &str, key: &str) -> Answer;
}

/// For settings of another host.
#[derive(Clone, Copy, Debug)]
pub struct NoTables;

impl Tables for NoTables {
    fn look_up(&self, _: &str, _: &str) -> Answer {
        Answer::Unknown
    }
}
