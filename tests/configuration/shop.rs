//! A small configuration without fault, and ways to spoil it.

use chrono::NaiveDate;
use lapsed::config::load::from_texts;
use lapsed::config::{Config, Environment, LoadErrors, Loaded};

pub const SHOP: &str = include_str!("shop.yaml");

/// The example of the design, as it stands there.
pub const DESIGN: &str = include_str!("design.yaml");

/// One file's text, as `shop.yaml`, on 2026-11-24.
pub fn load(text: &str) -> Result<Loaded, LoadErrors> {
    let today = NaiveDate::from_ymd_opt(2026, 11, 24).unwrap();
    from_texts(&[("shop.yaml".to_owned(), text.to_owned())], Environment::Resolve, today)
}

pub fn loaded(text: &str) -> Loaded {
    load(text).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

/// The shop with each `from` replaced by its `to`; each must be there, once.
pub fn shop_with(changes: &[(&str, &str)]) -> String {
    changed(SHOP, changes)
}

pub fn changed(text: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "'{from}' in\n{text}");
        text.replace(from, to)
    })
}

pub fn config_with(changes: &[(&str, &str)]) -> Config {
    loaded(&shop_with(changes)).config
}

/// What is wrong with the shop after the changes, a line each.
pub fn errors_with(changes: &[(&str, &str)]) -> Vec<String> {
    let text = shop_with(changes);
    let errors = load(&text).err().unwrap_or_else(|| panic!("nothing is wrong with\n{text}"));
    errors.0.iter().map(ToString::to_string).collect()
}

pub fn warnings_with(changes: &[(&str, &str)]) -> Vec<String> {
    loaded(&shop_with(changes)).warnings.iter().map(ToString::to_string).collect()
}
