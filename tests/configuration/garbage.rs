//! Whatever a file holds, it is answered with errors: no panic, no endless work, and nothing that is
//! read only in part.

use crate::shop::{DESIGN, SHOP, load};
use chrono::NaiveDate;
use lapsed::config::Environment;
use lapsed::config::load::from_texts;
use proptest::prelude::*;
use std::fmt::Write as _;

/// Whatever loads must hold every source, target and policy of the file.
fn loads_whole_or_not_at_all(text: &str) {
    if let Ok(loaded) = load(text) {
        let config = loaded.config;
        // The shop's two sources, two targets and one policy are at the start of lines, two spaces in.
        let names = text.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")).count();
        assert_eq!(config.sources.len() + config.rules.targets.len() + config.rules.policies.len(), names, "{text}");
        assert_eq!(config.sources.len(), config.rules.sources.len());
        assert_eq!(config.texts.len(), config.rules.policies.len());
        for (source, trust) in config.sources.iter().zip(&config.rules.sources) {
            assert_eq!((source.rules.len(), &source.key), (trust.rules.len(), &trust.key));
        }
    }
}

#[test]
fn deep_wide_and_endless() {
    let deep = 200_000;
    let mut laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (before, name) in ('a'..='k').zip('b'..='l') {
        let _ = writeln!(laughs, "{name}: &{name} [{}]", vec![format!("*{before}"); 9].join(", "));
    }
    for text in [
        "[".repeat(deep),
        "{a: ".repeat(deep),
        "- ".repeat(deep),
        "? ".repeat(deep),
        "&a ".repeat(deep),
        "a: [".to_owned() + &"[], ".repeat(deep) + "]",
        (0..deep).fold(String::new(), |mut text, n| {
            let _ = writeln!(text, "k{n}: v");
            text
        }),
        laughs,
        "x".repeat(1_000_000),
        "a: |\n".to_owned() + &" x\n".repeat(deep),
        "\u{feff}".repeat(10),
        "\0\0\0".to_owned(),
        "%YAML 9.9\n---\na: 1".to_owned(),
        "!!binary a: !<tag:x> b".to_owned(),
        "a: 1\n...\n...\n".to_owned(),
    ] {
        let head: String = text.chars().take(40).collect();
        assert!(load(&text).is_err(), "{head}");
    }
}

#[test]
fn messages_cannot_steer_a_terminal() {
    let errors = load(&SHOP.replacen("P1D", "\"\\e[2J\\r\\0\"", 1)).unwrap_err().to_string();
    assert!(!errors.contains(['\u{1b}', '\r', '\0']), "{errors:?}");
    let long = load(&SHOP.replacen("P1D", &"x".repeat(100_000), 1)).unwrap_err().to_string();
    assert!(long.len() < 400, "{}", long.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text(text in any::<String>()) {
        let _ = load(&text);
    }

    #[test]
    fn text_of_yaml(text in "[-\\[\\]{}:,?&*!|>'\"%@#a-c1 \n\t~<]{0,200}") {
        let _ = load(&text);
    }

    /// The shop with a line left out, doubled or moved.
    #[test]
    fn lines_astray(from in 0usize..36, to in 0usize..36, what in 0..3) {
        let mut lines: Vec<&str> = SHOP.lines().collect();
        match what {
            0 => _ = lines.remove(from),
            1 => lines.insert(to, lines[from]),
            _ => {
                let line = lines.remove(from);
                lines.insert(to.min(lines.len()), line);
            }
        }
        loads_whole_or_not_at_all(&lines.join("\n"));
    }

    /// The design's example with a few characters replaced, and a line moved.
    #[test]
    fn the_design_astray(
        from in 0usize..DESIGN.lines().count(), to in 0usize..DESIGN.lines().count(), at in 0usize..DESIGN.len(),
        by in "[-\\[\\]{}:,a-z0-9/~*^. %\"]{0,6}"
    ) {
        prop_assume!(DESIGN.is_char_boundary(at));
        let end = (at + by.len()).min(DESIGN.len());
        prop_assume!(DESIGN.is_char_boundary(end));
        let text = format!("{}{by}{}", &DESIGN[..at], &DESIGN[end..]);
        let mut lines: Vec<&str> = text.lines().collect();
        let line = lines.remove(from.min(lines.len() - 1));
        lines.insert(to.min(lines.len()), line);
        for text in [text.clone(), lines.join("\n")] {
            let texts = [("design.yaml".to_owned(), text)];
            let _ = from_texts(&texts, Environment::Leave, NaiveDate::from_ymd_opt(2026, 11, 24).unwrap());
        }
    }

    /// The shop with a few characters replaced behind the names.
    #[test]
    fn characters_astray(at in 0usize..SHOP.len(), length in 0usize..6, by in "[-\\[\\]{}:,a-z0-9/~*^. ]{0,6}") {
        let end = (at + length).min(SHOP.len());
        // Names and lines stay, so that they can be counted.
        prop_assume!(SHOP.is_char_boundary(at) && SHOP.is_char_boundary(end) && !SHOP[at..end].contains('\n'));
        let line = SHOP[..at].rfind('\n').map_or(0, |line| line + 1);
        prop_assume!(SHOP[line..at].trim_start().contains(' ') || SHOP[line..].starts_with("    "));
        prop_assume!(!SHOP[line..at].trim().is_empty());
        loads_whole_or_not_at_all(&format!("{}{by}{}", &SHOP[..at], &SHOP[end..]));
    }
}
