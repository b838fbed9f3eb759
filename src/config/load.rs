//! Files → one tree: several files and directories merge, `${ENV}` and `file:` are resolved.

use super::reader::{At, Problem, Problems};
use super::tree::{self, Key, Node, Place, Value};
use super::{Config, build};
use chrono::NaiveDate;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What to do with `${ENV}` and `file:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Take them from this process's environment and files.
    Resolve,
    /// Leave them as they are: offline, no secret is needed, and a fixed evidence key serves.
    Leave,
}

/// A configuration, and what is worth a second look in it.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub warnings: Vec<Problem>,
}

/// Everything that is wrong with a configuration, in the order of the files.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct LoadErrors(pub Vec<Problem>);

/// Reads and checks a configuration. A directory stands for its `*.yaml` and `*.yml` files by name.
/// `today` is what review dates are held against.
///
/// # Errors
/// All that is wrong, at once.
pub fn load(paths: &[PathBuf], environment: Environment, today: NaiveDate) -> Result<Loaded, LoadErrors> {
    let problems = Problems::default();
    let mut files = Vec::new();
    for path in paths {
        match files_of(path) {
            Ok(found) => files.extend(found),
            Err(message) => problems.errors.borrow_mut().push(Problem { place: None, path: String::new(), message }),
        }
    }
    let mut texts = Vec::new();
    for file in files {
        match std::fs::read_to_string(&file) {
            Ok(text) => texts.push((file.display().to_string(), text)),
            Err(error) => {
                let message = format!("cannot read {}: {error}", file.display());
                problems.errors.borrow_mut().push(Problem { place: None, path: String::new(), message });
            }
        }
    }
    from_texts_with(&texts, environment, today, problems)
}

/// Checks a configuration whose files have been read: (name, text).
///
/// # Errors
/// All that is wrong, at once.
pub fn from_texts(
    texts: &[(String, String)],
    environment: Environment,
    today: NaiveDate,
) -> Result<Loaded, LoadErrors> {
    from_texts_with(texts, environment, today, Problems::default())
}

fn from_texts_with(
    texts: &[(String, String)],
    environment: Environment,
    today: NaiveDate,
    problems: Problems,
) -> Result<Loaded, LoadErrors> {
    let first_file: Arc<str> = texts.first().map_or("configuration", |(name, _)| name).into();
    let start = Place { file: first_file, line: 1, column: 1 };
    let mut root = Node { place: start, value: Value::Map(Vec::new()) };
    for (name, text) in texts {
        match tree::parse(name, text.strip_prefix('\u{feff}').unwrap_or(text)) {
            Ok(node) => merge(&mut root, node, "", &problems),
            Err(errors) => errors.into_iter().for_each(|error| problems.error(&error.place, "", error.message)),
        }
    }
    // What a broken file would have held would only be missed.
    if problems.errors.borrow().is_empty() {
        if environment == Environment::Resolve {
            resolve(&mut root, "", &problems);
        }
        let at = At { node: &root, path: String::new(), problems: problems.clone() };
        let config = build::config(&at, environment, today);
        let mut errors = problems.errors.take();
        if let (Some(config), true) = (config, errors.is_empty()) {
            return Ok(Loaded { config, warnings: problems.warnings.take() });
        }
        errors.sort_by(|a, b| a.place.cmp(&b.place));
        return Err(LoadErrors(errors));
    }
    Err(LoadErrors(problems.errors.take()))
}

fn files_of(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let is_yaml = |path: &PathBuf| {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        !hidden && path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
    };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_yaml).collect();
    files.sort();
    if files.is_empty() {
        return Err(format!("{} holds no *.yaml or *.yml file", path.display()));
    }
    Ok(files)
}

/// Maps merge, at every depth; anything else twice is an error that names both places.
fn merge(into: &mut Node, from: Node, path: &str, problems: &Problems) {
    match (&mut into.value, from.value) {
        (Value::Map(into), Value::Map(from)) => {
            for (key, node) in from {
                let path = if path.is_empty() { key.name.clone() } else { format!("{path}.{}", key.name) };
                match into.iter_mut().find(|(other, _)| other.name == key.name) {
                    Some((_, there)) => merge(there, node, &path, problems),
                    None => into.push((key, node)),
                }
            }
        }
        (_, value) => {
            let from = Node { place: from.place, value };
            if path.is_empty() {
                problems.error(&from.place, "", format!("must hold a map, and holds {}", from.kind()));
            } else {
                problems.error(&from.place, path, format!("is set twice, first in {}", into.place));
            }
        }
    }
}

fn resolve(node: &mut Node, path: &str, problems: &Problems) {
    match &mut node.value {
        Value::Map(entries) => {
            for (Key { name, .. }, node) in entries {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                resolve(node, &path, problems);
            }
        }
        Value::List(list) => list.iter_mut().for_each(|node| resolve(node, path, problems)),
        Value::Scalar { text, .. } => match resolved(text) {
            Ok(Some(found)) => *text = found,
            Ok(None) => {}
            Err(message) => problems.error(&node.place, path, message),
        },
    }
}

/// The text with what it refers to; `None`: it refers to nothing. Errors never hold what was found.
fn resolved(text: &str) -> Result<Option<String>, String> {
    let with_variables = if text.contains("${") { Some(substitute(text)?) } else { None };
    let text = with_variables.as_deref().unwrap_or(text);
    if let Some(file) = text.strip_prefix("file:") {
        let content = std::fs::read_to_string(file).map_err(|error| format!("cannot read {file}: {error}"))?;
        return Ok(Some(content.trim_end_matches(['\n', '\r']).to_owned()));
    }
    Ok(with_variables)
}

fn substitute(text: &str) -> Result<String, String> {
    let (mut rest, mut found) = (text, String::new());
    while let Some((before, after)) = rest.split_once("${") {
        let (name, tail) = after.split_once('}').ok_or("has '${' without '}'")?;
        let value = std::env::var(name).map_err(|_| format!("refers to ${{{name}}}, which is not set"))?;
        found.push_str(before);
        found.push_str(&value);
        rest = tail;
    }
    Ok(found + rest)
}
