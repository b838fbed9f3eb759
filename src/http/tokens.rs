//! Who may ask and order, and how often.

use super::problem::Problem;
use crate::config::{May, Token};
use axum::http::{HeaderMap, StatusCode, header};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Instant;
use subtle::ConstantTimeEq;

/// Whoever has shown a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The token's name: what is audited.
    pub name: String,
    pub may: May,
    /// As it was shown, for the instance that is asked in turn.
    pub authorization: String,
}

/// So many requests a second with one token, and so many at once after a quiet time.
const PER_SECOND: f64 = 50.0;
const BURST: f64 = 200.0;
/// Without a token, or with a wrong one: all callers together.
const OPEN_NAME: &str = "";

/// The tokens in force. Secrets are kept as their hashes, so that comparing takes equally long for all.
pub struct Tokens {
    known: RwLock<Vec<(String, [u8; 32], May)>>,
    buckets: Mutex<BTreeMap<String, Bucket>>,
}

struct Bucket {
    left: f64,
    filled: Instant,
}

impl Tokens {
    pub fn new(tokens: &BTreeMap<String, Token>) -> Tokens {
        let made = Tokens { known: RwLock::default(), buckets: Mutex::default() };
        made.replace(tokens);
        made
    }

    /// Others are in force from now on.
    pub fn replace(&self, tokens: &BTreeMap<String, Token>) {
        let with_secret = tokens.iter().filter_map(|(name, token)| {
            let secret = token.secret.as_ref()?;
            Some((name.clone(), Sha256::digest(secret.0.as_bytes()).into(), token.may))
        });
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = with_secret.collect();
    }

    /// Whose token a request shows, if it may do this much.
    ///
    /// # Errors
    /// 401 without a token or with a wrong one, 403 if it may not, 429 if it comes too often.
    pub fn admit(&self, headers: &HeaderMap, may: May) -> Result<Principal, Problem> {
        match self.principal(headers)? {
            Some(principal) if principal.may >= may => Ok(principal),
            Some(principal) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                format!("the token '{}' may look up, and this takes one that may operate", principal.name),
            )),
            None => {
                self.slow_down(OPEN_NAME)?;
                Err(unauthorized("show a token: `Authorization: Bearer SECRET`; they are named in http.tokens"))
            }
        }
    }

    /// The same where no token is needed.
    ///
    /// # Errors
    /// 401 with a wrong token, 429 if requests come too often.
    pub fn admit_anyone(&self, headers: &HeaderMap) -> Result<Option<Principal>, Problem> {
        let principal = self.principal(headers)?;
        if principal.is_none() {
            self.slow_down(OPEN_NAME)?;
        }
        Ok(principal)
    }

    fn principal(&self, headers: &HeaderMap) -> Result<Option<Principal>, Problem> {
        let Some(shown) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
        let authorization = shown.to_str().unwrap_or_default();
        let secret = authorization.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let digest: [u8; 32] = Sha256::digest(secret.map_or("", |(_, secret)| secret.trim()).as_bytes()).into();
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        // All are compared, whichever it is.
        let mut found = None;
        for (name, expected, may) in known.iter() {
            if bool::from(expected.ct_eq(&digest)) {
                found = Some((name.clone(), *may));
            }
        }
        drop(known);
        let Some((name, may)) = found else {
            self.slow_down(OPEN_NAME)?;
            return Err(unauthorized("the token is not one of http.tokens"));
        };
        self.slow_down(&name)?;
        Ok(Some(Principal { name, may, authorization: authorization.to_owned() }))
    }

    fn slow_down(&self, name: &str) -> Result<(), Problem> {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(name.to_owned()).or_insert(Bucket { left: BURST, filled: now });
        bucket.left = BURST.min(bucket.left + (now - bucket.filled).as_secs_f64() * PER_SECOND);
        bucket.filled = now;
        if bucket.left < 1.0 {
            let detail = format!("more than {PER_SECOND} requests a second");
            return Err(Problem { retry_after: Some(1), ..Problem::new(StatusCode::TOO_MANY_REQUESTS, detail) });
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use axum::http::HeaderValue;

    fn tokens(secret: &str) -> BTreeMap<String, Token> {
        let token = |secret: &str, may| Token { secret: Some(Secret(secret.to_owned())), may };
        BTreeMap::from([
            ("desk".to_owned(), token(secret, May::LookUp)),
            ("privacy".to_owned(), token("the privacy officer's", May::Operate)),
            ("unread".to_owned(), Token { secret: None, may: May::Operate }),
        ])
    }

    fn showing(authorization: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(authorization).expect("text"))])
    }

    #[test]
    fn a_token_opens_what_it_may_and_no_more() {
        let known = Tokens::new(&tokens("the desk's"));
        let admit = |authorization: &str, may| known.admit(&showing(authorization), may).map(|found| found.name);
        let status = |refused: Result<String, Problem>| refused.expect_err("refused").status;
        assert_eq!(admit("Bearer the desk's", May::LookUp), Ok("desk".to_owned()));
        assert_eq!(admit("bearer the privacy officer's", May::Operate), Ok("privacy".to_owned()));
        assert_eq!(admit("bearer the privacy officer's", May::LookUp), Ok("privacy".to_owned()));
        assert_eq!(status(admit("Bearer the desk's", May::Operate)), StatusCode::FORBIDDEN);
        for wrong in ["Bearer the desk", "Bearer the desk's!", "Bearer ", "Bearer", "Basic the desk's", ""] {
            assert_eq!(status(admit(wrong, May::LookUp)), StatusCode::UNAUTHORIZED, "{wrong}");
        }
        let none = known.admit(&HeaderMap::new(), May::LookUp).expect_err("refused");
        assert_eq!(none.status, StatusCode::UNAUTHORIZED);
        assert_eq!(known.admit_anyone(&HeaderMap::new()), Ok(None));

        known.replace(&tokens("another one"));
        let admit = |authorization: &str| known.admit(&showing(authorization), May::LookUp).map(|found| found.name);
        assert_eq!(status(admit("Bearer the desk's")), StatusCode::UNAUTHORIZED);
        assert_eq!(admit("Bearer another one"), Ok("desk".to_owned()));
    }

    #[test]
    fn whoever_asks_too_often_waits_and_nobody_else() {
        let known = Tokens::new(&tokens("the desk's"));
        let ask = || known.admit(&showing("Bearer the desk's"), May::LookUp);
        let refused = (0..100_000).find_map(|_| ask().err()).expect("refused some time");
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(known.admit(&showing("Bearer the privacy officer's"), May::LookUp).is_ok());
    }
}
