//! Names as people read them, and what is missing for that.

use super::words::{Language, Reader};
use crate::config::{Config, LawfulBasis, PolicyText};
use crate::retention::activity::KindIndex;
use crate::retention::policy::{Policy, SourceIndex, TargetIndex};
use std::collections::BTreeMap;

/// A configuration told in one language.
pub struct Teller<'c> {
    pub config: &'c Config,
    pub language: Language,
    remarks: Vec<String>,
    unlabelled: Vec<String>,
}

impl<'c> Teller<'c> {
    pub fn new(config: &'c Config, language: Language) -> Teller<'c> {
        Teller { config, language, remarks: Vec::new(), unlabelled: Vec::new() }
    }

    /// What whoever publishes this should know, in the order it came up, each once.
    pub fn into_remarks(self) -> Vec<String> {
        let mut remarks = self.remarks;
        if !self.unlabelled.is_empty() {
            let (language, names) = (self.language.code(), self.unlabelled);
            remarks.push(format!(
                "without a label in '{language}', so that the name itself stands there: {}; add labels: {{{language}: \
                 {{{}: …}}}}",
                names.join(", "),
                names[0]
            ));
        }
        remarks
    }

    pub fn remark(&mut self, remark: String) {
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }

    pub fn policies(&self) -> impl Iterator<Item = (&'c Policy, &'c PolicyText)> + use<'c> {
        self.config.rules.policies.iter().zip(&self.config.texts)
    }

    /// What people read instead of a category, kind or attribute; else the name itself.
    pub fn label(&mut self, name: &str) -> String {
        let label = self.label_of(name);
        if label.is_none() && !self.unlabelled.iter().any(|unlabelled| unlabelled == name) {
            self.unlabelled.push(name.to_owned());
        }
        label.unwrap_or(name).to_owned()
    }

    /// What people read instead of what may speak for itself: systems, and values of attributes.
    pub fn word(&self, name: &str) -> String {
        self.label_of(name).unwrap_or(name).to_owned()
    }

    fn label_of(&self, name: &str) -> Option<&'c str> {
        by_language(&self.config.labels, self.language)?.get(name).map(String::as_str)
    }

    pub fn categories(&mut self, categories: &[u8]) -> Vec<String> {
        categories.iter().map(|category| self.label(self.config.category(*category))).collect()
    }

    pub fn kinds(&mut self, kinds: &[KindIndex]) -> Vec<String> {
        kinds.iter().map(|kind| self.label(&self.config.rules.kinds[usize::from(kind.0)].name)).collect()
    }

    pub fn targets(&self, targets: &[TargetIndex]) -> Vec<String> {
        targets.iter().map(|target| self.word(&self.config.rules.target(*target).key)).collect()
    }

    pub fn sources(&self, sources: &[SourceIndex]) -> Vec<String> {
        sources.iter().map(|source| self.word(&self.config.rules.sources[usize::from(source.0)].key)).collect()
    }

    /// A policy's purpose, in another language if it must be.
    pub fn purpose(&mut self, policy: &Policy, text: &PolicyText) -> String {
        let what = format!("policies.{}.purpose", policy.key);
        self.text(&text.purpose, &what).unwrap_or_else(|| policy.key.clone())
    }

    /// The ground in words; a legitimate interest with which one.
    pub fn lawful_basis(&mut self, policy: &Policy, text: &PolicyText, reader: Reader) -> String {
        let ground = self.language.lawful_basis(text.lawful_basis, reader);
        if text.lawful_basis != LawfulBasis::LegitimateInterest {
            return ground;
        }
        match self.text(&text.interest, &format!("policies.{}.interest", policy.key)) {
            Some(interest) => format!("{ground}: {interest}"),
            None => ground,
        }
    }

    fn text(&mut self, texts: &BTreeMap<String, String>, what: &str) -> Option<String> {
        let code = self.language.code();
        if let Some(text) = by_language(texts, self.language) {
            return Some(in_one_line(text));
        }
        match texts.iter().next() {
            Some((other, text)) => {
                self.remark(format!("{what} has no text in '{code}'; the one in '{other}' stands there"));
                Some(in_one_line(text))
            }
            None => {
                self.remark(format!("{what} is missing"));
                None
            }
        }
    }
}

/// Of several regions of a language the first.
fn by_language<T>(texts: &BTreeMap<String, T>, language: Language) -> Option<&T> {
    let code = language.code();
    let is_region = |name: &str| name.strip_prefix(code).is_some_and(|rest| rest.starts_with('-'));
    texts.get(code).or_else(|| texts.iter().find(|(name, _)| is_region(name)).map(|(_, text)| text))
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
