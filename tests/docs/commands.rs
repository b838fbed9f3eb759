//! The commands of a page, and of what kind each is.

use crate::elsewhere;
use crate::markdown::{Block, Page};
use crate::pages;
use clap::Parser;
use clap::error::ErrorKind;
use std::fmt;

/// One command as a page shows it, its continued lines joined.
#[derive(Clone)]
pub struct Shown {
    pub page: String,
    pub line: usize,
    pub text: String,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.page, self.line, self.text)
    }
}

/// What has to be there for a command to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Files.
    Nothing,
    /// Kafka, or a service that runs on it.
    Kafka,
    /// More than a test has; see [`elsewhere`].
    More,
}

/// What stands in every shell.
pub const SHELL: [&str; 9] = ["export", "echo", "cat", "sed", "cp", "mkdir", "sha256sum", "cut", "python3"];
/// Subcommands that read files only; `demo` too, unless `--kafka` is said.
const OFFLINE: [&str; 8] = ["check", "completions", "demo", "extract", "man", "schema", "simulate", "statement"];

impl Shown {
    /// The commands of a pipeline, each in its words, without redirections and assignments before it.
    pub fn pipeline(&self) -> Vec<Vec<String>> {
        let words = shlex::split(&self.text).unwrap_or_else(|| panic!("{self}: quotes don't match"));
        let mut parts = vec![Vec::new()];
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let part = parts.last_mut().unwrap();
            match word.as_str() {
                "|" | "&&" => parts.push(Vec::new()),
                ">" | "<" | ">>" => _ = words.next(),
                _ if part.is_empty() && is_assignment(&word) => {}
                _ => part.push(word),
            }
        }
        parts
    }

    pub fn needs(&self) -> Needs {
        let mut needs = Needs::Nothing;
        for part in self.pipeline() {
            match part.first().map(String::as_str) {
                Some("lapsed") if !OFFLINE.contains(&part[1].as_str()) || part.iter().any(|word| word == "--kafka") => {
                    needs = Needs::Kafka;
                }
                Some("lapsed") => {}
                Some(program) if SHELL.contains(&program) => {}
                Some(program) if elsewhere::knows(program) => return Needs::More,
                other => panic!("{self}: nothing runs {other:?}, and it is not in the list of tests/docs/elsewhere.rs"),
            }
        }
        needs
    }

    /// The file into which it prints.
    pub fn writes(&self) -> Option<String> {
        let words = shlex::split(&self.text).unwrap();
        words.windows(2).find(|pair| pair[0] == ">").map(|pair| pair[1].clone())
    }

    /// Whether it is this subcommand of `lapsed`.
    pub fn is(&self, subcommand: &str) -> bool {
        self.pipeline().iter().any(|part| part.len() > 1 && part[0] == "lapsed" && part[1] == subcommand)
    }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
}

/// The commands of a block for the shell.
pub fn of_block(page: &Page, block: &Block) -> Vec<Shown> {
    let mut commands = Vec::new();
    if block.language != "sh" {
        return commands;
    }
    let mut joined: Option<Shown> = None;
    for (place, line) in block.text.lines().enumerate() {
        let shown = joined.get_or_insert_with(|| Shown {
            page: page.path.clone(),
            line: block.line + place,
            text: String::new(),
        });
        match line.strip_suffix('\\') {
            Some(begun) => shown.text += begun,
            None => {
                shown.text += line;
                commands.extend(joined.take().filter(|shown| !shlex::split(&shown.text).unwrap().is_empty()));
            }
        }
    }
    assert!(joined.is_none(), "{}:{}: the last line goes on", page.path, block.line);
    commands
}

pub fn of_page(page: &Page) -> Vec<Shown> {
    page.blocks.iter().flat_map(|block| of_block(page, block)).collect()
}

/// Why the command line refuses it; what the environment may have said is not missed.
pub fn refused(words: &[String]) -> Option<String> {
    match lapsed::cli::Arguments::try_parse_from(words) {
        Ok(_) => None,
        Err(error) if matches!(error.kind(), ErrorKind::MissingRequiredArgument | ErrorKind::DisplayHelp) => None,
        Err(error) => Some(error.to_string()),
    }
}

#[test]
fn every_command_is_known_and_well_formed() {
    let commands: Vec<Shown> = pages().iter().flat_map(of_page).collect();
    assert!(commands.len() > 60, "{} commands", commands.len());
    for command in commands {
        match command.needs() {
            Needs::More => elsewhere::check(&command),
            Needs::Nothing | Needs::Kafka => {
                for part in command.pipeline().iter().filter(|part| part[0] == "lapsed") {
                    let wrong = refused(part);
                    assert!(wrong.is_none(), "{command}\n{}", wrong.unwrap());
                }
            }
        }
    }
}

/// A block without a language would escape.
#[test]
fn every_block_says_what_it_is() {
    for page in pages() {
        for block in &page.blocks {
            let known = ["sh", "yaml", "json", "text", "python"];
            assert!(known.contains(&block.language.as_str()), "{}:{}: {:?}", page.path, block.line, block.language);
        }
    }
}

/// What the running text calls a command is one: words in capitals and `…` stand for something.
#[test]
fn commands_in_the_running_text_are_well_formed() {
    let mut tried = 0;
    for page in pages() {
        for (line, code) in page.spans.iter().filter(|(_, code)| code.starts_with("lapsed ")) {
            let mut words = shlex::split(code).unwrap_or_else(|| panic!("{}:{line}: {code}", page.path));
            words.iter_mut().for_each(|word| {
                *word = match word.as_str() {
                    "DATE" => "2026-12-31".to_owned(),
                    "N" | "M" => "10".to_owned(),
                    "COMMAND" => "check".to_owned(),
                    "SHELL" => "bash".to_owned(),
                    "…" => "something".to_owned(),
                    other => other.split('|').next().unwrap().to_owned(),
                }
            });
            let redirected = words.iter().position(|word| word == "<" || word == ">");
            words.truncate(redirected.unwrap_or(words.len()));
            let wrong = refused(&words);
            assert!(wrong.is_none(), "{}:{line}: {code}\n{}", page.path, wrong.unwrap());
            tried += 1;
        }
    }
    assert!(tried > 20, "{tried} commands");
}

#[test]
fn what_nobody_runs_is_seen() {
    let shown = |text: &str| Shown { page: "p.md".to_owned(), line: 1, text: text.to_owned() };
    assert_eq!(shown("A=b lapsed check -c x.yaml > y   # all").pipeline(), [["lapsed", "check", "-c", "x.yaml"]]);
    assert_eq!(shown("echo '{}' | lapsed extract -c x.yaml").needs(), Needs::Nothing);
    assert_eq!(shown("lapsed status").needs(), Needs::Kafka);
    assert_eq!(shown("docker run x").needs(), Needs::More);
    for stranger in ["rm -rf state", "echo a | rm b"] {
        assert!(std::panic::catch_unwind(|| shown(stranger).needs()).is_err(), "{stranger}");
    }
    let words = |text: &str| shlex::split(text).unwrap();
    assert!(refused(&words("lapsed due -c x.yaml offers --untill 2026-12-31")).is_some());
    assert!(refused(&words("lapsed deu -c x.yaml")).is_some());
}
