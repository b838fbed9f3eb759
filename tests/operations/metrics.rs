//! `docs/metrics.md` has every metric that is served, and no other.

use crate::file;
use lapsed::telemetry::metrics::{Described, Metrics};

/// The tables' rows.
fn documented() -> Vec<Described> {
    let text = file("docs/metrics.md");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let mut documented: Vec<Described> = rows
        .map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let kind = ["counter", "gauge", "histogram"].into_iter().find(|kind| *kind == cells[1]);
            let labels = cells[2].split(", ").filter(|label| *label != "none");
            Described {
                name: cells[0].trim_matches('`').to_owned(),
                kind: kind.unwrap_or_else(|| panic!("no kind in {row}")),
                labels: labels.map(|label| label.trim_matches('`').to_owned()).collect(),
            }
        })
        .collect();
    documented.sort_by(|one, other| one.name.cmp(&other.name));
    documented
}

#[test]
fn what_is_served_is_documented_and_nothing_else_is() {
    let names = |described: &[Described]| described.iter().map(|metric| metric.name.clone()).collect::<Vec<_>>();
    let (documented, served) = (documented(), Metrics::new().described());
    assert_eq!(names(&documented), names(&served));
    for (documented, served) in documented.iter().zip(&served) {
        assert_eq!(documented, served);
    }
}
