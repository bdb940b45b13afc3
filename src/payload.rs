//! Encoding of payloads and outputs, by the codec of their job type.

use jobkeep_store::{decode_value, encode_value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Codec;

/// Room for a small payload, so that it is made in one piece.
const USUAL_BYTES: usize = 256;

pub(crate) fn encode<T: Serialize>(codec: Codec, value: &T) -> Result<Vec<u8>, String> {
    match codec {
        Codec::Json => {
            let mut bytes = Vec::with_capacity(USUAL_BYTES);
            serde_json::to_writer(&mut bytes, value).map_err(|cause| cause.to_string())?;
            Ok(bytes)
        }
        Codec::Bincode => encode_value(value).map_err(|cause| cause.to_string()),
        other => Err(format!("this version has no codec {other:?}")),
    }
}

pub(crate) fn decode<T: DeserializeOwned>(codec: Codec, bytes: &[u8]) -> Result<T, String> {
    match codec {
        Codec::Json => serde_json::from_slice(bytes).map_err(|cause| cause.to_string()),
        Codec::Bincode => decode_value(bytes).map_err(|cause| cause.to_string()),
        other => Err(format!("this version has no codec {other:?}")),
    }
}
