//! A directory in which a page's commands run, with what its reader has there.

use crate::markdown::Block;
use crate::{file, root};
use std::path::PathBuf;
use std::process::{Command, Output};

/// As `kcat -C -e -J` prints it.
const EVENTS: &str = r#"{"topic":"web.events","partition":0,"offset":2,"ts":1709300000000,"key":null,"payload":{"event":"login","user":"4711","at":1709300000}}
{"topic":"shop.public.orders","partition":0,"offset":1,"ts":1709210000123,"key":"k","payload":"{\"op\":\"c\",\"after\":{\"customer_id\":4711,\"status\":\"paid\",\"placed_at\":1709210000000}}"}
{"topic":"crm.events","partition":0,"offset":0,"ts":1709210000123,"key":null,"payload":{"event":"call","customer_id":"4712"}}
"#;
pub const TOKENS: [(&str, &str); 2] = [("desk", "look_up"), ("privacy", "operate")];

pub struct Place {
    pub directory: tempfile::TempDir,
    /// What a page's text says, and what it is here; in commands, and in files of configuration.
    pub names: Vec<(String, String)>,
    /// `export …` lines of the block.
    exports: String,
}

impl Place {
    /// `names` are put in what commands and configurations say, in their order.
    pub fn new(names: Vec<(String, String)>) -> Place {
        let directory = tempfile::tempdir().unwrap();
        let secrets = directory.path().join("secrets");
        std::fs::create_dir_all(&secrets).unwrap();
        std::fs::write(secrets.join("evidence.key"), "a key of this test only, 32 characters\n").unwrap();
        for (name, _) in TOKENS {
            std::fs::write(secrets.join(name), format!("the secret of {name} in this test\n")).unwrap();
        }
        for name in ["deploy", "docs", "tests"] {
            std::os::unix::fs::symlink(root().join(name), directory.path().join(name)).unwrap();
        }
        std::fs::create_dir(directory.path().join("config")).unwrap();
        let mut place = Place { directory, names, exports: String::new() };
        place.names.push(("/secrets/".to_owned(), format!("{}/", secrets.display())));
        for name in ["config/lapsed.yaml", "config/quick.yaml", "config/check-evidence.py"] {
            place.write(name, &file(name));
        }
        let shop = file("config/lapsed.yaml");
        place.write("lapsed.yaml", &shop);
        let shorter = shop.replace("P23M", "P17M").replace("P24M", "P18M").replace("twee jaar", "anderhalf jaar");
        place.write("new.yaml", &shorter);
        place.write("events.ndjson", EVENTS);
        place.write("ids.txt", "4711\n4712\nnobody\n");
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), self.here(text)).unwrap();
    }

    /// The text, with the names that things have here.
    pub fn here(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (there, here)| text.replace(there, here))
    }

    /// A file that the page has its reader write.
    pub fn write_block(&self, block: &Block) {
        if let Some(name) = block.value("file") {
            self.write(name, &block.text);
        }
    }

    /// What is exported counts to the end of a block.
    pub fn begin_block(&mut self) {
        self.exports.clear();
    }

    /// Runs it in a shell.
    pub fn run(&mut self, text: &str) -> Output {
        let text = self.here(text);
        if text.starts_with("export ") {
            self.exports += &format!("{text}\n");
        }
        let bin = PathBuf::from(env!("CARGO_BIN_EXE_lapsed"));
        let path = format!("{}:{}", bin.parent().unwrap().display(), std::env::var("PATH").unwrap());
        Command::new("sh")
            .args(["-e", "-c", &format!("{}{text}", self.exports)])
            .current_dir(self.directory.path())
            .env("PATH", path)
            .env("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
            .env("USER", "docs")
            .env_remove("LAPSED_URL")
            .env_remove("LAPSED_TOKEN_FILE")
            .output()
            .unwrap()
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
