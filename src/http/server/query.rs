//! What stands behind the question mark.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::super::problem::Code;
use super::answer::Refusal;

/// The parameters of a request, or why they are not of their form: told to those alone who may make it.
pub(super) struct Parameters<T>(pub(super) Result<T, Refusal>);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let query = Query::from_request_parts(parts, state).await;
        let parameters = query.map(|Query(parameters)| parameters);
        Ok(Self(parameters.map_err(|cause| {
            Refusal::new(
                Code::Malformed,
                format_args!("the parameters: {}", cause.body_text()),
            )
        })))
    }
}

/// The receipt in a path, or why there is none.
pub(super) struct Named(pub(super) Result<String, Refusal>);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        let text = path.map(|axum::extract::Path(text)| text);
        Ok(Self(text.map_err(|_| {
            Refusal::new(
                Code::BadReceipt,
                "the text in the path is no receipt, or was changed",
            )
        })))
    }
}
