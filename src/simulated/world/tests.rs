//! The simulator runs, and sees.

use super::run;

#[test]
fn seeds() {
    let failed: Vec<String> =
        (0..20).filter_map(|seed| run(seed, false).violation.map(|violation| format!("{seed}: {violation}"))).collect();
    assert!(failed.is_empty(), "{failed:?}");
}
