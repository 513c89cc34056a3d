//! Alone in its process, because the working directory belongs to all of it.

#![allow(clippy::unwrap_used)]

use std::{env, fs};

use cache_enterprise_settings::Settings;

#[test]
fn load_reads_the_one_standard_file_and_refuses_two() {
    let directory = tempfile::tempdir().unwrap();
    env::set_current_dir(directory.path()).unwrap();
    let nothing = Settings::load().unwrap();
    assert_eq!(nothing.name(), "cache");

    fs::write("cache-enterprise.yaml", "name: shop\n").unwrap();
    let one = Settings::load().unwrap();
    assert_eq!(one.name(), "shop");
    let origin = one.describe().row("name").unwrap().origin.to_string();
    assert_eq!(origin, "cache-enterprise.yaml");

    fs::write("cache-enterprise.toml", "name = \"other\"\n").unwrap();
    let errors = Settings::load().unwrap_err().to_string();
    assert_eq!(
        errors,
        "1 problem with the settings\n  \
         cache-enterprise.toml: cache-enterprise.yaml stands beside it; keep one settings file"
    );
    env::set_current_dir(env::temp_dir()).unwrap();
}
