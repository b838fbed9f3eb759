"use strict";
// What takes a token. It is kept in its field, nowhere else, and goes to this origin only.
(() => {
  const $ = (id) => document.getElementById(id);
  const token = $("token"), answer = $("answer"), list = $("list");

  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    return made;
  };

  const ask = async (path, body) => {
    const response = await fetch(`/api/v1/${path}`, {
      method: "POST",
      credentials: "omit",
      headers: { "content-type": "application/json", authorization: `Bearer ${token.value}` },
      body: JSON.stringify(body),
    });
    const told = await response.json().catch(() => ({}));
    if (!response.ok) {
      const error = new Error(told.detail || `the service answers ${response.status}`);
      error.status = response.status;
      throw error;
    }
    return told;
  };

  const failed = (error) => element("p", `It could not be told: ${error.message}`, { class: "error", role: "alert" });

  // Everything that has happened and is to come, in its order.
  const events = (told, evidence) => {
    const found = [];
    const add = (when, text, ahead = false) => when && found.push({ when, text, ahead });
    for (const seen of told.last_seen) add(seen.date, `last seen: ${seen.kind}`);
    for (const consent of told.consents) add(consent.at, `consent to ${consent.name} ${consent.given ? "given" : "withdrawn"}`);
    add(told.erasure_requested, "erasure was asked for");
    for (const hold of told.holds) add(hold.until, `the hold ${hold.id} ends (${hold.reason})`, true);
    for (const policy of told.policies) {
      for (const next of policy.next) {
        const why = next.waits.map((wait) => wait.hold || wait.for).join(", ") || "about to leave";
        add(next.earliest, `${policy.policy}: ${next.command} to ${next.targets.join(", ")} at the earliest (${why})`, true);
      }
      for (const kept of policy.retained) add(kept.until, `${policy.policy}: ${kept.target} must keep it until then`, true);
    }
    const entries = evidence ? evidence.entries : [];
    for (const entry of entries) {
      if (entry.entry === "sent") add(entry.time, `${entry.policy}: ${entry.command} sent to ${entry.target}${entry.attempt > 1 ? `, attempt ${entry.attempt}` : ""}`);
      if (entry.entry === "acknowledged") add(entry.time, `${entry.target} answered ${entry.result}`);
      if (entry.entry === "ordered") add(entry.time, `${entry.by} ordered: ${entry.order} ${entry.hold || ""} (${entry.reason})`);
      if (entry.entry === "look_up") add(entry.time, `${entry.by} looked it up`);
      if (entry.entry === "forgotten") add(entry.time, "our own record went");
    }
    if (!evidence) {
      for (const policy of told.policies) {
        for (const sent of policy.sent) add(sent.sent, `${policy.policy}: ${sent.command} sent to ${sent.target}, answer: ${sent.answer}`);
      }
    }
    const at = (event) => Date.parse(event.when.length === 10 ? `${event.when}T23:59:59` : event.when);
    return found.sort((a, b) => at(a) - at(b));
  };

  const timeline = (told, evidence) => {
    const ol = element("ol", undefined, { class: "timeline" });
    for (const event of events(told, evidence)) {
      const li = element("li", undefined, event.ahead ? { class: "ahead" } : {});
      const day = event.when.slice(0, 10);
      li.append(element("time", day, { datetime: event.when }), element("span", event.text));
      ol.append(li);
    }
    return ol.children.length ? ol : element("p", "Nothing has happened, and nothing is to come.", { class: "empty" });
  };

  const policies = (told) => {
    const table = element("table");
    const head = element("tr");
    for (const name of ["policy", "since", "stages", "state"]) head.append(element("th", name, { scope: "col" }));
    const thead = element("thead");
    thead.append(head);
    const body = element("tbody");
    for (const policy of told.policies) {
      const row = element("tr");
      const stages = policy.stages.map((stage) => `${stage.command} ${stage.deadline ? stage.deadline.slice(0, 10) : "–"}`).join(", ");
      const state = !policy.applies ? "does not apply" : policy.withdrawn ? "consent withdrawn" : policy.removed ? "removed"
        : policy.awaits_answer ? "warned, waits for the answer" : policy.next.length ? policy.next.flatMap((next) => next.waits.map((wait) => wait.hold ? `hold ${wait.hold}` : wait.for)).join(", ") || "about to leave" : "nothing is to come";
      row.append(element("th", policy.policy, { scope: "row" }));
      row.append(element("td", policy.since ? `${policy.since.date} (${policy.since.kind})` : "–"));
      row.append(element("td", stages), element("td", state));
      body.append(row);
    }
    table.append(thead, body);
    const wide = element("div", undefined, { class: "wide" });
    wide.append(table);
    return wide;
  };

  const show = (told, evidence, lang) => {
    answer.replaceChildren();
    const says = element("p", told.says.join(" "), { class: "says", lang });
    answer.append(says);
    for (const gate of told.closed_gates) {
      answer.append(element("p", `The gate of ${gate.source} is closed: ${gate.doubts.map((doubt) => doubt.says).join("; ")}`, { class: "banner" }));
    }
    if (told.known) answer.append(element("h3", "Policies"), policies(told));
    answer.append(element("h3", "Timeline"), timeline(told, evidence));
    answer.focus();
  };

  $("ask").addEventListener("submit", async (event) => {
    event.preventDefault();
    const customer = $("customer").value, lang = $("lang").value;
    answer.replaceChildren(element("p", "Looking …", { class: "hint" }));
    try {
      const told = await ask("explain", { customer, lang });
      show(told, null, lang);
      // Evidence is read from its beginning, which takes longer.
      const evidence = await ask("evidence", { customer }).catch((error) => {
        if (error.status !== 404) throw error;
        return { entries: [] };
      });
      if (evidence.entries.length) show(told, evidence, lang);
    } catch (error) {
      answer.append(failed(error));
    }
  });

  const backlog = async (policy) => {
    $("list-title").textContent = `Who is due in ${policy}`;
    const body = $("list-body");
    body.replaceChildren(element("p", "Looking …", { class: "hint" }));
    list.showModal();
    if (!token.value) {
      body.replaceChildren(element("p", "Fill in your token below first: ids are shown to those only who may look them up.", { class: "banner" }));
      return;
    }
    try {
      const told = await ask("due", { policy, rows: 500 });
      const table = element("table"), head = element("tr"), tbody = element("tbody"), thead = element("thead");
      for (const name of ["customer", "deadline", "command", "since", "waits for"]) head.append(element("th", name, { scope: "col" }));
      thead.append(head);
      for (const row of told.rows) {
        const line = element("tr");
        line.append(element("th", row.customer, { scope: "row" }), element("td", row.deadline.slice(0, 10)), element("td", row.command));
        line.append(element("td", `${row.since.date} (${row.since.kind})`), element("td", row.held_by || row.waits_for));
        tbody.append(line);
      }
      table.append(thead, tbody);
      const left = told.total > told.rows.length ? `The first ${told.rows.length} of ${told.total}. ` : "";
      body.replaceChildren(element("p", `${left}${told.waiting_for_release} wait for a release (lapsed release ${policy}).`), table);
    } catch (error) {
      body.replaceChildren(failed(error));
    }
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.backlog");
    if (button) backlog(button.dataset.policy);
  });
  $("list-close").addEventListener("click", () => list.close());

  // The state is brought up to date where nobody is at it.
  const refresh = async () => {
    const state = $("state");
    if (document.hidden || list.open || state.contains(document.activeElement)) return;
    const response = await fetch("/", { credentials: "omit" }).catch(() => null);
    if (!response || !response.ok) {
      if (!$("stale")) state.prepend(element("p", "The service does not answer; what is shown is old.", { id: "stale", class: "banner", role: "alert" }));
      return;
    }
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    const open = [...state.querySelectorAll("details")].map((details) => details.open);
    state.replaceChildren(...fresh.getElementById("state").childNodes);
    [...state.querySelectorAll("details")].forEach((details, place) => { details.open = open[place] || false; });
    $("as-of").textContent = fresh.getElementById("as-of").textContent;
  };
  setInterval(refresh, 15000);
})();
