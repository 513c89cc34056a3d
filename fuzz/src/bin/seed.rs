//! Writes the inputs that the committed corpus starts from, where they are missing.

#![forbid(unsafe_code)]

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use cache_enterprise_fuzz::TARGETS;

fn main() -> io::Result<()> {
    for target in TARGETS {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
        fs::create_dir_all(&directory)?;
        for (number, input) in (target.seeds)().iter().enumerate() {
            let path = directory.join(format!("seed-{number}"));
            match OpenOptions::new().write(true).create_new(true).open(path) {
                Ok(mut file) => file.write_all(input)?,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
