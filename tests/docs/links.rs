//! Links lead somewhere.

use crate::markdown::Page;
use crate::{file, pages, root};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// `..` and `.` worked out, without asking the file system.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => assert!(plain.pop(), "{} leaves the repository", path.display()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// What a link of a page names: a file of the repository and an anchor.
fn destination(page: &Page, link: &str) -> (PathBuf, Option<String>) {
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor.to_owned())));
    let from = Path::new(&page.path);
    let named = if file.is_empty() { from.to_owned() } else { from.parent().unwrap().join(file) };
    (plain(&named), anchor)
}

fn is_outside(link: &str) -> bool {
    link.starts_with("https://") || link.starts_with("http://")
}

#[test]
fn links_lead_to_files_and_headings_that_are_there() {
    let mut pages = pages();
    pages.push(Page::read("CHANGELOG.md", &file("CHANGELOG.md")));
    let mut faults = Vec::new();
    let mut followed = 0;
    for page in &pages {
        for (line, link) in page.links.iter().filter(|(_, link)| !is_outside(link)) {
            followed += 1;
            let (named, anchor) = destination(page, link);
            let there = pages.iter().find(|page| Path::new(&page.path) == named);
            let fault = match (&anchor, there) {
                (Some(anchor), Some(there)) => !there.anchors.contains(anchor),
                (Some(_), None) => true,
                (None, _) => !root().join(&named).exists(),
            };
            if fault {
                faults.push(format!("{}:{line}: {link}", page.path));
            }
        }
    }
    assert!(faults.is_empty(), "they lead nowhere: {faults:#?}");
    assert!(followed > 50, "{followed} links");
}

#[test]
fn every_page_is_reached_from_the_contents() {
    let pages = pages();
    let contents = pages.iter().find(|page| page.path == "docs/README.md").unwrap();
    let listed: BTreeSet<PathBuf> = contents
        .links
        .iter()
        .filter(|(_, link)| !is_outside(link))
        .map(|(_, link)| destination(contents, link).0)
        .collect();
    for page in &pages {
        let path = Path::new(&page.path);
        let is_listed = listed.contains(path) || path.ancestors().any(|above| listed.contains(above));
        assert!(is_listed || path == Path::new("README.md") || path == Path::new("docs/README.md"), "{}", page.path);
    }
}

/// Metrics and alerts that pages name exist: docs/metrics.md has all metrics, and a test of its own.
#[test]
fn metrics_and_alerts_that_are_named_are_there() {
    let (metrics, alerts) = (file("docs/metrics.md"), file("deploy/prometheus/lapsed.rules.yaml"));
    let mut tried = 0;
    for page in pages() {
        for (line, code) in &page.spans {
            let name: String = code.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let is_there = match () {
                () if name.starts_with("lapsed_") => metrics.contains(&format!("`{name}`")),
                () if name.starts_with("Lapsed") => alerts.contains(&format!("alert: {name}\n")),
                () => continue,
            };
            assert!(is_there, "{}:{line}: {code}", page.path);
            tried += 1;
        }
    }
    assert!(tried > 50, "{tried} names");
}
