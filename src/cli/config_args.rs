//! `-c`: where the configuration is.

use crate::config::{Environment, LoadErrors, Loaded, load};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    /// Configuration file or directory; repeat it to merge several
    #[arg(short, long = "config", value_name = "FILE", required = true)]
    pub config: Vec<PathBuf>,
}

impl ConfigArgs {
    /// Loads the configuration, `${ENV}` and `file:` resolved.
    ///
    /// # Errors
    /// All that is wrong with it, at once.
    pub fn load(&self) -> anyhow::Result<Loaded> {
        self.load_with(Environment::Resolve)
    }

    /// Loads it without any secret, for what runs offline.
    ///
    /// # Errors
    /// All that is wrong with it, at once.
    pub fn load_offline(&self) -> anyhow::Result<Loaded> {
        self.load_with(Environment::Leave)
    }

    fn load_with(&self, environment: Environment) -> anyhow::Result<Loaded> {
        self.read(environment).map_err(|errors| anyhow::anyhow!("the configuration is wrong\n{errors}"))
    }

    /// Reads it, as of today.
    ///
    /// # Errors
    /// All that is wrong with it, at once.
    pub fn read(&self, environment: Environment) -> Result<Loaded, LoadErrors> {
        let today = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()).date_naive();
        load(&self.config, environment, today)
    }
}
