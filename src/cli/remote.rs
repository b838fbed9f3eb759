//! Asking a running service, or reading Kafka oneself.

use super::config_args::ConfigArgs;
use anyhow::{Context, bail};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// How long an answer may take: evidence is read from its beginning.
const PATIENCE: Duration = Duration::from_secs(310);
/// An answer may be this long.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// Where the service is, and what it wants to be shown.
#[derive(Clone, Debug, clap::Args)]
pub struct RemoteArgs {
    /// A running instance, such as http://lapsed:8080; any will do
    #[arg(long, env = "LAPSED_URL", value_name = "URL")]
    url: String,
    /// File with the secret of a token that may
    #[arg(long, env = "LAPSED_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// A running service to ask, or the configuration with which to read Kafka.
#[derive(Debug, Default, clap::Args)]
pub struct EitherArgs {
    /// A configuration file, or a directory of *.yaml files, with which Kafka is read directly; repeat it to
    /// merge several
    #[arg(short, long = "config", value_name = "FILE", required_unless_present = "url")]
    config: Vec<PathBuf>,
    /// A running instance to ask instead, such as http://lapsed:8080; any will do
    #[arg(long, env = "LAPSED_URL", value_name = "URL")]
    url: Option<String>,
    /// File with the secret of a token that may
    #[arg(long, env = "LAPSED_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Which of the two it is.
pub enum Either {
    Kafka(ConfigArgs),
    Service(Remote),
}

impl EitherArgs {
    /// A configuration that is named counts more than an address that may stand in the environment.
    ///
    /// # Errors
    /// When the token can't be read.
    pub fn choose(self) -> anyhow::Result<Either> {
        match self.url {
            Some(url) if self.config.is_empty() => {
                Ok(Either::Service(Remote::new(&RemoteArgs { url, token_file: self.token_file })?))
            }
            _ => Ok(Either::Kafka(ConfigArgs { config: self.config })),
        }
    }
}

/// A running service.
pub struct Remote {
    agent: ureq::Agent,
    url: String,
    authorization: Option<String>,
}

impl Remote {
    /// # Errors
    /// When the token can't be read.
    pub fn new(args: &RemoteArgs) -> anyhow::Result<Remote> {
        let authorization = args.token_file.as_ref().map(|file| {
            let secret = std::fs::read_to_string(file);
            let secret = secret.with_context(|| format!("the token cannot be read from {}", file.display()))?;
            Ok::<_, anyhow::Error>(format!("Bearer {}", secret.trim()))
        });
        let tls = ureq::tls::TlsConfig::builder()
            .provider(ureq::tls::TlsProvider::NativeTls)
            .root_certs(ureq::tls::RootCerts::PlatformVerifier)
            .build();
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .tls_config(tls)
            .max_redirects(0)
            .build();
        let (agent, authorization) = (agent.into(), authorization.transpose()?);
        Ok(Remote { agent, url: args.url.trim_end_matches('/').to_owned(), authorization })
    }

    /// # Errors
    /// When the service can't be reached, or what it says is wrong.
    pub fn get(&self, path: &str) -> anyhow::Result<Value> {
        let mut request = self.agent.get(format!("{}/api/v1/{path}", self.url));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        json(&self.read(request.call())?)
    }

    /// # Errors
    /// When the service can't be reached, or what it says is wrong.
    pub fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        json(&self.post_for(path, body, "application/json")?)
    }

    /// The same, as it is answered, in another form.
    ///
    /// # Errors
    /// When the service can't be reached, or what it says is wrong.
    pub fn post_for(&self, path: &str, body: &Value, accept: &str) -> anyhow::Result<String> {
        let request = self.agent.post(format!("{}/api/v1/{path}", self.url));
        let mut request = request.header("content-type", "application/json").header("accept", accept);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        self.read(request.send(serde_json::to_vec(body)?))
    }

    fn read(&self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> anyhow::Result<String> {
        let mut answer = answer.with_context(|| format!("{} can't be asked", self.url))?;
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let body = body.with_context(|| format!("{} has answered something that can't be read", self.url))?;
        if status.is_success() {
            return Ok(body);
        }
        let problem: Value = serde_json::from_str(&body).unwrap_or_default();
        match problem["detail"].as_str() {
            Some(detail) if status.as_u16() == 401 && self.authorization.is_none() => {
                bail!("{detail}; with --token-file")
            }
            Some(detail) => bail!("{detail}"),
            None => bail!("{} answers {status}", self.url),
        }
    }
}

fn json(text: &str) -> anyhow::Result<Value> {
    serde_json::from_str(text).context("the service has answered something that can't be read")
}
