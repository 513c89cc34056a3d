//! A bad configuration is corrected in one go: all problems, each with place and cure.

#![allow(clippy::unwrap_used)]

use cache_enterprise_core::{Error, ErrorKind};
use cache_enterprise_settings::{Format, Settings};

/// The problems of a text, as lines.
fn problems(text: &str) -> Vec<String> {
    let errors = Settings::builder().text(Format::Toml, text).build().unwrap_err();
    errors.problems().iter().map(ToString::to_string).collect()
}

#[test]
fn from_every_source_with_place_and_cure() {
    let toml = "nmae = \"shop\"\n\n[[levels]]\nmax_size = \"lots\"\n[[levels]]\nkind = \"disk\"\n\
                max_size = 10000\n[timeouts]\nread = \"-1s\"\n";
    let errors = Settings::builder()
        .text(Format::Toml, toml)
        .file("no/such/file.toml")
        .file("settings.ini")
        .env_from("CE_", [("CE_RETRY__ATTEMPTS".into(), "many".into())])
        .set("metrics_port", 8001)
        .build()
        .unwrap_err();
    let cannot_open = std::fs::metadata("no/such/file.toml").unwrap_err();
    let expected = format!(
        "8 problems with the settings\n  \
         text:4:1: `levels.0.max_size`: \"lots\" is not a size; write bytes with a unit, such as \
         \"512MB\" or \"1GiB\", or a number of entries above zero, such as 10000\n  \
         text:1:1: `nmae`: is not a key; did you mean `name`?\n  \
         text:9:1: `timeouts.read`: \"-1s\" is a negative duration; write a duration above zero, \
         such as \"250ms\", \"5m\" or \"1h 30m\"; a plain number is seconds\n  \
         no/such/file.toml: cannot be read: {cannot_open}; check its path and permissions\n  \
         settings.ini: is in no known format; name it .toml, .yaml, .yml or .json\n  \
         env CE_RETRY__ATTEMPTS: `retry.attempts`: \"many\" is not a count; write a whole number \
         from 0 to 4294967295\n  \
         code: `metrics_port`: belongs to `cache-enterprise-monitoring`, which has no settings \
         here yet; remove it, and set up the feature `monitoring` in code where you have it\n  \
         text:7:1: `levels.1.max_size`: a disk is limited in bytes; write a size with a unit, \
         such as \"1GiB\""
    );
    assert_eq!(errors.to_string(), expected);

    let error = Error::from(errors);
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(error.to_string(), format!("load settings: {expected}"));
}

#[test]
fn two_spellings_that_disagree_are_named_both() {
    assert_eq!(
        problems("l1_max_size = 10000\n[[levels]]\nmax_size = \"1GB\"\n"),
        [
            "text:3:1: `levels.0.max_size`: contradicts `l1_max_size` (text:1:1); keep one of the two"
        ]
    );
    let named = |url: &str| {
        format!(
            "redis_url = \"redis://a\"\n[[levels]]\n[[levels]]\nkind = \"redis\"\n\
             options = {{ url = \"{url}\" }}\n"
        )
    };
    assert_eq!(
        problems(&named("redis://b")),
        [
            "text:1:1: `redis_url`: contradicts `levels.1.options.url` (text:5:13); keep one of the two"
        ]
    );
    assert!(Settings::builder().text(Format::Toml, named("redis://a")).build().is_ok());
    let agree = "l1_max_size = \"1GB\"\n[[levels]]\nmax_size = \"1000MB\"\n";
    assert!(Settings::builder().text(Format::Toml, agree).build().is_ok());
}

#[test]
fn levels_are_counted_without_gaps_and_within_bounds() {
    assert_eq!(
        problems("cache_levels = 3\nl2_enabled = true\n"),
        ["text:1:1: `cache_levels`: says 3, and 2 are switched on; correct it, or remove it: the \
          list of levels counts"]
    );
    assert_eq!(
        problems("l3_enabled = true\n"),
        [
            "text:1:1: `levels.2`: there is a level 2 but no level 1; add `levels.1`, or count \
             from 0 without gaps",
            "text:1:1: `levels.2.kind`: nothing says what level 2 is; write its `kind`: memory, \
             disk, or the name of another backend",
        ]
    );
    assert_eq!(
        problems("[levels.01]\nkind = \"disk\"\n"),
        ["text:2:1: `levels.01.kind`: 01 is not the number of a level; count levels from 0; at \
          most 9 can be stacked"]
    );
    assert_eq!(
        problems("[levels.99]\nkind = \"disk\"\n"),
        ["text:2:1: `levels.99.kind`: 99 is not the number of a level; count levels from 0; at \
          most 9 can be stacked"]
    );
    assert_eq!(
        problems("l1_enabled = false"),
        ["text:1:1: `levels`: every level is off; switch one on"]
    );
    assert_eq!(
        problems("levels = 3"),
        ["text:1:1: `levels`: is a table, not a value; write its keys under [levels]"]
    );
}

#[test]
fn what_does_not_fit_the_kind_of_a_level_is_told() {
    assert_eq!(
        problems(
            "[[levels]]\npath = \"x\"\n[[levels]]\nkind = \"redis\"\neviction_policy = \"lfu\"\n"
        ),
        [
            "text:2:1: `levels.0.path`: does not apply to a level of kind memory; remove it, or \
             change the kind",
            "text:5:1: `levels.1.eviction_policy`: does not apply to a level of kind redis; \
             remove it, or change the kind",
        ]
    );
}

#[test]
fn keys_of_other_parts_are_known_and_name_their_crate() {
    let text = "metrics_port = 8001\nencryption_key = \"x\"\n[security_config]\n\
                audit_level = \"full\"\n[cluster_config]\nconsistency_level = \"quorum\"\n";
    let told = problems(text);
    for (key, part) in [
        ("metrics_port", "monitoring"),
        ("encryption_key", "security"),
        ("security_config.audit_level", "security"),
        ("cluster_config.consistency_level", "coordination"),
    ] {
        let line = format!("`{key}`: belongs to `cache-enterprise-{part}`");
        assert!(told.iter().any(|told| told.contains(&line)), "{key}: {told:?}");
    }
    assert_eq!(told.len(), 4);
}

#[test]
fn a_text_that_breaks_off_still_tells_what_it_can() {
    let told = problems("nmae = 1\nname = \"shop\n");
    assert!(told.iter().any(|line| line.contains("did you mean `name`")), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("text:2:")), "{told:?}");
}

#[test]
fn writes_are_settled_below_level_1_only() {
    let errors = Settings::builder()
        .set("levels.0.write_policy", "around")
        .set("levels.1.write_policy", "sometimes")
        .set("levels.2.kind", "disk")
        .set("levels.2.write_queue_max", "5")
        .build()
        .unwrap_err();
    let said: Vec<_> = errors.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "code: `levels.1.write_policy`: \"sometimes\" is no choice; write one of through, \
             behind, around",
            "code: `levels.0.write_policy`: level 1 is written by every call; remove it, or write \
             it to a level below",
            "code: `levels.2.write_queue_max`: there is no queue unless writes go behind; remove \
             it, or set `levels.2.write_policy` to behind",
        ]
    );
}

#[test]
fn a_level_names_its_compressor_and_nothing_else() {
    assert_eq!(
        problems("[levels.1]\nkind = \"disk\"\n[levels.1.compression]\nlevel = 3\n"),
        ["text:4:1: `levels.1.compression.level`: is not a key: a level names its compressor and \
          nothing else; write the name alone, and `compression.threshold` for all levels"]
    );
    assert_eq!(
        problems("[levels.0]\ncompression = \"lz4\"\nretry_attempts = 3\n"),
        [
            "text:2:1: `levels.0.compression`: level 1 holds values as they are; remove it, or \
             write it to a level below",
            "text:3:1: `levels.0.retry_attempts`: a look into level 1 does not fail; remove it, or \
             write it to a level below",
        ]
    );
    let none = Settings::builder().set("levels.0.compression", "none").build();
    assert!(none.is_ok(), "that is how it is");
}

#[test]
fn named_backends_need_an_order_and_fit_their_kind() {
    assert_eq!(
        problems("[backends.redis]\nurl = \"redis://a\"\n[backends.attic]\nmax_size = \"1GB\"\n"),
        [
            "text:4:1: `backends`: there are attic, redis, and nothing says which one is used; \
             write `default_backend`, or list `levels` with their kinds",
            "text:4:1: `backends.attic.max_size`: does not apply to a level of kind attic; \
             remove it, or change the kind",
        ]
    );
    assert_eq!(
        problems("default_backend = \"attic\"\n[[levels]]\n[[levels]]\nkind = \"redis\"\n"),
        ["text:1:1: `default_backend`: no level is the backend `attic`; name the backend of a \
          level, or list it in `levels`"]
    );
    assert_eq!(
        problems("[backends.redis]\npassword = \"hunter2\"\n"),
        [
            "text:2:1: `backends.redis.password`: holds a secret in clear; keep it in an environment \
          variable or a file and write \"env:NAME\" or \"file:PATH\" here"
        ]
    );
}

#[test]
fn a_level_that_is_off_and_of_which_nothing_else_is_said_is_none() {
    for text in ["l3_enabled = false\n", "l3_enabled = false\nl2_enabled = true\n"] {
        let settings = Settings::builder().text(Format::Toml, text).build().unwrap();
        let levels = text.lines().count();
        assert_eq!(settings.levels().len(), levels, "{text}");
    }
    let gap = "l3_enabled = false\n[levels.1]\nkind = \"redis\"\n[levels.3]\nkind = \"disk\"\n";
    let settings = Settings::builder().text(Format::Toml, gap).build().unwrap();
    assert_eq!(settings.levels().len(), 3, "it leaves no gap");
    assert_eq!(
        problems("[levels.2]\nenabled = false\nttl = \"1m\"\n").len(),
        2,
        "it says something of a level that is not there"
    );
}

#[test]
fn two_limits_of_one_thing_do_not_contradict_each_other() {
    assert_eq!(
        problems(
            "[breaker]\nrecovery_timeout = \"5s\"\nrecovery_timeout_max = \"1s\"\n\
             [hedge]\nenabled = true\ndelay_min = \"9ms\"\ndelay_max = \"8ms\"\nshare = 0.004\n\
             [retry]\ndelay = \"250ms\"\n"
        ),
        [
            "text:2:1: `breaker.recovery_timeout`: 5s is more than `breaker.recovery_timeout_max` \
             (1s, text:3:1); correct one of the two",
            "text:6:1: `hedge.delay_min`: 9ms is more than `hedge.delay_max` (8ms, text:7:1); \
             correct one of the two",
            "text:8:1: `hedge.share`: 0.004 is less than half a per cent, so that no read is \
             attempted twice; write 1% or more, or set `hedge.enabled` to false",
            "text:10:1: `retry.delay`: 250ms leaves no time for a further attempt within \
             `retry.within` (250ms, default); correct one of the two, or set `retry.attempts` to 0",
        ]
    );
    let off = "[breaker]\nenabled = false\nrecovery_timeout = \"5s\"\nrecovery_timeout_max = \"1s\"\n\
               [hedge]\nshare = 0\n[retry]\nattempts = 0\ndelay = \"1s\"\n";
    assert!(Settings::builder().text(Format::Toml, off).build().is_ok(), "nothing uses them");
}

#[test]
fn a_limit_that_nobody_wrote_gives_way_to_the_one_beside_it() {
    let settings = Settings::builder()
        .set("breaker.recovery_timeout", "5s")
        .set("hedge.enabled", true)
        .set("hedge.delay_max", "500us")
        .build()
        .unwrap();
    let breaker = settings.breaker().unwrap();
    assert_eq!(breaker.recovery_timeout_max, breaker.recovery_timeout);
    let hedge = settings.hedge().unwrap();
    assert_eq!(hedge.delay_min, hedge.delay_max);
    for (key, value) in [("breaker.recovery_timeout_max", "5s"), ("hedge.delay_min", "500us")] {
        let row = settings.describe().row(key).unwrap();
        assert_eq!((row.value.as_str(), row.origin.to_string().as_str()), (value, "code"), "{key}");
    }
}
