//! A broker that lets users in by SCRAM-SHA-512 over TLS only, and only to what was granted to them.

use super::broker::{Ports, await_broker, format_storage, jars, launch, settings};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// Whoever comes by its other listener may do everything: that is how a test prepares it.
pub struct SecuredBroker {
    pub address: String,
    /// The other listener, without TLS.
    pub plain: String,
    pub data: tempfile::TempDir,
    _process: Child,
}

impl SecuredBroker {
    /// With these users and their passwords; they may do nothing yet.
    pub fn start(users: &[(&str, &str)]) -> SecuredBroker {
        SecuredBroker::start_with(users, &[])
    }

    /// The same, where everybody who gets in may do what nobody was granted.
    pub fn start_open(users: &[(&str, &str)]) -> SecuredBroker {
        SecuredBroker::start_with(users, &["allow.everyone.if.no.acl.found=true"])
    }

    /// One that lets in whoever shows a token that nobody has signed, by OAUTHBEARER.
    pub fn start_with_tokens() -> SecuredBroker {
        SecuredBroker::start_with(
            &[],
            &[
                "sasl.enabled.mechanisms=OAUTHBEARER",
                "listener.name.proxied.oauthbearer.sasl.jaas.config=\
                 org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
                 unsecuredLoginStringClaim_sub=\"broker\" unsecuredValidatorAllowableClockSkewMs=\"3000\";",
            ],
        )
    }

    fn start_with(users: &[(&str, &str)], more: &[&str]) -> SecuredBroker {
        let (jars, data, ports) = (jars(), tempfile::tempdir().unwrap(), [Ports::free()]);
        let store = make_certificate(data.path());
        let Ports { plain, behind_proxy: secured, .. } = ports[0];
        // Of two lines that set the same the last one counts.
        let mut settings = settings(0, &ports, &data.path().join("log"));
        settings.extend([
            format!("advertised.listeners=PLAIN://127.0.0.1:{plain},PROXIED://127.0.0.1:{secured}"),
            "listener.security.protocol.map=PLAIN:PLAINTEXT,PROXIED:SASL_SSL,CONTROLLER:PLAINTEXT".to_owned(),
            "sasl.enabled.mechanisms=SCRAM-SHA-512".to_owned(),
            "listener.name.proxied.scram-sha-512.sasl.jaas.config=\
             org.apache.kafka.common.security.scram.ScramLoginModule required;"
                .to_owned(),
            "ssl.keystore.type=PKCS12".to_owned(),
            format!("ssl.keystore.location={}", store.display()),
            format!("ssl.keystore.password={STORE_PASSWORD}"),
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned(),
            "super.users=User:ANONYMOUS".to_owned(),
        ]);
        settings.extend(more.iter().map(|setting| (*setting).to_owned()));
        let scram = |(user, password): &(&str, &str)| {
            ["--add-scram".to_owned(), format!("SCRAM-SHA-512=[name={user},password={password}]")]
        };
        let scram: Vec<String> = users.iter().flat_map(scram).collect();
        let properties = format_storage(&jars, data.path(), &settings, &scram);
        let process = launch(&jars, "-Xmx512m", &properties);
        let address = |port: u16| format!("127.0.0.1:{port}");
        let broker = SecuredBroker { address: address(secured), plain: address(plain), data, _process: process };
        await_broker(&broker.plain);
        broker
    }

    /// The certificate of whoever issued the broker's.
    pub fn authority(&self) -> PathBuf {
        self.data.path().join("ca.pem")
    }
}

const STORE_PASSWORD: &str = "of this test only";

/// A certificate for 127.0.0.1 that signs itself; returns the broker's store.
fn make_certificate(directory: &Path) -> PathBuf {
    let store = directory.join("broker.p12");
    let keytool = |arguments: &str| {
        let mut command = Command::new("keytool");
        command.args(arguments.split(' ')).arg("-keystore").arg(&store).args(["-storepass", STORE_PASSWORD]);
        let output = command.output().expect("keytool comes with Java: install openjdk-17-jre-headless");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        output.stdout
    };
    keytool(
        "-genkeypair -alias broker -keyalg EC -groupname secp256r1 -validity 2 -storetype PKCS12 -dname CN=broker -ext \
         SAN=IP:127.0.0.1 -ext BC=ca:true",
    );
    std::fs::write(directory.join("ca.pem"), keytool("-exportcert -rfc -alias broker")).unwrap();
    store
}
