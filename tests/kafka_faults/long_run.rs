//! Load for as long as is asked for, while instances are killed at random: nobody is lost, and memory stays,
//! since our own records go some minutes after the customers.

use crate::faults::on_one_broker;
use crate::trial::{SETTING, Setting};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Resident kilobytes of a process; `None`: it has ended.
fn resident_kb(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// `LAPSED_MINUTES` says how long; an hour if nothing does.
#[test]
#[ignore = "runs for an hour, or for LAPSED_MINUTES"]
fn long_run() {
    if crate::is_yours() {
        return;
    }
    let minutes: u64 = std::env::var("LAPSED_MINUTES").map_or(60, |minutes| minutes.parse().unwrap());
    let length = Duration::from_secs(60 * minutes);
    let mut random = fastrand::Rng::new();
    println!("seed {}", random.get_seed());
    let mut kills = 0;
    // By minute: the most that the instance took that nobody kills, and that any of the others did.
    let mut memory: BTreeMap<u64, [u64; 2]> = BTreeMap::new();
    let mut forgotten = 0;
    let pods = ["pod-0", "pod-1", "pod-2"];
    let setting = Setting { forgets: Some(("PT1M", "PT2M")), ..SETTING };
    let verdict = on_one_broker(setting, |trial| {
        pods[1..].iter().for_each(|pod| trial.start(pod));
        let begun = Instant::now();
        let mut next_kill = Instant::now() + Duration::from_secs(20);
        while begun.elapsed() < length {
            trial.wave(random.usize(20..200));
            std::thread::sleep(Duration::from_millis(random.u64(200..1_000)));
            trial.revive();
            let minute = begun.elapsed().as_secs() / 60;
            for (pod, taken) in
                pods.iter().enumerate().filter_map(|(place, pod)| Some((place, resident_kb(trial.pid(pod))?)))
            {
                let most = &mut memory.entry(minute).or_default()[pod.min(1)];
                *most = taken.max(*most);
            }
            if Instant::now() > next_kill {
                let victim = pods[random.usize(1..pods.len())];
                trial.kill(victim);
                trial.start(victim);
                kills += 1;
                next_kill = Instant::now() + Duration::from_secs(random.u64(3..30));
            }
        }
        trial.await_all();
        forgotten = trial.forgotten();
    });
    println!("{minutes} minutes, {kills} kills, {forgotten} of them forgotten: {verdict:?}");
    for (minute, [spared, killed]) in memory {
        println!(
            "minute {minute}: at most {} MB resident; of those that are killed {} MB",
            spared / 1024,
            killed / 1024
        );
    }
    assert!(verdict.is_clean(), "{verdict:?}");
}
