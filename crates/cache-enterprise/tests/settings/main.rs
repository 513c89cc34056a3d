//! Stories of managers that are built from settings.
#![allow(clippy::unwrap_used)]

mod backends_by_name_are_reached_by_name;
mod bus_is_chosen_by_name;
mod description_names_the_origin_of_each_option;
mod every_accepted_key_takes_effect;
mod everything_wrong_is_told_at_once;
mod level_1_does_what_settings_say;
mod secrets_are_not_in_what_people_see;
mod settings_file_opens_levels_that_outlive_the_process;
mod strategies_are_chosen_by_name;
mod tiers_do_what_settings_say;

use std::sync::Arc;

use cache_enterprise::memory::MemoryBackend;
use cache_enterprise::prelude::*;
use cache_enterprise::settings::SettingsBuilder;
use cache_enterprise::{BackendConfig, BackendFactory, BackendSource, Clock, Wiring};
use cache_enterprise_testkit::Seed;
use cache_enterprise_testkit::chaos::ChaosBackend;

/// A backend of the application's own: memory whose faults a test switches.
#[derive(Clone, Debug)]
struct Shelf(Arc<ChaosBackend>);

impl BackendFactory for Shelf {
    fn source(&self, config: &BackendConfig) -> cache_enterprise::Result<Box<dyn BackendSource>> {
        config.knows_only(&["label", "pool_size", "token"])?;
        config.parsed::<u32>("pool_size")?;
        config.secret("token")?;
        Ok(Box::new(Arc::clone(&self.0)))
    }
}

/// A level 1 and a shelf below it, on a clock that the test moves.
struct World {
    clock: Clock,
    shelf: Arc<ChaosBackend>,
}

impl World {
    fn new() -> Self {
        let clock = Clock::manual();
        let memory = MemoryBackend::new(Capacity::bytes(16 * MIB)).with_clock(clock.clone());
        let shelf = Arc::new(ChaosBackend::new(Arc::new(memory), Seed(7)));
        Self { clock, shelf }
    }

    fn wiring(&self) -> Wiring {
        let wiring = Wiring::new().clock(self.clock.clone());
        wiring.backend("shelf", Shelf(Arc::clone(&self.shelf))).unwrap()
    }

    async fn manager(&self, settings: SettingsBuilder) -> CacheManager<AnySerde> {
        let settings = settings.build().unwrap();
        self.wiring().manager(&settings).await.unwrap()
    }
}

/// Two levels, the lower one a shelf; entries live for ever unless a test says otherwise.
fn two_levels() -> SettingsBuilder {
    one_level().set("levels.1.kind", "shelf")
}

fn one_level() -> SettingsBuilder {
    Settings::builder().set("defaults.ttl", "forever").set("defaults.jitter", "0")
}
