//! "Recall", "a command is a lease", and what deferred a command.

use crate::keepers::Task;
use crate::sent::{Cause, Recall, Reply, Sent, Words};
use crate::told::AnswerResult;
use crate::view::View;

impl View<'_> {
    /// "A command not yet acknowledged as done is recalled as soon as its ground is gone; a `warn` until the
    /// next stage has been sent."
    pub fn must_be_recalled(self, place: usize) -> bool {
        let sent = &self.sent[place];
        let is_settled = if self.action_of(sent).removes() { self.is_done(sent) } else { self.is_warning_over(place) };
        !self.is_recalled(sent) && !is_settled && !self.has_ground(sent)
    }

    fn has_ground(self, sent: &Sent) -> bool {
        if sent.cause != Cause::Period {
            let is_taken_back = sent.cause == Cause::Withdrawn && self.is_given_again(sent.policy, sent.since);
            return !is_taken_back && self.nothing_keeps_what_it_names(sent);
        }
        // "A request takes no ground away", so neither does what was served nor withdrawn.
        let last_active = self.last_active(sent.policy, i64::MAX).filter(|_| self.applies(sent.policy));
        let is_last = match self.is_withdrawn(sent.policy) {
            // Nor does activity after that take anything away.
            true => self.reached(sent.policy).is_none_or(|reached| reached <= sent.since.at),
            false => last_active.is_some_and(|since| since.at == sent.since.at),
        };
        (last_active.is_some() && is_last)
            && self.holds(sent.policy, Some(sent.number)).is_empty()
            && match self.action_of(sent).removes() {
                true => self.nothing_keeps_what_it_names(sent),
                false => self.is_still_warned_of(sent),
            }
    }

    fn nothing_keeps_what_it_names(self, sent: &Sent) -> bool {
        let keeps = |category: &usize| self.keeper(task_of(sent), *category, Some(sent.number)).is_some();
        !sent.words.categories.iter().any(keeps)
    }

    /// When a command must be sent again or taken back: neither `done`, nor still retained, and its lease is
    /// over. What a later request to the policy has taken over is not.
    pub fn lease_end(self, place: usize) -> Option<i64> {
        let sent = &self.sent[place];
        if self.is_recalled(sent) || self.is_taken_over(place) {
            return None;
        }
        let end = sent.attempts.last()? + self.configuration.acknowledge_within[sent.target]?;
        match self.reply(sent) {
            Reply::Done(_) => None,
            Reply::Retained(until) => Some(end.max(until)),
            Reply::None | Reply::Failed => Some(end),
        }
    }

    pub fn is_taken_over(self, place: usize) -> bool {
        let Sent { policy, since, .. } = self.sent[place];
        let later = self.sent[place + 1..].iter().filter(|sent| sent.policy == policy && sent.cause != Cause::Period);
        later.map(|sent| sent.since).any(|request| request.at >= since.at && request != since)
    }

    /// What a command would say if it were sent now and had not been before, if that is the same word for
    /// word. Of what a warning says of the next stage, when that can be is a time and may differ.
    pub fn said_again(self, place: usize) -> Option<Words> {
        let sent = &self.sent[place];
        let mut others = self.sent.to_vec();
        others.remove(place);
        let view = View { sent: &others, ..self };
        let mut task = task_of(sent);
        let may_have_changed = sent.cause == Cause::Period && !self.is_withdrawn(sent.policy);
        if let Some(last_active) = self.last_active(sent.policy, i64::MAX).filter(|_| may_have_changed) {
            task.since = last_active;
        }
        let mut words = view.words(task, Some(sent.number));
        if self.action_of(sent).removes() && task.since.at == sent.since.at {
            // What it has named already it names again, whoever else has named it since.
            let own: Vec<&Sent> = view.sent_for(task).map(|(_, sent)| sent).collect();
            let todo = view.todo(task).categories;
            let all = self.policy(sent.policy).categories.iter().copied();
            let open = all.filter(|category| {
                let is_named_apart = own.iter().any(|other| other.names(*category));
                !is_named_apart && (todo.contains(category) || sent.names(*category))
            });
            let parted = view.part(task, &open.collect::<Vec<_>>(), Some(sent.number));
            (words.categories, words.kept) = (parted.named, parted.kept);
        }
        let without_times =
            |words: &Words| Words { next: words.next.map(|(command, _)| (command, 0)), ..words.clone() };
        (without_times(&words) == without_times(&sent.words)).then_some(words)
    }

    /// When a recall must be repeated: "each `acknowledge_within` until answered, or until the recalled
    /// command is `done`". A warning may have been done before it was recalled; that is no answer.
    pub fn recall_repeats(self, sent: &Sent) -> Option<i64> {
        let recall = sent.recall.as_ref()?;
        let within = self.configuration.acknowledge_within[sent.target]?;
        (!self.is_recall_answered(sent, recall)).then(|| recall.attempts[recall.attempts.len() - 1] + within)
    }

    /// By whatever answer to the recall. "A target that doesn't acknowledge counts as done when sent."
    pub fn is_recall_answered(self, sent: &Sent, recall: &Recall) -> bool {
        let mut done = self.answers(sent.number).filter(|(_, result, ..)| *result == AnswerResult::Done);
        self.configuration.acknowledge_within[sent.target].is_none()
            || self.answers(recall.number).next().is_some()
            || done.any(|(.., arrives)| arrives > recall.attempts[0])
    }
}

pub fn task_of(sent: &Sent) -> Task {
    let Sent { policy, stage, target, cause, since, .. } = *sent;
    Task { policy, stage, target, cause, since }
}
