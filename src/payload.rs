//! Encoding of payloads and outputs, by the codec of their job type.

use jobkeep_store::{decode_value, encode_value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Codec;

pub(crate) fn encode<T: Serialize>(codec: Codec, value: &T) -> Result<Vec<u8>, String> {
    match codec {
        Codec::Json => serde_json::to_vec(value).map_err(|cause| cause.to_string()),
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
