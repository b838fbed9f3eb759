//! Several files and directories.

use crate::shop::SHOP;
use chrono::NaiveDate;
use lapsed::config::{Environment, LoadErrors, Loaded, load};
use std::path::{Path, PathBuf};

fn load_all(paths: &[PathBuf]) -> Result<Loaded, LoadErrors> {
    load(paths, Environment::Resolve, NaiveDate::from_ymd_opt(2026, 11, 24).unwrap())
}

/// The shop in two files: what the platform team owns, and what the privacy officer owns.
fn two_files(dir: &Path) -> (PathBuf, PathBuf) {
    let (platform, policies) = SHOP.split_at(SHOP.find("policies:").unwrap());
    let paths = (dir.join("a-platform.yaml"), dir.join("b-policies.yml"));
    std::fs::write(&paths.0, platform).unwrap();
    std::fs::write(&paths.1, policies).unwrap();
    paths
}

#[test]
fn files_and_directories_merge() {
    let dir = tempfile::tempdir().unwrap();
    let (platform, policies) = two_files(dir.path());
    std::fs::write(dir.path().join("notes.txt"), "not: [yaml").unwrap();
    std::fs::write(dir.path().join(".hidden.yaml"), "not: [yaml").unwrap();
    let hash = crate::shop::load(SHOP).unwrap().config.hash;
    assert_eq!(load_all(&[platform.clone(), policies.clone()]).unwrap().config.hash, hash);
    assert_eq!(load_all(&[policies, platform]).unwrap().config.hash, hash);
    assert_eq!(load_all(&[dir.path().to_owned()]).unwrap().config.hash, hash);
}

#[test]
fn a_key_twice_names_both_places_and_the_rest_is_still_checked() {
    let dir = tempfile::tempdir().unwrap();
    let (platform, policies) = two_files(dir.path());
    let third = dir.path().join("c.yaml");
    std::fs::write(&third, "time_zone: UTC\npolicies: {offers: {mode: test}}\ncolour: red\n").unwrap();
    let errors = load_all(&[dir.path().to_owned()]).unwrap_err().to_string();
    let lines: Vec<&str> = errors.lines().collect();
    let [third, platform, policies] = [&third, &platform, &policies].map(|path| path.display().to_string());
    assert_eq!(lines[0], format!("{third}:1:12: time_zone is set twice, first in {platform}:2:12"));
    assert_eq!(lines[1], format!("{third}:2:27: policies.offers.mode is set twice, first in {policies}:11:11"));
    assert!(lines[2].starts_with(&format!("{third}:3:1: colour is not a known key")), "{errors}");
    assert_eq!(lines.len(), 3);
}

#[test]
fn what_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let binary = dir.path().join("binary.yaml");
    std::fs::write(&binary, b"a: \xff\xfe").unwrap();
    let large = dir.path().join("large.yaml");
    std::fs::write(&large, " ".repeat((1 << 20) + 1)).unwrap();
    let missing = dir.path().join("missing.yaml");
    let errors = load_all(&[empty.clone(), binary.clone(), large.clone(), missing.clone()]).unwrap_err().to_string();
    assert_eq!(
        errors.lines().collect::<Vec<_>>(),
        [
            format!("{} holds no *.yaml or *.yml file", empty.display()),
            format!("cannot read {}: it is not UTF-8 text (byte 3)", binary.display()),
            format!("cannot read {}: it is larger than 1 MiB", large.display()),
            format!("cannot read {}: No such file or directory (os error 2)", missing.display()),
        ]
    );
}
