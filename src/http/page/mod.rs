//! The status page: rendered here, with a small script for what takes a token.
//!
//! * [`chart`]: what falls due per day, as a drawing and as a table

mod chart;

use super::answers::{PolicyStatus, SourceStatus, Status};
use super::desk::Desk;
use super::problem::Problem;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use std::fmt::Write;
use std::sync::Arc;

/// Everything comes from here, and nothing is allowed that isn't named.
pub const SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                                   img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const FRAME: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const ICON: &str = include_str!("icon.svg");

pub fn router(desk: Arc<Desk>) -> Router {
    let asset = |content_type: &'static str, text: &'static str| {
        get(move || async move { ([(header::CONTENT_TYPE, content_type)], text).into_response() })
    };
    Router::new()
        .route("/", get(page))
        .with_state(desk)
        .route("/page.css", asset("text/css; charset=utf-8", STYLE))
        .route("/page.js", asset("text/javascript; charset=utf-8", SCRIPT))
        .route("/icon.svg", asset("image/svg+xml", ICON))
}

async fn page(State(desk): State<Arc<Desk>>, headers: HeaderMap) -> Result<Html<String>, Problem> {
    desk.tokens.admit_anyone(&headers)?;
    let status = desk.status(None).await;
    let forecast =
        if status.shards == 0 { Err(Problem::unavailable("no shard has answered")) } else { desk.forecast(None).await };
    let config = desk.config();
    let has_tokens = config.http.tokens.values().any(|token| token.secret.is_some());
    let mut state = String::new();
    state.push_str(&heading(&status, config.topics.partitions));
    state.push_str(&sources(&status.sources));
    state.push_str(&policies(&status.policies));
    state.push_str(&chart::section(forecast.as_ref().map_err(|problem| problem.detail.as_str())));
    state.push_str(&targets(&status));
    let told = FRAME
        .replace("{{application}}", &escaped(&config.application))
        .replace("{{time}}", &escaped(&desk.outside.now().to_local_string(config.zone)))
        .replace("{{zone}}", config.zone.name())
        .replace("{{no-tokens}}", if has_tokens { "hidden" } else { "" })
        .replace("{{tokens}}", if has_tokens { "" } else { "disabled" })
        // Last: what it holds is never looked through for the marks above.
        .replace("{{state}}", &state);
    Ok(Html(told))
}

/// Text that is only text.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // A mark of the frame can't be made from outside.
            '{' => safe.push_str("&#123;"),
            _ => safe.push(letter),
        }
    }
    safe
}

/// With thin spaces between thousands.
fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

fn date(instant: Option<&String>) -> String {
    instant.map_or_else(|| "–".to_owned(), |instant| escaped(instant.get(..10).unwrap_or(instant)))
}

fn heading(status: &Status, shards: u32) -> String {
    let mut out = String::new();
    if status.shards < shards {
        let _ = write!(
            out,
            "<p class=\"banner\" role=\"status\">{} of {shards} shards have answered; the others are being restored or \
             moved. What is shown is of those.</p>",
            status.shards
        );
    }
    if status.shards > 0 && status.customers == 0 && status.forgotten == 0 {
        out.push_str("<p class=\"banner\" role=\"status\">No source has told of any customer yet.</p>");
    }
    let due: u64 = status.policies.iter().map(|policy| policy.due_unsent).sum();
    let backlog: u64 = status.policies.iter().map(|policy| policy.waiting_for_release).sum();
    let closed = status.sources.iter().filter(|source| !source.open).count() as u64;
    let unanswered: u64 = status.targets.iter().map(|target| target.unacknowledged).sum();
    out.push_str("<dl class=\"figures\">");
    for (name, figure, bad) in [
        ("customers", status.customers, false),
        ("forgotten", status.forgotten, false),
        ("due, not sent", due, false),
        ("wait for a release", backlog, backlog > 0),
        ("gates closed", closed, closed > 0),
        ("not acknowledged", unanswered, false),
    ] {
        let class = if bad { " class=\"bad\"" } else { "" };
        let _ = write!(out, "<div{class}><dt>{name}</dt><dd>{}</dd></div>", number(figure));
    }
    out.push_str("</dl>");
    out
}

fn sources(sources: &[SourceStatus]) -> String {
    let mut out = String::from(
        "<section aria-labelledby=\"gate\"><h2 id=\"gate\">Gate</h2><p>Nothing leaves that depends on a source in \
         doubt.</p>",
    );
    if sources.is_empty() {
        out.push_str("<p class=\"empty\">No shard has answered yet.</p></section>");
        return out;
    }
    out.push_str(
        "<div class=\"wide\"><table><thead><tr><th scope=\"col\">source</th><th scope=\"col\">gate</th>\
         <th scope=\"col\">behind</th><th scope=\"col\">doubts, and since when</th></tr></thead><tbody>",
    );
    for source in sources {
        let (class, word) = match (source.retired, source.open) {
            (true, _) => ("off", "retired"),
            (_, true) => ("good", "open"),
            (_, false) => ("bad", "closed"),
        };
        let behind = source.lag_seconds.map_or_else(|| "–".to_owned(), |lag| format!("{lag} s"));
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{}</th><td><span class=\"mark {class}\">{word}</span></td><td class=\"n\">{behind}</td><td>",
            escaped(&source.source)
        );
        if let Some(since) = &source.closed_since {
            let _ = write!(out, "<p>closed since {}</p>", escaped(since));
        }
        if source.doubts.is_empty() {
            out.push('–');
        } else {
            out.push_str("<ul>");
            for doubt in &source.doubts {
                let shards = if doubt.shards > 1 { format!(" ({} shards)", doubt.shards) } else { String::new() };
                let _ = write!(out, "<li>{}{shards}</li>", escaped(&doubt.says));
            }
            out.push_str("</ul>");
        }
        out.push_str("</td></tr>");
    }
    out.push_str("</tbody></table></div></section>");
    out
}

fn policies(policies: &[PolicyStatus]) -> String {
    let mut out = String::from("<section aria-labelledby=\"policies\"><h2 id=\"policies\">Policies</h2>");
    if policies.is_empty() {
        out.push_str("<p class=\"empty\">No shard has answered yet.</p></section>");
        return out;
    }
    out.push_str(
        "<div class=\"wide\"><table><thead><tr><th scope=\"col\">policy</th><th scope=\"col\">mode</th>\
         <th scope=\"col\">customers, by the last stage sent</th><th scope=\"col\">due, not sent</th>\
         <th scope=\"col\">backlog</th><th scope=\"col\">brake</th></tr></thead><tbody>",
    );
    for policy in policies {
        let key = escaped(&policy.policy);
        let _ = write!(out, "<tr><th scope=\"row\">{key}</th><td>{}</td><td>", escaped(&policy.mode));
        let _ = write!(out, "<span class=\"stage\">none {}</span>", number(policy.active));
        for stage in &policy.stages {
            let _ = write!(out, "<span class=\"stage\">{} {}</span>", escaped(&stage.command), number(stage.customers));
        }
        let oldest = policy.oldest_due.as_ref().map(|_| format!(", oldest {}", date(policy.oldest_due.as_ref())));
        let _ = write!(out, "</td><td>{}{}</td><td>", number(policy.due_unsent), oldest.unwrap_or_default());
        if policy.waiting_for_release > 0 {
            let _ = write!(
                out,
                "<button type=\"button\" class=\"backlog\" data-policy=\"{key}\">show {}<span class=\"unseen\"> who \
                 wait in {key}</span></button>",
                number(policy.waiting_for_release)
            );
        } else {
            out.push('–');
        }
        if policy.requests_withheld > 0 {
            let _ = write!(out, "<p class=\"bad\">{} requests wait for the mode</p>", number(policy.requests_withheld));
        }
        let _ = write!(out, "</td><td>{}</td></tr>", brake(policy));
    }
    out.push_str("</tbody></table></div></section>");
    out
}

fn brake(policy: &PolicyStatus) -> String {
    let brake = &policy.brake;
    if let Some(stopped) = &brake.stopped {
        let (by, at, reason) = (escaped(&stopped.by), date(Some(&stopped.at)), escaped(&stopped.reason));
        return format!("<span class=\"mark bad\">stopped</span> by {by} on {at}: {reason}");
    }
    if brake.engaged {
        let since = date(brake.tripped_since.as_ref());
        return format!("<span class=\"mark bad\">on</span> since {since}, in {} shards", brake.shards_engaged);
    }
    let (sent, per_day) = (number(brake.sent_today), number(brake.per_day));
    format!("<span class=\"mark good\">off</span> {sent} of {per_day} today")
}

fn targets(status: &Status) -> String {
    let mut out =
        String::from("<section aria-labelledby=\"targets\"><h2 id=\"targets\">Acknowledgements outstanding</h2>");
    if status.targets.iter().all(|target| target.unacknowledged == 0) {
        out.push_str("<p class=\"empty\">Every target has answered everything.</p></section>");
        return out;
    }
    out.push_str("<table><thead><tr><th scope=\"col\">target</th><th scope=\"col\">commands</th></tr></thead><tbody>");
    for target in &status.targets {
        let (key, waiting) = (escaped(&target.target), number(target.unacknowledged));
        let _ = write!(out, "<tr><th scope=\"row\">{key}</th><td class=\"n\">{waiting}</td></tr>");
    }
    out.push_str("</tbody></table></section>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_is_only_text() {
        let source = SourceStatus { source: "<script>&\"'{{state}}".to_owned(), ..SourceStatus::default() };
        let told = sources(&[source]);
        assert!(told.contains("&lt;script&gt;&amp;&quot;&#39;&#123;&#123;state}}"), "{told}");
        assert!(!told.contains("<script"));
    }

    #[test]
    fn thousands_are_parted() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]);
    }
}
