//! The `rdsup` command: everything is in the library.

fn main() {}
