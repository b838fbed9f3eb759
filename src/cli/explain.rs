//! `lapsed explain`: where one customer stands, and why nothing leaves yet.

use super::remote::{Remote, RemoteArgs};
use super::table::{Table, day, list, text};
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;

/// Explain where a customer stands: why, why not yet, and when
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    lapsed explain 4711 --url http://lapsed:8080 --token-file /secrets/desk
    lapsed explain 4711 --lang nl          two sentences to read aloud, and the facts

Any instance answers, from the one that owns the customer. The look-up stands in audit, with the token's name.")]
pub struct ExplainArgs {
    /// The customer's id, as it came in
    customer: String,
    /// Language of the two sentences
    #[arg(long, value_enum, default_value_t)]
    lang: Lang,
    #[command(flatten)]
    remote: RemoteArgs,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Lang {
    Nl,
    #[default]
    En,
}

pub fn explain(args: ExplainArgs) -> anyhow::Result<ExitCode> {
    let lang = match args.lang {
        Lang::Nl => "nl",
        Lang::En => "en",
    };
    let told = Remote::new(&args.remote)?.post("explain", &json!({"customer": args.customer, "lang": lang}))?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{told}")?
    } else {
        write(&mut out, &told)?
    }
    Ok(ExitCode::SUCCESS)
}

fn write(out: &mut impl Write, told: &Value) -> std::io::Result<()> {
    for sentence in list(told, "says") {
        writeln!(out, "{}", text(sentence))?;
    }
    writeln!(out, "\nas of {} (shard {})", text(&told["now"]), told["shard"])?;
    if told["behind"] == true {
        writeln!(out, "the shard is behind the clock: nothing but recalls leaves it")?;
    }
    if told["forgotten"].is_object() {
        let forgotten = &told["forgotten"];
        let policies: Vec<String> = list(forgotten, "policies").iter().map(text).collect();
        writeln!(
            out,
            "forgotten: last command decided {} ({}), policies {}",
            text(&forgotten["end"]),
            text(&forgotten["cause"]),
            policies.join(", ")
        )?;
    }
    if told["known"] != true {
        return Ok(());
    }
    section(
        out,
        "last seen",
        list(told, "last_seen").iter().map(|seen| format!("{}  {}", text(&seen["date"]), text(&seen["kind"]))),
    )?;
    section(
        out,
        "consent",
        list(told, "consents").iter().map(|consent| {
            let given = if consent["given"] == true { "given" } else { "withdrawn" };
            format!("{}  {given} {}", text(&consent["name"]), day(&consent["at"]))
        }),
    )?;
    section(
        out,
        "attributes",
        list(told, "attributes")
            .iter()
            .map(|attribute| format!("{}  {}", text(&attribute["name"]), text(&attribute["value"]))),
    )?;
    section(
        out,
        "holds in force",
        list(told, "holds").iter().map(|hold| {
            let of = hold["policies"].as_array().map_or_else(String::new, |policies| {
                format!(", for {} only", policies.iter().map(text).collect::<Vec<_>>().join(", "))
            });
            let until = hold["until"].as_str().map_or("without an end".to_owned(), |until| format!("until {until}"));
            format!("{}  {until}{of}: {}", text(&hold["id"]), text(&hold["reason"]))
        }),
    )?;
    if let Some(at) = told["erasure_requested"].as_str() {
        writeln!(out, "\nerasure was asked for at {at}")?;
    }
    list(told, "policies").iter().try_for_each(|policy| write_policy(out, policy))?;
    section(
        out,
        "removals to be sent once more",
        list(told, "resends").iter().map(|resend| {
            let (target, ordered, order) = (text(&resend["target"]), text(&resend["ordered"]), text(&resend["order"]));
            format!("{target}  {}, ordered at {ordered} ({order})", text(&resend["state"]))
        }),
    )?;
    section(
        out,
        "closed gates",
        list(told, "closed_gates").iter().map(|gate| {
            let doubts: Vec<String> = list(gate, "doubts").iter().map(|doubt| text(&doubt["says"])).collect();
            format!("{}: {}", text(&gate["source"]), doubts.join("; "))
        }),
    )
}

fn section(out: &mut impl Write, name: &str, lines: impl Iterator<Item = String>) -> std::io::Result<()> {
    for (place, line) in lines.enumerate() {
        if place == 0 {
            writeln!(out, "\n{name}")?;
        }
        writeln!(out, "    {line}")?;
    }
    Ok(())
}

fn write_policy(out: &mut impl Write, policy: &Value) -> std::io::Result<()> {
    writeln!(out, "\n{} (mode {})", text(&policy["policy"]), text(&policy["mode"]))?;
    if policy["applies"] == false {
        return writeln!(out, "    does not apply to this customer");
    }
    if policy["withdrawn"] == true {
        writeln!(out, "    consent was withdrawn, and not given again")?;
    }
    match policy["since"].as_object() {
        Some(_) => {
            let since = &policy["since"];
            writeln!(out, "    since {} ({})", text(&since["date"]), text(&since["kind"]))?;
        }
        None => writeln!(out, "    no starting point: its periods don't run")?,
    }
    let mut stages = Table::new(["    stage", "deadline", "targets"]);
    for stage in list(policy, "stages") {
        let targets: Vec<String> = list(stage, "targets").iter().map(text).collect();
        stages.row([format!("    {}", text(&stage["command"])), day(&stage["deadline"]), targets.join(", ")]);
    }
    stages.write(out)?;
    for sent in list(policy, "sent") {
        writeln!(
            out,
            "    sent {} to {} at {} (attempt {}, {}): answer {}",
            text(&sent["command"]),
            text(&sent["target"]),
            text(&sent["sent"]),
            sent["attempt"],
            text(&sent["cause"]),
            text(&sent["answer"])
        )?;
    }
    for kept in list(policy, "retained") {
        writeln!(out, "    {} must keep it until {}", text(&kept["target"]), text(&kept["until"]))?;
    }
    if policy["awaits_answer"] == true {
        writeln!(out, "    the warning has no answer yet; it holds what comes next")?;
    }
    for left in list(policy, "left") {
        let kept: Vec<String> = list(left, "kept")
            .iter()
            .map(|kept| format!("{} for {}", text(&kept["category"]), text(&kept["by"])))
            .collect();
        let until = left["earliest"].as_str().map_or_else(String::new, |at| format!(", until {at} at the earliest"));
        writeln!(out, "    left at {}: {}{until}", text(&left["target"]), kept.join(", "))?;
    }
    list(policy, "next").iter().try_for_each(|next| write_next(out, next))
}

fn write_next(out: &mut impl Write, next: &Value) -> std::io::Result<()> {
    let targets: Vec<String> = list(next, "targets").iter().map(text).collect();
    let (command, earliest, cause) = (text(&next["command"]), text(&next["earliest"]), text(&next["cause"]));
    writeln!(out, "    next: {command} to {} at the earliest {earliest} ({cause})", targets.join(", "))?;
    for wait in list(next, "waits") {
        let until = wait["until"].as_str().map_or_else(String::new, |until| format!(" until {until}"));
        let what = match wait["for"].as_str().unwrap_or_default() {
            "deadline" => "its deadline",
            "lateness" => "what may still arrive late",
            "notice" => "the notice of the warning",
            "floor" => "a floor, or what else keeps it",
            "hold" => "a hold",
            "window" => "the window",
            "mode" => "the policy's mode",
            "gate" => "the gate",
            _ => "a release",
        };
        let hold = wait["hold"].as_str().map_or_else(String::new, |hold| format!(" {hold}"));
        writeln!(out, "        waits for {what}{hold}{until}")?;
    }
    for kept in list(next, "kept") {
        writeln!(out, "        keeps {} for {}", text(&kept["category"]), text(&kept["by"]))?;
    }
    Ok(())
}
