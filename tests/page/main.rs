//! The status page in a browser: what it shows, who may look what up, that nothing comes from elsewhere.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../api/office.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod office;
#[path = "../shard/rig.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod rig;

mod browser;

use browser::Browser;
use office::{DESK, Office, text};
use rig::{Entry, activity, at, config, progress};

/// Backlog, people ahead, a closed gate.
fn busy() -> Office {
    let config = config(&text());
    let now = at("2026-03-01");
    let mut entries: Vec<Entry> = Vec::new();
    for number in 0..400_i64 {
        let day = at("2025-03-05") + (number * 7 % 360) * rig::DAY;
        let kind = if number % 3 == 0 { "purchase" } else { "login" };
        entries.push(activity(now, &format!("c{number}"), kind, day));
    }
    entries.extend((0..12).map(|number| activity(now, &format!("old{number}"), "login", at("2024-01-10"))));
    entries.push(progress(now, &config));
    let office = Office::open(2, entries);
    let status = || serde_json::from_str::<serde_json::Value>(&office.get("/api/v1/status").1).unwrap();
    office.until(|| (status()["policies"][0]["waiting_for_release"] == 12).then_some(()));
    office.lose_records(now + 60);
    office
}

#[test]
fn it_shows_the_state_of_things_and_looks_up_with_a_token() {
    let office = busy();
    let origin = format!("http://{}", office.addresses[0]);
    let mut browser = Browser::start();
    browser.open(&format!("{origin}/"));
    let shown = browser.text("document.body.innerText");
    for expected in ["412", "closed", "records of shop[0] are missing", "newsletter", "offers", "a year ahead"] {
        assert!(shown.contains(expected), "{expected} is not in\n{shown}");
    }
    assert!(browser.number("document.querySelectorAll('svg.chart rect').length") > 50);
    assert_eq!(browser.text("document.querySelector('svg.chart').getAttribute('role')"), "img");
    browser.screenshot("page-light.png");

    // Ids are shown to nobody without a token.
    browser.run("document.querySelector('button.backlog').click()");
    browser.until(
        "document.getElementById('list').open && document.getElementById('list-body').innerText.includes('token')",
    );
    browser.run("document.getElementById('list-close').click()");
    browser.run(&format!("document.getElementById('token').value = '{DESK}'"));
    browser.run("document.querySelector('button.backlog').click()");
    browser.until("document.querySelectorAll('#list-body tbody tr').length >= 12");
    assert!(browser.text("document.getElementById('list-body').innerText").contains("old0"));
    browser.screenshot("page-backlog.png");
    browser.run("document.getElementById('list-close').click()");

    browser.run("document.getElementById('customer').value = 'c1'");
    browser.run("document.getElementById('lang').value = 'nl'");
    browser.run("document.getElementById('ask').requestSubmit()");
    browser.until("document.querySelectorAll('#answer .timeline li').length > 1");
    let answer = browser.text("document.getElementById('answer').innerText");
    assert!(answer.contains("voor het laatst gezien"), "{answer}");
    assert_eq!(browser.text("document.querySelector('.says').lang"), "nl");
    assert_eq!(browser.text("document.activeElement.id"), "answer", "a screen reader goes on there");
    browser.dark();
    browser.screenshot("page-dark.png");

    browser.run("document.getElementById('token').value = 'wrong'");
    browser.run("document.getElementById('ask').requestSubmit()");
    browser.until("document.querySelector('#answer [role=alert]') !== null");

    // The id is in no address, and every request went here.
    let asked = browser.requests();
    assert!(asked.len() >= 6, "{asked:?}");
    for url in &asked {
        assert!(url.starts_with(&origin) && !url.contains("c1"), "{url}");
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn it_can_be_used_from_the_keyboard_and_names_everything() {
    let office = busy();
    let mut browser = Browser::start();
    browser.open(&format!("http://{}/", office.addresses[0]));
    let unnamed = "[...document.querySelectorAll('input, select, button')].filter((e) => \
                   !e.labels?.length && !e.textContent.trim()).length";
    assert_eq!(browser.number(unnamed), 0);
    assert_eq!(browser.number("document.querySelectorAll('th:not([scope])').length"), 0);
    assert_eq!(browser.number("document.querySelectorAll('section:not([aria-labelledby])').length"), 0);
    let ids = "[...document.querySelectorAll('[aria-labelledby]')].filter((e) => \
               !document.getElementById(e.getAttribute('aria-labelledby'))).length";
    assert_eq!(browser.number(ids), 0);
    let mut reached = Vec::new();
    for _ in 0..12 {
        browser.press("Tab");
        reached.push(
            browser.text(
                "document.activeElement.id || document.activeElement.className || document.activeElement.tagName",
            ),
        );
    }
    for expected in ["skip", "backlog", "token", "customer", "lang"] {
        assert!(reached.iter().any(|id| id == expected), "{expected} is not among {reached:?}");
    }
}

#[test]
fn nothing_and_no_shard_are_drawn_too() {
    let empty = Office::open(1, vec![progress(at("2026-03-01"), &config(&text()))]);
    let mut browser = Browser::start();
    browser.open(&format!("http://{}/", empty.addresses[0]));
    let shown = browser.text("document.body.innerText");
    for expected in
        ["No source has told of any customer yet", "Nothing falls due within a year", "has answered everything"]
    {
        assert!(shown.contains(expected), "{expected} is not in\n{shown}");
    }
    browser.screenshot("page-empty.png");
    let alone = Office::open(2, vec![progress(at("2026-03-01"), &config(&text()))]);
    alone.cluster.owners.lock().unwrap().clear();
    browser.open(&format!("http://{}/", alone.addresses[0]));
    let shown = browser.text("document.body.innerText");
    for expected in ["2 of 4 shards have answered", "It can't be told now"] {
        assert!(shown.contains(expected), "{expected} is not in\n{shown}");
    }
}

/// A running demonstration; ends with the test.
struct Demo(std::process::Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_demonstration_shows_its_town() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    // It takes longer than the test.
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lapsed"));
    command.args(["demo", "--seconds", "600", "--customers", "200", "--listen", &address]);
    let null = std::process::Stdio::null;
    let _demo = Demo(command.stdin(null()).stdout(null()).stderr(null()).spawn().unwrap());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while std::net::TcpStream::connect(&address).is_err() {
        assert!(std::time::Instant::now() < deadline, "no page");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let origin = format!("http://{address}");
    let mut browser = Browser::start();
    // The town is known as its days go by.
    loop {
        browser.open(&format!("{origin}/"));
        if browser.text("document.body.innerText").contains("newsletter")
            && browser.number("document.querySelectorAll('svg.chart rect').length") > 0
        {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{}", browser.text("document.body.innerText"));
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    for source in ["web", "orders", "desk"] {
        assert!(browser.text("document.body.innerText").contains(source), "{source}");
    }
    browser.screenshot("page-demo.png");
    browser.run("document.getElementById('token').value = 'demo'");
    browser.run("document.getElementById('customer').value = '4711'");
    browser.run("document.getElementById('ask').requestSubmit()");
    browser.until("document.querySelectorAll('#answer .timeline li').length > 0");
    let answer = browser.text("document.getElementById('answer').innerText");
    assert!(answer.contains("This customer was last seen on"), "{answer}");
    assert!(browser.requests().iter().all(|url| url.starts_with(&origin)), "{:?}", browser.requests());
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
