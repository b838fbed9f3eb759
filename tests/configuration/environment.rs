//! `${ENV}` and `file:`.

use crate::shop::{SHOP, load, shop_with};
use lapsed::config::Environment;
use lapsed::config::load::from_texts;

// Cargo sets these for every test.
const SET: &str = "CARGO_PKG_NAME";
const SET_TO: &str = env!("CARGO_PKG_NAME");

fn offline(text: &str) -> Result<lapsed::config::Loaded, lapsed::config::LoadErrors> {
    let texts = [("shop.yaml".to_owned(), text.to_owned())];
    from_texts(&texts, Environment::Leave, chrono::NaiveDate::from_ymd_opt(2026, 11, 24).unwrap())
}

fn secret_file(content: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    file
}

#[test]
fn variables_and_files_are_put_in_place() {
    let file = secret_file("from-a-file\n");
    let text = shop_with(&[
        ("application: shop", &format!("application: a-${{{SET}}}-${{{SET}}}")),
        ("bootstrap.servers:", &format!("sasl.password: 'file:{}', bootstrap.servers:", file.path().display())),
    ]);
    let config = load(&text).unwrap().config;
    assert_eq!(config.application, format!("a-{SET_TO}-{SET_TO}"));
    assert_eq!(config.kafka["sasl.password"], "from-a-file", "without the line's end");
}

#[test]
fn what_they_hold_is_data_not_yaml() {
    let file = secret_file("{a: [\"b\n # ${HOME} : c");
    let text = shop_with(&[("0123456789abcdef0123456789abcdef", &format!("'file:{}'", file.path().display()))]);
    assert!(load(&text).is_ok());
}

#[test]
fn what_cannot_be_found_is_told_once() {
    let text = shop_with(&[
        ("Europe/Amsterdam", "${LAPSED_TEST_NOT_SET}"),
        ("key: 0123456789abcdef0123456789abcdef", "key: file:/no/such/file"),
        ("after: P24M", "after: \"${LAPSED_TEST\""),
    ]);
    assert_eq!(
        load(&text).unwrap_err().to_string().lines().collect::<Vec<_>>(),
        [
            "shop.yaml:2:12: time_zone refers to ${LAPSED_TEST_NOT_SET}, which is not set; set it in the environment",
            "shop.yaml:4:17: evidence.key cannot read /no/such/file: No such file or directory (os error 2)",
            "shop.yaml:33:17: policies.offers.stages[1].after has '${' without '}'",
        ]
    );
}

#[test]
fn messages_show_the_reference_not_what_it_holds() {
    let file = secret_file("hunter2");
    let reference = format!("file:{}", file.path().display());
    for key in ["Europe/Amsterdam", "/at", "P1D", "contract", "P24M", "2027-06-01"] {
        let text = SHOP.replacen(key, &format!("'{reference}'"), 1);
        let errors = load(&text).map(|_| ()).unwrap_err().to_string();
        assert!(errors.contains(&reference) && !errors.contains("hunter2"), "{errors}");
    }
}

#[test]
fn offline_no_secret_is_needed() {
    let text = shop_with(&[
        ("localhost:9092", "'${LAPSED_TEST_NOT_SET}', session.timeout.ms: '${LAPSED_TEST_NOT_SET}'"),
        ("0123456789abcdef0123456789abcdef", "file:/no/such/file"),
    ]);
    assert!(load(&text).is_err());
    let config = offline(&text).unwrap().config;
    assert_eq!(config.rules.command_namespace, offline(SHOP).unwrap().config.rules.command_namespace);
    assert_eq!(config.hash, load(SHOP).unwrap().config.hash);
}

#[test]
fn offline_what_is_no_secret_is_still_needed() {
    let zone = |name: &str| shop_with(&[("Europe/Amsterdam", name)]);
    assert_eq!(
        offline(&zone("${LAPSED_TEST_NOT_SET}")).unwrap_err().to_string(),
        "shop.yaml:2:12: time_zone refers to ${LAPSED_TEST_NOT_SET}, which is not set; set it in the environment"
    );
    let application = shop_with(&[("application: shop", &format!("application: ${{{SET}}}"))]);
    assert_eq!(offline(&application).unwrap().config.application, SET_TO);
}
