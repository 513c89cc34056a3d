//! Prints the table of all keys, as `KEYS.md` holds it.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    io::stdout().write_all(cache_enterprise_settings::keys::markdown().as_bytes())
}
