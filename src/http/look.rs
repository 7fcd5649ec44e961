//! What a running process says of itself, as its `/status.json` has it.

use serde::de::DeserializeOwned;

use super::{
    Endpoint,
    client::{Patience, Reply},
};
use crate::observe::status::{Role, UnreadableStatus, read_status};

/// Why nothing is known of a process. The text stands behind its role and its address.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LookError {
    /// Nobody answers.
    #[error("{0}")]
    Away(String),
    /// It is a Zegel of before `/status.json`, or something else.
    #[error(
        "has no /status.json: it is older than this zegel ({}), and is to be upgraded or asked \
         with its own",
        env!("CARGO_PKG_VERSION")
    )]
    Old,
    /// It does not tell.
    #[error("answers with {0}")]
    Refused(String),
    /// Nobody can read what it tells.
    #[error("{0}")]
    Unreadable(#[from] UnreadableStatus),
}

impl LookError {
    /// The whole sentence.
    pub fn of(&self, role: Role, endpoint: &str) -> String {
        let role = role.as_str();
        match self {
            Self::Away(error) => format!("no {role} answers at {endpoint}: {error}"),
            other => format!("the {role} at {endpoint} {other}"),
        }
    }
}

impl Endpoint {
    /// Looks at a process of this role. `path` is that of its `/status.json`, with what is asked.
    ///
    /// # Errors
    ///
    /// Why nothing is known of it.
    pub async fn look<T: DeserializeOwned>(&self, role: Role, path: &str) -> Result<T, LookError> {
        self.look_within(role, path, Patience::default()).await
    }

    /// The same, with bounds of one's own.
    ///
    /// # Errors
    ///
    /// Why nothing is known of it.
    pub async fn look_within<T: DeserializeOwned>(
        &self,
        role: Role,
        path: &str,
        patience: Patience,
    ) -> Result<T, LookError> {
        let reply = self.get_within(path, patience).await;
        let Reply { status, text } = reply.map_err(LookError::Away)?;
        if status == 404 {
            return Err(LookError::Old);
        }
        if !status.is_success() {
            return Err(LookError::Refused(format!("{status}: {}", text.trim())));
        }
        Ok(read_status(role, &text)?)
    }
}
