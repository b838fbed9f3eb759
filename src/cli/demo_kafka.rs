//! `lapsed demo --kafka`: the same on a real broker, with periods of seconds.

use super::demo::DemoArgs;
use std::process::ExitCode;

pub(super) fn demo_on_kafka(bootstrap: &str, _args: &DemoArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not yet: {bootstrap}")
}
