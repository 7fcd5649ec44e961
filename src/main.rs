//! The `zegel` command: arguments in, exit code out.

fn main() {}
