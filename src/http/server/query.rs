//! What stands behind the question mark.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::super::problem::Code;
use super::answer::Refusal;

/// The parameters of a request, or why they are not of their form.
pub(super) struct Parameters<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let query = Query::from_request_parts(parts, state).await;
        let Query(parameters) = query.map_err(|cause| {
            Refusal::new(
                Code::Malformed,
                format_args!("the parameters: {}", cause.body_text()),
            )
        })?;
        Ok(Self(parameters))
    }
}

/// The receipt in a path.
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        let axum::extract::Path(text) = path.map_err(|_| {
            Refusal::new(
                Code::BadReceipt,
                "the text in the path is no receipt, or was changed",
            )
        })?;
        Ok(Self(text))
    }
}
