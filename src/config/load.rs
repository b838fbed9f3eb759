//! Files → one tree: several files and directories merge, `${ENV}` and `file:` are resolved.

use super::reader::{At, Problem, Problems};
use super::tree::{self, Key, Node, Place, Scalar, Value};
use super::{Config, build};
use chrono::NaiveDate;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What to do with `${ENV}` and `file:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Take them from this process's environment and files.
    Resolve,
    /// The same, but for secrets, which stand below `kafka`, in `evidence.key` and in the `secret` of
    /// `http.tokens`: those are left as they are, a fixed evidence key serves, and no token opens anything.
    Leave,
    /// As `Leave`, and a reference anywhere else is an error: the file comes from somebody else, who must
    /// learn nothing of this process.
    Refuse,
}

/// A configuration, and what is worth a second look in it.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub warnings: Vec<Problem>,
    /// What `file:` refers to in it.
    pub referred: Vec<PathBuf>,
}

/// Everything that is wrong with a configuration, in the order of the files, a line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct LoadErrors(pub Vec<Problem>);

/// No configuration is larger; a Kubernetes ConfigMap cannot be.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads and checks a configuration. A directory stands for its `*.yaml` and `*.yml` files by name.
/// `today` is what review dates are held against.
///
/// # Errors
/// All that is wrong, at once.
pub fn load(paths: &[PathBuf], environment: Environment, today: NaiveDate) -> Result<Loaded, LoadErrors> {
    let (mut texts, mut unreadable) = (Vec::new(), Vec::new());
    for path in paths {
        let read = |file: PathBuf| Ok((file.display().to_string(), read_text(&file)?));
        for text in files_of(path).map_or_else(|error| vec![Err(error)], |files| files.into_iter().map(read).collect())
        {
            match text {
                Ok(text) => texts.push(text),
                Err(message) => unreadable.push(Problem { place: None, path: String::new(), message }),
            }
        }
    }
    let loaded = from_texts(&texts, environment, today);
    if unreadable.is_empty() {
        return loaded;
    }
    // Most of what else seems wrong stands in the file that could not be read.
    Err(LoadErrors(unreadable))
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
    let problems = Problems::default();
    let first_file: Arc<str> = texts.first().map_or("configuration", |(name, _)| name).into();
    let start = Place { file: first_file, line: 1, column: 1 };
    let mut root = Node { place: start, value: Value::Map(Vec::new()) };
    let mut complete = true;
    for (name, text) in texts {
        let parsed = tree::parse(name, text.strip_prefix('\u{feff}').unwrap_or(text));
        parsed.errors.into_iter().for_each(|error| problems.error(&error.place, "", error.message));
        match parsed.root {
            Some(node) => merge(&mut root, node, "", &problems),
            None => complete = false,
        }
    }
    // What a broken file would have held would only be missed.
    let mut referred = Vec::new();
    let config = if complete {
        resolve(&mut root, "", environment, &problems, &mut referred);
        let at = At { node: &root, path: String::new(), problems: problems.clone() };
        build::config(&at, environment, today)
    } else {
        None
    };
    let in_order = |mut found: Vec<Problem>| {
        found.sort_by(|a, b| a.place.cmp(&b.place));
        found
    };
    let (errors, warnings) = (in_order(problems.errors.take()), in_order(problems.warnings.take()));
    match config {
        Some(config) if errors.is_empty() => Ok(Loaded { config, warnings, referred }),
        _ => Err(LoadErrors(errors)),
    }
}

fn files_of(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |error| format!("cannot read {}: {error}", path.display());
    let entries: Result<Vec<_>, _> = std::fs::read_dir(path).map_err(unreadable)?.collect();
    let is_yaml = |path: &PathBuf| {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        !hidden && path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
    };
    let entries = entries.map_err(unreadable)?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).filter(is_yaml).collect();
    files.sort();
    if files.is_empty() {
        return Err(format!("{} holds no *.yaml or *.yml file", path.display()));
    }
    Ok(files)
}

fn read_text(path: &Path) -> Result<String, String> {
    let unreadable = |error| format!("cannot read {}: {error}", path.display());
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("cannot read {}: it is larger than 1 MiB", path.display()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("cannot read {}: it is not UTF-8 text (byte {at})", path.display())
    })
}

fn path_to(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Maps merge, at every depth; anything else twice is an error that names both places.
fn merge(into: &mut Node, from: Node, path: &str, problems: &Problems) {
    match (&mut into.value, from.value) {
        (Value::Map(into), Value::Map(from)) => {
            for (key, node) in from {
                match into.iter_mut().find(|(other, _)| other.name == key.name) {
                    Some((_, there)) => merge(there, node, &path_to(path, &key.name), problems),
                    None => into.push((key, node)),
                }
            }
        }
        (_, value) => {
            let from = Node { place: from.place, value };
            if path.is_empty() {
                problems.error(&from.place, "", format!("a configuration is a map, and this is {}", from.kind()));
            } else {
                problems.error(&from.place, path, format!("is set twice, first in {}", into.place));
            }
        }
    }
}

fn resolve(node: &mut Node, path: &str, environment: Environment, problems: &Problems, referred: &mut Vec<PathBuf>) {
    if environment != Environment::Resolve && is_secret(path) {
        return;
    }
    match &mut node.value {
        Value::Map(entries) => {
            for (Key { name, .. }, node) in entries {
                resolve(node, &path_to(path, name), environment, problems, referred);
            }
        }
        Value::List(list) => {
            for (place, node) in list.iter_mut().enumerate() {
                resolve(node, &format!("{path}[{place}]"), environment, problems, referred);
            }
        }
        Value::Scalar(scalar) if environment == Environment::Refuse => {
            if is_reference(&scalar.text) {
                problems.error(
                    &node.place,
                    path,
                    "refers to an environment or a file, and is not resolved here; write it out",
                );
                node.value = Value::Broken;
            }
        }
        Value::Scalar(scalar) => match resolved(&scalar.text, referred) {
            Ok(None) => {}
            Ok(Some(found)) => {
                let reference = Some(std::mem::take(&mut scalar.text));
                *scalar = Scalar { text: found, plain: scalar.plain, reference };
            }
            Err(message) => {
                problems.error(&node.place, path, message);
                node.value = Value::Broken;
            }
        },
        Value::Broken => {}
    }
}

fn is_secret(path: &str) -> bool {
    let is_token = || path.starts_with("http.tokens.") && path.ends_with(".secret");
    matches!(path, "kafka" | "evidence.key") || is_token()
}

/// Whether a text stands for something in the environment or a file.
pub(super) fn is_reference(text: &str) -> bool {
    text.contains("${") || text.starts_with("file:")
}

/// The text with what it refers to; `None`: it refers to nothing. Errors never hold what was found.
fn resolved(text: &str, referred: &mut Vec<PathBuf>) -> Result<Option<String>, String> {
    if !is_reference(text) {
        return Ok(None);
    }
    let with_variables = substitute(text)?;
    // What a variable holds is never shown, so neither is a path that has one in it.
    let Some(file) = with_variables.strip_prefix("file:") else { return Ok(Some(with_variables)) };
    referred.push(PathBuf::from(file));
    let content = read_text(Path::new(file))
        .map_err(|error| if text.contains("${") { format!("refers to {text}, which cannot be read") } else { error })?;
    Ok(Some(content.trim_end_matches(['\n', '\r']).to_owned()))
}

fn substitute(text: &str) -> Result<String, String> {
    let (mut rest, mut found) = (text, String::new());
    while let Some((before, after)) = rest.split_once("${") {
        let (name, tail) = after.split_once('}').ok_or("has '${' without '}'")?;
        let usable = !name.is_empty() && !name.contains(['=', '\0']);
        let value = if usable { std::env::var(name).ok() } else { None };
        let value =
            value.ok_or_else(|| format!("refers to ${{{name}}}, which is not set; set it in the environment"))?;
        found.push_str(before);
        found.push_str(&value);
        rest = tail;
    }
    Ok(found + rest)
}
