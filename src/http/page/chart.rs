//! What falls due per day for a year ahead.

use super::{escaped, number};
use crate::http::answers::{Forecast, PolicyFuture};
use chrono::{Datelike, Days, NaiveDate};
use std::fmt::Write;

/// Of the drawing, in its own units: two a day.
const DAY_WIDTH: usize = 2;
const HEIGHT: u64 = 160;
/// So many policies have a colour of their own.
const COLOURS: usize = 6;

pub(super) fn section(forecast: Result<&Forecast, &str>) -> String {
    let mut out = String::from("<section aria-labelledby=\"ahead\"><h2 id=\"ahead\">What falls due, a year ahead</h2>");
    match forecast {
        Err(why) => {
            let _ = write!(out, "<p class=\"error\" role=\"status\">It can't be told now: {}.</p>", escaped(why));
        }
        Ok(forecast) => out.push_str(&told(forecast)),
    }
    out.push_str("</section>");
    out
}

fn told(forecast: &Forecast) -> String {
    let Ok(first) = forecast.first.parse::<NaiveDate>() else { return String::new() };
    let days = forecast.policies.first().map_or(0, |policy| policy.customers.len());
    let total = |day: usize| forecast.policies.iter().map(|policy| policy.customers[day]).sum::<u64>();
    let most = (0..days).map(total).max().unwrap_or(0);
    let mut out = String::new();
    let now: u64 = forecast.policies.iter().map(|policy| policy.due).sum();
    let held: u64 = forecast.policies.iter().map(|policy| policy.held).sum();
    let _ = write!(
        out,
        "<p>Customers per day, if nobody does anything until then and every target answers at once. {} are due \
         already, {} are held without an end; neither is in the drawing.</p>",
        number(now),
        number(held)
    );
    for policy in &forecast.policies {
        if let Some(day) = &policy.brake_trips_on {
            let _ = write!(
                out,
                "<p class=\"bad\">{} will run into the brake on {}.</p>",
                escaped(&policy.policy),
                escaped(day)
            );
        }
    }
    if most == 0 {
        out.push_str("<p class=\"empty\">Nothing falls due within a year.</p>");
        return out;
    }
    out.push_str("<ul class=\"legend\">");
    for (place, policy) in forecast.policies.iter().enumerate() {
        let _ = write!(out, "<li><span class=\"key c{}\"></span>{}</li>", place % COLOURS, escaped(&policy.policy));
    }
    out.push_str("</ul>");
    out.push_str(&drawing(&forecast.policies, first, days, most));
    out.push_str(&table(&forecast.policies, first, days));
    out
}

fn drawing(policies: &[PolicyFuture], first: NaiveDate, days: usize, most: u64) -> String {
    let width = days * DAY_WIDTH;
    let last = first + Days::new(days.saturating_sub(1) as u64);
    let mut out = format!(
        "<svg class=\"chart\" role=\"img\" aria-label=\"Bars: customers to whom something falls due, per day from {first} \
         to {last}, at most {most} in a day. The table below has the same by month.\" viewBox=\"-40 -12 {} {}\" \
         preserveAspectRatio=\"none\">",
        width + 44,
        HEIGHT + 34
    );
    let _ = write!(out, "<line class=\"axis\" x1=\"0\" y1=\"{HEIGHT}\" x2=\"{width}\" y2=\"{HEIGHT}\"/>");
    let _ = write!(out, "<line class=\"grid\" x1=\"0\" y1=\"0\" x2=\"{width}\" y2=\"0\"/>");
    let _ = write!(out, "<text class=\"label end\" x=\"-4\" y=\"4\">{}</text>", number(most));
    let _ = write!(out, "<text class=\"label end\" x=\"-4\" y=\"{HEIGHT}\">0</text>");
    for day in 0..days {
        let (date, x) = (first + Days::new(day as u64), day * DAY_WIDTH);
        if date.day() == 1 {
            let _ = write!(out, "<line class=\"grid\" x1=\"{x}\" y1=\"0\" x2=\"{x}\" y2=\"{HEIGHT}\"/>");
            // At the very end its name would be cut off.
            if day + 12 < days {
                let (x, y) = (x + 2, HEIGHT + 14);
                let _ = write!(out, "<text class=\"label\" x=\"{x}\" y=\"{y}\">{}</text>", date.format("%b"));
            }
        }
        let mut below = 0;
        for (place, policy) in policies.iter().enumerate().filter(|(_, policy)| policy.customers[day] > 0) {
            let upto = below + policy.customers[day];
            let place_of = |number: u64| {
                HEIGHT - u64::try_from(u128::from(number) * u128::from(HEIGHT) / u128::from(most)).unwrap_or(HEIGHT)
            };
            // Whoever falls due can be seen, however few they are.
            let (top, bottom) = (place_of(upto).min(place_of(below).saturating_sub(1)), place_of(below));
            let _ = write!(
                out,
                "<rect class=\"c{}\" x=\"{x}\" y=\"{top}\" width=\"{DAY_WIDTH}\" height=\"{}\"><title>{date}: {} in {}</title></rect>",
                place % COLOURS,
                bottom - top,
                number(policy.customers[day]),
                escaped(&policy.policy)
            );
            below = upto;
        }
    }
    out.push_str("</svg>");
    out
}

fn table(policies: &[PolicyFuture], first: NaiveDate, days: usize) -> String {
    let mut out = String::from(
        "<details><summary>The same by month, as a table</summary><div class=\"wide\"><table><thead><tr>\
         <th scope=\"col\">month</th>",
    );
    for policy in policies {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escaped(&policy.policy));
    }
    out.push_str("</tr></thead><tbody>");
    let month = |day: usize| (first + Days::new(day as u64)).format("%Y-%m").to_string();
    let mut from = 0;
    while from < days {
        let to = (from..days).find(|day| month(*day) != month(from)).unwrap_or(days);
        let _ = write!(out, "<tr><th scope=\"row\">{}</th>", month(from));
        for policy in policies {
            let sum: u64 = policy.customers[from..to].iter().sum();
            let _ = write!(out, "<td class=\"n\">{}</td>", number(sum));
        }
        out.push_str("</tr>");
        from = to;
    }
    out.push_str("</tbody></table></div></details>");
    out
}
