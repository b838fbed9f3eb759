//! What needs no Kafka runs in a directory with the page's files, and prints what the page shows.

use crate::commands::{Needs, of_block};
use crate::markdown::Page;
use crate::pages;
use crate::place::{Place, text};
use serde_json::Value;
use std::collections::BTreeSet;

fn names() -> Vec<(String, String)> {
    [
        // A minute of watching is for people.
        ("lapsed demo", "lapsed demo --seconds 0 --customers 50"),
        ("CUSTOMER", "4711"),
    ]
    .map(|(there, here)| (there.to_owned(), here.to_owned()))
    .to_vec()
}

/// Runs a page; returns how many commands ran.
fn run(page: &Page) -> usize {
    let mut place = Place::new(names());
    let (mut ran, mut printed) = (0, None::<String>);
    // What only Kafka can fill.
    let mut missing = BTreeSet::new();
    for block in &page.blocks {
        place.write_block(block);
        if block.is("output") {
            let printed = printed.take().unwrap_or_else(|| panic!("{}:{}: of what?", page.path, block.line));
            assert_eq!(printed, block.text, "{}:{}: this is what is printed", page.path, block.line);
        }
        if let Some(name) = block.value("from") {
            let lines = std::fs::read_to_string(place.path(name)).unwrap();
            let shown: Value = serde_json::from_str(&block.text).unwrap();
            let is_there = lines.lines().any(|line| serde_json::from_str::<Value>(line).unwrap() == shown);
            assert!(is_there, "{}:{}: {name} has\n{lines}", page.path, block.line);
        }
        place.begin_block();
        let commands = of_block(page, block);
        if commands.is_empty() {
            continue;
        }
        let mut all = Some(String::new());
        for command in commands {
            let is_missing = |word: &String| missing.contains(word);
            if command.needs() != Needs::Nothing || command.pipeline().iter().flatten().any(is_missing) {
                missing.extend(command.writes().filter(|name| !place.path(name).exists()));
                all = None;
                continue;
            }
            let output = place.run(&command.text);
            assert!(output.status.success(), "{command}\n{}{}", text(&output.stdout), text(&output.stderr));
            ran += 1;
            all = all.map(|all| all + &text(&output.stdout) + &text(&output.stderr));
        }
        printed = all;
    }
    ran
}

#[test]
fn what_needs_no_kafka_runs_and_prints_what_is_shown() {
    let ran: usize = pages().iter().map(run).sum();
    assert!(ran > 15, "{ran} commands");
}
