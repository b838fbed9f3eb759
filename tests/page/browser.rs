//! A headless Chromium, spoken to through its pipe: messages of the DevTools protocol, each ended by a zero.

use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

pub struct Browser {
    process: Child,
    to: File,
    from: Receiver<Value>,
    session: String,
    next: u64,
    requests: Vec<String>,
    complaints: Vec<String>,
    _directory: tempfile::TempDir,
}

impl Browser {
    pub fn start() -> Browser {
        let directory = tempfile::tempdir().unwrap();
        let pipes = ["in", "out"].map(|name| directory.path().join(name));
        for pipe in &pipes {
            assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
        }
        let chromium = std::env::var("LAPSED_TEST_CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
        // What is opened for reading and writing waits for nobody.
        let process = Command::new("sh")
            .args(["-c", r#"exec "$@" 3<>"$0/in" 4<>"$0/out""#])
            .arg(directory.path())
            .arg(chromium)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run"])
            .args(["--disable-dev-shm-usage", "--hide-scrollbars", "--window-size=1200,1600"])
            .arg(format!("--user-data-dir={}", directory.path().join("profile").display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the page is tested in Chromium: install it (Debian: chromium)");
        let open = |path: &Path| OpenOptions::new().read(true).write(true).open(path).unwrap();
        let (to, out) = (open(&pipes[0]), open(&pipes[1]));
        let (sender, from) = channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(out);
            let mut message = Vec::new();
            while reader.read_until(0, &mut message).is_ok_and(|read| read > 0) {
                message.pop();
                if sender.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let mut browser = Browser {
            process,
            to,
            from,
            session: String::new(),
            next: 0,
            requests: Vec::new(),
            complaints: Vec::new(),
            _directory: directory,
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attached = browser.call("Target.attachToTarget", json!({"targetId": target["targetId"], "flatten": true}));
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Network", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.next += 1;
        let mut message = json!({"id": self.next, "method": method, "params": parameters});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap();
        loop {
            let told = self.from.recv_timeout(PATIENCE).expect("the browser answers");
            if told["id"] == self.next {
                assert!(told["error"].is_null(), "{method}: {told}");
                return told["result"].clone();
            }
            self.note(&told);
        }
    }

    fn note(&mut self, told: &Value) {
        let of = &told["params"];
        match told["method"].as_str() {
            Some("Network.requestWillBeSent") => {
                self.requests.push(of["request"]["url"].as_str().unwrap_or_default().to_owned());
            }
            Some("Runtime.exceptionThrown") => self.complaints.push(of.to_string()),
            // A refused request is told there as well, and is no complaint.
            Some("Log.entryAdded") if of["entry"]["source"] != "network" => self.complaints.push(of.to_string()),
            _ => {}
        }
    }

    pub fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url}));
        self.until(&format!("location.href === '{url}' && document.readyState === 'complete'"));
    }

    fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let told = self.call("Runtime.evaluate", parameters);
        assert!(told["exceptionDetails"].is_null(), "{expression}: {told}");
        told["result"]["value"].clone()
    }

    pub fn run(&mut self, expression: &str) {
        self.value(&format!("void ({expression})"));
    }

    pub fn text(&mut self, expression: &str) -> String {
        self.value(expression).as_str().unwrap_or_default().to_owned()
    }

    pub fn number(&mut self, expression: &str) -> u64 {
        self.value(expression).as_u64().unwrap_or_else(|| panic!("{expression} is no number"))
    }

    pub fn until(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.value(&format!("Boolean({expression})")) != true {
            assert!(Instant::now() < deadline, "it never came to be: {expression}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn press(&mut self, key: &str) {
        for kind in ["rawKeyDown", "keyUp"] {
            let code = if key == "Tab" { 9 } else { 13 };
            self.call(
                "Input.dispatchKeyEvent",
                json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code}),
            );
        }
    }

    pub fn dark(&mut self) {
        let features = json!([{"name": "prefers-color-scheme", "value": "dark"}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// Kept below the target directory, to be looked at.
    pub fn screenshot(&mut self, name: &str) {
        use base64::Engine;
        let told = self.call("Page.captureScreenshot", json!({"format": "png", "captureBeyondViewport": true}));
        let bytes = base64::prelude::BASE64_STANDARD.decode(told["data"].as_str().unwrap()).unwrap();
        assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 10_000);
        std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name), bytes).unwrap();
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.clone()
    }

    pub fn complaints(&self) -> Vec<String> {
        self.complaints.clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
