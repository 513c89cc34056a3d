//! A canary in every place where a secret may stand, sought in every text that may leave.

#![allow(clippy::unwrap_used)]

use cache_enterprise_core::Error;
use cache_enterprise_settings::{Format, LevelKind, OptionValue, Settings, SettingsErrors};

const CANARY: &str = "c4n4ry-s3cr3t";

fn every_text(errors: &SettingsErrors) -> String {
    let error = Error::from(errors.clone());
    format!("{errors} {errors:?} {error} {error:?}")
}

#[test]
fn not_in_problems_of_any_format_even_beside_a_syntax_error() {
    let texts = [
        (Format::Toml, "[[levels]]\n[[levels]]\nkind = \"redis\"\noptions.password = \"CANARY\"\n"),
        (Format::Toml, "encryption_key = \"CANARY\"\n"),
        (Format::Toml, "redis_url = \"redis://u:CANARY@host\"\n"),
        (Format::Toml, "redis_url = \"redis://:ab/CANARY=@host:6379\"\n"),
        (Format::Toml, "redis_url = \"redis://a:1,redis://:CANARY@host:6379\"\n"),
        (Format::Toml, "redis_url = \"redis://:p,CANARY@host:6379\"\n"),
        (Format::Toml, "cluster_nodes = [\"u:CANARY@redis-1:6379\"]\n"),
        (Format::Toml, "passwrd = \"CANARY\"\n"),
        (Format::Toml, "password = \"CANARY\n"),
        (Format::Toml, "password = CANARY CANARY\n"),
        (Format::Yaml, "security: {encryption_key: \"CANARY\"}\n"),
        (Format::Yaml, "password: \"CANARY\n"),
        (Format::Yaml, "password: \"CANARY\"\n  x: [\n"),
        (Format::Yaml, "{password: \"CANARY\", password: \"CANARY\"}"),
        (
            Format::Json,
            "{\"levels\": {\"1\": {\"kind\": \"redis\", \"options\": {\"url\": \"redis://:CANARY@h\"}}}}",
        ),
        (Format::Json, "{\"password\": \"CANARY\" \"x\"}"),
        (Format::Json, "{\"password\": \"CANARY"),
    ];
    for (format, text) in texts {
        let text = text.replace("CANARY", CANARY);
        let errors = Settings::builder().text(format, &text).build().unwrap_err();
        assert!(!every_text(&errors).contains(CANARY), "{}", every_text(&errors));
    }
}

#[test]
fn not_in_the_description_nor_in_debug() {
    let settings = Settings::builder()
        .env_from(
            "CE_",
            [
                ("CE_LEVELS__1__KIND".into(), "redis".into()),
                ("CE_LEVELS__1__OPTIONS__PASSWORD".into(), CANARY.into()),
                ("CE_LEVELS__1__OPTIONS__URL".into(), format!("redis://u:{CANARY}@h").into()),
                ("CE_LEVELS__1__OPTIONS__NODES".into(), format!("a:1,u:x/{CANARY}@b:2").into()),
                ("CE_LEVELS__1__OPTIONS__AUTH_TOKEN".into(), "file:/run/secrets/token".into()),
            ],
        )
        .build()
        .unwrap();
    let description = settings.describe();
    let shown = format!("{description} {description:?} {settings:?}");
    assert!(!shown.contains(CANARY), "{shown}");
    let value = |option: &str| {
        let key = format!("levels.1.options.{option}");
        description.row(&key).unwrap().value.clone()
    };
    assert_eq!(value("password"), "*** (env:CE_LEVELS__1__OPTIONS__PASSWORD)");
    assert_eq!(value("url"), "*** (env:CE_LEVELS__1__OPTIONS__URL)");
    assert_eq!(value("nodes"), "*** (env:CE_LEVELS__1__OPTIONS__NODES)");
    assert_eq!(value("auth_token"), "*** (file:/run/secrets/token)");
    let LevelKind::Other { options, .. } = &settings.levels()[1].kind else { panic!() };
    assert!(options.values().all(|value| matches!(value, OptionValue::Secret(_))));
}

#[test]
fn not_by_way_of_code() {
    let errors = Settings::builder()
        .set("levels.1.kind", "redis")
        .set("levels.1.options.password", CANARY)
        .build()
        .unwrap_err();
    assert_eq!(
        errors.to_string(),
        "1 problem with the settings\n  code: `levels.1.options.password`: holds a secret in \
         clear; keep it in an environment variable or a file and write \"env:NAME\" or \
         \"file:PATH\" here"
    );
}

#[test]
fn not_when_its_digits_are_more_than_a_number_holds() {
    const DIGITS: &str = "314159265358979323846264";
    for (format, text) in [
        (Format::Yaml, "password: DIGITS\n"),
        (Format::Yaml, "password: -DIGITS\n"),
        (Format::Yaml, "levels: [{}, {kind: redis, options: {password: DIGITS}}]\n"),
        (Format::Json, "{\"password\": DIGITS}"),
        (Format::Toml, "password = DIGITS\n"),
    ] {
        let text = text.replace("DIGITS", DIGITS);
        let errors = Settings::builder().text(format, &text).build().unwrap_err();
        assert!(!every_text(&errors).contains(DIGITS), "{}", every_text(&errors));
    }
}

#[test]
fn not_in_debug_of_what_is_not_built_yet() {
    let builder = Settings::builder()
        .text(Format::Toml, format!("password = \"{CANARY}\"\n"))
        .file("etc/cache.toml")
        .env_from("CE_", [("CE_REDIS_PASSWORD".into(), CANARY.into())])
        .set("levels.1.options.password", CANARY);
    let shown = format!("{builder:?} {builder:#?}");
    assert!(shown.contains("etc/cache.toml") && !shown.contains(CANARY), "{shown}");
}

#[test]
fn a_variable_that_holds_a_secret_is_no_setting() {
    let settings = |reference: &str, value: std::ffi::OsString| {
        Settings::builder()
            .text(
                Format::Toml,
                format!(
                    "[levels.1]\nkind = \"redis\"\noptions = {{ password = \"{reference}\" }}\n"
                ),
            )
            .env_from("CE_", [("CE_REDIS_PASSWORD".into(), value)])
            .build()
    };
    let read = settings("env:CE_REDIS_PASSWORD", CANARY.into()).unwrap();
    let row = read.describe().row("levels.1.options.password").unwrap();
    assert_eq!(row.value, "*** (env:CE_REDIS_PASSWORD)");
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        let bytes = std::ffi::OsString::from_vec(vec![0xff, 0xfe]);
        settings("env:CE_REDIS_PASSWORD", bytes).unwrap();
    }
    let url = format!("redis://:{CANARY}@host");
    let both = Settings::builder()
        .text(Format::Toml, "[bus]\nkind = \"redis\"\noptions = { url = \"env:CE_REDIS_URL\" }\n")
        .env_from("CE_", [("CE_REDIS_URL".into(), url.into())])
        .build()
        .unwrap();
    assert_eq!(both.levels().len(), 2, "what is a key stays one");
    let errors = settings("env:CE_OTHER", CANARY.into()).unwrap_err();
    assert!(errors.to_string().contains("CE_REDIS_PASSWORD"), "nobody names it: {errors}");
    assert!(!every_text(&errors).contains(CANARY));
}
