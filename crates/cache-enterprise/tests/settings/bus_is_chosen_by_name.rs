//! A bus by settings: processes that choose it hear what ended in the others.

use std::sync::Arc;

use cache_enterprise::core::OpenedBackend;
use cache_enterprise::core::coherence::Bus;
use cache_enterprise::prelude::*;
use cache_enterprise::settings::{Format, SettingsErrors};
use cache_enterprise::{
    BackendConfig, BackendFactory, BackendSource, BusFactory, Clock, Origin, Wiring,
};
use cache_enterprise_testkit::ModelBackend;
use cache_enterprise_testkit::coherence::{InProcessBus, SharedEpochs};
use cache_enterprise_testkit::wait::until_async;

static TEXTS: CacheSpec<u64, String> = CacheSpec::new("texts");

/// What all processes share: a shelf, its numbers, and a wire.
#[derive(Clone, Debug)]
struct Hall {
    clock: Clock,
    shelf: Arc<ModelBackend>,
    epochs: SharedEpochs,
}

#[derive(Clone, Debug)]
struct Wire(Arc<InProcessBus>);

impl Hall {
    fn new() -> Self {
        let clock = Clock::manual();
        let shelf = ModelBackend::new(clock.clone());
        let capabilities = cache_enterprise::Backend::capabilities(&shelf);
        let shared = cache_enterprise::Capabilities { shared: true, ..capabilities };
        let epochs = SharedEpochs::new(clock.clone());
        Self { clock, shelf: Arc::new(shelf.claiming(shared)), epochs }
    }
}

impl BackendFactory for Hall {
    fn source(&self, config: &BackendConfig) -> cache_enterprise::Result<Box<dyn BackendSource>> {
        config.knows_only(&["room", "token"])?;
        let opened = OpenedBackend::new(Arc::new(self.shelf.reopened()));
        Ok(Box::new(opened.with_epochs(Arc::new(self.epochs.another()))))
    }
}

impl BusFactory for Wire {
    fn bus(&self, config: &BackendConfig) -> cache_enterprise::Result<Arc<dyn Bus>> {
        config.knows_only(&["room", "token"])?;
        config.parsed::<u8>("room")?;
        Ok(Arc::new(self.0.another()))
    }
}

fn wiring(hall: &Hall, wire: &Wire) -> Wiring {
    let wiring = Wiring::new().clock(hall.clock.clone());
    wiring.backend("hall", hall.clone()).unwrap().bus("hall", wire.clone()).unwrap()
}

fn settings(text: &str) -> Result<Settings, SettingsErrors> {
    let base = "name = \"fleet\"\n[defaults]\nttl = \"1h\"\njitter = 0\n";
    Settings::builder().text(Format::Toml, format!("{base}{text}")).build()
}

const LEVELS: &str = "[[levels]]\nkind = \"memory\"\n[[levels]]\nkind = \"hall\"\n";

fn refused(text: &str) -> Vec<String> {
    let (hall, wire) = (Hall::new(), Wire(Arc::new(InProcessBus::new())));
    let checked = settings(text).and_then(|settings| wiring(&hall, &wire).check(&settings));
    checked.unwrap_err().problems().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn and_what_one_process_ends_the_other_lets_go() {
    let (hall, wire) = (Hall::new(), Wire(Arc::new(InProcessBus::new())));
    let bus = "[bus]\nkind = \"hall\"\nunsure_max = \"5m\"\npush_max = \"1KiB\"\n";
    let settings = settings(&format!("{LEVELS}{bus}")).unwrap();
    let one = wiring(&hall, &wire).manager(&settings).await.unwrap();
    let other = wiring(&hall, &wire).manager(&settings).await.unwrap();
    let (here, there) = (one.open(&TEXTS).unwrap(), other.open(&TEXTS).unwrap());
    let hears = async |manager: &CacheManager<AnySerde>| {
        until_async("the bus is heard", async || {
            manager.tick();
            manager.bus_stats().is_some_and(|stats| !stats.is_in_doubt)
        })
        .await;
    };
    hears(&one).await;
    hears(&other).await;
    here.set(&1, "old").strict().await.unwrap();
    until_async("level 1 keeps it", async || {
        there.get(&1).await.unwrap().is_some() && there.peek(&1).is_some()
    })
    .await;
    here.set(&1, "new").strict().await.unwrap();
    until_async("the copy is the new one, without a read", async || {
        other.tick();
        there.peek(&1).is_some_and(|text| *text == "new")
    })
    .await;
    let row = |name: &str| other.describe().row(name).unwrap().clone();
    assert_eq!((row("unsure_max").value, row("push_max").value), ("300s".into(), "1024".into()));
    assert_eq!(row("push_max").origin, Origin::settings("text:12:1"));
    assert_eq!(row("bus").origin, Origin::settings("text:10:1"));
}

#[tokio::test]
async fn options_that_nobody_wrote_are_those_of_the_level_of_its_kind() {
    let bus = "options = { room = \"7\" }\n[bus]\nkind = \"hall\"\n";
    let settings = settings(&format!("{LEVELS}{bus}")).unwrap();
    let config = settings.bus().unwrap().config();
    assert_eq!(config.parsed::<u8>("room").unwrap(), Some(7));
    assert_eq!(settings.origin("bus.options.room"), settings.origin("levels.1.options.room"));
    let (hall, wire) = (Hall::new(), Wire(Arc::new(InProcessBus::new())));
    wiring(&hall, &wire).check(&settings).unwrap();
}

#[test]
fn what_is_wrong_is_told_by_key_and_fix() {
    let bus = |text: &str| refused(&format!("{LEVELS}{text}"));
    assert_eq!(
        bus("[bus]\nkind = \"hal\"\n"),
        ["text:10:1: `bus.kind`: no bus is named `hal`; write one of hall, redis, or register a \
          factory with `Wiring::bus`"]
    );
    assert_eq!(
        bus("[bus]\nkind = \"hall\"\noptions = { room = \"attic\" }\n"),
        ["text:11:13: `bus.options.room`: the value of the option cannot be read (backend: hall, \
          option: room, wanted: u8); correct it"]
    );
    assert_eq!(
        bus("[bus]\nkind = \"redis\"\n"),
        ["text:10:1: `bus.kind`: nothing says where Redis is; write url, cluster_nodes or \
          sentinels (backend: redis, option: url); correct it"]
    );
    assert_eq!(
        bus("[bus]\nunsure_max = \"2s\"\n"),
        ["text:10:1: `bus.unsure_max`: says something about a bus, and there is none; remove it, \
          or write `bus.kind`, such as redis"]
    );
    assert_eq!(
        bus("[bus]\npush_max = \"2KiB\"\n"),
        ["text:10:1: `bus.push_max`: says something about a bus, and there is none; remove it, \
          or write `bus.kind`, such as redis"]
    );
    assert_eq!(
        bus("[bus]\nkind = \"hall\"\npush_max = \"65KiB\"\n"),
        ["text:11:1: `bus.push_max`: is more than is pushed; write at most `64KiB`"]
    );
    assert_eq!(
        refused("[bus]\nkind = \"hall\"\n"),
        [
            "text:6:1: `bus.kind`: a bus joins processes that share a level, and there is none below \
          level 1; add a level that all processes share, such as one of kind redis, or remove it"
        ]
    );
}

#[test]
fn a_level_that_numbers_for_one_process_alone_has_no_bus() {
    for kind in ["memory", "disk"] {
        let levels = format!("[[levels]]\nkind = \"memory\"\n[[levels]]\nkind = \"{kind}\"\n");
        assert_eq!(
            refused(&format!("{levels}[bus]\nkind = \"hall\"\n")),
            ["text:10:1: `bus.kind`: a bus joins processes that share a level, and those below \
                 level 1 belong to this one alone; add a level that all processes share, such as \
                 one of kind redis, or remove it"]
        );
    }
}

#[test]
fn below_level_1_is_what_is_below_memory_whatever_its_number() {
    let (hall, wire) = (Hall::new(), Wire(Arc::new(InProcessBus::new())));
    let top = settings("[[levels]]\nkind = \"hall\"\n[bus]\nkind = \"hall\"\n").unwrap();
    wiring(&hall, &wire).check(&top).unwrap();
    let none_below = "l1_enabled = false\n[levels.1]\nkind = \"memory\"\n[bus]\nkind = \"hall\"\n";
    let base = "name = \"fleet\"\n";
    let settings = Settings::builder().text(Format::Toml, format!("{base}{none_below}")).build();
    let told = wiring(&hall, &wire).check(&settings.unwrap()).unwrap_err().to_string();
    assert!(told.contains("there is none below level 1"), "{told}");
}

#[test]
fn a_secret_of_the_bus_is_not_shown() {
    let text = "[bus]\nkind = \"hall\"\noptions = { token = \"canary\" }\n";
    let told = refused(&format!("{LEVELS}{text}")).join("\n");
    assert!(told.contains("bus.options.token") && !told.contains("canary"), "{told}");
}
